"""The way from a loss to its kernel: which implementation runs, and what autograd and ``torch.compile`` see of it."""

import contextlib
import functools
from collections.abc import Callable

import torch
from torch import Tensor

from corelib._backend import use_torch


def takes_torch(tensor: Tensor) -> bool:
    """Whether such a tensor goes to plain torch, not to the compiled kernels."""
    return use_torch(tensor.device.type)


class Operator:
    """A function of tensors with a backward pass of its own.

    Called, it is a plain ``autograd.Function``; while a graph is traced, an operator of ``torch.library``, which
    ``torch.compile`` does not look into. The operator's machinery costs several times what small kernels do.

    Parameters
    ----------
    name : str
        Of the operator, "corelib::...".
    function : callable
        Tensors, optional tensors and numbers in, a tensor or a tuple of tensors out; the annotations are the schema.
    fake : callable
        Of the same arguments: empty tensors of the right shapes and dtypes.
    setup_context, backward : callable, optional
        As of an ``autograd.Function``. Without them, what is only called without gradients.
    """

    def __init__(
        self,
        name: str,
        function: Callable,
        *,
        fake: Callable,
        setup_context: Callable | None = None,
        backward: Callable | None = None,
    ) -> None:
        self.eager = function
        self.traced = torch.library.custom_op(name, function, mutates_args=())
        self.traced.register_fake(fake)
        if backward is not None:
            self.traced.register_autograd(backward, setup_context=setup_context)
            self.eager = _function(function, setup_context, backward)

    def __call__(self, *arguments):
        traced = torch.compiler.is_compiling() or not all(map(_has_memory, arguments))
        return (self.traced if traced else self.eager)(*arguments)


def _function(function: Callable, setup_context: Callable, backward: Callable) -> Callable:
    """An ``autograd.Function``; torch inspects the signature at every call of one that defines ``setup_context``."""

    def forward(ctx, *inputs):
        output = function(*inputs)
        setup_context(ctx, inputs, output)
        return output

    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(function.__name__, (torch.autograd.Function,), methods).apply


def _has_memory(value: object) -> bool:
    """Whether ``value`` is not one of the tensors that tracers pass around in place of real ones."""
    return not isinstance(value, Tensor) or type(value) in (Tensor, torch.nn.Parameter)


def first_derivative_only(backward: Callable) -> Callable:
    """Decorator of the backward pass of an ``autograd.Function`` without second derivative: to ask for that one raises.

    ``torch.autograd.function.once_differentiable`` gives a wrong second derivative, without a word, where the upstream
    gradient is a constant, as that of a sum is. The pass runs outside of ``torch.autocast``.
    """

    @functools.wraps(backward)
    def wrapper(ctx, *upstream):
        if all(gradient is None for gradient in upstream):  # undefined: zeros that nobody made
            return (None,) * len(ctx.needs_input_grad)
        higher = torch.is_grad_enabled()  # with create_graph=True only
        if not higher and not _in_autocast(*upstream):
            return backward(ctx, *upstream)
        with torch.no_grad(), outside_autocast(*upstream):
            gradients = backward(ctx, *upstream)
        if not higher:
            return gradients
        if not isinstance(gradients, tuple):
            return _refusing(gradients)
        return tuple(None if gradient is None else _refusing(gradient) for gradient in gradients)

    return wrapper


def breaks_graph(function: Callable) -> Callable:
    """Decorator of what ``torch.compile`` is to run as it is, between two graphs.

    ``torch.compiler.disable`` in its place would import the compiler together with the library.
    """

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return wrapper


def _refusing(gradient: Tensor) -> Tensor:
    return _NoSecondDerivative.apply(gradient, torch.ones((), requires_grad=True))


class _NoSecondDerivative(torch.autograd.Function):
    """``gradient``, which requires a gradient itself and has none."""

    @staticmethod
    def forward(ctx, gradient, _):
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx, *upstream):
        refuse(ctx, *upstream)


def refuse(ctx, *upstream) -> None:
    """Backward pass of what is a derivative itself."""
    raise NotImplementedError("this function of corelib is differentiable once; it has no second derivative")


def outside_autocast(*values: object) -> contextlib.AbstractContextManager:
    """A context in which arithmetic on the devices of these tensors is not rounded to half precision."""
    device = _in_autocast(*values)
    return torch.autocast(device, enabled=False) if device else contextlib.nullcontext()


def _in_autocast(*values: object) -> str | None:
    """The device of these tensors on which autocast is on."""
    for value in values:
        if isinstance(value, Tensor):
            device = value.device.type
            if device != "meta" and torch.is_autocast_enabled(device):
                return device
    return None


def keep_gradients(ctx, inputs, output) -> None:
    """``setup_context`` of an operator whose first output is a loss, and whose others are its gradients.

    The inputs are kept as well, in case of a second backward pass.
    """
    ctx.save_for_backward(*(value for value in inputs if isinstance(value, Tensor)))
    ctx.settings = [None if isinstance(value, Tensor) else (value,) for value in inputs]
    ctx.gradients = output[1:]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[1:])


def take_gradients(ctx, operator: Callable, upstream: Tensor) -> tuple[Tensor, ...]:
    """The gradients times ``upstream``, in their own memory: they never exist twice, a second pass recomputes them."""
    gradients, ctx.gradients = ctx.gradients, None
    if gradients is None:
        tensors = iter(ctx.saved_tensors)
        gradients = operator(*(next(tensors).detach() if s is None else s[0] for s in ctx.settings))[1:]
    return tuple(
        gradient.mul_(upstream) if _has_memory(gradient) else gradient * upstream for gradient in gradients
    )

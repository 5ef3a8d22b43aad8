"""Checks of tensor arguments, and the NumPy front end of functions written for torch."""

import functools
import inspect
import warnings
from collections.abc import Callable

import numpy as np
import torch

FLOATS = (torch.float32, torch.float64)


def check_tensor(value: object, name: str, *, ndim: int | tuple[int, ...]) -> torch.Tensor:
    """``value`` if it is a dense float32 or float64 tensor with ``ndim`` dimensions and no NaN or infinity."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor or a numpy.ndarray; got {type(value).__name__}")
    if value.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor; got layout {value.layout}")
    if value.dtype not in FLOATS:
        raise TypeError(f"{name} must be float32 or float64; got {str(value.dtype).removeprefix('torch.')}")
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if value.ndim not in allowed:
        wanted = " or ".join(f"{n}-dimensional" for n in allowed)
        raise ValueError(f"{name} must be {wanted}; got shape {tuple(value.shape)}")
    return value


def check_finite(value: torch.Tensor, name: str) -> torch.Tensor:
    """``value`` if every entry is finite, else a ``ValueError`` that counts the others."""
    if bool(value.detach().sum().isfinite()):  # one pass: a NaN or an infinity would have spread
        return value
    finite = torch.isfinite(value.detach())
    if not bool(finite.all()):
        raise ValueError(f"{name} must be finite; {int((~finite).sum())} of {value.numel()} entries are NaN or infinite")
    return value


def check_same(first: torch.Tensor, first_name: str, second: torch.Tensor, second_name: str) -> None:
    """A ``TypeError`` if the two tensors differ in dtype, a ``ValueError`` if in device."""
    if first.dtype != second.dtype:
        a, b = (str(t.dtype).removeprefix("torch.") for t in (first, second))
        raise TypeError(f"{first_name} and {second_name} must have the same dtype; got {a} and {b}")
    if first.device != second.device:
        raise ValueError(
            f"{first_name} and {second_name} must be on the same device; got {first.device} and {second.device}"
        )


def accepts_numpy(*array_arguments: str) -> Callable:
    """Decorator: let a torch function also take NumPy arrays, and answer in kind.

    If any of ``array_arguments`` is a ``numpy.ndarray``, all that are given must be; the function then sees
    tensors that share their memory, and its tensor results come back as arrays (0-dimensional ones as floats).
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            given = {n: bound.arguments[n] for n in array_arguments if bound.arguments.get(n) is not None}
            arrays = [n for n, value in given.items() if isinstance(value, np.ndarray)]
            if not arrays:
                return function(*args, **kwargs)
            tensors = [n for n, value in given.items() if isinstance(value, torch.Tensor)]
            if tensors:
                raise TypeError(
                    f"{arrays[0]} is a numpy.ndarray but {tensors[0]} is a torch.Tensor; pass all arrays in one of the two"
                )
            for name in arrays:
                bound.arguments[name] = _view_as_tensor(given[name], name)
            return _to_numpy(function(*bound.args, **bound.kwargs))

        return wrapper

    return decorate


def _view_as_tensor(array: np.ndarray, name: str) -> torch.Tensor:
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers; got dtype {array.dtype}")
    if not array.dtype.isnative:
        raise TypeError(f"{name} must be in native byte order; got dtype {array.dtype}")
    # torch has no negative strides, and a load from an odd address is undefined in C
    if not array.flags.aligned or any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():  # no function of this library writes to its inputs
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _to_numpy(result):
    if isinstance(result, torch.Tensor):
        return result.item() if result.ndim == 0 else result.numpy()
    if isinstance(result, tuple):
        return tuple(_to_numpy(part) for part in result)
    return result

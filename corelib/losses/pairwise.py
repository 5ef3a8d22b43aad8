"""Losses over all pairs of a positive and a negative score."""

import torch

from corelib._backend import use_torch
from corelib._checks import check_choice, check_positive
from corelib._tensors import accepts_numpy, check_finite, check_same, check_tensor
from corelib.kernels import pairwise as kernel
from corelib.losses import _torch_pairwise
from corelib.losses._once import ScaleGradient

# The smallest allowed: the inverse is still finite in the dtype.
_TEMPERATURES = {torch.float32: 1e-37, torch.float64: 1e-280}


@accepts_numpy("pos", "neg", "pos_weight", "neg_weight")
def mann_whitney_loss(
    pos: torch.Tensor,
    neg: torch.Tensor,
    temperature: float = 1.0,
    *,
    pos_weight: torch.Tensor | None = None,
    neg_weight: torch.Tensor | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    r"""Mann-Whitney loss: a smooth count of the pairs in which a negative outscores a positive.

    .. math::

        L = \frac{\sum_{i,j} u_i v_j \log\left(1 + e^{(\mathrm{neg}_j - \mathrm{pos}_i) / \tau}\right)}
                 {\sum_i u_i \sum_j v_j}

    over *all* pairs, which is an upper bound of :math:`\log 2` times the share of misordered pairs, that is of
    :math:`(1 - \mathrm{AUC}) \log 2`. The sum is exact to rounding, and its cost grows with the number of scores,
    not of pairs.

    Parameters
    ----------
    pos : Tensor or ndarray, shape (n,), float32 or float64
        Scores of the positives; at least one, all finite.
    neg : Tensor or ndarray, shape (m,), dtype of ``pos``
        Scores of the negatives; at least one, all finite.
    temperature : float, default 1.0
        :math:`\tau`, in the unit of the scores.
    pos_weight, neg_weight : Tensor or ndarray, shapes (n,) and (m,), dtype of ``pos``, optional
        Weights :math:`u_i, v_j \ge 0`, not all 0; 1 if left out. They are constants: no gradient flows to them.
    reduction : {"mean", "sum"}
        "mean" is the weighted mean above; "sum" leaves out its denominator. (One loss per pair would be n times
        m numbers.)

    Returns
    -------
    Tensor, shape ()
        The loss, in the dtype of ``pos``; a float for NumPy arrays.

    Raises
    ------
    TypeError
        If an argument is not of the type or dtype above, or arrays and tensors are mixed.
    ValueError
        If a side is empty or not one-dimensional, a score or weight is NaN or infinite, a weight is negative or all
        of a side are 0, a weight requires a gradient, the devices differ, the temperature is not positive, or a
        score exceeds 1e280 or 1e280 temperatures.

    Notes
    -----
    The gradient is computed together with the loss, and only for the sides that require it. It is linear in the
    number of scores as well. The loss can be differentiated once; a second derivative raises an error.

    Source: eq. 2 and 3 of Sheikholeslami et al., *Optimizing What Matters: AUC-Driven Learning for Robust Neural
    Retrieval*, arXiv 2510.00137, normalised by the number of pairs and with the temperature of its experiments.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import mann_whitney_loss
    >>> pos = torch.tensor([2.0, 0.5], requires_grad=True)
    >>> neg = torch.tensor([0.0, 1.0, -1.0])
    >>> loss = mann_whitney_loss(pos, neg)
    >>> round(loss.item(), 4)
    0.3564
    >>> loss.backward()
    >>> pos.grad
    tensor([-0.0726, -0.1971])
    """
    _check_side(pos, "pos", pos_weight)
    _check_side(neg, "neg", neg_weight)
    check_same(pos, "pos", neg, "neg")
    tau = check_positive(temperature, "temperature")
    if not _TEMPERATURES[pos.dtype] <= tau <= 1e280:
        raise ValueError(
            f"temperature must lie between {_TEMPERATURES[pos.dtype]} and 1e280 for scores of this dtype; got {tau}"
        )
    mean = check_choice(reduction, "reduction", ("mean", "sum")) == "mean"
    track = torch.is_grad_enabled()
    loss, _, _ = _mann_whitney(
        pos, neg, pos_weight, neg_weight, tau, mean, track and pos.requires_grad, track and neg.requires_grad
    )
    return loss


class MannWhitneyLoss(torch.nn.Module):
    """:func:`mann_whitney_loss` as a module.

    Parameters
    ----------
    temperature : float, default 1.0
        In the unit of the scores.
    reduction : {"mean", "sum"}
        Mean or sum over all pairs.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import MannWhitneyLoss
    >>> criterion = MannWhitneyLoss(temperature=0.1)
    >>> round(criterion(torch.tensor([0.9, 0.2]), torch.tensor([0.3])).item(), 4)
    0.6579
    """

    def __init__(self, temperature: float = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        self.temperature = check_positive(temperature, "temperature")
        self.reduction = check_choice(reduction, "reduction", ("mean", "sum"))

    def forward(
        self,
        pos: torch.Tensor,
        neg: torch.Tensor,
        pos_weight: torch.Tensor | None = None,
        neg_weight: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of scores ``pos`` (n,) against ``neg`` (m,)."""
        return mann_whitney_loss(
            pos, neg, self.temperature, pos_weight=pos_weight, neg_weight=neg_weight, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, reduction={self.reduction!r}"


def _check_side(scores: torch.Tensor, name: str, weight: torch.Tensor | None) -> None:
    check_tensor(scores, name, ndim=1)
    if len(scores) == 0:
        raise ValueError(f"{name} must hold at least one score; got none")
    if weight is None:
        return
    weight_name = f"{name}_weight"
    check_tensor(weight, weight_name, ndim=1)
    check_same(scores, name, weight, weight_name)
    if weight.shape != scores.shape:
        raise ValueError(
            f"{weight_name} must have the shape of {name}, {tuple(scores.shape)}; got {tuple(weight.shape)}"
        )
    if weight.requires_grad:
        raise ValueError(
            f"{weight_name} must not require a gradient (weights are constants); pass {weight_name}.detach()"
        )


@torch.library.custom_op("corelib::mann_whitney", mutates_args=())
def _mann_whitney(
    pos: torch.Tensor,
    neg: torch.Tensor,
    pos_weight: torch.Tensor | None,
    neg_weight: torch.Tensor | None,
    temperature: float,
    mean: bool,
    need_pos: bool,
    need_neg: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loss and the gradients that are needed; the others come back empty."""
    u, pos_total = _normalised(pos_weight, "pos_weight")
    v, neg_total = _normalised(neg_weight, "neg_weight")
    scale = 1.0 if mean else (pos_total or len(pos)) * (neg_total or len(neg))
    if use_torch(pos.device.type):
        _check_scores(pos, "pos", temperature)
        _check_scores(neg, "neg", temperature)
        if u is None:
            u = torch.full_like(pos, 1 / len(pos), dtype=torch.float64)
        if v is None:
            v = torch.full_like(neg, 1 / len(neg), dtype=torch.float64)
        parts = _torch_pairwise.mann_whitney(pos, neg, u, v, temperature, need_pos, need_neg)
        return tuple((scale * part).to(pos.dtype) for part in parts)
    grad_pos, grad_neg = _empty_gradients(pos, neg, need_pos, need_neg)
    value = kernel.mann_whitney(
        pos.detach().contiguous().numpy(),
        neg.detach().contiguous().numpy(),
        None if u is None else u.numpy(),
        None if v is None else v.numpy(),
        temperature,
        scale,
        _largest(temperature),
        grad_pos.numpy() if need_pos else None,
        grad_neg.numpy() if need_neg else None,
    )
    if value is None:
        _check_scores(pos, "pos", temperature)
        _check_scores(neg, "neg", temperature)
    return pos.new_tensor(value), grad_pos, grad_neg


@_mann_whitney.register_fake
def _(pos, neg, pos_weight, neg_weight, temperature, mean, need_pos, need_neg):
    return pos.new_empty(()), *_empty_gradients(pos, neg, need_pos, need_neg)


def _empty_gradients(pos, neg, need_pos, need_neg):
    return (
        torch.empty_like(pos, memory_format=torch.contiguous_format) if need_pos else pos.new_empty(0),
        torch.empty_like(neg, memory_format=torch.contiguous_format) if need_neg else neg.new_empty(0),
    )


def _normalised(weight: torch.Tensor | None, name: str) -> tuple[torch.Tensor | None, float | None]:
    """The weights in float64, scaled to sum to 1, and what they summed to."""
    if weight is None:
        return None, None
    check_finite(weight, name)
    if bool((weight < 0).any()):
        raise ValueError(f"{name} must not be negative; its smallest entry is {weight.min().item()}")
    w = weight.detach().double().contiguous()
    largest = w.max()
    if largest == 0:
        raise ValueError(f"{name} must not be all zero")
    w = w / largest  # so that the sum neither overflows nor underflows
    # torch adds on the CPU in an order that depends on its threads; NumPy does not
    total = float(w.numpy().sum()) if w.device.type == "cpu" else w.sum().item()
    return w / total, total * largest.item()


def _largest(temperature: float) -> float:
    """The largest score whose differences can be told in temperatures without overflow."""
    return 1e280 * min(1.0, temperature)


def _check_scores(scores: torch.Tensor, name: str, temperature: float) -> None:
    check_finite(scores, name)
    largest = scores.detach().abs().max().item()
    if largest > _largest(temperature):
        raise ValueError(
            f"{name} must not exceed 1e280, nor 1e280 temperatures; got {largest} at temperature {temperature}"
        )


def _setup_context(ctx, inputs, output):
    ctx.need = inputs[-2:]
    ctx.save_for_backward(*output[1:])


def _backward(ctx, grad, _grad_of_grad_pos, _grad_of_grad_neg):
    gradients = (
        ScaleGradient.apply(grad, gradient) if need else None
        for need, gradient in zip(ctx.need, ctx.saved_tensors, strict=True)
    )
    return *gradients, None, None, None, None, None, None


_mann_whitney.register_autograd(_backward, setup_context=_setup_context)

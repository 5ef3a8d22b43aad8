"""What the losses over pairs share: arguments, groups, weights, and one differentiable operator for all of them."""

import math

import numpy as np
import torch
from torch import Tensor

from corelib._backend import use_torch
from corelib._checks import check_choice, check_positive, check_real
from corelib._tensors import check_finite, check_same, check_tensor
from corelib.kernels import pairwise as kernel
from corelib.losses import _torch_pairs
from corelib.losses._arguments import check_indptr, reduce
from corelib.losses._once import ScaleGradient

# The smallest temperature: its inverse is still finite in the dtype.
_TEMPERATURES = {torch.float32: 1e-37, torch.float64: 1e-280}
# The largest score: beyond it, a difference or its square might overflow.
_LARGEST = {"softplus": 1e280, "sigmoid": 1e280, "hinge": 1e280, "squared_hinge": 1e140}


def pairwise_loss(
    kind: str,
    pos: Tensor,
    neg: Tensor,
    pos_weight: Tensor | None,
    neg_weight: Tensor | None,
    pos_indptr: Tensor | None,
    neg_indptr: Tensor | None,
    margin: float,
    reduction: str,
    temperature: float = 1.0,
) -> Tensor:
    """The loss of the given kind over the pairs of sides and at a temperature that have been checked."""
    margin = check_margin(margin, _largest(kind, temperature))
    check_pair_reduction(reduction, pos_indptr)
    track = torch.is_grad_enabled()
    losses, _, _ = pair_loss(
        pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr, kind, temperature, margin, reduction != "sum",
        track and pos.requires_grad, track and neg.requires_grad,
    )  # fmt: skip
    return (losses if pos_indptr is None else reduce(losses, reduction)).to(pos.dtype)


def check_sides(pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr) -> None:
    """Types and shapes of both sides, their weights and their groups."""
    _check_side(pos, "pos", pos_weight)
    _check_side(neg, "neg", neg_weight)
    check_same(pos, "pos", neg, "neg")
    if (pos_indptr is None) != (neg_indptr is None):
        raise ValueError("pos_indptr and neg_indptr must be given together")
    if pos_indptr is None:
        return
    check_indptr(pos_indptr, "pos_indptr", pos, "pos")
    check_indptr(neg_indptr, "neg_indptr", neg, "neg")
    if pos_indptr.shape != neg_indptr.shape:
        raise ValueError(
            f"pos_indptr and neg_indptr must have the same length; got {len(pos_indptr)} and {len(neg_indptr)}"
        )


def _check_side(scores: Tensor, name: str, weight: Tensor | None) -> None:
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


def check_temperature(temperature: object, dtype: torch.dtype) -> float:
    """``temperature`` as a float whose inverse does not overflow the dtype."""
    tau = check_positive(temperature, "temperature")
    if not _TEMPERATURES[dtype] <= tau <= 1e280:
        raise ValueError(
            f"temperature must lie between {_TEMPERATURES[dtype]} and 1e280 for scores of this dtype; got {tau}"
        )
    return tau


def check_margin(margin: object, largest: float) -> float:
    """``margin`` as a float that does not exceed ``largest``."""
    number = check_real(margin, "margin")
    if abs(number) > largest:
        raise ValueError(f"margin must not exceed {largest:g}; got {number}")
    return number


def check_pair_reduction(reduction: object, indptr: Tensor | None) -> str:
    """``reduction`` if it is "mean", "sum" or, for groups, "none"."""
    return check_choice(
        reduction, "reduction", ("mean", "sum") if indptr is None else ("mean", "sum", "none")
    )


@torch.library.custom_op("corelib::pair_loss", mutates_args=())
def pair_loss(
    pos: Tensor,
    neg: Tensor,
    pos_weight: Tensor | None,
    neg_weight: Tensor | None,
    pos_indptr: Tensor | None,
    neg_indptr: Tensor | None,
    kind: str,
    temperature: float,
    margin: float,
    mean: bool,
    need_pos: bool,
    need_neg: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss in the dtype of the scores, or the losses of the groups in float64; the gradients of their sum.

    A group's loss is the weighted mean over its pairs if ``mean``, else the sum; 0 if one side has no weight. Gradients
    that are not needed come back empty.
    """
    u, pos_total = normalised(pos_weight, "pos_weight", pos_indptr)
    v, neg_total = normalised(neg_weight, "neg_weight", neg_indptr)
    factor = _factor(pos, pos_indptr, pos_total, mean) * _factor(neg, neg_indptr, neg_total, mean)
    losses, grad_pos, grad_neg = pair_sum(
        kind, pos, neg, u, v, pos_indptr, neg_indptr, temperature, margin, factor, need_pos, need_neg
    )
    largest = losses if pos_indptr is None else losses.max().item()
    if not largest <= torch.finfo(pos.dtype).max:
        raise ValueError(
            f"pos and neg lie too far apart: their loss overflows {str(pos.dtype).removeprefix('torch.')}"
        )
    return pos.new_tensor(losses) if pos_indptr is None else losses, grad_pos, grad_neg


def _factor(side: Tensor, indptr: Tensor | None, total: float | Tensor | None, mean: bool) -> float | Tensor:
    """What to multiply the sum of each group by, with weights (of that total, if any) that sum to 1."""
    if indptr is None:
        return (1.0 if mean else total) if total is not None else 1 / len(side) if mean else 1.0
    ones = torch.ones(len(indptr) - 1, dtype=torch.float64, device=side.device)
    if total is not None:
        return ones if mean else total
    return ones / indptr.diff().clamp_min(1) if mean else ones


@pair_loss.register_fake
def _(
    pos,
    neg,
    pos_weight,
    neg_weight,
    pos_indptr,
    neg_indptr,
    kind,
    temperature,
    margin,
    mean,
    need_pos,
    need_neg,
):
    loss = (
        pos.new_empty(()) if pos_indptr is None else pos.new_empty(len(pos_indptr) - 1, dtype=torch.float64)
    )
    return loss, empty_gradient(pos, need_pos), empty_gradient(neg, need_neg)


def _setup_context(ctx, inputs, output):
    ctx.need = inputs[-2:]
    ctx.save_for_backward(*output[1:], *inputs[4:6])


def _backward(ctx, grad, _grad_of_grad_pos, _grad_of_grad_neg):
    saved = ctx.saved_tensors  # torch.utils.checkpoint lets it be read once
    gradients, indptrs = saved[:2], saved[2:]
    out = [None, None]
    for s, (gradient, indptr) in enumerate(zip(gradients, indptrs, strict=True)):
        if ctx.need[s]:
            scale = (
                grad if indptr is None else grad.repeat_interleave(indptr.diff(), output_size=len(gradient))
            )
            out[s] = ScaleGradient.apply(scale.to(gradient.dtype), gradient)
    return *out, *[None] * 10


pair_loss.register_autograd(_backward, setup_context=_setup_context)


def pair_sum(
    kind: str,
    pos: Tensor,
    neg: Tensor,
    pos_weight: Tensor | None,
    neg_weight: Tensor | None,
    pos_indptr: Tensor | None,
    neg_indptr: Tensor | None,
    temperature: float,
    margin: float,
    factor: float | Tensor,
    need_pos: bool,
    need_neg: bool,
    need_value: bool = True,
) -> tuple[float | Tensor, Tensor, Tensor]:
    """``factor`` times the sum over the pairs of each group, and the gradients of all that, in the dtype of the scores.

    Weights and factors are float64; without groups, the factor and the sum are plain numbers. The kernels
    leave out the sum unless ``need_value``. The names in the errors are pos, neg and margin.
    """
    grouped = pos_indptr is not None
    if use_torch(pos.device.type):
        _check_scores(kind, pos, neg, margin, temperature)
        if not grouped:
            pos_indptr, neg_indptr = (torch.tensor([0, len(side)], device=side.device) for side in (pos, neg))
            factor = torch.tensor([factor], dtype=torch.float64, device=pos.device)
        value, *gradients = _torch_pairs.pair_sum(
            kind, pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr, temperature, margin, factor, need_pos, need_neg
        )  # fmt: skip
        return value if grouped else value.item(), *(gradient.to(pos.dtype) for gradient in gradients)
    grad_pos, grad_neg = empty_gradient(pos, need_pos), empty_gradient(neg, need_neg)
    factors = factor.numpy() if grouped else np.array([factor])
    value = np.full(len(factors), np.nan)
    fine = kernel.pair_sum(
        kind,
        pos.detach().contiguous().numpy(),
        neg.detach().contiguous().numpy(),
        None if pos_weight is None else pos_weight.numpy(),
        None if neg_weight is None else neg_weight.numpy(),
        pos_indptr.contiguous().numpy() if grouped else np.array([0, len(pos)]),
        neg_indptr.contiguous().numpy() if grouped else np.array([0, len(neg)]),
        temperature,
        margin,
        factors,
        _largest(kind, temperature),
        value if need_value else None,
        grad_pos.numpy() if need_pos else None,
        grad_neg.numpy() if need_neg else None,
    )
    if not fine:
        _check_scores(kind, pos, neg, margin, temperature)
    return torch.from_numpy(value) if grouped else value.item(), grad_pos, grad_neg


def empty_gradient(side: Tensor, needed: bool) -> Tensor:
    """Memory for the gradient of one side."""
    return torch.empty_like(side, memory_format=torch.contiguous_format) if needed else side.new_empty(0)


def normalised(
    weight: Tensor | None, name: str, indptr: Tensor | None
) -> tuple[Tensor | None, float | Tensor | None]:
    """The weights in float64, scaled to sum to 1 in each group that has weight, and what they summed to."""
    if weight is None:
        return None, None
    check_finite(weight, name)
    if bool((weight < 0).any()):
        raise ValueError(f"{name} must not be negative; its smallest entry is {weight.min().item()}")
    w = weight.detach().double().contiguous()
    if indptr is not None:
        return _normalised_by_group(w, indptr)
    largest = w.max()
    if largest == 0:
        raise ValueError(f"{name} must not be all zero")
    w = w / largest  # so that the sum neither overflows nor underflows
    # torch adds on the CPU in an order that depends on its threads; NumPy does not
    total = float(w.numpy().sum()) if w.device.type == "cpu" else w.sum().item()
    return w / total, total * largest.item()


def _normalised_by_group(w: Tensor, indptr: Tensor) -> tuple[Tensor, Tensor]:
    group = torch.arange(len(indptr) - 1, device=w.device).repeat_interleave(indptr.diff())
    zeros = w.new_zeros(len(indptr) - 1)
    largest = zeros.scatter_reduce(0, group, w, "amax")
    w = w / torch.where(largest > 0, largest, 1)[group]
    total = zeros.index_add(0, group, w)
    return w / torch.where(total > 0, total, 1)[group], total * largest


def _largest(kind: str, temperature: float) -> float:
    """The largest score whose differences, in temperatures where there is one, do not overflow."""
    return _LARGEST[kind] * min(1.0, temperature)


def _check_scores(kind: str, pos: Tensor, neg: Tensor, margin: float, temperature: float) -> None:
    largest = _largest(kind, temperature)
    for scores, name, shift in ((pos, "pos", 0.0), (neg, "neg", margin)):
        check_finite(scores, name)
        found = (scores.detach().double() + shift).abs().max().item() if len(scores) else 0.0
        if not math.isfinite(found) or found > largest:
            bound = f"{_LARGEST[kind]:g}".replace("e+", "e")
            in_temperatures = "" if kind.endswith("hinge") else f", nor {bound} temperatures"
            at = "" if kind.endswith("hinge") else f" at temperature {temperature}"
            with_margin = f" with the margin {margin}" if shift else ""
            raise ValueError(f"{name} must not exceed {bound}{in_temperatures}; got {found}{at}{with_margin}")

"""Sums over all pairs of a positive and a negative number, within groups, and the losses and soft counts they give.

``pair_sum`` is the algorithm: boxes and Chebyshev nodes for smooth kernels, sorting and prefix sums for hinges; the cost
grows with the numbers, not with their pairs. ``pair_loss`` and ``soft_counts`` are what autograd sees of it.
"""

import math

import numpy as np
import torch
from torch import Tensor

from corelib._backend import get_backend
from corelib._tensors import check_finite, dtype_name
from corelib.engines import gpu, pair_sums_cuda, pair_sums_torch
from corelib.engines.route import Operator, first_derivative_only, takes_torch
from corelib.kernels import pairwise as kernel

# The largest score: beyond it, a difference or its square might overflow.
_LARGEST = {"softplus": 1e280, "sigmoid": 1e280, "hinge": 1e280, "squared_hinge": 1e140}


_WORTH_A_COPY = 1 << 25  # pairs


def largest_score(kind: str, temperature: float) -> float:
    """The largest score whose differences, in temperatures where there is one, do not overflow."""
    return _LARGEST[kind] * min(1.0, temperature)


def _pair_loss(
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
    that are not needed come back empty. Only groups may have a side without numbers.
    """
    if gpu.takes(pos) and kind in pair_sums_cuda.KINDS:
        return pair_sums_cuda.pair_loss(
            pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr, kind, temperature, margin, mean, need_pos, need_neg
        )  # fmt: skip
    u, pos_total = normalised(pos_weight, "pos_weight", pos_indptr)
    v, neg_total = normalised(neg_weight, "neg_weight", neg_indptr)
    factor = _factor(pos, pos_indptr, pos_total, mean) * _factor(neg, neg_indptr, neg_total, mean)
    losses, grad_pos, grad_neg = pair_sum(
        kind, pos, neg, u, v, pos_indptr, neg_indptr, temperature, margin, factor, need_pos, need_neg
    )
    largest = losses if pos_indptr is None else losses.max().item()
    if not largest <= torch.finfo(pos.dtype).max:
        raise ValueError(f"pos and neg lie too far apart: their loss overflows {dtype_name(pos)}")
    return pos.new_tensor(losses) if pos_indptr is None else losses, grad_pos, grad_neg


def _factor(side: Tensor, indptr: Tensor | None, total: float | Tensor | None, mean: bool) -> float | Tensor:
    """What to multiply the sum of each group by, with weights (of that total, if any) that sum to 1."""
    if indptr is None:
        return (1.0 if mean else total) if total is not None else 1 / len(side) if mean else 1.0
    ones = torch.ones(len(indptr) - 1, dtype=torch.float64, device=side.device)
    if total is not None:
        return ones if mean else total
    return ones / indptr.diff().clamp_min(1) if mean else ones


def _fake_pair_loss(
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
    return loss, _empty_gradient(pos, need_pos), _empty_gradient(neg, need_neg)


def _keep_slopes(ctx, inputs, output):
    ctx.need = inputs[-2:]
    ctx.save_for_backward(*output[1:], *inputs[4:6])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


@first_derivative_only
def _scale_slopes(ctx, upstream, *_):
    saved = ctx.saved_tensors  # torch.utils.checkpoint lets it be read once
    out = [None, None]
    for s, (gradient, indptr) in enumerate(zip(saved[:2], saved[2:], strict=True)):
        if ctx.need[s]:
            by_group = indptr is not None
            scale = (
                upstream.repeat_interleave(indptr.diff(), output_size=len(gradient)) if by_group else upstream
            )
            out[s] = scale.to(gradient.dtype) * gradient
    return *out, *[None] * 10


pair_loss = Operator(
    "corelib::pair_loss", _pair_loss, fake=_fake_pair_loss, setup_context=_keep_slopes, backward=_scale_slopes
)


def _soft_counts(x: Tensor, y: Tensor, x_indptr: Tensor, y_indptr: Tensor, temperature: float) -> Tensor:
    """How many y of its group stand above each x, softly: minus the derivative by x of a sum of softplus."""
    if gpu.takes(x):
        return pair_sums_cuda.soft_counts(x, y, x_indptr, y_indptr, temperature)
    factor = torch.full((len(x_indptr) - 1,), temperature, dtype=torch.float64, device=x.device)
    _, slope, _ = pair_sum(
        "softplus", x, y, None, None, x_indptr, y_indptr, temperature, 0.0, factor, True, False, False
    )
    return -slope


def _soft_count_gradients(
    upstream: Tensor,
    x: Tensor,
    y: Tensor,
    x_indptr: Tensor,
    y_indptr: Tensor,
    temperature: float,
    need_x: bool,
    need_y: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of a weighted sum of soft counts: of all pairs, as weights of one sign are what a pair sum takes."""
    if gpu.takes(x):
        return pair_sums_cuda.soft_count_gradients(
            upstream, x, y, x_indptr, y_indptr, temperature, need_x, need_y
        )
    gradients = torch.zeros_like(x), torch.zeros_like(y)
    if upstream.numel() == 0:
        return gradients
    factor = torch.ones(len(x_indptr) - 1, dtype=torch.float64, device=x.device)
    low, high = (extreme.item() for extreme in upstream.aminmax())
    for sign, present in ((1, high > 0), (-1, low < 0)):
        if not present:
            continue
        weight = (sign * upstream).double().clamp_min(0).contiguous()
        _, *parts = pair_sum(
            "sigmoid", x, y, weight, None, x_indptr, y_indptr, temperature, 0.0, factor, need_x, need_y, False
        )
        for gradient, part, needed in zip(gradients, parts, (need_x, need_y), strict=True):
            if needed:
                gradient.add_(part, alpha=sign)
    return gradients


_soft_counts_backward = Operator(
    "corelib::soft_counts_backward",
    _soft_count_gradients,
    fake=lambda upstream, x, y, *_: (_empty_gradient(x, True), _empty_gradient(y, True)),
)


def _keep_numbers(ctx, inputs, output):
    ctx.temperature = inputs[-1]
    ctx.save_for_backward(*inputs[:-1])


@first_derivative_only
def _soft_counts_vjp(ctx, upstream):
    need_x, need_y = ctx.needs_input_grad[:2]
    gradients = _soft_counts_backward(upstream, *ctx.saved_tensors, ctx.temperature, need_x, need_y)
    out = (g if need else None for g, need in zip(gradients, (need_x, need_y), strict=True))
    return *out, None, None, None


soft_counts = Operator(
    "corelib::soft_counts",
    _soft_counts,
    fake=lambda x, *_: _empty_gradient(x, True),
    setup_context=_keep_numbers,
    backward=_soft_counts_vjp,
)


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
    if goes_by_the_cpu(pos, neg, pos_indptr, neg_indptr):
        on_cpu = [
            value if value is None else value.cpu()
            for value in (pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr)
        ]
        value, *gradients = pair_sum(
            kind,
            *on_cpu,
            temperature,
            margin,
            factor.cpu() if grouped else factor,
            need_pos,
            need_neg,
            need_value,
        )
        return value.to(pos.device) if grouped else value, *(
            gradient.to(pos.device) for gradient in gradients
        )
    if takes_torch(pos):
        _check_scores(kind, pos, neg, margin, temperature)
        if not grouped:
            pos_indptr, neg_indptr = (torch.tensor([0, len(side)], device=side.device) for side in (pos, neg))
            factor = torch.tensor([factor], dtype=torch.float64, device=pos.device)
        value, *gradients = pair_sums_torch.pair_sum(
            kind, pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr, temperature, margin, factor, need_pos, need_neg
        )  # fmt: skip
        return value if grouped else value.item(), *(gradient.to(pos.dtype) for gradient in gradients)
    grad_pos, grad_neg = _empty_gradient(pos, need_pos), _empty_gradient(neg, need_neg)
    factors = factor.numpy() if grouped else np.array([factor])
    value = np.zeros(len(factors))
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
        largest_score(kind, temperature),
        value if need_value else None,
        grad_pos.numpy() if need_pos else None,
        grad_neg.numpy() if need_neg else None,
    )
    if not fine:
        _check_scores(kind, pos, neg, margin, temperature)
    return torch.from_numpy(value) if grouped else value.item(), grad_pos, grad_neg


def goes_by_the_cpu(pos: Tensor, neg: Tensor, pos_indptr: Tensor | None, neg_indptr: Tensor | None) -> bool:
    """Whether so many pairs of numbers on a GPU that the CUDA core does not take are summed by the CPU's kernels.

    Plain torch would need time in proportion to the pairs, not to the numbers.
    """
    if pos.device.type in ("cpu", "meta") or get_backend() != "auto":
        return False
    pairs = len(pos) * len(neg)
    if pairs > _WORTH_A_COPY and pos_indptr is not None:
        pairs = int((pos_indptr.diff() * neg_indptr.diff()).sum())
    return pairs > _WORTH_A_COPY


def _empty_gradient(side: Tensor, needed: bool) -> Tensor:
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


def _check_scores(kind: str, pos: Tensor, neg: Tensor, margin: float, temperature: float) -> None:
    largest = largest_score(kind, temperature)
    for scores, name, shift in ((pos, "pos", 0.0), (neg, "neg", margin)):
        check_finite(scores, name)
        found = (scores.detach().double() + shift).abs().max().item() if len(scores) else 0.0
        if not math.isfinite(found) or found > largest:
            bound = f"{_LARGEST[kind]:g}".replace("e+", "e")
            in_temperatures = "" if kind.endswith("hinge") else f", nor {bound} temperatures"
            at = "" if kind.endswith("hinge") else f" at temperature {temperature}"
            with_margin = f" with the margin {margin}" if shift else ""
            raise ValueError(f"{name} must not exceed {bound}{in_temperatures}; got {found}{at}{with_margin}")

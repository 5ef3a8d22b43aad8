"""Sums over pairs by the CUDA core: what ``pair_sums`` asks for float32 tensors on a GPU. Nothing here waits for it."""

import torch
from torch import Tensor

from corelib.engines import gpu
from corelib.kernels import cuda

KINDS = tuple(cuda.KINDS)


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
    """As ``pair_sums.pair_loss``: the loss, or in float64 those of the groups, and the gradients of their sum."""
    u, factor_pos = _normalised(pos, pos_weight, pos_indptr, mean)
    v, factor_neg = _normalised(neg, neg_weight, neg_indptr, mean)
    if margin:
        neg = neg + margin
    losses, grad_pos, grad_neg = pair_sum(
        kind, pos, neg, u, v, pos_indptr, neg_indptr, temperature, factor_pos * factor_neg, need_pos, need_neg
    )
    return losses if pos_indptr is not None else losses[0].to(pos.dtype), grad_pos, grad_neg


def _normalised(
    side: Tensor, weight: Tensor | None, indptr: Tensor | None, mean: bool
) -> tuple[Tensor | None, Tensor]:
    """Weights of at most 1, and in float64 what turns their sum into the mean, or the sum, of each group."""
    if weight is None:
        full = torch.full((1,), len(side), dtype=torch.float64, device=side.device)  # new_tensor would wait
        sizes = full if indptr is None else indptr.diff().double()
        return None, 1 / sizes.clamp_min(1) if mean else torch.ones_like(sizes)
    if not weight.numel():
        return weight, torch.ones(
            1 if indptr is None else len(indptr) - 1, dtype=torch.float64, device=side.device
        )
    largest = weight.detach().amax()
    scale = torch.where(largest > 0, largest, 1)  # so that no sum overflows
    weight = (weight.detach() / scale).contiguous()
    if not mean:
        return weight, scale.double().expand(1 if indptr is None else len(indptr) - 1)
    if indptr is None:
        return weight, 1 / weight.sum(dtype=torch.float64, dim=0, keepdim=True)
    total = torch.segment_reduce(weight.double(), "sum", offsets=indptr, initial=0, unsafe=True)
    return weight, torch.where(total > 0, 1 / total, 0)


def soft_counts(x: Tensor, y: Tensor, x_indptr: Tensor, y_indptr: Tensor, temperature: float) -> Tensor:
    """As ``pair_sums.soft_counts``."""
    factor = _ones(x_indptr) * temperature
    _, slope, _ = pair_sum(
        "softplus", x, y, None, None, x_indptr, y_indptr, temperature, factor, True, False, need_value=False
    )
    return slope.neg_()


def soft_count_gradients(
    upstream: Tensor,
    x: Tensor,
    y: Tensor,
    x_indptr: Tensor,
    y_indptr: Tensor,
    temperature: float,
    need_x: bool,
    need_y: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of a weighted sum of soft counts, of positive and of negative weights apart."""
    gradients = torch.zeros_like(x), torch.zeros_like(y)
    for sign in (1, -1):
        weight = (sign * upstream).clamp_min(0).contiguous()
        _, *parts = pair_sum(
            "sigmoid", x, y, weight, None, x_indptr, y_indptr, temperature, _ones(x_indptr), need_x, need_y, need_value=False
        )  # fmt: skip
        for gradient, part, needed in zip(gradients, parts, (need_x, need_y), strict=True):
            if needed:
                gradient.add_(part, alpha=sign)
    return gradients


def _ones(indptr: Tensor) -> Tensor:
    return torch.ones(len(indptr) - 1, dtype=torch.float64, device=indptr.device)


def pair_sum(
    kind: str,
    x: Tensor,
    y: Tensor,
    u: Tensor | None,
    v: Tensor | None,
    x_indptr: Tensor | None,
    y_indptr: Tensor | None,
    temperature: float,
    factor: Tensor,
    need_x: bool,
    need_y: bool,
    need_value: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """``factor`` times the sum over the pairs of each group, in float64, and the gradients of all that."""
    sides = [
        [value if value is None else value.detach().contiguous() for value in side]
        for side in ((x, u, x_indptr), (y, v, y_indptr))
    ]
    slopes = [
        torch.empty_like(side[0]) if need else x.new_empty(0)
        for side, need in zip(sides, (need_x, need_y), strict=True)
    ]
    value = torch.zeros_like(factor)
    if not (len(x) and len(y)):
        return value, *(slope.zero_() for slope in slopes)
    space = torch.empty(
        cuda.pair_sum_bytes(kind, len(x), len(y), len(factor)), dtype=torch.uint8, device=x.device
    )
    pairs = cuda.Pairs(
        kind=cuda.KINDS[kind],
        groups=len(factor),
        needs_value=need_value,
        temperature=temperature,
        factor=gpu.address(factor),
        value=gpu.address(value),
        space=gpu.address(space),
        stream=gpu.stream(x),
    )
    for side, (number, weight, indptr), slope, need in zip(
        pairs.side, sides, slopes, (need_x, need_y), strict=True
    ):
        side.number, side.weight, side.indptr = map(gpu.address, (number, weight, indptr))
        side.n, side.slope = len(number), gpu.address(slope) if need else None
    with torch.cuda.device_of(x):
        cuda.pair_sum(pairs)
    return value, *slopes

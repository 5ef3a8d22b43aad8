"""Sums over pairs in plain torch: groups side by side, tile by tile, never all pairs at once."""

import torch
from torch import Tensor
from torch.nn import functional as F

TILE = 1 << 22  # pairs held at once

# Each kind: the function of (neg - pos + margin) / temperature, and its derivative.
_FUNCTIONS = {
    "softplus": (lambda z: -F.logsigmoid(-z), torch.sigmoid),
    "sigmoid": (torch.sigmoid, lambda z: torch.sigmoid(z) * torch.sigmoid(-z)),
    "hinge": (torch.relu, lambda z: (z > 0).to(z.dtype)),
    "squared_hinge": (lambda z: torch.relu(z) ** 2, lambda z: 2 * torch.relu(z)),
}


def pair_sum(
    kind: str,
    pos: Tensor,
    neg: Tensor,
    pos_weight: Tensor | None,
    neg_weight: Tensor | None,
    pos_indptr: Tensor,
    neg_indptr: Tensor,
    temperature: float,
    margin: float,
    factor: Tensor,
    need_pos: bool,
    need_neg: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """What ``kernels.pairwise.pair_sum`` computes, in float64; a gradient that is not needed comes back empty."""
    function, derivative = _FUNCTIONS[kind]
    value = torch.zeros_like(factor)
    grad_pos, grad_neg = (
        torch.zeros_like(side, dtype=torch.float64) if need else factor.new_empty(0)
        for side, need in ((pos, need_pos), (neg, need_neg))
    )
    bounds = pos_indptr.tolist(), neg_indptr.tolist()
    for first, last in _batches(*bounds):
        x, u, pos_at, pos_real = _padded(pos, pos_weight, pos_indptr, first, last)
        y, v, neg_at, neg_real = _padded(neg, neg_weight, neg_indptr, first, last)
        scale = factor[first:last, None] / temperature
        neg_slope = torch.zeros_like(y)
        rows = max(1, TILE // y.numel())
        for start in range(0, x.shape[1], rows):
            tile = slice(start, start + rows)
            z = ((y[:, None, :] - x[:, tile, None]) + margin) / temperature
            value[first:last] += (u[:, tile] * (function(z) @ v[:, :, None])[..., 0]).sum(1)
            if not (need_pos or need_neg):
                continue
            slope = derivative(z)
            if need_pos:
                real = pos_real[:, tile]
                part = -scale * u[:, tile] * (slope @ v[:, :, None])[..., 0]
                grad_pos[pos_at[:, tile][real]] = part[real]
            if need_neg:
                neg_slope += (u[:, None, tile] @ slope)[:, 0]
        if need_neg:
            grad_neg[neg_at[neg_real]] = (scale * v * neg_slope)[neg_real]
    return factor * value, grad_pos, grad_neg


def _batches(pos_bounds: list[int], neg_bounds: list[int]):
    """Ranges of groups that, padded to the largest on each side, fill at most one tile, or of one large group."""
    first = n = m = 0
    for g in range(len(pos_bounds) - 1):
        n_g, m_g = pos_bounds[g + 1] - pos_bounds[g], neg_bounds[g + 1] - neg_bounds[g]
        if g > first and (g + 1 - first) * max(n, n_g) * max(m, m_g) > TILE:
            if n and m:
                yield first, g
            first, n, m = g, 0, 0
        n, m = max(n, n_g), max(m, m_g)
    if n and m:
        yield first, len(pos_bounds) - 1


def _padded(values, weight, indptr, first, last):
    """Numbers and weights of the groups, one a row, in float64; where they stand, and which are real."""
    start, end = indptr[first:last, None], indptr[first + 1 : last + 1, None]
    at = start + torch.arange(int((end - start).max()), device=values.device)
    real = at < end
    at = at.clamp_max(len(values) - 1)
    return values[at].double(), real.double() if weight is None else real * weight[at], at, real

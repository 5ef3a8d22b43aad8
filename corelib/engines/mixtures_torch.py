"""Plain torch implementation of the empirical score: any device, tiles instead of the full matrix.

Rows whose noise is large against the data take matrix products of centred points in their own dtype. For the others
``|x|^2 - 2 x.y + |y|^2`` would cancel, so they take float64 and distances summed from differences.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

LEAST = -1e30  # log-weight of a point that does not count, finite in float32
TILE = (256, 4096)  # rows and columns of the part of the (B, N) matrix that exists at a time
# Largest |x| |y| / sigma^2, centred, for which rounding in the product does not matter.
CANCELLATION = {torch.float32: 128.0, torch.float64: 4096.0}


def forward(x, sigma, data, centre, log_weights, radius) -> tuple[torch.Tensor, torch.Tensor]:
    """Score (B, d) in the dtype of ``x``, and the float64 log of the softmax's denominator (B,)."""
    score = torch.empty_like(x, memory_format=torch.contiguous_format)
    log_total = torch.empty_like(sigma)
    for rows in _row_tiles(x, sigma, data, centre, radius):
        peak = torch.full_like(rows.variance, torch.finfo(torch.float64).min)
        total = torch.zeros_like(rows.variance)
        mean = torch.zeros_like(rows.points, dtype=torch.float64)
        for columns in _column_tiles(len(data)):
            targets = rows.centred(data[columns])
            logits = rows.logits(targets, log_weights[columns])
            new_peak = torch.maximum(peak, logits.amax(1).to(torch.float64))
            weights = (logits - new_peak.to(logits.dtype)[:, None]).exp_()
            shrink = (peak - new_peak).exp()
            total = total * shrink + weights.sum(1, dtype=torch.float64)
            mean = mean * shrink[:, None] + weights @ targets
            peak = new_peak
        score[rows.index] = ((mean / total[:, None] - rows.points) / rows.variance[:, None]).to(x.dtype)
        log_total[rows.index] = peak + total.log() - rows.left_out()
    return score, log_total


def vjp(x, sigma, data, centre, log_weights, radius, score, log_total, grad) -> torch.Tensor:
    """The symmetric Jacobian ``(Cov_w(y) / sigma^2 - I) / sigma^2`` times ``grad``, (B, d)."""
    result = torch.empty_like(x, memory_format=torch.contiguous_format)
    for rows in _row_tiles(x, sigma, data, centre, radius):
        dtype = rows.points.dtype
        direction = grad[rows.index].to(dtype)
        mean = (rows.points + rows.variance[:, None] * score[rows.index]).to(dtype)
        along_mean = (mean * direction).sum(1, keepdim=True)
        log_scale = (log_total[rows.index] + rows.left_out()).to(dtype)[:, None]
        spread = torch.zeros_like(rows.points, dtype=torch.float64)
        total = torch.zeros_like(rows.variance)
        for columns in _column_tiles(len(data)):
            targets = rows.centred(data[columns])
            weights = (rows.logits(targets, log_weights[columns]) - log_scale).exp_()
            slopes = direction @ targets.mT - along_mean
            weights *= slopes.masked_fill_(weights == 0, 0.0)  # they may have overflowed
            spread += weights @ targets
            total += weights.sum(1, dtype=torch.float64)
        spread -= total[:, None] * mean
        result[rows.index] = ((spread / rows.variance[:, None] - direction) / rows.variance[:, None]).to(
            x.dtype
        )
    return result


@dataclass
class _Rows:
    """Some rows of ``x``, centred, with the arithmetic that their noise level allows."""

    index: torch.Tensor
    centre: torch.Tensor
    points: torch.Tensor
    variance: torch.Tensor
    by_product: bool

    def centred(self, data: torch.Tensor) -> torch.Tensor:
        return (data - self.centre).to(self.points.dtype)

    def logits(self, targets: torch.Tensor, log_weights: torch.Tensor) -> torch.Tensor:
        """``log p - |x - y|^2 / 2 sigma^2``, up to `left_out`."""
        if self.by_product:
            half_norms = targets.to(torch.float64).square().sum(1).to(targets.dtype) / 2
            inner = torch.addmm(half_norms, self.points, targets.mT, beta=-1)
            return inner.div_(self.variance.to(inner.dtype)[:, None]).add_(
                log_weights.clamp(min=LEAST).to(inner.dtype)
            )
        distances = torch.cdist(self.points, targets, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.square_().div_(-2 * self.variance[:, None]).add_(log_weights)

    def left_out(self) -> torch.Tensor | float:
        """``|x|^2 / 2 sigma^2``, the part of the logits that the softmax does not see."""
        return self.points.to(torch.float64).square().sum(1) / (2 * self.variance) if self.by_product else 0.0


def _row_tiles(x, sigma, data, centre, radius) -> Iterator[_Rows]:
    reach = torch.linalg.vector_norm(x - centre, dim=1).clamp(min=radius) * radius
    safe = reach <= CANCELLATION[x.dtype] * sigma.square()
    for by_product, dtype in ((True, x.dtype), (False, torch.float64)):
        indices = torch.nonzero(safe == by_product)[:, 0]
        middle = centre if by_product or not len(indices) else _nearest_to_zero(data)
        for index in indices.split(TILE[0]):
            if len(index):
                yield _Rows(index, middle, (x[index] - middle).to(dtype), sigma[index].square(), by_product)


def _nearest_to_zero(data: torch.Tensor) -> torch.Tensor:
    """The point of the data's bounding box from which no point lies farther than from 0, so that no digit is lost."""
    lowest, highest = (bound.to(torch.float64) for bound in data.aminmax(dim=0))
    return torch.zeros_like(lowest).clamp(lowest, highest)


def _column_tiles(count: int) -> Iterator[slice]:
    for start in range(0, count, TILE[1]):
        yield slice(start, min(start + TILE[1], count))

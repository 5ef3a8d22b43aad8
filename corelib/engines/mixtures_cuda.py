"""The empirical score by the CUDA core: what ``mixtures`` asks for float32 tensors on a GPU. Nothing here waits for it.

Rows whose noise is large against the data take a matrix product; for the others it would cancel, and a kernel takes
float64 differences.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from corelib.engines import gpu
from corelib.engines.mixtures_torch import CANCELLATION, LEAST
from corelib.engines.strips_cuda import Strips, without_tf32
from corelib.kernels import cuda


def centred(data: Tensor, centre: Tensor) -> Tensor:
    """The data around their centre, prepared once."""
    return (data - centre).float()


def forward(
    x: Tensor, sigma: Tensor, data: Tensor, centre: Tensor, log_weights: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Score (B, d), and the float64 log of the softmax's denominator (B,)."""
    rows = _Rows(x, sigma, data, centre, log_weights, targets)
    mean = torch.empty_like(rows.points)
    with without_tf32():
        for start, stop, weights in rows.weights():
            torch.mm(weights, targets, out=mean[start:stop])
    return (mean - rows.points) / rows.variance[:, None], rows.log_total - rows.left_out


def vjp(x, sigma, data, centre, log_weights, targets, score, log_total, grad) -> Tensor:
    """The symmetric Jacobian ``(Cov_w(y) / sigma^2 - I) / sigma^2`` times ``grad``, (B, d)."""
    rows = _Rows(x, sigma, data, centre, log_weights, targets)
    direction, variance = grad.float().contiguous(), rows.variance[:, None]
    mean = rows.points + variance * score
    along_mean = (mean * direction).sum(1, keepdim=True)
    spread = torch.empty_like(mean)
    with without_tf32():
        for start, stop, weights in rows.weights():
            slopes = torch.mm(direction[start:stop], targets.T).sub_(along_mean[start:stop])
            weights.mul_(slopes.masked_fill_(weights == 0, 0.0))  # they may have overflowed
            spread[start:stop] = weights @ targets - weights.sum(1, keepdim=True) * mean[start:stop]
    return (spread / variance - direction) / variance


class _Rows:
    """Points, their noise, and their softmax weights on the data."""

    def __init__(self, x, sigma, data, centre, log_weights, targets) -> None:
        self._x, self._data, self._targets = x.contiguous(), data.contiguous(), targets
        self.points = (x - centre).float()
        self._wide_variance = sigma.double().square()
        self.variance = self._wide_variance.float()
        radius = torch.linalg.vector_norm(targets, dim=1).amax()
        reach = torch.linalg.vector_norm(self.points, dim=1).clamp(min=radius) * radius
        safe = reach <= CANCELLATION[torch.float32] * self._wide_variance
        self._exact = ~safe
        self.left_out = torch.where(
            safe, self.points.double().square().sum(1) / (2 * self._wide_variance), 0.0
        )
        pad = (0, -len(targets) % 4)
        self._bias = F.pad(targets.double().square().sum(1).div_(-2).float(), pad)
        self._log_weights = F.pad(log_weights.clamp(min=LEAST).float(), pad)
        self._rate = self._wide_variance.reciprocal().float()
        self._peak, self.log_total = torch.empty_like(sigma), torch.empty_like(sigma)

    def weights(self) -> Iterator[tuple[int, int, Tensor]]:
        """Row ranges and their softmax weights; afterwards ``log_total`` holds the logs of the denominators."""
        n, (m, d) = len(self.points), self._targets.shape
        strips = Strips(self.points, n, m)
        exact = cuda.ExactRows(
            *map(
                gpu.address,
                (self._x, self._data, self._log_weights, self._wide_variance, self._exact, self._peak),
            ),
            m,
            d,
        )
        softmax = cuda.SoftmaxRows(
            *map(
                gpu.address,
                (self._bias, self._log_weights, self._rate, self._exact, self._peak, self.log_total),
            ),
            m,
        )
        for start, stop, strip in strips:
            torch.mm(self.points[start:stop], self._targets.T, out=strip)
            exact.first_row = softmax.first_row = start
            strips.run("exact", strip, exact)
            strips.run("softmax", strip, softmax)
            yield start, stop, strip

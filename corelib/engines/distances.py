"""All pairs of a labelled batch of embeddings, strip by strip: masks, distances, and a function of each anchor's row.

Only the results of a strip are kept: the backward pass computes it again, so that the matrix never exists.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from corelib.engines.route import first_derivative_only
from corelib.engines.strips import in_tiles, strips

_CLOSE = 1e-6  # squared distances below this share of the squared norms are taken from differences
_CLOSE_BYTES = 4 << 20
_SHORTEST = 1e-12  # the derivative of a shorter row's direction is taken as 0

RowFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


def by_anchor(function: RowFunction, measure: str, embeddings: Tensor, labels: Tensor) -> Tensor:
    """``function(matrix, positive, negative)`` of each strip of rows, one below the other.

    ``measure`` says what the float64 matrix holds: "inner" products, "cosine" distances (1 - cosine) or "euclidean"
    distances. The boolean masks tell pairs of one class, without the anchor itself, from pairs of two.
    """
    points, matrix = prepared(embeddings, measure)

    def of_strip(points: Tensor, start: int, stop: int) -> Tensor:
        positive = labels[start:stop, None] == labels
        negative = ~positive
        positive.diagonal(offset=start).fill_(False)
        return function(matrix.apply(points[start:stop], points), positive, negative)

    n = len(embeddings)
    return in_tiles(of_strip, points, strips(n, n, points))


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances of float64 rows: a matrix product, and differences where that would cancel."""
    scale = a.square().sum(1)[:, None] + b.square().sum(1)
    squared = torch.addmm(scale, a, b.T, alpha=-2)
    rows = max(1, _CLOSE_BYTES // (8 * a.shape[1]))
    for i, j in (part.unbind(1) for part in (squared <= scale.mul_(_CLOSE)).nonzero().split(rows)):
        squared[i, j] = (a[i] - b[j]).square().sum(1)
    return squared


def unit_rows(rows: Tensor) -> Tensor:
    """The rows scaled to length 1, however short or long they are; a row of zeros stays one.

    The derivative of a row shorter than 1e-12, which would be as large as 1 over its length, is taken as 0.
    """
    largest = rows.detach().abs().amax(1, keepdim=True)
    rows = torch.where(largest < _SHORTEST, rows.detach(), rows)
    rows = rows / torch.where(largest > 0, largest, 1)  # squares neither overflow nor vanish
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(1)


def origin(points: Tensor) -> Tensor:
    """What to subtract before :func:`squared_distances`: it takes an offset away, and keeps whole numbers whole."""
    return points[0].detach()


class Euclidean(torch.autograd.Function):
    """Euclidean distances, whose derivative at distance 0 is taken as 0.

    As of every measure with both, ``values`` are plain numbers, ``gradients`` those with respect to ``a`` and ``b``, and
    ``apply`` is what autograd sees.
    """

    @staticmethod
    def values(a: Tensor, b: Tensor) -> Tensor:
        return squared_distances(a, b).sqrt_()

    @staticmethod
    def gradients(upstream: Tensor, distances: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        weight = (upstream / distances).masked_fill_(distances == 0, 0)
        return weight.sum(1)[:, None] * a - weight @ b, weight.sum(0)[:, None] * b - weight.T @ a

    @staticmethod
    def forward(ctx, a, b):
        distances = Euclidean.values(a, b)
        ctx.save_for_backward(a, b, distances)
        return distances

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        a, b, distances = ctx.saved_tensors
        return Euclidean.gradients(upstream, distances, a, b)


class Cosine:
    """1 minus the inner products of unit vectors."""

    @staticmethod
    def values(a: Tensor, b: Tensor) -> Tensor:
        return 1 - a @ b.T

    @staticmethod
    def gradients(upstream: Tensor, distances: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return -(upstream @ b), -(upstream.T @ a)

    apply = values


class Inner:
    """Inner products."""

    @staticmethod
    def apply(a: Tensor, b: Tensor) -> Tensor:
        return a @ b.T


def prepared(embeddings: Tensor, measure: str) -> tuple[Tensor, type]:
    """The rows in float64 as the measure takes them, and the measure."""
    points = embeddings.double()
    if measure == "inner":
        return points, Inner
    if measure == "cosine":
        return unit_rows(points), Cosine
    return points - origin(points), Euclidean

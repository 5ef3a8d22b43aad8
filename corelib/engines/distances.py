"""All pairs of a labelled batch of embeddings, strip by strip: masks, distances, and a function of each anchor's row.

Only the results of a strip are kept: the backward pass computes it again, so that the matrix never exists.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from corelib._tensors import check_finite, dtype_name
from corelib.engines.route import first_derivative_only
from corelib.engines.strips import in_tiles, strips

LARGEST = 1e140  # its square, summed over dimensions and pairs, is still finite
_CLOSE = 1e-6  # squared distances below this share of the squared norms are taken from differences
_CLOSE_BYTES = 4 << 20
_SHORTEST = 1e-12  # the derivative of a shorter row's direction is taken as 0

RowFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


def by_anchor(
    function: RowFunction,
    measure: str,
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
) -> Tensor:
    """``function(matrix, positive, negative)`` of each strip of rows, one below the other.

    ``measure`` says what the float64 matrix of the embeddings and the references holds: "inner" products, "cosine"
    distances (1 - cosine) or "euclidean" distances. The boolean masks tell pairs of one class from pairs of two; without
    references, the embeddings meet each other, and the anchor itself is in neither.
    """
    itself = references is None
    if not itself:
        check_magnitude(references, "references")
    points = embeddings.double()
    points, targets = MEASURES[measure].prepared(points, points if itself else references.double())
    target_labels = labels if itself else reference_labels

    def of_strip(points: Tensor, start: int, stop: int) -> Tensor:
        positive = labels[start:stop, None] == target_labels
        negative = ~positive
        if itself:
            positive.diagonal(offset=start).fill_(False)
        return function(MEASURES[measure].apply(points[start:stop], targets), positive, negative)

    return in_tiles(of_strip, points, strips(len(points), len(targets), points))


def check_magnitude(value: Tensor, name: str) -> Tensor:
    """``value`` if it is finite and small enough for squared distances."""
    largest = value.detach().abs().max().item()
    if not largest <= LARGEST:
        check_finite(value, name)
        raise ValueError(f"{name} must not exceed {LARGEST:g}; got {largest}")
    return value


def rounded(loss: Tensor, dtype: torch.dtype) -> Tensor:
    """``loss`` in the dtype of the embeddings, if it fits."""
    result = loss.to(dtype)
    if not bool(result.detach().isfinite().all()):
        raise ValueError(f"embeddings must be small enough for the loss to stay within {dtype_name(result)}")
    return result


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

    As of every measure: ``prepared`` are the two sets of rows as the measure takes them, ``apply`` is what autograd sees.
    Those with ``values``, which are plain numbers, have ``gradients`` with respect to prepared rows, which use up their
    upstream and the distances, and ``pulled_back`` takes them to the rows themselves.
    """

    @staticmethod
    def prepared(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        zero = origin(b)
        moved = b - zero
        return (moved if a is b else a - zero), moved

    @staticmethod
    def values(a: Tensor, b: Tensor) -> Tensor:
        return squared_distances(a, b).sqrt_()

    @staticmethod
    def gradients(upstream: Tensor, distances: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        weight = upstream.div_(distances.masked_fill_(distances == 0, torch.inf))
        to_a = torch.addmm(weight.sum(1)[:, None] * a, weight, b, alpha=-1)
        return to_a, torch.addmm(weight.sum(0)[:, None] * b, weight.T, a, alpha=-1)

    @staticmethod
    def pulled_back(gradient: Tensor, rows: Tensor, prepared: Tensor) -> Tensor:
        return gradient

    @staticmethod
    def forward(ctx, a, b):
        distances = Euclidean.values(a, b)
        ctx.save_for_backward(a, b, distances)
        return distances

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        a, b, distances = ctx.saved_tensors
        return Euclidean.gradients(upstream.clone(), distances.clone(), a, b)


class Cosine:
    """1 minus the inner products of unit vectors."""

    @staticmethod
    def prepared(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        unit = unit_rows(b)
        return (unit if a is b else unit_rows(a)), unit

    @staticmethod
    def values(a: Tensor, b: Tensor) -> Tensor:
        return 1 - a @ b.T

    @staticmethod
    def gradients(upstream: Tensor, distances: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return -(upstream @ b), -(upstream.T @ a)

    @staticmethod
    def pulled_back(gradient: Tensor, rows: Tensor, prepared: Tensor) -> Tensor:
        """That of :func:`unit_rows`."""
        along = (gradient * prepared).sum(1, keepdim=True)
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        short = rows.abs().amax(1, keepdim=True) < _SHORTEST
        return (gradient - along * prepared).div_(length).masked_fill_(short, 0)

    apply = values


class Inner:
    """Inner products."""

    @staticmethod
    def prepared(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a, b

    @staticmethod
    def apply(a: Tensor, b: Tensor) -> Tensor:
        return a @ b.T


MEASURES = {"inner": Inner, "cosine": Cosine, "euclidean": Euclidean}

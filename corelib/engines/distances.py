"""Distances of embeddings, which no offset, no near duplicate and no row of zeros spoils, and their derivatives."""

import torch
from torch import Tensor

from corelib._tensors import check_bounded, dtype_name

LARGEST = 1e140  # its square, summed over dimensions and pairs, is still finite
_CLOSE = 1e-6  # squared distances below this share of the squared norms are taken from differences
_CLOSE_BYTES = 4 << 20
_SHORTEST = 1e-12  # the derivative of a shorter row's direction is taken as 0


def check_magnitude(value: Tensor, name: str) -> Tensor:
    """``value`` if it is finite and small enough for squared distances."""
    return check_bounded(value, name, LARGEST)


def rounded_number(loss: float, like: Tensor) -> Tensor:
    """``loss`` in the dtype of ``like``, if it fits."""
    if not abs(loss) <= torch.finfo(like.dtype).max:
        return rounded(like.new_tensor(loss, dtype=torch.float64), like.dtype)
    return like.new_tensor(loss)


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
    i, j = (squared <= scale.mul_(_CLOSE)).nonzero().unbind(1)
    height = max(1, _CLOSE_BYTES // (8 * a.shape[1]))
    for start in range(0, i.shape[0], height):
        part = i[start : start + height], j[start : start + height]
        squared[part] = (a[part[0]] - b[part[1]]).square_().sum(1)
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


class Euclidean:
    """Euclidean distances, whose derivative at distance 0 is taken as 0.

    As every measure: rows ``prepared`` for it, ``values``, ``weights`` in the place of the derivatives by the distances and
    of these, a ``gradient`` of the rows ``a`` from them, and ``pulled_back``, which takes it from prepared rows to the rows.
    """

    @staticmethod
    def prepared(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        moved = b - origin(b)
        return (moved if a is b else a - origin(b)), moved

    @staticmethod
    def values(a: Tensor, b: Tensor) -> Tensor:
        return squared_distances(a, b).sqrt_()

    @staticmethod
    def weights(upstream: Tensor, distances: Tensor) -> Tensor:
        return upstream.div_(distances.masked_fill_(distances == 0, torch.inf))

    @staticmethod
    def gradient(weights: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return torch.addmm(weights.sum(1)[:, None] * a, weights, b, alpha=-1)

    @staticmethod
    def pulled_back(gradient: Tensor, rows: Tensor, prepared: Tensor) -> Tensor:
        return gradient


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
    def weights(upstream: Tensor, distances: Tensor) -> Tensor:
        return upstream

    @staticmethod
    def gradient(weights: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return -(weights @ b)

    @staticmethod
    def pulled_back(gradient: Tensor, rows: Tensor, prepared: Tensor) -> Tensor:
        """That of :func:`unit_rows`."""
        along = (gradient * prepared).sum(1, keepdim=True)
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        short = rows.abs().amax(1, keepdim=True) < _SHORTEST
        return (gradient - along * prepared).div_(length).masked_fill_(short, 0)


MEASURES = {"cosine": Cosine, "euclidean": Euclidean}

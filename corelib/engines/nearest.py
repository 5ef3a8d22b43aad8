"""The nearest rows of one set to each row of another, strip by strip, by inner product or by distance."""

import torch
from torch import Tensor

from corelib.engines.distances import origin, squared_distances
from corelib.engines.route import first_derivative_only
from corelib.engines.strips import product_strips, stable_top, strips

SMOOTHING = 1e-6  # added to squared distances, so that the distance has a derivative at 0
_CHUNK_BYTES = 4 << 20


def top_products(queries: Tensor, keys: Tensor, k: int, exclude: Tensor | None) -> tuple[Tensor, Tensor]:
    """The k largest inner products of each query and their keys; those of excluded pairs are minus infinity."""
    values = queries.new_empty((len(queries), k))
    indices = torch.empty((len(queries), k), dtype=torch.int64, device=queries.device)
    for start, stop, products in product_strips(queries, keys):
        if exclude is not None:
            here = exclude[(exclude[:, 0] >= start) & (exclude[:, 0] < stop)]
            products[here[:, 0] - start, here[:, 1]] = -torch.inf
        values[start:stop], indices[start:stop] = stable_top(products, k)
    return values, indices


def neighbours_and_other(
    points: Tensor,
    targets: Tensor,
    labels: Tensor,
    target_labels: Tensor,
    k: int,
    candidates: int | None,
    itself: bool,
) -> tuple[Tensor, Tensor]:
    """The k nearest targets of each point, and its nearest one of another class: -1 where there is none."""
    zero = origin(targets)
    points, targets = points - zero, targets - zero
    neighbours = labels.new_empty((len(points), k))
    other = torch.empty_like(labels)
    for start, stop in strips(len(points), len(targets), points):
        squared = squared_distances(points[start:stop], targets)
        if itself:
            squared.diagonal(offset=start).fill_(torch.inf)
        nearest = stable_top(-squared, k)[1]
        neighbours[start:stop] = nearest
        different = labels[start:stop, None] != target_labels
        if candidates is not None:
            among = stable_top(-squared, min(candidates, len(targets) - itself))[1]
            different &= torch.zeros_like(different).scatter_(1, among, True)
        found = squared.masked_fill_(~different, torch.inf).argmin(1)
        other[start:stop] = found.masked_fill_(~different.any(1), -1)
    return neighbours, other


def nearest_other(queries: Tensor, prototypes: Tensor, labels: Tensor) -> Tensor:
    """For each query, the first of the nearest prototypes of other classes."""
    zero = origin(prototypes)
    queries, prototypes = queries - zero, prototypes - zero
    nearest = torch.empty_like(labels)
    for start, stop in strips(len(queries), len(prototypes), queries):
        squared = squared_distances(queries[start:stop], prototypes)
        squared.scatter_(1, labels[start:stop, None], torch.inf)
        nearest[start:stop] = squared.argmin(1)
    return nearest


class _PairedDistances(torch.autograd.Function):
    """Smoothed distances of each point to the targets of its indices, a few rows at a time."""

    @staticmethod
    def forward(ctx, points, targets, indices):
        distances = points.new_empty(indices.shape)
        for rows, differences in _PairedDistances.differences(points, targets, indices):
            distances[rows] = (differences.square().sum(2) + SMOOTHING).sqrt()
        ctx.save_for_backward(points, targets, indices, distances)
        return distances

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        points, targets, indices, distances = ctx.saved_tensors
        grad_points, grad_targets = torch.empty_like(points), torch.zeros_like(targets)
        weights = upstream / distances
        for rows, differences in _PairedDistances.differences(points, targets, indices):
            differences *= weights[rows, :, None]
            grad_points[rows] = differences.sum(1)
            grad_targets.index_add_(0, indices[rows].flatten(), differences.flatten(0, 1), alpha=-1)
        return grad_points, grad_targets, None

    @staticmethod
    def differences(points, targets, indices):
        height = max(1, _CHUNK_BYTES // (8 * indices.shape[1] * points.shape[1]))
        for start in range(0, len(points), height):
            rows = slice(start, start + height)
            yield rows, points[rows, None] - targets[indices[rows]]


paired_distances = _PairedDistances.apply

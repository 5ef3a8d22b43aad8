"""Strips of a matrix that never exists as a whole, and the best entries of each of its rows.

A strip is a block of complete rows, so that everything a row needs (its hardest pairs, its log-sum-exp, its weights) is
known before the strip is dropped.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_BYTES = {"cpu": 4 << 20}
_BYTES_GPU = 64 << 20
_MIN_ROWS = 16


def strips(rows: int, columns: int, like: Tensor, at_least: int = 1) -> list[tuple[int, int]]:
    """Half-open row ranges that cut a ``rows`` x ``columns`` matrix into ``at_least`` strips, of at most the device's size."""
    budget = _BYTES.get(like.device.type, _BYTES_GPU)
    height = max(_MIN_ROWS, min(budget // (columns * like.element_size()), -(-rows // at_least)))
    return [(start, min(start + height, rows)) for start in range(0, rows, height)]


def product_strips(a: Tensor, b: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """Row ranges and their block of ``a @ b.T``, all in the same memory."""
    blocks = strips(len(a), len(b), a)
    buffer = a.new_empty(blocks[0][1], len(b))
    for start, stop in blocks:
        yield start, stop, torch.mm(a[start:stop], b.T, out=buffer[: stop - start])


def in_tiles(
    function: Callable[[Tensor, int, int], Tensor], points: Tensor, tiles: list[tuple[int, int]]
) -> Tensor:
    """``function(points, start, stop)`` of all tiles; if they are several, the backward pass computes each again."""
    if len(tiles) == 1:
        return function(points, *tiles[0])
    return torch.cat(
        [checkpoint(function, points, *tile, use_reentrant=False, preserve_rng_state=False) for tile in tiles]
    )


def stable_top(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """``topk`` of each row whose choice among equal values is the lowest index, which that of torch is not."""
    best, indices = values.topk(k, dim=1)
    last = best[:, -1:]
    tied = torch.nonzero((values >= last).sum(1) > k)[:, 0]
    if len(tied):
        rows, threshold = values[tied], last[tied]
        above, equal = rows > threshold, rows == threshold
        missing = k - above.sum(1, keepdim=True)
        keep = above | (equal & (equal.cumsum(1) <= missing))
        indices[tied] = keep.nonzero()[:, 1].view(-1, k)
        best[tied] = rows.gather(1, indices[tied])
    indices, by_index = indices.sort(dim=1)
    best, by_value = best.gather(1, by_index).sort(dim=1, descending=True, stable=True)
    return best, indices.gather(1, by_value)

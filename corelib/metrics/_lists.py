"""Whole ranked lists as matrices, for metrics that look at every rank."""

from collections.abc import Iterator

import numpy as np

_BLOCK = 1 << 20


def ranked_lists(
    score: np.ndarray, columns: list[np.ndarray], bounds: np.ndarray, *, last_first: bool
) -> Iterator[tuple[slice, np.ndarray, list[np.ndarray]]]:
    """Queries in order, as many as fill a block: which queries, which places are ranks, and the columns by rank.

    ``score`` and ``columns`` are flat. Each matrix has one row per query, padded with 0 to the longest; documents
    without a rank (score -inf) stand behind those with one. Of equal scores the later comes first, or the earlier.
    """
    lengths = np.diff(bounds)
    start = 0
    while start < lengths.size:
        widest = np.maximum.accumulate(lengths[start : start + _BLOCK])
        fits = np.searchsorted(widest * np.arange(1, widest.size + 1), _BLOCK, side="right")
        stop = start + max(1, int(fits))
        rows = slice(start, stop)
        column = np.arange(int(lengths[rows].max()))
        if last_first:
            column = column[::-1]
        inside = column < lengths[rows, None]
        place = np.where(inside, bounds[:-1][rows, None] + column, 0)
        if column.size:
            mine = np.where(inside, score[place], -np.inf)
            order = np.argsort(-mine, axis=1, kind="stable")
            place, inside = np.take_along_axis(place, order, 1), np.take_along_axis(inside, order, 1)
            ranked = np.take_along_axis(mine, order, 1) > -np.inf
            yield rows, ranked, [np.where(inside, values[place], values.dtype.type(0)) for values in columns]
        start = stop

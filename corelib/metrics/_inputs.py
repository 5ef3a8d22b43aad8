"""Scores, relevance and query boundaries as the kernels take them, or an error that names what was wrong."""

import math
import numbers
from collections.abc import Mapping

import numpy as np

from corelib import _arrays
from corelib._arrays import as_numbers
from corelib._checks import check_choice

_EXACT_INTEGERS = 2**53


def stay_on_gpu(*values: object) -> bool:
    """Whether one of the arguments is a tensor on a GPU, where what can be measured there stays."""
    return any(map(_arrays.on_gpu, values))


def as_scores(value: object, name: str = "scores") -> np.ndarray:
    """``value`` as float32 or float64; integers only where the conversion is exact."""
    if isinstance(value, Mapping):
        raise TypeError(
            f"{name} must be an array or a list of numbers; got {type(value).__name__} "
            "(align_run makes arrays of a run and its qrels)"
        )
    scores = as_numbers(value, name)
    if scores.dtype.kind == "f":
        return scores
    if scores.dtype.itemsize <= 2:
        return scores.astype(np.float32)
    if scores.dtype.itemsize == 8 and scores.size:
        low, high = int(scores.min()), int(scores.max())
        if max(-low, high) > _EXACT_INTEGERS:
            worst = low if -low > high else high
            raise ValueError(
                f"integer {name} must not exceed 2**53 in size, where float64 is exact; got {worst}"
            )
    return scores.astype(np.float64)


def check_shapes(scores: tuple[int, ...], other: tuple[int, ...], name: str, *, flat: bool) -> None:
    """An error unless these are equal shapes of queries, ``flat`` with indptr."""
    if scores != other:
        raise ValueError(f"scores and {name} must have the same shape; got {scores} and {other}")
    if flat:
        if len(scores) != 1:
            raise ValueError(f"scores must be flat, shape (total,), when indptr is given; got shape {scores}")
        return
    if len(scores) not in (1, 2):
        raise ValueError(
            f"scores must have shape (documents,), (queries, documents), or be flat with indptr; got {scores}"
        )
    if len(scores) == 2 and scores[1] == 1 < scores[0]:
        count = scores[0]
        raise ValueError(
            f"scores of shape {scores} are {count} queries of one document each, where no order can be wrong; "
            f"for one query of {count} documents pass scores.ravel() and {name}.ravel(), "
            f"for {count} queries of one document these with indptr=range({count + 1})"
        )


def check_indptr_shape(shape: tuple[int, ...]) -> None:
    """An error unless the shape is that of boundaries of queries."""
    if len(shape) != 1 or not shape[0]:
        raise ValueError(f"indptr must have shape (queries + 1,), [0] for no query; got shape {shape}")


def check_pooled(scores: tuple[int, ...], labels: tuple[int, ...]) -> None:
    """An error unless both are the shape of pooled scores."""
    if len(scores) != 1:
        hint = "; ravel() it" if math.prod(scores) == max(scores, default=0) else ""
        raise ValueError(f"scores must have shape (n,), pooled; got {scores}{hint}")
    if scores != labels:
        raise ValueError(f"scores and labels must have the same shape; got {scores} and {labels}")


def check_queries(scores: np.ndarray, other: np.ndarray, name: str, indptr: object) -> np.ndarray | None:
    """``indptr`` as contiguous int64 (None for dense input), after the shapes of the two arrays agree with it."""
    check_shapes(scores.shape, other.shape, name, flat=indptr is not None)
    if indptr is None:
        return None
    pointers = as_numbers(indptr, "indptr")
    check_indptr_shape(pointers.shape)
    if pointers.dtype.kind not in "iu":
        raise TypeError(f"indptr must hold integers; got dtype {pointers.dtype}")
    if pointers[0] != 0 or pointers[-1] != scores.size:
        raise ValueError(
            f"indptr must begin with 0 and end with the number of scores, {scores.size}; "
            f"it begins with {pointers[0]} and ends with {pointers[-1]}"
        )
    falls = np.flatnonzero(pointers[1:] < pointers[:-1])
    if falls.size:
        at = int(falls[0])
        raise ValueError(
            f"indptr must not decrease; indptr[{at}] is {pointers[at]} and indptr[{at + 1}] {pointers[at + 1]}"
        )
    return np.ascontiguousarray(pointers, dtype=np.int64)


def bounds_of(score: np.ndarray, indptr: np.ndarray | None) -> np.ndarray:
    """Where in the flattened scores each query begins, and where the last one ends."""
    if indptr is not None:
        return indptr
    return np.arange((len(score) if score.ndim == 2 else 1) + 1) * score.shape[-1]


def check_empty(value: object) -> float:
    """``value`` as a float, which may be NaN."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"empty must be a real number or NaN; got {type(value).__name__}")
    return float(value)


def check_reduce(reduce: object, queries: int) -> None:
    """An error unless ``reduce`` is None or "mean" with at least one query."""
    if reduce is None:
        return
    check_choice(reduce, "reduce", ("mean",))
    if not queries:
        raise ValueError('reduce="mean" needs at least one query; got none')


def as_weights(value: object, name: str, shape: tuple[int, ...], what: str) -> np.ndarray:
    """``value`` as contiguous float64 of a shape, finite and not negative; ``what`` is what has a weight."""
    weights = as_numbers(value, name)
    if weights.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, one weight for each {what}; got {weights.shape}")
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    if (bad := np.argwhere(~((weights >= 0) & (weights < np.inf)))).size:
        raise ValueError(
            f"{name} must be finite and not negative; {name}{bad[0].tolist()} is {weights[tuple(bad[0])]}"
        )
    return weights


def check_weighted_mean(reduce: object) -> None:
    """An error unless there is a mean in which queries can have weights."""
    if reduce is None:
        raise ValueError('sample_weight is the weight of each query in the mean; pass reduce="mean" with it')


def check_query_weights(sample_weight: object, reduce: object, queries: int) -> np.ndarray | None:
    """The weight of each query in the mean, the largest of them 1; None if all weigh the same."""
    if sample_weight is None:
        return None
    check_weighted_mean(reduce)
    weights = as_weights(sample_weight, "sample_weight", (queries,), "query")
    if not weights.any():
        raise ValueError("sample_weight must be greater than 0 for at least one query; all are 0")
    return weights / weights.max()


def reduced(
    values: np.ndarray, reduce: str | None, *, single: bool, weights: np.ndarray | None = None
) -> np.ndarray | float:
    """The values of the queries; their mean without NaNs if asked for, a float if there is but one query."""
    if single:
        return float(values[0])
    if reduce is None:
        return values
    defined = ~np.isnan(values)
    values = values[defined]
    if weights is None:
        return float(values.mean()) if values.size else float("nan")
    total = weights[defined].sum()
    return float(values @ weights[defined] / total) if total else float("nan")


def place(array: np.ndarray, indptr: np.ndarray | None, query: int) -> tuple[np.ndarray, str]:
    """The entries of one query, and how to call it in an error."""
    if indptr is not None:
        return array[indptr[query] : indptr[query + 1]], f" of query {query}"
    return (array, "") if array.ndim == 1 else (array[query], f" of query {query}")


def refuse_nan_scores(scores: np.ndarray, indptr: np.ndarray | None, query: int) -> None:
    """The error for the first query with a NaN among its scores."""
    mine, where = place(scores, indptr, query)
    bad = np.flatnonzero(np.isnan(mine))
    raise ValueError(
        f"scores must not be NaN; {bad.size} of {mine.size} scores{where} are, the first at index {bad[0]}"
    )

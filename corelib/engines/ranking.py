"""Ranked lists, areas under ROC curves and pairs of scores: checked arrays in, the compiled kernels behind them."""

import functools

import numpy as np

from corelib.kernels import ranking as _kernel
from corelib.kernels.kendall import count_pairs
from corelib.kernels.ranking import BAD_JUDGED, BAD_RELEVANCE, BAD_SCORE, ONE_CLASS

__all__ = [
    "BAD_JUDGED",
    "BAD_RELEVANCE",
    "BAD_SCORE",
    "KINDS_ON_GPU",
    "ONE_CLASS",
    "count_pairs",
    "rank_queries",
    "read_labels",
    "roc_areas",
]

KINDS_ON_GPU = frozenset(
    ("dcg", "ndcg", "average_precision", "reciprocal_rank", "precision", "recall", "hit_rate", "r_precision")
)  # what engines.ranking_torch knows, too

_SHORT = 1 << 14


def rank_queries(
    wanted: list[tuple[str, int | None]],
    scores: np.ndarray,
    relevance: np.ndarray,
    judged: np.ndarray | None,
    indptr: np.ndarray | None,
    *,
    exponential: bool,
    ties: str,
    min_relevance: float,
    max_relevance: float,
    persistence: float | None,
    top_grade: float | None,
    empty: float,
) -> tuple[np.ndarray, int, int]:
    """The value of each wanted metric, a kind with its cutoff, for every query, in an array (metrics, queries).

    With it comes what is wrong with the first bad query (BAD_SCORE, BAD_RELEVANCE, BAD_JUDGED, or 0), and that query.
    ``judged`` is needed for "bpref", ``persistence`` for "rank_biased_precision", ``top_grade``, the highest grade of
    the scale, for "expected_reciprocal_rank".
    """
    if indptr is not None:
        queries, longest = indptr.size - 1, int(np.diff(indptr).max(initial=0))
    else:
        queries, longest = (scores.shape[0] if scores.ndim == 2 else 1), scores.shape[-1]
    if longest >= 2**31:
        raise ValueError(f"a query may have at most 2**31 - 1 documents; got {longest}")
    values = np.empty((len(wanted), queries))
    if not queries:
        return values, 0, 0
    discount, cumulative = _discounts(longest + 1)
    status, query = _kernel.rank_queries(
        scores,
        relevance,
        judged,
        indptr,
        np.array([_kernel.KINDS[kind] for kind, _ in wanted], dtype=np.int32),
        np.array(
            [_kernel.UNCUT if k is None else min(k, _kernel.UNCUT - 1) for _, k in wanted], dtype=np.int64
        ),
        discount,
        cumulative,
        None if persistence is None else persistence ** np.arange(longest + 1),
        values,
        longest=longest,
        exponential=exponential,
        expected=ties == "average",
        last_first=ties == "reverse",
        min_relevance=min_relevance,
        max_relevance=max_relevance,
        persistence=persistence or 0.0,
        stop_unit=0.0 if top_grade is None else 2.0**-top_grade,
        empty=empty,
    )
    return values, status, query


def read_labels(labels: np.ndarray) -> np.ndarray | None:
    """Labels of any type, flat, as uint8; None if one is neither 0 nor 1."""
    binary = np.empty(labels.size, dtype=np.uint8)
    return binary if not labels.size or _kernel.read_labels(labels.ravel(), binary) else None


def roc_areas(
    scores: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None,
    indptr: np.ndarray,
    *,
    empty: float,
) -> tuple[np.ndarray, int, int]:
    """The area of each query of flat scores and uint8 labels, ``empty`` for one with one class (or weights for one only).

    With it comes what is wrong with the first bad query (BAD_SCORE, ONE_CLASS, or 0), and that query.
    """
    areas = np.full(indptr.size - 1, empty)
    if not areas.size or not scores.size:
        return areas, ONE_CLASS if areas.size else 0, 0
    if weights is None:
        return areas, *_kernel.auc(scores, labels, indptr, areas, empty)
    return areas, *_kernel.weighted_auc(scores.astype(np.float64), labels, weights, indptr, areas, empty)


def _discounts(length: int) -> tuple[np.ndarray, np.ndarray]:
    """1 / log2(rank + 1) for ranks from 1 to at least ``length``, and its partial sums from 0 on."""
    return _short_discounts() if length <= _SHORT else _make_discounts(length)


@functools.cache
def _short_discounts() -> tuple[np.ndarray, np.ndarray]:
    return _make_discounts(_SHORT)


def _make_discounts(length: int) -> tuple[np.ndarray, np.ndarray]:
    discount = 1 / np.log2(np.arange(2, length + 2))
    return discount, np.concatenate([[0.0], np.cumsum(discount)])

"""Metrics of ranked lists: (normalised) discounted gain, average precision, reciprocal rank, precision, recall."""

import functools

import numpy as np
from numpy.typing import ArrayLike

from corelib._checks import check_choice, check_int, check_positive
from corelib.kernels import ranking as kernel
from corelib.metrics._inputs import (
    as_numbers,
    as_scores,
    check_empty,
    check_queries,
    check_reduce,
    place,
    reduced,
    refuse_nan_scores,
)

_TIES = ("reverse", "order", "average")
_GAINS = {"linear": 1e300, "exponential": 1000.0}  # and the largest relevance whose gains cannot overflow


def ndcg(
    scores: ArrayLike,
    relevance: ArrayLike,
    k: int | None = None,
    *,
    indptr: ArrayLike | None = None,
    gain: str = "linear",
    ties: str = "reverse",
    empty: float = 0.0,
    reduce: str | None = None,
) -> np.ndarray | float:
    r"""Normalised discounted cumulative gain: DCG divided by the DCG of the ideal ranking.

    Parameters
    ----------
    scores : array_like, shape (documents,), (queries, documents) or (total,)
        The higher, the better. float32 and float64 are used as they are; integers up to 2**53 are exact.
    relevance : array_like of the same shape
        Graded relevance, any bool, integer or float type, not negative.
    k : int, optional
        Look at the first k ranks only, also in the ideal ranking. All by default.
    indptr : array_like of int, shape (queries + 1,), optional
        Ragged queries: query i owns ``scores[indptr[i]:indptr[i + 1]]``.
    gain : {"linear", "exponential"}
        Gain of a relevance r: r itself (``trec_eval``, scikit-learn), or 2**r - 1 [2]_.
    ties : {"reverse", "order", "average"}
        How equal scores rank: the later document first, the earlier one first, or the mean over all their orders.
        The default is that of ``trec_eval`` for documents in ascending order of their identifiers; "average" is
        that of scikit-learn.
    empty : float
        The value of a query without any gain: 0 as in ``trec_eval``; NaN leaves it out of the mean.
    reduce : {None, "mean"}
        One value per query, or their mean.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1]; a float for one query of shape (documents,) or with ``reduce="mean"``.

    Raises
    ------
    TypeError
        If an argument has the wrong type: strings, complex numbers, objects, masked arrays, a k that is no integer.
    ValueError
        If shapes disagree, a score is NaN, a relevance is negative, NaN or infinite, ``indptr`` does not fit, k is
        below 1, a choice is none of those above, or the mean of no query is asked for.

    Notes
    -----
    With :math:`g_i` the gain at rank i, :math:`\mathrm{DCG} = \sum_{i \le k} g_i / \log_2(i + 1)` [1]_.

    References
    ----------
    .. [1] K. Järvelin and J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4), 2002.
    .. [2] C. Burges et al., Learning to rank using gradient descent, ICML 2005.

    Examples
    --------
    >>> ndcg([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]], [[2, 1, 0], [0, 1, 2]])
    array([1.        , 0.61990623])
    >>> ndcg([0.9, 0.5, 0.1, 0.3], [2, 3, 1, 1], k=1, gain="exponential")
    0.42857142857142855
    """
    return _one("ndcg", scores, relevance, k, indptr, gain=gain, ties=ties, empty=empty, reduce=reduce)


def dcg(
    scores: ArrayLike,
    relevance: ArrayLike,
    k: int | None = None,
    *,
    indptr: ArrayLike | None = None,
    gain: str = "linear",
    ties: str = "reverse",
    reduce: str | None = None,
) -> np.ndarray | float:
    """Discounted cumulative gain: each gain divided by log2(rank + 1), summed over the first k ranks.

    Parameters
    ----------
    scores, relevance, k, indptr, gain, ties, reduce
        As in :func:`ndcg`.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values of at least 0, in units of gain; 0 for a query without gain.

    Raises
    ------
    TypeError, ValueError
        As :func:`ndcg`.

    Examples
    --------
    >>> dcg([0.9, 0.5, 0.1], [3, 0, 2])
    4.0
    """
    return _one("dcg", scores, relevance, k, indptr, gain=gain, ties=ties, reduce=reduce)


def average_precision(
    scores: ArrayLike,
    relevance: ArrayLike,
    k: int | None = None,
    *,
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    min_relevance: float = 1.0,
    empty: float = 0.0,
    reduce: str | None = None,
) -> np.ndarray | float:
    """Average precision: the mean over the relevant documents of the precision at their ranks.

    A relevant document beyond rank k, or without a rank, contributes 0; the mean is always over all relevant
    documents of the query, as in ``trec_eval`` (``map`` and ``map_cut``).

    Parameters
    ----------
    scores, relevance, k, indptr, ties, reduce
        As in :func:`ndcg`.
    min_relevance : float
        The least relevance, above 0, of a relevant document.
    empty : float
        The value of a query without relevant documents: 0 as in ``trec_eval``; NaN leaves it out of the mean.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1]. With ``reduce="mean"``: the mean average precision, MAP.

    Raises
    ------
    TypeError, ValueError
        As :func:`ndcg`; also if ``min_relevance`` is not above 0.

    Examples
    --------
    >>> average_precision([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    0.8333333333333333
    """
    return _one(
        "average_precision", scores, relevance, k, indptr,
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce,
    )  # fmt: skip


def reciprocal_rank(
    scores: ArrayLike,
    relevance: ArrayLike,
    k: int | None = None,
    *,
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    min_relevance: float = 1.0,
    empty: float = 0.0,
    reduce: str | None = None,
) -> np.ndarray | float:
    """Reciprocal rank: 1 / rank of the first relevant document, 0 if it stands beyond rank k.

    Parameters
    ----------
    scores, relevance, k, indptr, ties, reduce
        As in :func:`ndcg`.
    min_relevance, empty
        As in :func:`average_precision`.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1]. With ``reduce="mean"``: the mean reciprocal rank, MRR.

    Raises
    ------
    TypeError, ValueError
        As :func:`average_precision`.

    Examples
    --------
    >>> reciprocal_rank([[0.9, 0.8, 0.7], [0.1, 0.2, 0.3]], [[0, 1, 1], [0, 0, 1]])
    array([0.5, 1. ])
    """
    return _one(
        "reciprocal_rank", scores, relevance, k, indptr,
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce,
    )  # fmt: skip


def precision_at(
    scores: ArrayLike,
    relevance: ArrayLike,
    k: int,
    *,
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    min_relevance: float = 1.0,
    empty: float = 0.0,
    reduce: str | None = None,
) -> np.ndarray | float:
    """Precision at k: relevant documents among the first k ranks, divided by k (also where fewer have a rank).

    Parameters
    ----------
    scores, relevance, indptr, ties, reduce
        As in :func:`ndcg`.
    k : int
        How many ranks to look at, at least 1.
    min_relevance, empty
        As in :func:`average_precision`.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1].

    Raises
    ------
    TypeError, ValueError
        As :func:`average_precision`.

    Examples
    --------
    >>> precision_at([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1], 2)
    0.5
    """
    return _one(
        "precision", scores, relevance, check_int(k, "k", minimum=1), indptr,
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce,
    )  # fmt: skip


def recall_at(
    scores: ArrayLike,
    relevance: ArrayLike,
    k: int,
    *,
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    min_relevance: float = 1.0,
    empty: float = 0.0,
    reduce: str | None = None,
) -> np.ndarray | float:
    """Recall at k: the share of the query's relevant documents that stand among the first k ranks.

    Parameters
    ----------
    scores, relevance, indptr, ties, reduce
        As in :func:`ndcg`.
    k : int
        How many ranks to look at, at least 1.
    min_relevance, empty
        As in :func:`average_precision`.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1].

    Raises
    ------
    TypeError, ValueError
        As :func:`average_precision`.

    Examples
    --------
    >>> recall_at([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1], 3)
    0.6666666666666666
    """
    return _one(
        "recall", scores, relevance, check_int(k, "k", minimum=1), indptr,
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce,
    )  # fmt: skip


def _one(kind: str, scores, relevance, k, indptr, **options) -> np.ndarray | float:
    cutoff = None if k is None else check_int(k, "k", minimum=1)
    return rank_queries([(kind, cutoff)], scores, relevance, indptr, **options)[0]


def rank_queries(
    wanted: list[tuple[str, int | None]],
    scores: ArrayLike,
    relevance: ArrayLike,
    indptr: ArrayLike | None,
    *,
    gain: str = "linear",
    ties: str,
    min_relevance: float = 1.0,
    empty: float = 0.0,
    reduce: str | None,
) -> list[np.ndarray | float]:
    """The value of each wanted metric, a kind of the kernel with its cutoff, for every query."""
    check_choice(gain, "gain", tuple(_GAINS))
    check_choice(ties, "ties", _TIES)
    least = check_positive(min_relevance, "min_relevance")
    check_empty(empty)
    score = as_scores(scores)
    grade = as_numbers(relevance, "relevance")
    pointers = check_queries(score, grade, "relevance", indptr)
    if pointers is not None:
        queries, longest = pointers.size - 1, int(np.diff(pointers).max(initial=0))
    else:
        queries, longest = (score.shape[0] if score.ndim == 2 else 1), score.shape[-1]
    if longest >= 2**31:
        raise ValueError(f"a query may have at most 2**31 - 1 documents; got {longest}")
    check_reduce(reduce, queries)
    values = np.empty((len(wanted), queries))
    if queries:
        discount, cumulative = _discounts(longest + 1)
        status, query = kernel.rank_queries(
            score,
            grade,
            pointers,
            np.array([kernel.KINDS[kind] for kind, _ in wanted], dtype=np.int32),
            np.array([kernel.UNCUT if k is None else min(k, kernel.UNCUT - 1) for _, k in wanted], dtype=np.int64),
            discount,
            cumulative,
            values,
            longest=longest,
            exponential=gain == "exponential",
            expected=ties == "average",
            last_first=ties == "reverse",
            min_relevance=least,
            max_relevance=_GAINS[gain],
            empty=empty,
        )
        if status == kernel.BAD_SCORE:
            refuse_nan_scores(score, pointers, query)
        if status == kernel.BAD_RELEVANCE:
            _refuse_relevance(grade, pointers, query, gain)
    single = pointers is None and score.ndim == 1
    return [reduced(row, reduce, single=single) for row in values]


def _refuse_relevance(grade: np.ndarray, indptr: np.ndarray | None, query: int, gain: str) -> None:
    mine, where = place(grade, indptr, query)
    most = _GAINS[gain]
    at = int(np.flatnonzero(~((mine >= 0) & (mine.astype(np.float64) <= most)))[0])
    hint = "; numpy.maximum(relevance, 0) counts such judgements as not relevant, as trec_eval does" if mine[at] < 0 else ""
    raise ValueError(
        f"relevance must be between 0 and {most:g} with {gain} gain; the entry at index {at}{where} is {mine[at]}{hint}"
    )


def _discounts(length: int) -> tuple[np.ndarray, np.ndarray]:
    """1 / log2(rank + 1) for ranks from 1 to at least ``length``, and its partial sums from 0 on."""
    return _short_discounts() if length <= _SHORT else _make_discounts(length)


_SHORT = 1 << 14


@functools.cache
def _short_discounts() -> tuple[np.ndarray, np.ndarray]:
    return _make_discounts(_SHORT)


def _make_discounts(length: int) -> tuple[np.ndarray, np.ndarray]:
    discount = 1 / np.log2(np.arange(2, length + 2))
    return discount, np.concatenate([[0.0], np.cumsum(discount)])

"""Further metrics of ranked lists: hit rate, R-precision, rank-biased precision, ERR, bpref."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from corelib._checks import check_choice, check_int, check_positive, check_real
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
from corelib.metrics._lists import bounds_of, ranked_lists

_TIES = ("reverse", "order")
_MOST = 1e300

# By rank: the relevance, whether there is such a rank, whether the document was judged. One row per query.
Lists = tuple[np.ndarray, np.ndarray, np.ndarray]
# The values of ranked lists, and whether each is defined.
Measure = Callable[[Lists], tuple[np.ndarray, np.ndarray]]


def hit_rate(
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
    """Hit rate at k: 1 if a relevant document stands among the first k ranks, else 0.

    It is called ``success`` in ``trec_eval``.

    Parameters
    ----------
    scores, relevance, indptr, reduce
        As in :func:`ndcg`.
    k : int
        How many ranks to look at, at least 1.
    ties : {"reverse", "order"}
        As in :func:`ndcg`; there is no mean over the orders of equal scores.
    min_relevance, empty
        As in :func:`average_precision`.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        0 or 1; with ``reduce="mean"`` the share of queries with a hit.

    Raises
    ------
    TypeError, ValueError
        As :func:`average_precision`.

    Examples
    --------
    >>> hit_rate([[0.9, 0.8, 0.7], [0.1, 0.2, 0.3]], [[0, 1, 1], [1, 0, 0]], 2)
    array([1., 0.])
    """
    measure = measure_hit_rate(k, min_relevance)
    return rank_lists([measure], scores, relevance, indptr, ties=ties, empty=empty, reduce=reduce)[0]


def r_precision(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    min_relevance: float = 1.0,
    empty: float = 0.0,
    reduce: str | None = None,
) -> np.ndarray | float:
    """R-precision: the precision among as many ranks as the query has relevant documents.

    Parameters
    ----------
    scores, relevance, indptr, reduce
        As in :func:`ndcg`.
    ties : {"reverse", "order"}
        As in :func:`ndcg`; there is no mean over the orders of equal scores.
    min_relevance, empty
        As in :func:`average_precision`.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1], equal to the recall at that rank.

    Raises
    ------
    TypeError, ValueError
        As :func:`average_precision`.

    Examples
    --------
    >>> r_precision([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    0.5
    """
    measure = measure_r_precision(min_relevance)
    return rank_lists([measure], scores, relevance, indptr, ties=ties, empty=empty, reduce=reduce)[0]


def rank_biased_precision(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    persistence: float = 0.8,
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    min_relevance: float = 1.0,
    empty: float = 0.0,
    reduce: str | None = None,
) -> np.ndarray | float:
    r"""Rank-biased precision: what a reader finds who goes on to the next document with probability p.

    .. math:: (1 - p) \sum_i p^{i - 1} [\text{the document at rank } i \text{ is relevant}]

    Parameters
    ----------
    scores, relevance, indptr, reduce
        As in :func:`ndcg`.
    persistence : float
        p, in (0, 1): 0.5 for an impatient reader, 0.95 for a patient one.
    ties : {"reverse", "order"}
        As in :func:`ndcg`; there is no mean over the orders of equal scores.
    min_relevance, empty
        As in :func:`average_precision`.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1): less than 1 even for a perfect list, as it is not normalised.

    Raises
    ------
    TypeError, ValueError
        As :func:`average_precision`; also if ``persistence`` is not in (0, 1).

    Notes
    -----
    What lies beyond the d documents of a list could add p**d at most. Source: A. Moffat and J. Zobel,
    Rank-biased precision for measurement of retrieval effectiveness, ACM TOIS 27(1), 2008, equation 1.

    Examples
    --------
    >>> rank_biased_precision([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], persistence=0.5)
    0.625
    """
    measure = measure_rank_biased_precision(persistence, min_relevance)
    return rank_lists([measure], scores, relevance, indptr, ties=ties, empty=empty, reduce=reduce)[0]


def expected_reciprocal_rank(
    scores: ArrayLike,
    relevance: ArrayLike,
    k: int | None = None,
    *,
    max_relevance: float,
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    empty: float = 0.0,
    reduce: str | None = None,
) -> np.ndarray | float:
    r"""Expected reciprocal rank: 1 / the rank at which a reader stops, the more likely the better it is.

    .. math:: \sum_{i \le k} \frac{s_i}{i} \prod_{j < i} (1 - s_j), \qquad s_i = \frac{2^{r_i} - 1}{2^m}

    Parameters
    ----------
    scores, relevance, k, indptr, reduce
        As in :func:`ndcg`.
    max_relevance : float
        m, the highest grade of the scale (not only of these data), above 0 and at most 1000.
    ties : {"reverse", "order"}
        As in :func:`ndcg`; there is no mean over the orders of equal scores.
    empty : float
        The value of a query whose documents all have relevance 0.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1).

    Raises
    ------
    TypeError, ValueError
        As :func:`ndcg`; also if a relevance exceeds ``max_relevance``.

    Notes
    -----
    Source: O. Chapelle, D. Metzler, Y. Zhang and P. Grinspan, Expected reciprocal rank for graded relevance,
    CIKM 2009, equation 4 and algorithm 2.

    Examples
    --------
    >>> expected_reciprocal_rank([0.9, 0.8, 0.7], [1, 2, 0], max_relevance=2)
    0.53125
    """
    most = check_positive(max_relevance, "max_relevance")
    measure = measure_expected_reciprocal_rank(k, most)
    return rank_lists(
        [measure], scores, relevance, indptr, ties=ties, empty=empty, reduce=reduce, max_relevance=most
    )[0]


def bpref(
    scores: ArrayLike,
    relevance: ArrayLike,
    judged: ArrayLike,
    *,
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    min_relevance: float = 1.0,
    empty: float = 0.0,
    reduce: str | None = None,
) -> np.ndarray | float:
    r"""Binary preference: how seldom documents that were judged irrelevant stand above relevant ones.

    .. math:: \frac1R \sum_{r} \left(1 - \frac{\min(n_r, R)}{\min(N, R)}\right)

    over the relevant documents that have a rank, with :math:`n_r` irrelevant judged documents above r, of N,
    and R relevant ones. Documents without a judgement do not count at all.

    Parameters
    ----------
    scores, relevance, indptr, reduce
        As in :func:`ndcg`.
    judged : array_like of the shape of ``scores``
        0 or 1: whether a document was judged, as in :class:`AlignedRun`. Relevant documents always are.
    ties : {"reverse", "order"}
        As in :func:`ndcg`; there is no mean over the orders of equal scores.
    min_relevance, empty
        As in :func:`average_precision`.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1].

    Raises
    ------
    TypeError, ValueError
        As :func:`average_precision`; also if ``judged`` has another shape or values, or is 0 for a relevant
        document.

    Notes
    -----
    As in ``trec_eval`` from version 8 on. Source: C. Buckley and E. Voorhees, Retrieval evaluation with
    incomplete information, SIGIR 2004.

    Examples
    --------
    >>> bpref([0.9, 0.8, 0.7, 0.6, 0.5], [0, 1, 0, 1, 0], [0, 1, 1, 1, 1])
    0.75
    """
    measure = measure_bpref(min_relevance)
    return rank_lists(
        [measure], scores, relevance, indptr,
        ties=ties, empty=empty, reduce=reduce, judged=judged, min_relevance=min_relevance,
    )[0]  # fmt: skip


def measure_hit_rate(k: int, min_relevance: float) -> Measure:
    depth = check_int(k, "k", minimum=1)
    least = check_positive(min_relevance, "min_relevance")

    def measure(lists: Lists) -> tuple[np.ndarray, np.ndarray]:
        relevant, found = _relevant(lists, least)
        return found[:, :depth].any(1), relevant > 0

    return measure


def measure_r_precision(min_relevance: float) -> Measure:
    least = check_positive(min_relevance, "min_relevance")

    def measure(lists: Lists) -> tuple[np.ndarray, np.ndarray]:
        relevant, found = _relevant(lists, least)
        inside = found & (np.arange(found.shape[1]) < relevant[:, None])
        return inside.sum(1) / np.maximum(relevant, 1), relevant > 0

    return measure


def measure_rank_biased_precision(persistence: float, min_relevance: float) -> Measure:
    p = check_real(persistence, "persistence")
    if not 0 < p < 1:
        raise ValueError(f"persistence must be greater than 0 and less than 1; got {p}")
    least = check_positive(min_relevance, "min_relevance")

    def measure(lists: Lists) -> tuple[np.ndarray, np.ndarray]:
        relevant, found = _relevant(lists, least)
        weights = np.exp(np.log(p) * np.arange(found.shape[1]))
        return (1 - p) * (found * weights).sum(1), relevant > 0

    return measure


def measure_expected_reciprocal_rank(k: int | None, max_relevance: float) -> Measure:
    most = check_positive(max_relevance, "max_relevance")
    if most > 1000:
        raise ValueError(f"max_relevance must be at most 1000; got {most}")
    depth = None if k is None else check_int(k, "k", minimum=1)

    def measure(lists: Lists) -> tuple[np.ndarray, np.ndarray]:
        grade, ranked, _ = lists
        stop = np.where(ranked, np.exp2(grade - most) - np.exp2(-most), 0.0)[:, :depth]
        goes_on = np.cumprod(1 - stop, axis=1)
        reaches = np.concatenate([np.ones((len(stop), 1)), goes_on[:, :-1]], axis=1)
        return (stop * reaches / np.arange(1, stop.shape[1] + 1)).sum(1), grade.any(1)

    return measure


def measure_bpref(min_relevance: float) -> Measure:
    least = check_positive(min_relevance, "min_relevance")

    def measure(lists: Lists) -> tuple[np.ndarray, np.ndarray]:
        relevant, found = _relevant(lists, least)
        grade, ranked, known = lists
        irrelevant = known & (grade < least)
        above = np.cumsum(irrelevant & ranked, axis=1)
        bound = np.minimum(irrelevant.sum(1), relevant)[:, None]
        kept = 1 - np.minimum(above, relevant[:, None]) / np.maximum(bound, 1)
        return (kept * found).sum(1) / np.maximum(relevant, 1), relevant > 0

    return measure


def _relevant(lists: Lists, least: float) -> tuple[np.ndarray, np.ndarray]:
    """How many relevant documents each query has, and whether the one at each rank is relevant."""
    grade, ranked, _ = lists
    relevant = grade >= least
    return relevant.sum(1), relevant & ranked


def rank_lists(
    measures: Sequence[Measure],
    scores: ArrayLike,
    relevance: ArrayLike,
    indptr: ArrayLike | None,
    *,
    ties: str,
    empty: float,
    reduce: str | None,
    max_relevance: float | None = None,
    judged: ArrayLike | None = None,
    min_relevance: float = 1.0,
) -> list[np.ndarray | float]:
    """The value of each measure for every query, from lists that are sorted once."""
    check_choice(ties, "ties", _TIES)
    fill = check_empty(empty)
    score, grade = as_scores(scores), as_numbers(relevance, "relevance")
    pointers = check_queries(score, grade, "relevance", indptr)
    known = np.ones(1, dtype=bool) if judged is None else _check_judged(judged, score, grade, min_relevance)
    bounds = bounds_of(score, pointers)
    check_reduce(reduce, bounds.size - 1)
    _check_values(score, grade, pointers, bounds, max_relevance)

    columns = [grade.ravel(), np.broadcast_to(known, score.shape).ravel()]
    values = np.full((len(measures), bounds.size - 1), fill)
    for rows, ranked, (grades, judgements) in ranked_lists(
        score.ravel(), columns, bounds, last_first=ties == "reverse"
    ):
        lists = (grades.astype(np.float64), ranked, judgements)
        for measure, row in zip(measures, values, strict=True):
            found, defined = measure(lists)
            row[rows] = np.where(defined, found, fill)
    single = pointers is None and score.ndim == 1
    return [reduced(row, reduce, single=single) for row in values]


def _check_values(
    score: np.ndarray,
    grade: np.ndarray,
    pointers: np.ndarray | None,
    bounds: np.ndarray,
    max_relevance: float | None,
) -> None:
    most = np.float64(_MOST if max_relevance is None else max_relevance)
    for array, fine in ((score, ~np.isnan(score)), (grade, (grade >= 0) & (grade <= most))):
        if fine.all():
            continue
        query = int(np.searchsorted(bounds, np.flatnonzero(~fine.ravel())[0], side="right")) - 1
        if array is score:
            refuse_nan_scores(score, pointers, query)
        mine, where = place(grade, pointers, query)
        at = int(np.flatnonzero(~((mine >= 0) & (mine <= most)))[0])
        bound = f"{most:g}" if max_relevance is None else f"max_relevance, {most:g}"
        raise ValueError(
            f"relevance must be between 0 and {bound}; the entry at index {at}{where} is {mine[at]}"
        )


def _check_judged(judged: ArrayLike, score: np.ndarray, grade: np.ndarray, least: float) -> np.ndarray:
    known = as_numbers(judged, "judged")
    if known.shape != score.shape:
        raise ValueError(f"scores and judged must have the same shape; got {score.shape} and {known.shape}")
    if (wrong := np.argwhere((known != 0) & (known != 1))).size:
        raise ValueError(f"judged must be 0 or 1; judged{wrong[0].tolist()} is {known[tuple(wrong[0])]}")
    if (wrong := np.argwhere((known == 0) & (grade >= least))).size:
        raise ValueError(f"judged must be 1 for relevant documents; judged{wrong[0].tolist()} is 0")
    return known == 1

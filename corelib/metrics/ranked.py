"""Metrics of ranked lists: discounted gain, average precision, reciprocal rank, what stands above rank k, and more."""

from typing import Any

import numpy as np

from corelib._arrays import as_numbers
from corelib._checks import check_choice, check_int, check_positive, check_real
from corelib._types import ArrayLike, Values
from corelib.engines import ranking as engine
from corelib.metrics._inputs import (
    as_scores,
    check_empty,
    check_queries,
    check_query_weights,
    check_reduce,
    place,
    reduced,
    refuse_nan_scores,
    stay_on_gpu,
)

_TIES = ("reverse", "order", "average")
_GAINS = {"linear": 1e300, "exponential": 1000.0}  # and the largest relevance whose gains cannot overflow
_HIGHEST_GRADE = 1000.0


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
    sample_weight: ArrayLike | None = None,
) -> Values:
    r"""Normalised discounted cumulative gain: DCG divided by the DCG of the ideal ranking.

    Parameters
    ----------
    scores : array_like, shape (documents,), (queries, documents) or (total,)
        The higher, the better. A document with score ``-inf`` was not retrieved and has no rank, but counts in the ideal
        ranking; padding has score ``-inf`` and relevance 0. float32 and float64 are compared as they are; integers up
        to 2**53 are exact.
    relevance : array_like of the same shape
        Graded relevance, any bool, integer or float type, not negative; up to 1e300, or 1000 with exponential gain.
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
    sample_weight : array_like of float, shape (queries,), optional
        The weight of each query in the mean, not negative; as in scikit-learn, where a query is a sample. All weigh the
        same by default.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        Values in [0, 1]; a float for one query of shape (documents,) or with ``reduce="mean"``. A float64 tensor for
        tensors on a GPU, see :mod:`corelib.metrics`.

    Raises
    ------
    TypeError
        If an argument has the wrong type: strings, complex numbers, objects, masked arrays, a k that is no integer.
    ValueError
        If shapes disagree, a score is NaN, a relevance is negative, NaN or infinite, ``indptr`` does not fit, k is
        below 1, a choice is none of those above, the mean of no query is asked for, or ``sample_weight`` is given
        without ``reduce="mean"``, is negative or not finite, or 0 for all queries.

    Notes
    -----
    With :math:`g_i` the gain at rank i, :math:`\mathrm{DCG} = \sum_{i \le k} g_i / \log_2(i + 1)` [1]_. The ideal ranking
    has all documents of the query in descending order of gain. Time O(documents) where k or the number of relevant
    documents is small, O(documents log relevant) at worst.

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

    Two queries of different length, with ``indptr``; one relevant document of the second was not retrieved:

    >>> ndcg([0.9, 0.5, 0.8, 0.7, -np.inf], [1, 0, 0, 1, 1], indptr=[0, 2, 5])
    array([1.        , 0.38685281])
    """
    return _one(
        "ndcg", scores, relevance, k, indptr,
        gain=gain, ties=ties, empty=empty, reduce=reduce, sample_weight=sample_weight,
    )  # fmt: skip


def dcg(
    scores: ArrayLike,
    relevance: ArrayLike,
    k: int | None = None,
    *,
    indptr: ArrayLike | None = None,
    gain: str = "linear",
    ties: str = "reverse",
    reduce: str | None = None,
    sample_weight: ArrayLike | None = None,
) -> Values:
    """Discounted cumulative gain: each gain divided by log2(rank + 1), summed over the first k ranks.

    Parameters
    ----------
    scores, relevance, k, indptr, gain, ties, reduce, sample_weight
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
    return _one(
        "dcg", scores, relevance, k, indptr, gain=gain, ties=ties, reduce=reduce, sample_weight=sample_weight
    )


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
    sample_weight: ArrayLike | None = None,
) -> Values:
    """Average precision: the mean over the relevant documents of the precision at their ranks.

    A relevant document beyond rank k, or without a rank, contributes 0; the mean is always over all relevant
    documents of the query, as in ``trec_eval`` (``map`` and ``map_cut``).

    Parameters
    ----------
    scores, relevance, k, indptr, ties, reduce, sample_weight
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
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce, sample_weight=sample_weight,
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
    sample_weight: ArrayLike | None = None,
) -> Values:
    """Reciprocal rank: 1 / rank of the first relevant document, 0 if it stands beyond rank k.

    Parameters
    ----------
    scores, relevance, k, indptr, ties, reduce, sample_weight
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
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce, sample_weight=sample_weight,
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
    sample_weight: ArrayLike | None = None,
) -> Values:
    """Precision at k: relevant documents among the first k ranks, divided by k (also where fewer have a rank).

    Parameters
    ----------
    scores, relevance, indptr, ties, reduce, sample_weight
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
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce, sample_weight=sample_weight,
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
    sample_weight: ArrayLike | None = None,
) -> Values:
    """Recall at k: the share of the query's relevant documents that stand among the first k ranks.

    Parameters
    ----------
    scores, relevance, indptr, ties, reduce, sample_weight
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
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce, sample_weight=sample_weight,
    )  # fmt: skip


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
    sample_weight: ArrayLike | None = None,
) -> Values:
    """Hit rate at k: 1 if a relevant document stands among the first k ranks, else 0.

    It is called ``success`` in ``trec_eval``.

    Parameters
    ----------
    scores, relevance, indptr, ties, reduce, sample_weight
        As in :func:`ndcg`.
    k : int
        How many ranks to look at, at least 1.
    min_relevance, empty
        As in :func:`average_precision`.

    Returns
    -------
    ndarray of float64, shape (queries,), or float
        0 or 1; with ``ties="average"`` the chance of a hit, with ``reduce="mean"`` the share of queries with one.

    Raises
    ------
    TypeError, ValueError
        As :func:`average_precision`.

    Examples
    --------
    >>> hit_rate([[0.9, 0.8, 0.7], [0.1, 0.2, 0.3]], [[0, 1, 1], [1, 0, 0]], 2)
    array([1., 0.])
    """
    return _one(
        "hit_rate", scores, relevance, check_int(k, "k", minimum=1), indptr,
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce, sample_weight=sample_weight,
    )  # fmt: skip


def r_precision(
    scores: ArrayLike,
    relevance: ArrayLike,
    *,
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    min_relevance: float = 1.0,
    empty: float = 0.0,
    reduce: str | None = None,
    sample_weight: ArrayLike | None = None,
) -> Values:
    """R-precision: the precision among as many ranks as the query has relevant documents.

    Parameters
    ----------
    scores, relevance, indptr, ties, reduce, sample_weight
        As in :func:`ndcg`.
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
    return _one(
        "r_precision", scores, relevance, None, indptr,
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce, sample_weight=sample_weight,
    )  # fmt: skip


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
    sample_weight: ArrayLike | None = None,
) -> np.ndarray | float:
    r"""Rank-biased precision: what a reader finds who goes on to the next document with probability p.

    .. math:: (1 - p) \sum_i p^{i - 1} [\text{the document at rank } i \text{ is relevant}]

    Parameters
    ----------
    scores, relevance, indptr, ties, reduce, sample_weight
        As in :func:`ndcg`.
    persistence : float
        p, in (0, 1): 0.5 for an impatient reader, 0.95 for a patient one.
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
    return _one(
        "rank_biased_precision", scores, relevance, None, indptr,
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce, sample_weight=sample_weight,
        persistence=persistence,
    )  # fmt: skip


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
    sample_weight: ArrayLike | None = None,
) -> np.ndarray | float:
    r"""Expected reciprocal rank: 1 / the rank at which a reader stops, the more likely the better it is.

    .. math:: \sum_{i \le k} \frac{s_i}{i} \prod_{j < i} (1 - s_j), \qquad s_i = \frac{2^{r_i} - 1}{2^m}

    Parameters
    ----------
    scores, relevance, k, indptr, ties, reduce, sample_weight
        As in :func:`ndcg`.
    max_relevance : float
        m, the highest grade of the scale (not only of these data), above 0 and at most 1000.
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
    CIKM 2009, equation 4 and algorithm 2. ``ties="average"`` has no closed form here, but is exact: a dynamic programme
    over how many of the c documents with a grade above 0 among t equal scores the reader has met, in time O(c (c + t)).

    Examples
    --------
    >>> expected_reciprocal_rank([0.9, 0.8, 0.7], [1, 2, 0], max_relevance=2)
    0.53125
    """
    return _one(
        "expected_reciprocal_rank", scores, relevance, k, indptr,
        ties=ties, empty=empty, reduce=reduce, sample_weight=sample_weight, max_relevance=max_relevance,
    )  # fmt: skip


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
    sample_weight: ArrayLike | None = None,
) -> np.ndarray | float:
    r"""Binary preference: how seldom documents that were judged irrelevant stand above relevant ones.

    .. math:: \frac1R \sum_{r} \left(1 - \frac{\min(n_r, R)}{\min(N, R)}\right)

    over the relevant documents that have a rank, with :math:`n_r` irrelevant judged documents above r, of N,
    and R relevant ones. Documents without a judgement do not count at all.

    Parameters
    ----------
    scores, relevance, indptr, ties, reduce, sample_weight
        As in :func:`ndcg`.
    judged : array_like of the shape of ``scores``
        0 or 1: whether a document was judged, as in :class:`AlignedRun`. Relevant documents always are.
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
    return _one(
        "bpref", scores, relevance, None, indptr,
        ties=ties, min_relevance=min_relevance, empty=empty, reduce=reduce, sample_weight=sample_weight,
        judged=judged,
    )  # fmt: skip


def _one(kind: str, scores, relevance, k, indptr, **options) -> Any:
    cutoff = None if k is None else check_int(k, "k", minimum=1)
    return measure_lists([(kind, cutoff)], scores, relevance, indptr, **options)[0]


def measure_lists(
    wanted: list[tuple[str, int | None]],
    scores: ArrayLike,
    relevance: ArrayLike,
    indptr: ArrayLike | None,
    *,
    gain: str = "linear",
    ties: str,
    min_relevance: float = 1.0,
    persistence: float = 0.8,
    max_relevance: float | None = None,
    judged: ArrayLike | None = None,
    empty: float = 0.0,
    reduce: str | None,
    sample_weight: ArrayLike | None,
) -> list[Any]:
    """The value of each wanted metric, a kind of the engine with its cutoff, for every query, in one pass."""
    kinds = {kind for kind, _ in wanted}
    check_choice(gain, "gain", tuple(_GAINS))
    check_choice(ties, "ties", _TIES)
    least = check_positive(min_relevance, "min_relevance")
    patience = _check_persistence(persistence) if "rank_biased_precision" in kinds else None
    top_grade = _check_top_grade(max_relevance) if "expected_reciprocal_rank" in kinds else None
    fill = check_empty(empty)
    if stay_on_gpu(scores, relevance, indptr, sample_weight) and kinds <= engine.KINDS_ON_GPU:
        from corelib.metrics import _on_gpu  # with it comes torch

        found = _on_gpu.measure_lists(
            wanted, scores, relevance, indptr,
            exponential=gain == "exponential", ties=ties, min_relevance=least, max_relevance=_GAINS[gain],
            empty=fill, reduce=reduce, sample_weight=sample_weight,
        )  # fmt: skip
        if found is not None:
            return found
    score = as_scores(scores)
    grade = as_numbers(relevance, "relevance")
    pointers = check_queries(score, grade, "relevance", indptr)
    known = _read_judged(judged, score) if "bpref" in kinds else None
    single = pointers is None and score.ndim == 1
    queries = pointers.size - 1 if pointers is not None else 1 if single else score.shape[0]
    check_reduce(reduce, queries)
    weights = check_query_weights(sample_weight, reduce, queries)
    most = _GAINS[gain] if top_grade is None else min(_GAINS[gain], top_grade)
    values, fault, query = engine.rank_queries(
        wanted, score, grade, known, pointers,
        exponential=gain == "exponential", ties=ties, min_relevance=least, max_relevance=most,
        persistence=patience, top_grade=top_grade, empty=fill,
    )  # fmt: skip
    if fault == engine.BAD_SCORE:
        refuse_nan_scores(score, pointers, query)
    if fault == engine.BAD_RELEVANCE:
        bound = f"{most:g} with {gain} gain" if top_grade != most else f"max_relevance, {most:g}"
        _refuse_relevance(grade, pointers, query, most, bound)
    if fault == engine.BAD_JUDGED:
        _refuse_judged(known, grade, pointers, query, least)
    return [reduced(row, reduce, single=single, weights=weights) for row in values]


def _check_persistence(persistence: object) -> float:
    p = check_real(persistence, "persistence")
    if not 0 < p < 1:
        raise ValueError(f"persistence must be greater than 0 and less than 1; got {p}")
    return p


def _check_top_grade(max_relevance: object) -> float:
    most = check_positive(max_relevance, "max_relevance")
    if most > _HIGHEST_GRADE:
        raise ValueError(f"max_relevance must be at most {_HIGHEST_GRADE:g}; got {most}")
    return most


def _read_judged(judged: ArrayLike, score: np.ndarray) -> np.ndarray:
    known = as_numbers(judged, "judged")
    if known.shape != score.shape:
        raise ValueError(f"scores and judged must have the same shape; got {score.shape} and {known.shape}")
    return known


def _refuse_relevance(
    grade: np.ndarray, indptr: np.ndarray | None, query: int, most: float, bound: str
) -> None:
    mine, where = place(grade, indptr, query)
    at = int(np.flatnonzero(~((mine >= 0) & (mine.astype(np.float64) <= most)))[0])
    hint = (
        "; numpy.maximum(relevance, 0) counts such judgements as not relevant, as trec_eval does"
        if mine[at] < 0
        else ""
    )
    raise ValueError(
        f"relevance must be between 0 and {bound}; the entry at index {at}{where} is {mine[at]}{hint}"
    )


def _refuse_judged(
    known: np.ndarray, grade: np.ndarray, indptr: np.ndarray | None, query: int, least: float
) -> None:
    mine, where = place(known, indptr, query)
    grades, _ = place(grade, indptr, query)
    at = int(np.flatnonzero(((mine != 0) & (mine != 1)) | ((mine == 0) & (grades >= least)))[0])
    allowed = "0 or 1" if mine[at] != 0 else "1 for relevant documents"
    raise ValueError(f"judged must be {allowed}; the entry at index {at}{where} is {mine[at]}")

"""Several metrics of ranked lists by their names."""

from collections.abc import Iterable

from corelib._types import ArrayLike, Values
from corelib.metrics._names import parse_names
from corelib.metrics.ranked import measure_lists

_KINDS = {
    "ndcg": "ndcg",
    "dcg": "dcg",
    "map": "average_precision",
    "average_precision": "average_precision",
    "mrr": "reciprocal_rank",
    "reciprocal_rank": "reciprocal_rank",
    "p": "precision",
    "precision": "precision",
    "r": "recall",
    "recall": "recall",
    "hit_rate": "hit_rate",
    "success": "hit_rate",
    "r_precision": "r_precision",
    "rprec": "r_precision",
    "rbp": "rank_biased_precision",
    "rank_biased_precision": "rank_biased_precision",
    "err": "expected_reciprocal_rank",
    "expected_reciprocal_rank": "expected_reciprocal_rank",
    "bpref": "bpref",
}
_NEED_CUTOFF = ("precision", "recall", "hit_rate")
_NO_CUTOFF = ("r_precision", "rank_biased_precision", "bpref")


def evaluate(
    scores: ArrayLike,
    relevance: ArrayLike,
    metrics: Iterable[str],
    *,
    indptr: ArrayLike | None = None,
    gain: str = "linear",
    ties: str = "reverse",
    min_relevance: float = 1.0,
    persistence: float = 0.8,
    max_relevance: float | None = None,
    judged: ArrayLike | None = None,
    empty: float = 0.0,
    reduce: str | None = None,
    sample_weight: ArrayLike | None = None,
) -> dict[str, Values]:
    """Several metrics by name, in one pass over the data.

    Parameters
    ----------
    scores, relevance, indptr, gain, ties, reduce, sample_weight
        As in :func:`ndcg`.
    metrics : list of str
        Names, or in brackets their other spellings, with a cutoff after "@":

        - "ndcg", "dcg", "map" ("average_precision"), "mrr" ("reciprocal_rank"): with a cutoff or without;
        - "p@10" ("precision@10"), "recall@100" ("r@100"): a cutoff is needed;
        - "hit_rate@10" ("success@10"): the same;
        - "err" ("expected_reciprocal_rank"): with a cutoff or without;
        - "r_precision" ("rprec"), "rbp" ("rank_biased_precision"), "bpref": there is none.
    min_relevance, empty
        As in :func:`average_precision`.
    persistence
        Of "rbp", as in :func:`rank_biased_precision`.
    max_relevance
        Of "err", as in :func:`expected_reciprocal_rank`; it has no default.
    judged
        Of "bpref", as in :func:`bpref`; it has no default.

    Returns
    -------
    dict of str to ndarray of float64, shape (queries,), or float
        By the names in ``metrics``; equal to what the single functions return, to the last bit (to rounding for tensors
        on a GPU, which only metrics that stay there give back as tensors, see :mod:`corelib.metrics`).

    Raises
    ------
    TypeError, ValueError
        As the single functions; also for a metric that is not known, and if ``max_relevance`` or ``judged`` is
        missing for a metric that needs it.

    Examples
    --------
    >>> found = evaluate([[0.9, 0.8, 0.7], [0.1, 0.2, 0.3]], [[0, 2, 1], [0, 0, 1]], ["ndcg@10", "map", "p@1"])
    >>> found["map"]
    array([0.58333333, 1.        ])
    >>> evaluate([0.9, 0.8, 0.7], [0, 2, 1], ["mrr@1", "recall@2", "err@2"], max_relevance=2)
    {'mrr@1': 0.0, 'recall@2': 0.5, 'err@2': 0.375}
    """
    wanted = parse_names(metrics, _KINDS, example="ndcg@10", need_cutoff=_NEED_CUTOFF, no_cutoff=_NO_CUTOFF)
    kinds = [kind for kind, _ in wanted.values()]
    if max_relevance is None and "expected_reciprocal_rank" in kinds:
        raise ValueError("max_relevance must be given for 'err': the highest grade of the scale; got None")
    if judged is None and "bpref" in kinds:
        raise ValueError("judged must be given for 'bpref': whether each document was judged; got None")
    values = measure_lists(
        list(wanted.values()), scores, relevance, indptr,
        gain=gain, ties=ties, min_relevance=min_relevance, persistence=persistence, max_relevance=max_relevance,
        judged=judged, empty=empty, reduce=reduce, sample_weight=sample_weight,
    )  # fmt: skip
    return dict(zip(wanted, values, strict=True))

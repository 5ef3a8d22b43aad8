"""Metrics of ranked lists from clicks: what was not clicked may just not have been seen."""

from collections.abc import Iterable

import numpy as np

from corelib._arrays import as_numbers
from corelib._checks import check_choice, check_real
from corelib._types import ArrayLike
from corelib.metrics._inputs import (
    as_scores,
    bounds_of,
    check_empty,
    check_queries,
    check_reduce,
    reduced,
    refuse_nan_scores,
)
from corelib.metrics._lists import ranked_lists
from corelib.metrics._names import parse_names

_ESTIMATORS = ("self-normalized", "unbiased")
_TIES = ("reverse", "order")
_KINDS = {
    "dcg": "dcg",
    "recall": "recall",
    "r": "recall",
    "map": "average_precision",
    "average_precision": "average_precision",
}
_SMALLEST = 1e-100  # propensity, whose inverse can be squared and summed


def evaluate_clicks(
    scores: ArrayLike,
    clicks: ArrayLike,
    propensity: ArrayLike,
    metrics: Iterable[str],
    *,
    clip: float = 0.0,
    estimator: str = "self-normalized",
    indptr: ArrayLike | None = None,
    ties: str = "reverse",
    empty: float = float("nan"),
    reduce: str | None = None,
) -> dict[str, np.ndarray | float]:
    r"""DCG, recall and average precision of the relevance behind clicks, by inverse propensity scoring (IPS).

    Parameters
    ----------
    scores, indptr, reduce
        As in :func:`ndcg`; a query is a user, its documents all items that could be recommended.
    clicks : array_like of the shape of ``scores``
        0 or 1.
    propensity : array_like of the shape of ``scores``, or (documents,) for scores (queries, documents)
        Probability, in 0..1, that a document was seen.
    metrics : list of str
        "dcg", "recall" (or "r"), "map" (or "average_precision"), each also with a cutoff as in "dcg@5".
    clip : float
        Smallest propensity used, in 0..1: 0 has no bias, between lies less variance, 1 takes clicks for relevance.
    estimator : {"self-normalized", "unbiased"}
        Divide by the estimated number of relevant documents, or not at all.
    ties : {"reverse", "order"}
        As in :func:`ndcg`; there is no mean over the orders of equal scores.
    empty : float
        The self-normalised value of a query without a click: NaN by default, which ``reduce="mean"`` leaves out.

    Returns
    -------
    dict of str to ndarray of float64, shape (queries,), or float
        By the names in ``metrics``; at least 0. Estimates can exceed the largest value of what they estimate,
        recall apart.

    Raises
    ------
    TypeError, ValueError
        As :func:`ndcg`; also if ``clicks`` or ``propensity`` has another shape or range, a document with a propensity
        below 1e-100 was clicked, or a metric is not known.

    Notes
    -----
    A click is relevance that was seen: with weights :math:`w = \mathrm{click} / \max(\theta, \mathrm{clip})` and
    ``clip=0`` the mean of :math:`w` over all that might have been seen is the relevance. By rank i, up to the cutoff:

    - dcg: :math:`\sum_i w_i / \log_2(i + 1)`
    - recall: :math:`\sum_i w_i`
    - map: :math:`\sum_i \frac{w_i}{i} \big(1 + \sum_{j < i} w_j\big)`, for a click is certain of its own relevance

    "unbiased" gives these sums. Their means are the DCG, the number of relevant documents, and the sum of the
    precisions at the relevant ones (if documents are seen independently of one another) that :func:`dcg`,
    :func:`recall_at` and :func:`average_precision` would find in the relevance, before they divide by the number
    of relevant documents R. "self-normalized" divides by :math:`\sum w` over all documents of the query, an estimate of
    R: a little bias, that goes with the number of clicks, for far less variance [2]_; "dcg" is then DCG / R.

    The estimator is that of [1]_ and its published code, but for the textbook discount (there ranks 1 and 2 weigh the
    same) and for the weight :math:`w_i` of a click in the average precision (there 1, which favours what is often
    seen). Time O(documents log documents) per query.

    References
    ----------
    .. [1] Y. Saito et al., Unbiased recommender learning from missing-not-at-random implicit feedback, WSDM 2020
       (arXiv 1909.03601), section 6.
    .. [2] L. Yang et al., Unbiased offline recommender evaluation for missing-not-at-random implicit feedback,
       RecSys 2018.

    Examples
    --------
    >>> scores, clicks, propensity = [0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], [0.8, 0.5, 0.2, 0.2]
    >>> evaluate_clicks(scores, clicks, propensity, ["recall@2", "dcg@2"])
    {'recall@2': 0.2, 'dcg@2': 0.2}
    >>> evaluate_clicks(scores, clicks, propensity, ["recall@2", "dcg@2"], clip=0.5, estimator="unbiased")
    {'recall@2': 1.25, 'dcg@2': 1.25}
    """
    wanted = parse_names(metrics, _KINDS, example="dcg@5")
    check_choice(estimator, "estimator", _ESTIMATORS)
    check_choice(ties, "ties", _TIES)
    fill = check_empty(empty) if estimator == "self-normalized" else 0.0
    score = as_scores(scores)
    clicked = as_numbers(clicks, "clicks")
    pointers = check_queries(score, clicked, "clicks", indptr)
    bounds = bounds_of(score, pointers)
    check_reduce(reduce, bounds.size - 1)
    if (bad := np.flatnonzero(np.isnan(score.ravel()))).size:
        refuse_nan_scores(score, pointers, int(np.searchsorted(bounds, bad[0], side="right")) - 1)
    weight = _weights(clicked, propensity, clip)

    values = np.full((len(wanted), bounds.size - 1), fill)
    for rows, ranked, (weights,) in ranked_lists(
        score.ravel(), [weight.ravel()], bounds, last_first=ties == "reverse"
    ):
        total = weights.sum(1)
        weights[~ranked] = 0
        for (kind, k), row in zip(wanted.values(), values, strict=True):
            found = _sums(kind, weights[:, :k])
            if estimator == "self-normalized":
                found = np.divide(found, total, out=np.full(len(total), fill), where=total > 0)
            row[rows] = found
    single = pointers is None and score.ndim == 1
    return {name: reduced(row, reduce, single=single) for name, row in zip(wanted, values, strict=True)}


def _sums(kind: str, weights: np.ndarray) -> np.ndarray:
    """The sum that a metric is, over each row of weights by rank."""
    rank = np.arange(1, weights.shape[1] + 1)
    if kind == "recall":
        return weights.sum(1)
    if kind == "dcg":
        return (weights / np.log2(rank + 1)).sum(1)
    # 1 for the click itself, and the weights above it.
    certain = np.cumsum(np.concatenate([np.ones((len(weights), 1)), weights[:, :-1]], axis=1), axis=1)
    return (weights / rank * certain).sum(1)


def _weights(clicked: np.ndarray, propensity: ArrayLike, clip: float) -> np.ndarray:
    if (wrong := np.argwhere((clicked != 0) & (clicked != 1))).size:
        raise ValueError(f"clicks must be 0 or 1; clicks{wrong[0].tolist()} is {clicked[tuple(wrong[0])]}")
    seen = as_numbers(propensity, "propensity").astype(np.float64)
    if seen.shape not in (clicked.shape, clicked.shape[-1:]):
        allowed = " or ".join(map(str, dict.fromkeys((clicked.shape, clicked.shape[-1:]))))
        raise ValueError(f"propensity must have shape {allowed}; got {seen.shape}")
    if (wrong := np.argwhere(~((seen >= 0) & (seen <= 1)))).size:
        raise ValueError(
            f"propensity must lie in 0..1; propensity{wrong[0].tolist()} is {seen[tuple(wrong[0])]}"
        )
    if not 0 <= check_real(clip, "clip") <= 1:
        raise ValueError(f"clip must lie in 0..1; got {clip}")
    floored = np.broadcast_to(np.maximum(seen, clip), clicked.shape)
    if (wrong := np.argwhere((clicked == 1) & (floored < _SMALLEST))).size:
        raise ValueError(
            f"propensity must be at least {_SMALLEST} where there is a click, or clip must; "
            f"at {wrong[0].tolist()} it is {floored[tuple(wrong[0])]}"
        )
    return np.divide(1.0, floored, out=np.zeros(clicked.shape), where=clicked == 1)

"""Metrics of scores and 0/1 labels: area under the ROC curve, precision against recall, the best threshold."""

from typing import NamedTuple

import numpy as np

from corelib._arrays import as_numbers
from corelib._checks import check_bool, check_positive, check_real
from corelib._types import ArrayLike, Value, Values
from corelib.engines import ranking as engine
from corelib.metrics._inputs import (
    as_scores,
    as_weights,
    bounds_of,
    check_empty,
    check_pooled,
    check_queries,
    check_reduce,
    place,
    reduced,
    refuse_nan_scores,
    stay_on_gpu,
)


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall of "positive from this score on", for every different score, the highest first."""

    precision: np.ndarray
    """float64, shape (thresholds,). There is no point at recall 0, where precision is not defined."""
    recall: np.ndarray
    """float64, shape (thresholds,), rising to 1."""
    thresholds: np.ndarray
    """float32 or float64, shape (thresholds,): the different scores, descending."""


class ThresholdChoice(NamedTuple):
    """A threshold and what it gives: predict positive where score >= threshold."""

    value: float
    """The F-score at the threshold."""
    threshold: float
    """The threshold, one of the scores; infinite where nothing is positive."""
    precision: float
    """The precision at the threshold."""
    recall: float
    """The recall at the threshold."""


def roc_auc(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    indptr: ArrayLike | None = None,
    empty: float | None = None,
    reduce: str | None = None,
    sample_weight: ArrayLike | None = None,
) -> Values:
    r"""Area under the ROC curve: the share of (positive, negative) pairs that the scores order right.

    Parameters
    ----------
    scores : array_like, shape (n,), (queries, n) or (total,)
        The higher, the more positive. float32 and float64 are compared as they are; integers up to 2**53 are exact.
        Infinities are scores like others.
    labels : array_like of the same shape
        0 or 1 of any bool, integer or float type.
    indptr : array_like of int, shape (queries + 1,), optional
        Ragged queries: query i owns ``scores[indptr[i]:indptr[i + 1]]``, and gets an area of its own.
    empty : float, optional
        The value of a query that has but one class. By default that is an error; NaN leaves it out of the mean.
    reduce : {None, "mean"}
        One value per query, or their mean.
    sample_weight : array_like of float, shape of ``scores``, optional
        A weight for each score, finite and not negative; a pair counts with the product of its two. 1 each by default.

    Returns
    -------
    float or ndarray of float64, shape (queries,)
        Values in [0, 1]. All scores of shape (n,) make one pooled area, a float. A float64 tensor for tensors on a GPU,
        see :mod:`corelib.metrics`.

    Raises
    ------
    TypeError
        If an argument has the wrong type: strings, complex numbers, objects, masked arrays.
    ValueError
        If shapes disagree, a score is NaN, a label is neither 0 nor 1, a weight is negative, NaN or infinite, a query
        has but one class (or no weight on one of them) and ``empty`` is None, ``indptr`` does not fit, or the mean of no
        query is asked for.

    Notes
    -----
    With :math:`P` positives and :math:`N` negatives,
    :math:`\mathrm{AUC} = \frac{1}{PN} \sum_{p, n} [s_p > s_n] + \frac12 [s_p = s_n]` [1]_. The pairs are counted in
    integers, so the one rounding is that of the last division. Time O(n) for scores whose bits are well spread, at worst
    O(n) per byte of the type; memory 2 n numbers of the type, and n bytes. With ``sample_weight``, which means what it
    means in scikit-learn, the sums are rounded; memory 4 n float64.

    References
    ----------
    .. [1] J. Hanley and B. McNeil, The meaning and use of the area under a receiver operating characteristic (ROC)
       curve, Radiology 143(1), 1982.

    Examples
    --------
    >>> roc_auc([0.9, 0.4, 0.4, 0.1], [1, 1, 0, 0])
    0.875
    >>> roc_auc([[0.9, 0.1], [0.2, 0.8]], [[1, 0], [1, 0]], reduce="mean")
    0.5
    """
    fill = np.nan if empty is None else check_empty(empty)
    if stay_on_gpu(scores, labels, indptr, sample_weight):
        from corelib.metrics import _on_gpu  # with it comes torch

        found = _on_gpu.roc_areas(
            scores, labels, indptr, None if empty is None else fill, reduce, sample_weight
        )
        if found is not None:
            return found
    score = as_scores(scores)
    label = as_numbers(labels, "labels")
    pointers = check_queries(score, label, "labels", indptr)
    weight = _weights(sample_weight, score)
    single = pointers is None and score.ndim == 1
    bounds = bounds_of(score, pointers)
    check_reduce(reduce, bounds.size - 1)
    binary = engine.read_labels(label)
    if binary is None:
        _refuse_labels(label)
    flat = np.ascontiguousarray(score).ravel()
    values, fault, query = engine.roc_areas(flat, binary, weight, bounds, empty=fill)
    if fault == engine.BAD_SCORE:
        refuse_nan_scores(score, pointers, query)
    if fault == engine.ONE_CLASS and empty is None:
        _refuse_one_class(label, pointers, query, weighted=weight is not None)
    return reduced(values, reduce, single=single)


def precision_recall_curve(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    empty: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> PrecisionRecallCurve:
    """Precision and recall over all thresholds of pooled scores; equal scores are one threshold.

    Parameters
    ----------
    scores : array_like, shape (n,)
        The higher, the more positive. float32 and float64 are compared as they are; integers up to 2**53 are
        exact. Infinities are scores like others.
    labels : array_like, shape (n,)
        0 or 1 of any bool, integer or float type.
    empty : float, optional
        What is returned in place of every number that needs a positive, if there is none (or none with weight). By
        default that is an error.
    sample_weight : array_like of float, shape (n,), optional
        A weight for each score, finite and not negative: scores count as often as that. 1 each by default.

    Returns
    -------
    PrecisionRecallCurve
        ``precision``, ``recall``, ``thresholds``, from the strictest threshold to the most lenient.

    Raises
    ------
    TypeError
        If an argument has the wrong type: strings, complex numbers, objects, masked arrays.
    ValueError
        If shapes disagree, a score is NaN, a label is neither 0 nor 1, a weight is negative, NaN or infinite, or there is
        no positive and ``empty`` is None.

    Notes
    -----
    The points of scikit-learn's function of this name, in the other direction and without its added point of
    recall 0 and precision 1. A score with weight 0 is no threshold. Time O(n log n). To pool the
    scores of queries, ``ravel`` them; that asks whether one threshold serves all queries, which metrics of ranked
    lists do not.

    Examples
    --------
    >>> curve = precision_recall_curve([0.9, 0.8, 0.8, 0.1], [1, 1, 0, 1])
    >>> curve.precision
    array([1.        , 0.66666667, 0.75      ])
    >>> curve.recall
    array([0.33333333, 0.66666667, 1.        ])
    """
    fill = None if empty is None else check_empty(empty)
    thresholds, positives, negatives = _counts(scores, labels, sample_weight)
    precision = positives / (positives + negatives)
    if _lacks_positives(positives, labels, fill):
        return PrecisionRecallCurve(precision, np.full(precision.shape, fill), thresholds)
    return PrecisionRecallCurve(precision, positives / positives[-1], thresholds)


def pooled_average_precision(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    empty: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> Value:
    r"""Area under the pooled precision-recall curve, as a sum of steps.

    .. math:: \sum_i (R_i - R_{i-1}) P_i

    Parameters
    ----------
    scores, labels, empty, sample_weight
        As in :func:`precision_recall_curve`.

    Returns
    -------
    float
        In (0, 1]. The share of positives is what equal scores would get. A float64 tensor for tensors on a GPU.

    Raises
    ------
    TypeError, ValueError
        As :func:`precision_recall_curve`.

    Notes
    -----
    Equal scores are one step, so their order does not matter; scikit-learn's ``average_precision_score`` is
    equal. For the mean over queries, see :func:`average_precision`. Time O(n log n).

    Examples
    --------
    >>> pooled_average_precision([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0])
    0.8333333333333333
    """
    fill = None if empty is None else check_empty(empty)
    if stay_on_gpu(scores, labels, sample_weight):
        from corelib.metrics import _on_gpu  # with it comes torch

        found = _on_gpu.pooled_average_precision(scores, labels, fill, sample_weight)
        if found is not None:
            return found
    _, positives, negatives = _counts(scores, labels, sample_weight)
    if _lacks_positives(positives, labels, fill):
        return fill
    steps = np.diff(positives, prepend=0) * (positives / (positives + negatives))
    return float(steps.sum() / positives[-1])


def precision_at_recall(
    scores: ArrayLike,
    labels: ArrayLike,
    recall: float,
    *,
    empty: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """The best precision among the thresholds that reach a recall.

    Parameters
    ----------
    scores, labels, empty, sample_weight
        As in :func:`precision_recall_curve`.
    recall : float
        The least recall, in (0, 1].

    Returns
    -------
    float
        In (0, 1]: the interpolated precision at that recall.

    Raises
    ------
    TypeError, ValueError
        As :func:`precision_recall_curve`; also if ``recall`` is outside (0, 1].

    Notes
    -----
    A recall within 1e-12 of the one asked for reaches it, so that 0.1 + 0.2 asks for 3 of 10. Time
    O(n log n).

    Examples
    --------
    >>> precision_at_recall([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 1], 0.6)
    0.75
    """
    least = check_positive(recall, "recall")
    if least > 1:
        raise ValueError(f"recall must be at most 1; got {least}")
    fill = None if empty is None else check_empty(empty)
    _, positives, negatives = _counts(scores, labels, sample_weight)
    if _lacks_positives(positives, labels, fill):
        return fill
    reached = positives >= least * (1 - 1e-12) * positives[-1]
    return float((positives[reached] / (positives + negatives)[reached]).max())


def best_f1_threshold(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    beta: float = 1.0,
    empty: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> ThresholdChoice:
    r"""The threshold of the highest F-score.

    .. math:: F_\beta = \frac{(1 + \beta^2) P R}{\beta^2 P + R}

    Parameters
    ----------
    scores, labels, empty, sample_weight
        As in :func:`precision_recall_curve`.
    beta : float
        The weight of recall, above 0 and at most 1e6; 1 gives F1.

    Returns
    -------
    ThresholdChoice
        ``value``, ``threshold``, ``precision``, ``recall``. Of thresholds with equal F-score, the highest. In place of
        ``empty``, the threshold is infinite, for nothing is best called positive.

    Raises
    ------
    TypeError, ValueError
        As :func:`precision_recall_curve`; also if ``beta`` is out of range.

    Notes
    -----
    A threshold chosen on the data that it is judged on flatters: choose it on other data. Time O(n log n).

    Examples
    --------
    >>> best_f1_threshold([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0])
    ThresholdChoice(value=0.8, threshold=0.7, precision=0.6666666666666666, recall=1.0)
    """
    recall_weight = check_positive(beta, "beta")
    if recall_weight > 1e6:
        raise ValueError(f"beta must be at most 1e6; got {recall_weight}")
    weight = recall_weight**2
    fill = None if empty is None else check_empty(empty)
    thresholds, positives, negatives = _counts(scores, labels, sample_weight)
    if _lacks_positives(positives, labels, fill):
        return ThresholdChoice(fill, float("inf"), fill, fill)
    found = positives + negatives
    f = (1 + weight) * positives / (weight * positives[-1] + found)
    at = int(np.argmax(f))
    return ThresholdChoice(
        float(f[at]),
        float(thresholds[at]),
        float(positives[at] / found[at]),
        float(positives[at] / positives[-1]),
    )


def partial_roc_auc(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    max_fpr: float,
    standardized: bool = True,
    empty: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Area under the ROC curve where the false positive rate is at most ``max_fpr``.

    Parameters
    ----------
    scores, labels, sample_weight
        As in :func:`precision_recall_curve`.
    max_fpr : float
        Where the area ends, in (0, 1]; between two points the curve is a straight line.
    standardized : bool
        Whether to map the area :math:`A` to :math:`\frac12\left(1 + \frac{A - m^2 / 2}{m - m^2 / 2}\right)`,
        which is 1/2 for chance and 1 for perfection, whatever the ``max_fpr`` m [1]_. Otherwise A itself, at
        most m.
    empty : float, optional
        The value if there is but one class (or weight on one only). By default that is an error.

    Returns
    -------
    float
        With ``max_fpr=1``: the same as :func:`roc_auc`, either way.

    Raises
    ------
    TypeError, ValueError
        As :func:`precision_recall_curve`; also if there is no negative and ``empty`` is None, or an
        option is out of range.

    Notes
    -----
    The standardised area is that of scikit-learn's ``roc_auc_score(max_fpr=...)``. Time O(n log n).

    References
    ----------
    .. [1] D. McClish, Analyzing a portion of the ROC curve, Medical Decision Making 9(3), 1989.

    Examples
    --------
    >>> partial_roc_auc([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 0, 1, 0], max_fpr=0.5, standardized=False)
    0.2222222222222222
    """
    end = check_real(max_fpr, "max_fpr")
    if not 0 < end <= 1:
        raise ValueError(f"max_fpr must be greater than 0 and at most 1; got {end}")
    check_bool(standardized, "standardized")
    fill = None if empty is None else check_empty(empty)
    _, positives, negatives = _counts(scores, labels, sample_weight)
    if _lacks_positives(positives, labels, fill):
        return fill
    if not negatives[-1]:
        if fill is None:
            raise ValueError(
                "labels must hold a 0 (with weight), else there is no false positive rate; got none"
            )
        return fill
    true = np.concatenate([[0.0], positives / positives[-1]])
    false = np.concatenate([[0.0], negatives / negatives[-1]])
    inside = int(np.searchsorted(false, end, side="right"))
    edge = np.interp(end, false[inside - 1 : inside + 1], true[inside - 1 : inside + 1])
    area = float(np.trapezoid(np.append(true[:inside], edge), np.append(false[:inside], end)))
    return (1 + (area - end**2 / 2) / (end - end**2 / 2)) / 2 if standardized else area


def _counts(
    scores: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different scores, descending, and how many positives and negatives (or how much of their weight) reach each."""
    score = as_scores(scores)
    label = as_numbers(labels, "labels")
    check_pooled(score.shape, label.shape)
    if (bad := np.flatnonzero(np.isnan(score))).size:
        raise ValueError(
            f"scores must not be NaN; {bad.size} of {score.size} are, the first at index {bad[0]}"
        )
    if ((label != 0) & (label != 1)).any():
        _refuse_labels(label)
    positive = label == 1
    weight = _weights(sample_weight, score)
    if weight is not None:
        weight = weight / (weight.max(initial=0) or 1)
        used = weight > 0  # where some are tiny beside others, less than before
        score, positive, weight = score[used], positive[used], weight[used]
    order = np.argsort(score)[::-1]
    falling = score[order]
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), score.size - 1)[: score.size]
    if weight is None:
        positives = np.cumsum(positive[order])[last]
        return falling[last], positives, last + 1 - positives
    mine = weight[order]
    positives, negatives = (
        np.cumsum(np.where(kind[order], mine, 0.0))[last] for kind in (positive, ~positive)
    )
    return falling[last], positives, negatives


def _lacks_positives(positives: np.ndarray, labels: ArrayLike, fill: float | None) -> bool:
    """Whether no positive has weight, which is an error if there is nothing to fill in."""
    if positives.size and positives[-1]:
        return False
    if fill is None:
        raise ValueError(
            f"labels must hold a 1 (with weight), else recall is not defined; got none among {len(labels)} "
            "(pass empty=float('nan') to let it be)"
        )
    return True


def _weights(sample_weight: ArrayLike | None, score: np.ndarray) -> np.ndarray | None:
    """Flat weights of the scores; None if all weigh the same."""
    return (
        None
        if sample_weight is None
        else as_weights(sample_weight, "sample_weight", score.shape, "score").ravel()
    )


def _refuse_labels(label: np.ndarray) -> None:
    wrong = np.argwhere((label != 0) & (label != 1))[0]
    raise ValueError(f"labels must be 0 or 1; labels[{', '.join(map(str, wrong))}] is {label[tuple(wrong)]}")


def _refuse_one_class(label: np.ndarray, indptr: np.ndarray | None, query: int, *, weighted: bool) -> None:
    mine, where = place(label, indptr, query)
    positives = int(np.count_nonzero(mine))
    raise ValueError(
        f"labels{where} must hold both classes{' with some weight' if weighted else ''}; got {positives} ones and "
        f"{mine.size - positives} zeros (pass empty=float('nan') to let such queries be)"
    )

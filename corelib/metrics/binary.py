"""Curves over pooled scores: precision against recall, the best threshold, the low end of the ROC curve."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from corelib._checks import check_bool, check_positive, check_real
from corelib.metrics._inputs import as_numbers, as_scores


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
    """The threshold, one of the scores."""
    precision: float
    """The precision at the threshold."""
    recall: float
    """The recall at the threshold."""


def precision_recall_curve(scores: ArrayLike, labels: ArrayLike) -> PrecisionRecallCurve:
    """Precision and recall over all thresholds of pooled scores; equal scores are one threshold.

    Parameters
    ----------
    scores : array_like, shape (n,)
        The higher, the more positive. float32 and float64 are compared as they are; integers up to 2**53 are
        exact. Infinities are scores like others.
    labels : array_like, shape (n,)
        0 or 1 of any bool, integer or float type; at least one 1.

    Returns
    -------
    PrecisionRecallCurve
        ``precision``, ``recall``, ``thresholds``, from the strictest threshold to the most lenient.

    Raises
    ------
    TypeError
        If an argument has the wrong type: strings, complex numbers, objects, masked arrays.
    ValueError
        If shapes disagree, a score is NaN, a label is neither 0 nor 1, or there is no positive.

    Notes
    -----
    The points of scikit-learn's function of this name, in the other direction and without its added point of
    recall 0 and precision 1. Time O(n log n). To pool the scores of queries, ``ravel`` them; that asks
    whether one threshold serves all queries, which metrics of ranked lists do not.

    Examples
    --------
    >>> curve = precision_recall_curve([0.9, 0.8, 0.8, 0.1], [1, 1, 0, 1])
    >>> curve.precision
    array([1.        , 0.66666667, 0.75      ])
    >>> curve.recall
    array([0.33333333, 0.66666667, 1.        ])
    """
    thresholds, positives, negatives = _counts(scores, labels)
    return PrecisionRecallCurve(positives / (positives + negatives), positives / positives[-1], thresholds)


def pooled_average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    r"""Area under the pooled precision-recall curve, as a sum of steps.

    .. math:: \sum_i (R_i - R_{i-1}) P_i

    Parameters
    ----------
    scores, labels
        As in :func:`precision_recall_curve`.

    Returns
    -------
    float
        In (0, 1]. The share of positives is what equal scores would get.

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
    _, positives, negatives = _counts(scores, labels)
    steps = np.diff(positives, prepend=0) * (positives / (positives + negatives))
    return float(steps.sum() / positives[-1])


def precision_at_recall(scores: ArrayLike, labels: ArrayLike, recall: float) -> float:
    """The best precision among the thresholds that reach a recall.

    Parameters
    ----------
    scores, labels
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
    _, positives, negatives = _counts(scores, labels)
    reached = positives >= least * (1 - 1e-12) * positives[-1]
    return float((positives[reached] / (positives + negatives)[reached]).max())


def best_f1_threshold(scores: ArrayLike, labels: ArrayLike, *, beta: float = 1.0) -> ThresholdChoice:
    r"""The threshold of the highest F-score.

    .. math:: F_\beta = \frac{(1 + \beta^2) P R}{\beta^2 P + R}

    Parameters
    ----------
    scores, labels
        As in :func:`precision_recall_curve`.
    beta : float
        The weight of recall, above 0 and at most 1e6; 1 gives F1.

    Returns
    -------
    ThresholdChoice
        ``value``, ``threshold``, ``precision``, ``recall``. Of thresholds with equal F-score, the highest.

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
    thresholds, positives, negatives = _counts(scores, labels)
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
    scores: ArrayLike, labels: ArrayLike, *, max_fpr: float, standardized: bool = True
) -> float:
    r"""Area under the ROC curve where the false positive rate is at most ``max_fpr``.

    Parameters
    ----------
    scores, labels
        As in :func:`precision_recall_curve`; at least one label of each kind.
    max_fpr : float
        Where the area ends, in (0, 1]; between two points the curve is a straight line.
    standardized : bool
        Whether to map the area :math:`A` to :math:`\frac12\left(1 + \frac{A - m^2 / 2}{m - m^2 / 2}\right)`,
        which is 1/2 for chance and 1 for perfection, whatever the ``max_fpr`` m [1]_. Otherwise A itself, at
        most m.

    Returns
    -------
    float
        With ``max_fpr=1``: the same as :func:`roc_auc`, either way.

    Raises
    ------
    TypeError, ValueError
        As :func:`precision_recall_curve`; also if there is no negative or an option is out of range.

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
    _, positives, negatives = _counts(scores, labels)
    if not negatives[-1]:
        raise ValueError("labels must hold a 0, else there is no false positive rate; got none")
    true = np.concatenate([[0.0], positives / positives[-1]])
    false = np.concatenate([[0.0], negatives / negatives[-1]])
    inside = int(np.searchsorted(false, end, side="right"))
    edge = np.interp(end, false[inside - 1 : inside + 1], true[inside - 1 : inside + 1])
    area = float(np.trapezoid(np.append(true[:inside], edge), np.append(false[:inside], end)))
    return (1 + (area - end**2 / 2) / (end - end**2 / 2)) / 2 if standardized else area


def _counts(scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different scores, descending, and how many positives and negatives have at least that score."""
    score = as_scores(scores)
    label = as_numbers(labels, "labels")
    if score.ndim != 1:
        raise ValueError(f"scores must have shape (n,), pooled; got {score.shape}")
    if score.shape != label.shape:
        raise ValueError(f"scores and labels must have the same shape; got {score.shape} and {label.shape}")
    if (bad := np.flatnonzero(np.isnan(score))).size:
        raise ValueError(
            f"scores must not be NaN; {bad.size} of {score.size} are, the first at index {bad[0]}"
        )
    if (wrong := np.flatnonzero((label != 0) & (label != 1))).size:
        raise ValueError(f"labels must be 0 or 1; labels[{wrong[0]}] is {label[wrong[0]]}")
    positive = label == 1
    if not positive.any():
        raise ValueError(f"labels must hold a 1, else recall is not defined; got {label.size} zeros")
    order = np.argsort(score)[::-1]
    falling = score[order]
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), score.size - 1)
    positives = np.cumsum(positive[order])[last]
    return falling[last], positives, last + 1 - positives

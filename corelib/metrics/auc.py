"""Area under the ROC curve, exactly, by one pass of buckets and a sort in the cache."""

import numpy as np
from numpy.typing import ArrayLike

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


def roc_auc(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    indptr: ArrayLike | None = None,
    empty: float | None = None,
    reduce: str | None = None,
) -> np.ndarray | float:
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

    Returns
    -------
    float or ndarray of float64, shape (queries,)
        Values in [0, 1]. All scores of shape (n,) make one pooled area, a float.

    Raises
    ------
    TypeError
        If an argument has the wrong type: strings, complex numbers, objects, masked arrays.
    ValueError
        If shapes disagree, a score is NaN, a label is neither 0 nor 1, a query has but one class and ``empty`` is
        None, ``indptr`` does not fit, or the mean of no query is asked for.

    Notes
    -----
    With :math:`P` positives and :math:`N` negatives,
    :math:`\mathrm{AUC} = \frac{1}{PN} \sum_{p, n} [s_p > s_n] + \frac12 [s_p = s_n]` [1]_. The pairs are counted in
    integers, so the one rounding is that of the last division. Time O(n) for scores whose bits are well spread, at worst
    O(n) per byte of the type; memory 2 n numbers of the type, and n bytes.

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
    score = as_scores(scores)
    label = as_numbers(labels, "labels")
    pointers = check_queries(score, label, "labels", indptr)
    single = pointers is None and score.ndim == 1
    if pointers is not None:
        bounds = pointers
    else:
        queries = 1 if single else score.shape[0]
        bounds = np.arange(queries + 1, dtype=np.int64) * score.shape[-1]
    queries = bounds.size - 1
    check_reduce(reduce, queries)
    values = np.full(queries, fill)
    if score.size:
        binary = np.empty(label.size, dtype=np.uint8)
        if not kernel.read_labels(label.ravel(), binary):
            wrong = np.argwhere((label != 0) & (label != 1))[0]
            raise ValueError(f"labels must be 0 or 1; labels[{', '.join(map(str, wrong))}] is {label[tuple(wrong)]}")
        status, query = kernel.auc(np.ascontiguousarray(score).ravel(), binary, bounds, values, fill)
        if status == kernel.BAD_SCORE:
            refuse_nan_scores(score, pointers, query)
        if status == kernel.ONE_CLASS and empty is None:
            _refuse_one_class(label, pointers, query)
    elif queries and empty is None:
        _refuse_one_class(label, pointers, 0)
    return reduced(values, reduce, single=single)


def _refuse_one_class(label: np.ndarray, indptr: np.ndarray | None, query: int) -> None:
    mine, where = place(label, indptr, query)
    positives = int(np.count_nonzero(mine))
    raise ValueError(
        f"labels{where} must hold both classes; got {positives} ones and {mine.size - positives} zeros "
        "(pass empty=float('nan') to let such queries be)"
    )

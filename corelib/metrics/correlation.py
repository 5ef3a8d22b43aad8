"""Agreement of scores: Kendall's tau-b, Spearman's rho, and matrices of correlations between columns."""

import math

import numpy as np

from corelib._types import ArrayLike
from corelib.engines import ranking as engine
from corelib.metrics._inputs import as_scores, check_empty


def kendall_tau(x: ArrayLike, y: ArrayLike, *, empty: float | None = None) -> float:
    r"""Kendall's tau-b: how many more pairs two scores order alike than differently, corrected for ties.

    .. math:: \tau_b = \frac{C - D}{\sqrt{(P - T_x)(P - T_y)}}

    with C concordant and D discordant pairs of all P, and :math:`T_x`, :math:`T_y` the pairs that are equal
    in x, in y.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Two scores of the same items, n >= 2. Infinities are scores like others; integers up to 2**53 in size.
    empty : float, optional
        The value where x or y is constant, and tau is not defined. By default that is an error.

    Returns
    -------
    float
        In [-1, 1]; 1 if both order the items alike, -1 if one is the other reversed.

    Raises
    ------
    TypeError
        If an argument has the wrong type: strings, complex numbers, objects, masked arrays.
    ValueError
        If shapes disagree, n is below 2, a score is NaN, or x or y is constant and ``empty`` is None.

    Notes
    -----
    Pairs are counted in integers. Time O(n log n), by a radix sort of x and a merge sort of y that counts;
    memory 4 n numbers. Sources: M. Kendall, The treatment of ties in ranking problems, Biometrika 33(3),
    1945; W. Knight, A computer method for calculating Kendall's tau with ungrouped data, JASA 61, 1966.

    Examples
    --------
    >>> kendall_tau([1, 2, 3, 4], [1, 3, 2, 4])
    0.6666666666666666
    >>> kendall_tau([1, 2, 2, 3], [1, 2, 3, 4])
    0.9128709291752769
    """
    fill = None if empty is None else check_empty(empty)
    first, second = _pair(x, y)
    x_ties, y_ties, both_ties, discordant = engine.count_pairs(first, second)
    pairs = first.size * (first.size - 1) // 2
    for name, ties in (("x", x_ties), ("y", y_ties)):
        if ties == pairs:
            return _constant(name, fill)
    surplus = pairs - x_ties - y_ties + both_ties - 2 * discordant
    return max(-1.0, min(1.0, surplus / math.sqrt((pairs - x_ties) * (pairs - y_ties))))


def spearman(x: ArrayLike, y: ArrayLike, *, empty: float | None = None) -> float:
    """Spearman's rho: the Pearson correlation of the ranks, where equal scores share the mean of their ranks.

    Parameters
    ----------
    x, y, empty
        As in :func:`kendall_tau`.

    Returns
    -------
    float
        In [-1, 1].

    Raises
    ------
    TypeError, ValueError
        As :func:`kendall_tau`.

    Notes
    -----
    Time O(n log n). Source: C. Spearman, The proof and measurement of association between two things, 1904.

    Examples
    --------
    >>> spearman([1, 2, 3, 4], [10, 30, 20, 40])
    0.8
    """
    fill = None if empty is None else check_empty(empty)
    first, second = _pair(x, y)
    for name, scores in (("x", first), ("y", second)):
        if (scores == scores[0]).all():
            return _constant(name, fill)
    a, b = _centred_ranks(first), _centred_ranks(second)
    return max(-1.0, min(1.0, float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()))))


def spearman_matrix(x: ArrayLike, *, empty: float | None = None) -> np.ndarray:
    """Spearman's rho of every two columns.

    Parameters
    ----------
    x : array_like, shape (n, variables)
        One row per item, one column per score; n >= 2. Infinities are scores like others.
    empty : float, optional
        The value beside a constant column. By default such a column is an error.

    Returns
    -------
    ndarray of float64, shape (variables, variables)
        Symmetric, in [-1, 1]; the diagonal is 1, or ``empty`` for a constant column.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the shape is another, a score is NaN, or a column is constant and ``empty`` is None.

    Notes
    -----
    Time O(n log n) per column and O(n) per two columns; memory 2 n variables.

    Examples
    --------
    >>> spearman_matrix([[1, 10, 3], [2, 30, 2], [3, 20, 1], [4, 40, 0]])
    array([[ 1. ,  0.8, -1. ],
           [ 0.8,  1. , -0.8],
           [-1. , -0.8,  1. ]])
    """
    scores = _columns(x)
    ranks = np.empty(scores.shape)
    for column, values in enumerate(scores.T):
        ranks[:, column] = _centred_ranks(values)
    return _correlations(ranks, empty)


def pearson_matrix(x: ArrayLike, *, empty: float | None = None) -> np.ndarray:
    """Pearson correlation of every two columns.

    Parameters
    ----------
    x : array_like, shape (n, variables)
        One row per item, one column per score; n >= 2. All finite.
    empty : float, optional
        The value beside a constant column. By default such a column is an error.

    Returns
    -------
    ndarray of float64, shape (variables, variables)
        Symmetric, in [-1, 1]; the diagonal is 1, or ``empty`` for a constant column.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the shape is another, a value is NaN or infinite, or a column is constant and ``empty`` is None.

    Notes
    -----
    Columns are scaled by powers of two first, so that their squares neither overflow nor vanish. Time O(n)
    per two columns; memory 2 n variables.

    Examples
    --------
    >>> pearson_matrix([[1, 2], [2, 4], [3, 7]]).round(4)
    array([[1.    , 0.9934],
           [0.9934, 1.    ]])
    """
    values = _columns(x)
    if np.isinf(values).any():
        raise ValueError(
            f"x must be finite; {int(np.isinf(values).sum())} of {values.size} values are infinite"
        )
    scaled = np.ldexp(values, -np.frexp(np.abs(values).max(0))[1])
    constant = (values == values[0]).all(0)
    scaled -= scaled.mean(0)
    scaled -= scaled.mean(0)
    scaled[:, constant] = 0
    return _correlations(scaled, empty)


def _correlations(centred: np.ndarray, empty: object) -> np.ndarray:
    """The correlations of columns that have mean 0; a column of zeros is a constant one."""
    fill = None if empty is None else check_empty(empty)
    length = np.sqrt((centred * centred).sum(0))
    constant = np.flatnonzero(length == 0)
    if constant.size and fill is None:
        raise ValueError(
            f"x must not have constant columns, whose correlation is not defined; {constant.size} of "
            f"{length.size} are, the first is column {constant[0]} (pass empty=float('nan') to let them be)"
        )
    unit = centred / np.where(length == 0, 1, length)
    matrix = unit.T @ unit
    matrix = np.clip((matrix + matrix.T) / 2, -1, 1)
    np.fill_diagonal(matrix, 1)
    matrix[constant] = matrix[:, constant] = fill
    return matrix


def _centred_ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks from -(n - 1) / 2 to (n - 1) / 2; equal scores share their mean."""
    order = np.argsort(scores)
    ascending = scores[order]
    first = np.concatenate([[0], np.flatnonzero(ascending[1:] != ascending[:-1]) + 1, [scores.size]])
    ranks = np.empty(scores.size)
    ranks[order] = np.repeat((first[:-1] + first[1:] - scores.size) / 2, np.diff(first))
    return ranks


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = _floats(x, "x"), _floats(y, "y")
    for name, array in (("x", first), ("y", second)):
        if array.ndim != 1 or array.size < 2:
            raise ValueError(f"{name} must have shape (n,) with n at least 2; got {array.shape}")
    if first.shape != second.shape:
        raise ValueError(f"x and y must have the same shape; got {first.shape} and {second.shape}")
    return first, second


def _columns(x: ArrayLike) -> np.ndarray:
    array = _floats(x, "x")
    if array.ndim != 2 or array.shape[0] < 2 or not array.shape[1]:
        raise ValueError(
            f"x must have shape (n, variables) with n at least 2 and a variable; got {array.shape}"
        )
    return array


def _floats(value: ArrayLike, name: str) -> np.ndarray:
    """``value`` as float64 that compare as the input does."""
    array = as_scores(value, name)
    if (bad := np.argwhere(np.isnan(array))).size:
        raise ValueError(
            f"{name} must not be NaN; {len(bad)} of {array.size} are, the first at index {bad[0].tolist()}"
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def _constant(name: str, fill: float | None) -> float:
    if fill is None:
        raise ValueError(
            f"{name} must not be constant, its correlation is not defined then "
            "(pass empty=float('nan') to let it be)"
        )
    return fill

"""What several samples per problem are worth: success within k tries, and the best of n by a score."""

import numpy as np

from corelib._arrays import as_numbers
from corelib._checks import check_int
from corelib._types import ArrayLike
from corelib.metrics._inputs import as_scores, check_reduce

_MOST = 2**31


def pass_at_k(
    samples: int | ArrayLike, correct: ArrayLike, k: int | ArrayLike, *, reduce: str | None = None
) -> np.ndarray | float:
    r"""pass@k: the chance that at least one of k samples is right, without bias from n samples of which c were.

    .. math:: 1 - \binom{n - c}{k} \Big/ \binom{n}{k}

    Parameters
    ----------
    samples : int or array_like of int, shape (problems,)
        n, how many samples were drawn for each problem; at most 2**31.
    correct : array_like of int, shape (problems,)
        c, how many of them were right, in 0..n.
    k : int or array_like of int, shape (K,)
        At least 1 and at most the smallest n.
    reduce : {None, "mean"}
        "mean" averages over the problems.

    Returns
    -------
    ndarray of float64 or float
        Shape (problems,), or (problems, K) for several k; without the first axis for "mean".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Notes
    -----
    O(min(c, k)) for each k and each *different* pair (n, c), exact to rounding: :math:`\binom{n - c}{k} / \binom{n}{k}`
    is a product of min(c, k) factors, whose logarithms are summed. Source: Chen et al., "Evaluating Large Language
    Models Trained on Code" (arXiv 2107.03374), eq. 1.

    Examples
    --------
    >>> from corelib.metrics import pass_at_k
    >>> pass_at_k(10, [0, 1, 5], [1, 4])
    array([[0.        , 0.        ],
           [0.1       , 0.4       ],
           [0.5       , 0.97619048]])
    """
    c = _counts(correct, "correct")
    if c.ndim != 1:
        raise ValueError(f"correct must be 1-dimensional; got shape {c.shape}")
    n = _counts(samples, "samples")
    if n.ndim and n.shape != c.shape:
        raise ValueError(f"samples must be an integer or have the shape of correct, {c.shape}; got {n.shape}")
    n = np.broadcast_to(n, c.shape)
    if (c > n).any():
        raise ValueError(
            f"correct must not exceed samples; it does for {int((c > n).sum())} of {len(c)} problems"
        )
    tries = _counts(k, "k")
    if tries.ndim > 1:
        raise ValueError(f"k must be an integer or 1-dimensional; got shape {tries.shape}")
    for value in tries.ravel():
        check_int(value, "k", minimum=1)
    if n.size and tries.size and tries.max() > n.min():
        raise ValueError(f"k must not exceed the smallest number of samples, {n.min()}; got {tries.max()}")
    check_reduce(reduce, len(c))

    pairs, which = np.unique(np.stack([n, c], 1), axis=0, return_inverse=True)
    table = np.array([[_pass(*pair, t) for t in tries.ravel().tolist()] for pair in pairs.tolist()])
    values = table.reshape(len(pairs), tries.size)[which.ravel()].reshape(c.shape + tries.shape)
    if reduce is None:
        return values
    return values.mean(0) if tries.ndim else float(values.mean())


def _pass(n: int, c: int, k: int) -> float:
    if n - c < k or c * k > 750 * n:  # what is missing is below the smallest float64
        return 1.0
    fewer, more = min(c, k), max(c, k)
    return 0.0 - np.expm1(np.log1p(-more / np.arange(n - fewer + 1, n + 1)).sum())


def _counts(value: ArrayLike, name: str) -> np.ndarray:
    array = as_numbers(value, name)
    if array.size == 0 and array.dtype.kind == "f":  # the dtype of an empty list
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers; got dtype {array.dtype}")
    if array.size and int(array.min()) < 0:
        raise ValueError(f"{name} must not be negative; got {array.min()}")
    if array.size and int(array.max()) > _MOST:
        raise ValueError(f"{name} must not exceed 2**31; got {array.max()}")
    return array.astype(np.int64)


def best_of_n(
    scores: ArrayLike, quality: ArrayLike, n: int | ArrayLike, *, reduce: str | None = None
) -> np.ndarray | float:
    r"""Expected quality of the highest-scored of n samples, from all ways to draw n of the N that there are.

    .. math:: \sum_{i=n}^{N} \binom{i-1}{n-1} \Big/ \binom{N}{n} \; \mathrm{quality}_{(i)}

    where :math:`\mathrm{quality}_{(i)}` belongs to the i-th lowest score. Among equal scores each sample is as likely
    to be kept. One set of samples thus gives the whole curve over n, without bias and without resampling.

    Parameters
    ----------
    scores : array_like of float, shape (problems, N) or (N,)
        What decides, such as a reward model's; finite, the higher the better; N at least 1.
    quality : array_like, same shape
        What counts, such as whether the answer is right; bool, integer or float, finite.
    n : int or array_like of int, shape (K,)
        From 1 (the mean of ``quality``) to N (that of the highest score).
    reduce : {None, "mean"}
        "mean" averages over the problems.

    Returns
    -------
    ndarray of float64 or float
        Shape (problems,), or (problems, K) for several n; without the first axis for ``scores`` of shape (N,) or for
        "mean".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a score or quality is not finite.

    Notes
    -----
    O(problems N (log N + K)). With ``quality`` equal to ``scores`` this is the expected maximum of n draws, and with
    scores that equal a right-or-wrong quality it is :func:`pass_at_k`. The weights are those of order statistics
    without replacement; see Chen et al. (arXiv 2107.03374), eq. 1, for the same argument.

    Examples
    --------
    >>> from corelib.metrics import best_of_n
    >>> best_of_n([0.9, 0.4, 0.7, 0.1], [1, 0, 0, 1], [1, 2, 4])  # right are the best- and the worst-scored
    array([0.5, 0.5, 1. ])
    """
    score, value = as_scores(scores), as_numbers(quality, "quality").astype(np.float64)
    if score.ndim not in (1, 2) or not score.shape[-1]:
        raise ValueError(f"scores must have shape (N,) or (problems, N) with N at least 1; got {score.shape}")
    if score.shape != value.shape:
        raise ValueError(f"scores and quality must have the same shape; got {score.shape} and {value.shape}")
    for array, name in ((score, "scores"), (value, "quality")):
        if not np.isfinite(array).all():
            raise ValueError(
                f"{name} must be finite; {np.count_nonzero(~np.isfinite(array))} entries are not"
            )
    draws = np.asarray(n)
    if draws.ndim > 1:
        raise ValueError(f"n must be an integer or 1-dimensional; got shape {draws.shape}")
    sizes = [check_int(size, "n", minimum=1) for size in draws.ravel().tolist()]
    if sizes and max(sizes) > score.shape[-1]:
        raise ValueError(f"n must not exceed the number of samples, {score.shape[-1]}; got {max(sizes)}")
    rows = np.atleast_2d(score)
    check_reduce(reduce, len(rows))

    ascending = _mean_over_ties(rows, np.atleast_2d(value))
    weights = (
        np.stack([_weights(rows.shape[1], size) for size in sizes], 1)
        if sizes
        else np.empty((rows.shape[1], 0))
    )
    curve = (ascending @ weights).reshape(len(rows), *draws.shape)
    if reduce == "mean" or score.ndim == 1:
        curve = curve.mean(0)
    return curve if curve.ndim else float(curve)


def _weights(count: int, size: int) -> np.ndarray:
    """Chance that the i-th lowest of ``count`` is the highest of ``size`` draws, for i = 1..count."""
    lower = np.arange(count, size, -1.0)
    weights = np.zeros(count)
    weights[size - 1 :] = (size / count * np.cumprod(np.append(1.0, (lower - size) / (lower - 1))))[::-1]
    return weights


def _mean_over_ties(scores: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """The qualities in ascending order of the scores, each the mean over the samples of its row with the same score."""
    order = np.argsort(scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, 1)
    starts = np.ones(ordered.shape, dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = np.cumsum(starts.ravel()) - 1
    if group.size == 0:
        return quality
    total = np.bincount(group, np.take_along_axis(quality, order, 1).ravel())
    return (total / np.bincount(group))[group].reshape(quality.shape)

"""What is gained by drawing several answers and keeping the one that a score prefers."""

import numpy as np
from numpy.typing import ArrayLike

from corelib._checks import check_int
from corelib.metrics._inputs import as_numbers, as_scores, check_reduce


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
            raise ValueError(f"{name} must be finite; {np.count_nonzero(~np.isfinite(array))} entries are not")
    draws = np.asarray(n)
    if draws.ndim > 1:
        raise ValueError(f"n must be an integer or 1-dimensional; got shape {draws.shape}")
    sizes = [check_int(size, "n", minimum=1) for size in draws.ravel().tolist()]
    if sizes and max(sizes) > score.shape[-1]:
        raise ValueError(f"n must not exceed the number of samples, {score.shape[-1]}; got {max(sizes)}")
    rows = np.atleast_2d(score)
    check_reduce(reduce, len(rows))

    ascending = _mean_over_ties(rows, np.atleast_2d(value))
    weights = np.stack([_weights(rows.shape[1], size) for size in sizes], 1) if sizes else np.empty((rows.shape[1], 0))
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

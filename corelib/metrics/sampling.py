"""Success within several tries, estimated from counts of right samples."""

import numpy as np
from numpy.typing import ArrayLike

from corelib._checks import check_int
from corelib.metrics._inputs import as_numbers, check_reduce

_MOST = 2**31


def pass_at_k(
    samples: ArrayLike, correct: ArrayLike, k: int | ArrayLike, *, reduce: str | None = None
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
    Models Trained on Code" (arXiv 2107.03374), eq. 1. From probabilities instead of counts, see
    ``corelib.losses.coverage``.

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
        raise ValueError(f"correct must not exceed samples; it does for {int((c > n).sum())} of {len(c)} problems")
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

"""The nearest keys of each query, and the hard negatives among them, without the similarity matrix."""

import torch
from torch import Tensor

from corelib._checks import check_choice, check_int, check_real
from corelib._front_end import front_end
from corelib._tensors import (
    check_exponent,
    check_integers,
    check_matrix,
    check_range,
    check_same,
    longest_row,
)
from corelib._types import TensorOrArray
from corelib.engines.nearest import top_products

__all__ = ["hard_negatives", "top_inner_products"]


@front_end("queries", "keys", "exclude")
def top_inner_products(
    queries: TensorOrArray, keys: TensorOrArray, k: int, *, exclude: TensorOrArray | None = None
) -> tuple[TensorOrArray, TensorOrArray]:
    """The k keys with the largest inner products with each query; among equals, the lowest index first.

    Parameters
    ----------
    queries : Tensor or ndarray, shape (n, d), float32 or float64
    keys : Tensor or ndarray, shape (m, d), same dtype and device
    k : int
        In 1..m.
    exclude : Tensor or ndarray of int64, shape (p, 2), optional
        Pairs (query, key) that do not count, such as known answers.

    Returns
    -------
    values : Tensor or ndarray, shape (n, k)
        Descending; minus infinity where exclusion leaves fewer than k keys.
    indices : Tensor or ndarray of int64, shape (n, k)
        -1 there.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite, or the products
        overflow.

    Notes
    -----
    O(n m d) time and O(n k) memory beside strips of a few MB. For many millions of keys take an index that does not
    look at all of them, such as FAISS.

    Examples
    --------
    >>> import numpy as np
    >>> values, indices = top_inner_products(np.array([[1.0, 0.0]]), np.array([[0.5, 1.0], [1.0, 0.0], [0.5, -1.0]]), 2)
    >>> indices
    array([[1, 0]])
    """
    _check_pair(queries, keys)
    m = len(keys)
    k = check_int(k, "k", minimum=1)
    if k > m:
        raise ValueError(f"k must be at most the number of keys, {m}; got {k}")
    exclude = _check_exclude(exclude, queries, keys)
    values, indices = top_products(queries.detach(), keys.detach(), k, exclude)
    return values, indices.masked_fill_(values == -torch.inf, -1)


@front_end("queries", "keys", "positives", "exclude")
def hard_negatives(
    queries: TensorOrArray,
    keys: TensorOrArray,
    positives: TensorOrArray,
    k: int,
    *,
    rule: str = "none",
    margin: float = 0.0,
    skip: int = 0,
    stride: int = 1,
    pool: int = 50,
    exclude: TensorOrArray | None = None,
) -> TensorOrArray:
    """k hard negatives of each query: high-scored keys that a rule does not suspect of being answers.

    The ``pool`` best keys other than the query's positive are ranked; the first ``skip`` are dropped; the rule drops
    those too close to the positive; of what is left, every ``stride``-th is taken, then the same from the second on,
    and so on, until there are k.

    Parameters
    ----------
    queries : Tensor or ndarray, shape (n, d), float32 or float64
    keys : Tensor or ndarray, shape (m, d), same dtype and device
    positives : Tensor or ndarray of int64, shape (n,)
        Row of ``keys`` that answers each query.
    k : int
        At least 1.
    rule : {"none", "absolute", "relative"}
        "absolute" keeps a key whose score is below that of the positive minus ``margin``; "relative" one whose score
        is below that minus ``margin`` times its magnitude, so for positive scores ``margin=0.05`` is the "95 % of the
        positive" of NV-Retriever.
    margin : float
        At least 0; at most 1 for "relative".
    skip : int
        At least 0.
    stride : int
        At least 1.
    pool : int
        At least 1; taken as m - 1 where it is larger.
    exclude : Tensor or ndarray of int64, shape (p, 2), optional
        Further pairs (query, key) that are no negatives.

    Returns
    -------
    Tensor or ndarray of int64, shape (n, k)
        Rows of ``keys``; -1 where fewer than k are left.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, or is not finite.

    Notes
    -----
    As ``top_inner_products``. Sources: G. Moreira et al., "NV-Retriever" (arXiv 2407.15831), the relative rule; the
    strided choice spreads negatives over the pool.

    Examples
    --------
    >>> import numpy as np
    >>> queries, keys = np.array([[1.0, 0.0]]), np.array([[0.9, 0.1], [0.89, 0.1], [0.5, 0.5], [0.1, 0.9]])
    >>> hard_negatives(queries, keys, np.array([0]), 2)
    array([[1, 2]])
    >>> hard_negatives(queries, keys, np.array([0]), 2, rule="relative", margin=0.05)
    array([[2, 3]])
    """
    _check_pair(queries, keys)
    n, m = len(queries), len(keys)
    k, pool = check_int(k, "k", minimum=1), check_int(pool, "pool", minimum=1)
    skip, stride = check_int(skip, "skip", minimum=0), check_int(stride, "stride", minimum=1)
    check_choice(rule, "rule", ("none", "absolute", "relative"))
    margin = check_real(margin, "margin")
    if margin < 0 or (rule == "relative" and margin > 1):
        raise ValueError(
            f"margin must be at least 0{' and at most 1' if rule == 'relative' else ''}; got {margin}"
        )
    positives = check_range(
        check_integers(positives, "positives", queries, "queries", shape=(n,)), "positives", m
    )
    exclude = _check_exclude(exclude, queries, keys)
    own = torch.stack([torch.arange(n, device=queries.device), positives], dim=1)
    banned = own if exclude is None else torch.cat([own, exclude])
    scores, candidates = top_inner_products(queries, keys, min(pool, m), exclude=banned)
    usable = candidates >= 0
    usable[:, :skip] = False
    if rule != "none":
        of_positive = (queries * keys[positives]).sum(1, keepdim=True)
        gap = margin if rule == "absolute" else margin * of_positive.abs()
        usable &= scores < of_positive - gap
    order = _strided(usable, stride)
    chosen = torch.full((n, k), -1, dtype=torch.int64, device=queries.device)
    width = min(k, candidates.shape[1])
    picked = order.argsort(dim=1, stable=True)[:, :width]
    found = usable.gather(1, picked)
    chosen[:, :width] = torch.where(found, candidates.gather(1, picked), -1)
    return chosen


def _strided(usable: Tensor, stride: int) -> Tensor:
    """The turn at which each usable candidate is taken; those that are not come last."""
    place = usable.cumsum(1) - 1
    turn = (place % stride) * usable.shape[1] + place // stride
    return turn.masked_fill(~usable, torch.iinfo(torch.int64).max)


def _check_pair(queries: object, keys: object) -> None:
    check_matrix(queries, "queries"), check_matrix(keys, "keys")
    check_same(queries, "queries", keys, "keys")
    if queries.shape[1] != keys.shape[1]:
        raise ValueError(
            f"queries and keys must have the same number of columns; got {queries.shape[1]} and {keys.shape[1]}"
        )
    largest = longest_row(queries.detach(), "queries") * longest_row(keys.detach(), "keys")
    check_exponent(largest, queries.dtype, "queries and keys", "their inner products")


def _check_exclude(exclude: object, queries: Tensor, keys: Tensor) -> Tensor | None:
    if exclude is None:
        return None
    exclude = check_integers(exclude, "exclude", queries, "queries")
    if exclude.ndim != 2 or exclude.shape[1] != 2:
        raise ValueError(f"exclude must have shape (pairs, 2); got {tuple(exclude.shape)}")
    check_range(exclude[:, 0], "exclude[:, 0]", len(queries))
    check_range(exclude[:, 1], "exclude[:, 1]", len(keys))
    return exclude

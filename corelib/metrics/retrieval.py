"""Do neighbours share a label? The metrics of metric learning, by exact search in blocks."""

from collections.abc import Iterable, Iterator

import numpy as np

from corelib._arrays import as_numbers
from corelib._checks import check_choice
from corelib._types import ArrayLike
from corelib.metrics._inputs import check_empty, check_reduce, reduced
from corelib.metrics._names import parse_names

_SIMILARITIES = ("cosine", "inner", "euclidean")
_BLOCK = 1 << 21
_KINDS = {name: name for name in ("recall", "precision", "r_precision", "map@r")}
_NEED_CUTOFF = ("recall", "precision")
_NO_CUTOFF = ("r_precision", "map@r")


def evaluate_retrieval(
    embeddings: ArrayLike,
    labels: ArrayLike,
    metrics: Iterable[str] = ("recall@1", "r_precision", "map@r"),
    *,
    references: ArrayLike | None = None,
    reference_labels: ArrayLike | None = None,
    similarity: str = "cosine",
    empty: float = float("nan"),
    reduce: str | None = None,
) -> dict[str, np.ndarray | float]:
    r"""Recall@K, precision@K, R-precision and MAP@R of a search for the nearest embeddings.

    Parameters
    ----------
    embeddings : array_like, shape (queries, dimensions)
        One vector per query, finite. float32 is compared in float32, everything else in float64.
    labels : array_like of int, shape (queries,)
        References of the same label are relevant.
    metrics : list of str
        Of ``"recall@K"``, ``"precision@K"`` for any K from 1 on, ``"r_precision"``, ``"map@r"``.
    references, reference_labels : array_like, optional
        What is searched, shapes (references, dimensions) and (references,). By default the queries search
        among themselves, each without itself.
    similarity : {"cosine", "inner", "euclidean"}
        Nearest means: smallest angle, largest inner product, or smallest distance.
    empty : float
        The value of a query whose label no reference has. By default NaN, which ``reduce="mean"`` leaves out,
        as pytorch-metric-learning does.
    reduce : {None, "mean"}
        One value per query, or their mean.

    Returns
    -------
    dict of str to ndarray of float64, shape (queries,), or float
        By the names in ``metrics``.

    Raises
    ------
    TypeError
        If an argument has the wrong type: strings, complex numbers, objects, masked arrays, labels that are
        no integers.
    ValueError
        If shapes disagree, a number is not finite, a vector is 0 and the similarity "cosine", only one of
        ``references`` and ``reference_labels`` is given, a metric is not known, or the mean of no query is
        asked for.

    Notes
    -----
    With :math:`R` relevant references for a query, :math:`r_i` whether the i-th nearest is relevant and
    :math:`P_i` the share of relevant ones among the first i [1]_:

    - recall@K is 1 if one of the K nearest is relevant. That is what papers on metric learning call recall;
      the share of relevant documents that are found is :func:`recall_at`.
    - precision@K is :math:`P_K`, divided by K also where there are fewer references.
    - R-precision is :math:`P_R`.
    - MAP@R is :math:`\frac1R \sum_{i=1}^R P_i r_i`.

    Among equal similarities the reference that stands earlier comes first. Similarities that differ by
    rounding alone may come in either order; inner products and distances of small integers are exact. Time O(queries x references x dimensions); memory 2**21
    similarities and their order, or those of one query if that is more.

    References
    ----------
    .. [1] K. Musgrave, S. Belongie and S.-N. Lim, A metric learning reality check, ECCV 2020, section 3.2.

    Examples
    --------
    >>> points = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.4], [0.1, 0.9]]
    >>> found = evaluate_retrieval(points, [0, 0, 1, 0, 1])
    >>> found["map@r"]
    array([1., 1., 1., 1., 1.])
    >>> evaluate_retrieval(points, [0, 0, 1, 1, 1], ["recall@1", "r_precision"], reduce="mean")
    {'recall@1': 0.8, 'r_precision': 0.8}
    """
    wanted = parse_names(metrics, _KINDS, example="recall@10", need_cutoff=_NEED_CUTOFF, no_cutoff=_NO_CUTOFF)
    check_choice(similarity, "similarity", _SIMILARITIES)
    fill = check_empty(empty)
    query = _vectors(embeddings, "embeddings")
    label = _labels(labels, "labels", query, "embeddings")
    if (references is None) != (reference_labels is None):
        missing = "references" if references is None else "reference_labels"
        raise ValueError(f"{missing} must be given too, for references and reference_labels go together")
    own = references is None
    reference = query if own else _vectors(references, "references")
    reference_label = label if own else _labels(reference_labels, "reference_labels", reference, "references")
    if query.shape[1] != reference.shape[1]:
        raise ValueError(
            "embeddings and references must have as many dimensions; "
            f"got {query.shape[1]} and {reference.shape[1]}"
        )
    check_reduce(reduce, len(query))

    relevant = _count_labels(label, reference_label) - own
    candidates = len(reference) - own
    most = int(relevant.max(initial=0))
    depth = min(max(most if k is None else k for _, k in wanted.values()), candidates)
    values = np.full((len(wanted), len(query)), fill)
    if depth > 0:
        for start, near in _nearest(query, reference, depth, similarity, own):
            rows = slice(start, start + len(near))
            hits = reference_label[near] == label[rows, None]
            for (kind, k), row in zip(wanted.values(), values, strict=True):
                row[rows] = np.where(relevant[rows] > 0, _measure(kind, k, hits, relevant[rows]), fill)
    return {name: reduced(row, reduce, single=False) for name, row in zip(wanted, values, strict=True)}


def _measure(kind: str, k: int | None, hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """One metric from whether the nearest references of each query are relevant, and how many are in all."""
    if kind == "recall":
        return hits[:, :k].any(1)
    if kind == "precision":
        return hits[:, :k].sum(1) / k
    inside = hits & (np.arange(hits.shape[1]) < relevant[:, None])
    most = np.maximum(relevant, 1)
    if kind == "r_precision":
        return inside.sum(1) / most
    precision = np.cumsum(inside, axis=1) / np.arange(1, hits.shape[1] + 1)
    return (precision * inside).sum(1) / most


def _nearest(
    query: np.ndarray, reference: np.ndarray, depth: int, similarity: str, own: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """The first query of each block, and the ``depth`` nearest references of its queries, nearest first."""
    query, reference, penalty = _prepare(query, reference, similarity)
    rows = max(1, _BLOCK // len(reference))
    for start in range(0, len(query), rows):
        near = query[start : start + rows] @ reference.T
        if penalty is not None:
            near -= penalty
        if own:
            near[np.arange(len(near)), np.arange(start, start + len(near))] = -np.inf
        yield start, _largest(near, depth)


def _prepare(
    query: np.ndarray, reference: np.ndarray, similarity: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Vectors whose inner products, less a penalty per reference, order the references of each query."""
    dtype = np.result_type(query, reference)
    if similarity == "cosine":
        query, reference = _directions(query, "embeddings"), _directions(reference, "references")
        return query.astype(dtype), reference.astype(dtype), None
    # A common power of two changes no order and keeps squares in range.
    exponent = -int(np.frexp(max(np.abs(query).max(initial=0), np.abs(reference).max(initial=0)))[1])
    query = np.ldexp(query.astype(np.float64), exponent)
    reference = np.ldexp(reference.astype(np.float64), exponent)
    if similarity == "inner":
        return query.astype(dtype), reference.astype(dtype), None
    centre = _coarse_mean(reference)
    query, reference = (query - centre).astype(dtype), (reference - centre).astype(dtype)
    return query, reference, (reference * reference).sum(1) / 2


def _coarse_mean(vectors: np.ndarray) -> np.ndarray:
    """Near the mean, beside the spread, but of few digits: integers less it are exact, and equal distances stay equal."""
    mean = vectors.mean(0)
    _, exponent = np.frexp(np.abs(vectors - mean).max())
    step = np.ldexp(1.0, max(int(exponent), -900) - 4)
    return np.rint(mean / step) * step


def _directions(vectors: np.ndarray, name: str) -> np.ndarray:
    """The vectors in float64, of length 1."""
    scale = np.abs(vectors).max(1, initial=0)
    if (zero := np.flatnonzero(scale == 0)).size:
        raise ValueError(
            f"{name} must not be 0, which has no direction (similarity 'cosine'); row {zero[0]} is"
        )
    scaled = np.ldexp(vectors.astype(np.float64), -np.frexp(scale)[1][:, None])
    return scaled / np.sqrt((scaled * scaled).sum(1, keepdims=True))


def _largest(values: np.ndarray, depth: int) -> np.ndarray:
    """The columns of the ``depth`` largest entries of each row, largest first; equal ones in their order."""
    if depth == values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")
    near = np.sort(np.argpartition(values, values.shape[1] - depth, axis=1)[:, -depth:], axis=1)
    found = np.take_along_axis(values, near, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    near = np.take_along_axis(near, order, axis=1)
    tied = np.flatnonzero(np.count_nonzero(values >= found.min(1, keepdims=True), axis=1) > depth)
    near[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :depth]
    return near


def _count_labels(label: np.ndarray, reference_label: np.ndarray) -> np.ndarray:
    """How many references have the label of each query."""
    ordered = np.sort(reference_label)
    return np.searchsorted(ordered, label, side="right") - np.searchsorted(ordered, label, side="left")


def _vectors(value: ArrayLike, name: str) -> np.ndarray:
    array = as_numbers(value, name)
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"{name} must have shape (vectors, dimensions), with a dimension; got {array.shape}")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if (bad := np.argwhere(~np.isfinite(array))).size:
        raise ValueError(
            f"{name} must be finite; {len(bad)} of {array.size} numbers are not, the first in row {bad[0][0]}"
        )
    return array


def _labels(value: ArrayLike, name: str, vectors: np.ndarray, of: str) -> np.ndarray:
    array = as_numbers(value, name)
    if array.size and array.dtype.kind == "f":
        raise TypeError(f"{name} must hold integers; got dtype {array.dtype}")
    if array.shape != vectors.shape[:1]:
        raise ValueError(f"{name} must have shape ({len(vectors)},), one for each of {of}; got {array.shape}")
    if array.dtype == np.uint64 and array.size and int(array.max()) >= 2**63:
        raise ValueError(f"{name} must be less than 2**63; got {array.max()}")
    return array.astype(np.int64)

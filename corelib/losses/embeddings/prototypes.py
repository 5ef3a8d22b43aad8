"""Prototypes of classes, and the triplet loss whose positive and negative are prototypes."""

import torch

from corelib._checks import check_int
from corelib._front_end import front_end
from corelib._tensors import check_integers, check_range, check_same
from corelib._types import TensorOrArray
from corelib.engines.distances import rounded
from corelib.engines.nearest import SMOOTHING, nearest_other
from corelib.engines.route import breaks_graph
from corelib.losses._reduction import check_reduction, reduce
from corelib.losses.embeddings._batch import check_batch, check_points, check_threshold


@breaks_graph
@front_end("embeddings", "labels")
def class_means(
    embeddings: TensorOrArray, labels: TensorOrArray, classes: int | None = None
) -> TensorOrArray:
    """The mean embedding of each class: its prototype.

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, d), float32 or float64
        n and d at least 1.
    labels : Tensor or ndarray of int64, shape (n,)
        Class of each row, in 0..classes - 1; every class has at least one.
    classes : int, optional
        The number of classes; by default the largest label plus 1.

    Returns
    -------
    Tensor or ndarray, shape (classes, d)
        Of the embeddings' dtype; sums are taken in float64.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite or exceeds 1e140.

    Notes
    -----
    O(n d). Source: Snell et al., "Prototypical Networks for Few-shot Learning" (arXiv 1703.05175), equation 1.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import class_means
    >>> class_means(torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 0, 1]))
    tensor([[2., 0.],
            [0., 5.]])
    """
    labels = check_batch(embeddings, labels)
    n = len(labels)
    if classes is None:
        classes = int(labels.max()) + 1
    else:
        classes = check_int(classes, "classes", minimum=1)
    check_range(labels, "labels", max(classes, 1))
    if classes > n:
        raise ValueError(f"labels must give each of the {classes} classes a row; there are only {n} rows")
    sizes = torch.bincount(labels, minlength=classes)
    if bool((sizes == 0).any()):
        raise ValueError(
            f"labels must give each class a row; class {int(sizes.argmin())} of 0..{classes - 1} has none"
        )
    sums = embeddings.new_zeros((classes, embeddings.shape[1]), dtype=torch.float64)
    return (sums.index_add(0, labels, embeddings.double()) / sizes[:, None]).to(embeddings.dtype)


@breaks_graph
@front_end("queries", "prototypes", "labels")
def proto_triplet_loss(
    queries: TensorOrArray,
    prototypes: TensorOrArray,
    labels: TensorOrArray,
    margin: float = 0.5,
    *,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Triplet loss of queries against prototypes: the own one closer than the nearest other one, by a margin.

    .. math::

        L = \frac1n \sum_q \big[\delta(z_q, c_{y_q}) - \min_{j \ne y_q} \delta(z_q, c_j) + \mathrm{margin}\big]_+,
        \qquad \delta(x, y) = \sqrt{\|x - y\|^2 + 10^{-6}}

    Parameters
    ----------
    queries : Tensor or ndarray, shape (n, d), float32 or float64
        n and d at least 1.
    prototypes : Tensor or ndarray, shape (classes, d), same dtype and device
        At least two, such as :func:`class_means` of the supports.
    labels : Tensor or ndarray of int64, shape (n,)
        Class of each query, a row of ``prototypes``.
    margin : float
        In the unit of the distance.
    reduction : {"mean", "sum", "none"}
        Over queries.

    Returns
    -------
    Tensor, shape () or (n,), of the queries' dtype (a float or an array for arrays)
        Differentiable in ``queries`` and ``prototypes``; of several nearest others, the first moves.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite or exceeds 1e140.

    Notes
    -----
    O(n classes d) time; O((n + classes) d) memory beside strips of a few MB: the nearest other prototype is looked up
    strip by strip, and only its distance and that of the own prototype are kept. Source: Mendez-Ruiz et al., "SuSana
    Distancia is all you need" (arXiv 2305.09062), with the distance of its code.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import proto_triplet_loss
    >>> prototypes = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 9.0]])
    >>> proto_triplet_loss(torch.tensor([[0.9, 0.0], [0.1, 0.0]]), prototypes, torch.tensor([0, 0]), reduction="none")
    tensor([0.3000, 0.0000])
    """
    check_points(queries, "queries"), check_points(prototypes, "prototypes")
    check_same(queries, "queries", prototypes, "prototypes")
    if queries.shape[1] != prototypes.shape[1]:
        raise ValueError(
            "queries and prototypes must have the same number of columns; "
            f"got {queries.shape[1]} and {prototypes.shape[1]}"
        )
    if len(prototypes) < 2:
        raise ValueError("prototypes must have at least 2 rows, to have another class; got 1")
    labels = check_integers(labels, "labels", queries, "queries", shape=(len(queries),))
    check_range(labels, "labels", len(prototypes))
    margin = check_threshold(margin, "margin")
    check_reduction(reduction)
    z, c = queries.double(), prototypes.double()
    nearest = nearest_other(z.detach(), c.detach(), labels)
    own, other = (((z - c[j]).square().sum(1) + SMOOTHING).sqrt() for j in (labels, nearest))
    return rounded(reduce((own - other + margin).clamp_min(0), reduction), queries.dtype)

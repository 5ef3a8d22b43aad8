"""Contrastive loss: pairs of one class together, pairs of two classes a margin apart."""

from torch import Tensor

from corelib._checks import check_choice, check_int
from corelib._front_end import front_end
from corelib.engines.distances import prepared
from corelib.engines.pair_costs import pair_costs
from corelib.losses._reduction import total_of
from corelib.losses.embeddings._batch import check_batch, check_threshold, rounded


@front_end("embeddings", "labels")
def contrastive_loss(
    embeddings: Tensor,
    labels: Tensor,
    pos_margin: float = 0.0,
    neg_margin: float = 1.0,
    *,
    distance: str = "euclidean",
    power: int = 2,
    reduction: str = "mean",
) -> Tensor:
    r"""Contrastive loss of all pairs of a labelled batch (Hadsell et al. 2006).

    A pair at distance :math:`d` costs

    .. math:: \tfrac1p [d - m_+]_+^p \ \text{(same class)}, \qquad \tfrac1p [m_- - d]_+^p \ \text{(two classes)}.

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, d), float32 or float64
        One embedding a row; n and d at least 1. For "euclidean" they are taken as they are.
    labels : Tensor or ndarray of int64, shape (n,)
        Class of each row.
    pos_margin, neg_margin : float
        :math:`m_+`, below which positives are close enough, and :math:`m_-`, beyond which negatives are far enough.
    distance : {"euclidean", "cosine"}
        "cosine" is 1 minus the cosine: a negative costs from a cosine of 1 - ``neg_margin`` on.
    power : {1, 2}
        p.
    reduction : {"mean", "active", "sum", "none"}
        "mean": the mean over positive pairs plus the mean over negative pairs. "active": the same over the pairs that
        cost something. "sum": over all ordered pairs (i, j), so each pair twice; divided by n, the form of papers
        that sum over the pairs of an anchor. "none": that sum for each anchor.

    Returns
    -------
    Tensor, shape () or (n,), of the embeddings' dtype (a float or an array for arrays)
        A kind of which there is no pair adds 0. Computed in float64. Differentiable once for "euclidean"; two equal
        rows do not pull or push each other.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite, exceeds 1e140, or
        the loss overflows float32.

    Notes
    -----
    O(n^2 d) time, almost all of it in matrix products; O(n d) memory beside strips of a few MB, which the backward pass
    computes again. Distances are exact for near duplicates, too, where the matrix product would cancel.

    Hadsell et al. have ``pos_margin=0`` and ``power=2``; pytorch-metric-learning ``power=1`` and "active", and its
    margins for ``CosineSimilarity`` are 1 minus the ones here.

    References
    ----------
    R. Hadsell, S. Chopra, Y. LeCun. Dimensionality Reduction by Learning an Invariant Mapping. CVPR 2006, equation 4.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import contrastive_loss
    >>> x = torch.tensor([[0.0, 0.0], [0.6, 0.8], [0.0, 0.5]])
    >>> contrastive_loss(x, torch.tensor([0, 0, 1]), power=1)        # 1 + ((1 - 0.5) + (1 - 0.6708)) / 2
    tensor(1.4146)
    """
    labels = check_batch(embeddings, labels)
    near, far = check_threshold(pos_margin, "pos_margin"), check_threshold(neg_margin, "neg_margin")
    check_choice(distance, "distance", ("euclidean", "cosine"))
    if check_int(power, "power", minimum=1) > 2:
        raise ValueError(f"power must be 1 or 2; got {power}")
    check_choice(reduction, "reduction", ("mean", "active", "sum", "none"))

    points, matrix = prepared(embeddings, distance)
    rule = (near, far, power, matrix, reduction == "active")
    pos, neg, pos_active, neg_active = pair_costs(points, labels, rule)
    if reduction == "none":
        return rounded(pos + neg, embeddings.dtype)
    if reduction == "sum":
        return rounded(total_of(pos + neg), embeddings.dtype)
    if reduction == "mean":
        sizes = labels.unique(return_counts=True)[1]
        pos_pairs = int((sizes * (sizes - 1)).sum())
        counts = pos_pairs, len(labels) * (len(labels) - 1) - pos_pairs
    else:
        counts = int(pos_active), int(neg_active)
    return rounded(total_of(pos) / max(1, counts[0]) + total_of(neg) / max(1, counts[1]), embeddings.dtype)

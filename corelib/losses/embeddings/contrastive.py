"""Contrastive loss: pairs of one class together, pairs of two classes a margin apart."""

import torch

from corelib._checks import check_choice, check_int
from corelib._front_end import front_end
from corelib._types import TensorOrArray
from corelib.engines.pair_costs import contrastive
from corelib.losses.embeddings._batch import check_classes, check_references, check_threshold


@front_end("embeddings", "labels", "references", "reference_labels")
def contrastive_loss(
    embeddings: TensorOrArray,
    labels: TensorOrArray,
    pos_margin: float = 0.0,
    neg_margin: float = 1.0,
    *,
    distance: str = "euclidean",
    power: int = 2,
    reduction: str = "mean",
    references: TensorOrArray | None = None,
    reference_labels: TensorOrArray | None = None,
) -> TensorOrArray:
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
    references, reference_labels : Tensors or ndarrays, shapes (m, d) and (m,), optional
        What the embeddings are compared with in place of each other, such as a memory bank, and its classes: all n m
        pairs count, in which the embedding is the anchor. A bank that holds the batch itself pairs each
        anchor with itself.

    Returns
    -------
    Tensor, shape () or (n,), of the embeddings' dtype (a float or an array for arrays)
        A kind of which there is no pair adds 0. Computed in float64. Differentiable once in ``embeddings``
        and ``references``. Two equal rows do not pull or push each other. The cosine of a row of zeros is 0; its
        derivative, and that of the cosine of a row shorter than 1e-12, is taken as 0.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite, exceeds 1e140, or
        the loss overflows float32.

    Notes
    -----
    O(n^2 d) time (n m d with references), almost all of it in matrix products; O((n + m) d) memory beside strips of a
    few MB. The gradient is computed together with the loss, that of "none" in the backward pass. Distances are exact for
    near duplicates, too, where the matrix product would cancel.

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
    labels = check_classes(embeddings, labels)
    reference_labels = check_references(references, reference_labels, embeddings)
    near, far = check_threshold(pos_margin, "pos_margin"), check_threshold(neg_margin, "neg_margin")
    check_choice(distance, "distance", ("euclidean", "cosine"))
    if check_int(power, "power", minimum=1) > 2:
        raise ValueError(f"power must be 1 or 2; got {power}")
    check_choice(reduction, "reduction", ("mean", "active", "sum", "none"))
    grad = torch.is_grad_enabled()
    needs = [grad and value is not None and value.requires_grad for value in (embeddings, references)]
    rule = (near, far, distance, power, reduction)
    return contrastive(embeddings, labels, references, reference_labels, *rule, *needs)[0]

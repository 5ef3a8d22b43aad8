"""Triplet loss: an anchor closer to its own class than to others, by a margin."""

import torch

from corelib._checks import check_choice
from corelib._front_end import front_end
from corelib._types import TensorOrArray
from corelib.engines.triplets import triplets
from corelib.losses.embeddings._batch import check_classes, check_references, check_threshold


@front_end("embeddings", "labels", "references", "reference_labels")
def triplet_loss(
    embeddings: TensorOrArray,
    labels: TensorOrArray,
    margin: float = 0.2,
    *,
    mining: str = "all",
    distance: str = "euclidean",
    reduction: str = "mean",
    references: TensorOrArray | None = None,
    reference_labels: TensorOrArray | None = None,
) -> TensorOrArray:
    r"""Triplet loss of a labelled batch: all triplets, the hardest of each anchor, or the semi-hard ones.

    A triplet of an anchor a, a positive p (of its class) and a negative n (of another) costs

    .. math:: [d(a, p) - d(a, n) + \mathrm{margin}]_+ .

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, d), float32 or float64
        One embedding a row; n and d at least 1. For "euclidean" they are taken as they are.
    labels : Tensor or ndarray of int64, shape (n,)
        Class of each row.
    margin : float
        In the unit of the distance.
    mining : {"all", "hard", "semihard"}
        "all" counts every triplet. "hard" takes for each anchor its farthest positive and its closest negative
        (batch hard). "semihard" takes for each anchor and positive the closest negative that is farther than the
        positive or, if there is none, the farthest negative.
    distance : {"euclidean", "cosine"}
        "cosine" is 1 minus the cosine; for unit vectors, half the squared Euclidean distance.
    reduction : {"mean", "active", "sum", "none"}
        Mean over the triplets that mining takes, mean over those of them that cost something, sum, or the sum for each
        anchor.
    references, reference_labels : Tensors or ndarrays, shapes (m, d) and (m,), optional
        What the embeddings are compared with in place of each other, such as a memory bank, and its classes: anchors are
        the embeddings, their positives and negatives references. A bank that holds the batch itself pairs each
        anchor with itself.

    Returns
    -------
    Tensor, shape () or (n,), of the embeddings' dtype (a float or an array for arrays)
        0 where there is no triplet. Computed in float64. Differentiable once (a triplet exactly at the margin has
        derivative 0, and so have the distance of two equal rows and the cosine of a row shorter than 1e-12); the
        choice of triplets counts as constant.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite, exceeds 1e140, or
        the loss overflows float32.

    Notes
    -----
    O(n^2 d + n^2 log n) time (n m for n^2 with references) for all O(n^3) triplets: those of one anchor are all pairs
    of a positive and a negative distance under a hinge, a sum that :func:`pairwise_hinge_loss` takes from two sorts.
    O(n d) memory beside strips of a few MB. The gradient is computed together with the loss, that of "none" in the
    backward pass.

    pytorch-metric-learning's ``TripletMarginLoss`` is "all" with "active". Semi-hard negatives are those of
    TensorFlow Addons' ``TripletSemiHardLoss``; in the FaceNet paper a positive without farther negative is left out.

    References
    ----------
    F. Schroff, D. Kalenichenko, J. Philbin. FaceNet: A Unified Embedding for Face Recognition and Clustering. CVPR 2015.
    https://arxiv.org/abs/1503.03832

    A. Hermans, L. Beyer, B. Leibe. In Defense of the Triplet Loss for Person Re-Identification. 2017, equations 5 and 6.
    https://arxiv.org/abs/1703.07737

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import triplet_loss
    >>> x = torch.tensor([[0.0], [1.0], [1.5]])
    >>> triplet_loss(x, torch.tensor([0, 0, 1]), reduction="none")       # [1 - 1.5 + 0.2]_+ and [1 - 0.5 + 0.2]_+
    tensor([0.0000, 0.7000, 0.0000])
    """
    labels = check_classes(embeddings, labels)
    reference_labels = check_references(references, reference_labels, embeddings)
    margin = check_threshold(margin, "margin")
    check_choice(mining, "mining", ("all", "hard", "semihard"))
    check_choice(distance, "distance", ("euclidean", "cosine"))
    check_choice(reduction, "reduction", ("mean", "active", "sum", "none"))
    grad = torch.is_grad_enabled()
    needs = [grad and value is not None and value.requires_grad for value in (embeddings, references)]
    rule = (margin, mining, distance, reduction)
    return triplets(embeddings, labels, references, reference_labels, *rule, *needs)[0]

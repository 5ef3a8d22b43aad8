"""Keeping the members of an ensemble different from each other."""

import torch
from torch.nn import functional as F

from corelib._tensors import accepts_numpy
from corelib.losses._arguments import check_reduction, check_values, reduce


@accepts_numpy("features")
def pairwise_diversity_loss(features: torch.Tensor, *, reduction: str = "mean") -> torch.Tensor:
    r"""Mean squared cosine between the features that the members of an ensemble give to a class.

    .. math:: L_c = \frac{2}{N (N - 1)} \sum_{i < j} \cos(t_{ic}, t_{jc})^2

    Parameters
    ----------
    features : Tensor or ndarray, shape (members, classes, dimensions), float32 or float64
        t. A zero vector has cosine 0 with all others.
    reduction : {"mean", "sum", "none"}
        Over classes.

    Returns
    -------
    Tensor
        A scalar, or shape (classes,) for "none"; 0 for a single member.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype or shape, is empty or not finite.

    Notes
    -----
    O(members^2 classes dimensions), as one batched matrix product. Equal members are a stationary point: start them
    apart. Source: Wang et al., "MSGCoOp" (arXiv 2507.21786).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import pairwise_diversity_loss
    >>> pairwise_diversity_loss(torch.tensor([[[1.0, 0.0]], [[2.0, 2.0]], [[0.0, 1.0]]]))      # (1/2 + 0 + 1/2) / 3
    tensor(0.3333)
    """
    check_values(features, "features", ndim=3)
    check_reduction(reduction)
    members = len(features)
    unit = F.normalize(features, dim=2).transpose(0, 1)
    cosine = unit @ unit.transpose(1, 2)
    itself = torch.eye(members, dtype=torch.bool, device=features.device)
    squares = cosine.masked_fill(itself, 0).square().sum((1, 2))
    return reduce(squares / max(1, members * (members - 1)), reduction)

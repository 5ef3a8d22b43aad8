"""Losses: what you minimise. Tensors in, tensors out; arrays in, arrays out."""

from corelib.losses.contrastive import (
    InfoNCELoss,
    MultiSimilarityLoss,
    info_nce,
    multi_similarity_loss,
    multi_similarity_miner,
)
from corelib.losses.pairwise import MannWhitneyLoss, mann_whitney_loss
from corelib.losses.spherical import (
    SphericalLinear,
    SphericalLoss,
    SphericalSoftmaxLoss,
    SquaredErrorLoss,
    TaylorSoftmaxLoss,
    ZLoss,
    spherical_loss,
)

__all__ = [
    "InfoNCELoss",
    "MannWhitneyLoss",
    "MultiSimilarityLoss",
    "SphericalLinear",
    "SphericalLoss",
    "SphericalSoftmaxLoss",
    "SquaredErrorLoss",
    "TaylorSoftmaxLoss",
    "ZLoss",
    "info_nce",
    "mann_whitney_loss",
    "multi_similarity_loss",
    "multi_similarity_miner",
    "spherical_loss",
]

"""Losses: what you minimise. Tensors in, tensors out; arrays in, arrays out."""

from corelib.losses.contrastive import (
    InfoNCELoss,
    MultiSimilarityLoss,
    info_nce,
    multi_similarity_loss,
    multi_similarity_miner,
)

__all__ = ["InfoNCELoss", "MultiSimilarityLoss", "info_nce", "multi_similarity_loss", "multi_similarity_miner"]

"""Losses: what you minimise. Tensors in, tensors out; arrays in, arrays out."""

from corelib.losses.calibration import cosine_adapter_loss
from corelib.losses.clicks import click_loss, pairwise_click_loss, squared_click_loss
from corelib.losses.confusion import confusion_loss, soft_confusion_matrix
from corelib.losses.contrastive import (
    MultiSimilarityLoss,
    multi_similarity_loss,
    multi_similarity_miner,
)
from corelib.losses.coverage import coverage, dco_loss
from corelib.losses.difficulty import el2n_scores, grand_scores
from corelib.losses.distributed import distributed_info_nce
from corelib.losses.diversity import pairwise_diversity_loss
from corelib.losses.edges import edge_cosine_bce
from corelib.losses.entropy import entropy_weighted_mixture, softmax_entropy
from corelib.losses.exponential import pairwise_exponential_loss
from corelib.losses.hinge import ordered_hinge_loss, pairwise_hinge_loss, pairwise_squared_hinge_loss
from corelib.losses.icnn import icnn_loss, icnn_score
from corelib.losses.infonce import InfoNCELoss, info_nce, weighted_info_nce
from corelib.losses.listwise import (
    jeffreys_loss,
    list_kl_loss,
    pairwise_softmax_loss,
    rerank_loss,
    rerank_weights,
)
from corelib.losses.matryoshka import matryoshka_info_nce
from corelib.losses.mining import hard_negatives, top_inner_products
from corelib.losses.mixed import mixed_pair_loss
from corelib.losses.pair_contrastive import contrastive_loss
from corelib.losses.pair_weighting import (
    BinomialDeviancePairs,
    ContrastivePairs,
    LiftedStructurePairs,
    MultiSimilarityPairs,
    TripletPairs,
    pair_based_loss,
    pair_weights,
)
from corelib.losses.pairwise import MannWhitneyLoss, mann_whitney_loss
from corelib.losses.preference import (
    idealized_ranking_accuracy,
    preference_loss,
    ranking_accuracy,
    sequence_log_probability,
)
from corelib.losses.prototypes import class_means, proto_triplet_loss
from corelib.losses.quality import soft_label_kl, soft_labels, thurstone_fidelity_loss
from corelib.losses.ranking import approx_ndcg, smooth_ap, soft_rank
from corelib.losses.set_contrast import ordered_contrast_loss, set_contrast_loss
from corelib.losses.spherical import (
    SphericalLinear,
    SphericalLoss,
    SphericalSoftmaxLoss,
    SquaredErrorLoss,
    TaylorSoftmaxLoss,
    ZLoss,
    spherical_loss,
)
from corelib.losses.triplet import triplet_loss
from corelib.losses.weighting import loss_weights

__all__ = [
    "BinomialDeviancePairs",
    "ContrastivePairs",
    "InfoNCELoss",
    "LiftedStructurePairs",
    "MannWhitneyLoss",
    "MultiSimilarityLoss",
    "MultiSimilarityPairs",
    "SphericalLinear",
    "SphericalLoss",
    "SphericalSoftmaxLoss",
    "SquaredErrorLoss",
    "TaylorSoftmaxLoss",
    "TripletPairs",
    "ZLoss",
    "approx_ndcg",
    "class_means",
    "click_loss",
    "confusion_loss",
    "contrastive_loss",
    "cosine_adapter_loss",
    "coverage",
    "dco_loss",
    "distributed_info_nce",
    "edge_cosine_bce",
    "el2n_scores",
    "entropy_weighted_mixture",
    "grand_scores",
    "hard_negatives",
    "icnn_loss",
    "icnn_score",
    "idealized_ranking_accuracy",
    "info_nce",
    "jeffreys_loss",
    "list_kl_loss",
    "loss_weights",
    "mann_whitney_loss",
    "matryoshka_info_nce",
    "mixed_pair_loss",
    "multi_similarity_loss",
    "multi_similarity_miner",
    "ordered_contrast_loss",
    "ordered_hinge_loss",
    "pair_based_loss",
    "pair_weights",
    "pairwise_click_loss",
    "pairwise_diversity_loss",
    "pairwise_exponential_loss",
    "pairwise_hinge_loss",
    "pairwise_softmax_loss",
    "pairwise_squared_hinge_loss",
    "preference_loss",
    "proto_triplet_loss",
    "ranking_accuracy",
    "rerank_loss",
    "rerank_weights",
    "sequence_log_probability",
    "set_contrast_loss",
    "smooth_ap",
    "soft_confusion_matrix",
    "soft_label_kl",
    "soft_labels",
    "soft_rank",
    "softmax_entropy",
    "spherical_loss",
    "squared_click_loss",
    "thurstone_fidelity_loss",
    "top_inner_products",
    "triplet_loss",
    "weighted_info_nce",
]

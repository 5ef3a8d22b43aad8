"""Losses: what you minimise. Tensors in, tensors out; arrays in, arrays out.

**Families.** ``pairs``: positives against negatives on the line (Mann-Whitney, hinges, exponential). ``lists``: the ranks of
one list (soft ranks, smooth AP, ApproxNDCG, list KL, set contrast). ``embeddings``: batches of labelled embeddings
(contrastive, triplet, multi-similarity, general pair weights, prototypes, ICNN, mixed pairs), compared with each other or
with ``references`` such as a memory bank. ``infonce``: queries among keys (InfoNCE, NT-Xent, hard negatives, weights, prefixes,
processes). ``preferences``: chosen against rejected, and opinions. ``clicks``: what was seen and liked, by propensities
(IPS). ``classes``: output layers and their confusion. All are imported from here.

**Dtypes.** float32 and float64 are never converted. float16 and bfloat16 are computed in float32, and so is the result; the
gradient has the dtype of its tensor. Inside of ``torch.autocast`` the numbers are those outside. Integers may be of any
integer dtype.

**Derivatives.** Where a docstring says "differentiable once", asking for the second derivative raises NotImplementedError.
Temperatures and margins given as tensors of one number get their gradients, too, where the docstring names a Tensor. The
transforms of ``torch.func`` do not see through the kernels: torch raises a RuntimeError.

**torch.compile.** Checks of values become nodes of the graph, which raise a RuntimeError; most functions are one graph.

**Errors.** A wrong type, dtype, shape, device or value gives a TypeError or ValueError that names the argument. No input is
changed.
"""

from corelib.losses.classes.confusion import confusion_loss, soft_confusion_matrix
from corelib.losses.classes.difficulty import el2n_scores, grand_scores
from corelib.losses.classes.spherical import (
    SphericalLinear,
    SphericalLoss,
    SphericalSoftmaxLoss,
    SquaredErrorLoss,
    TaylorSoftmaxLoss,
    ZLoss,
    spherical_loss,
)
from corelib.losses.clicks import click_loss, pairwise_click_loss, squared_click_loss
from corelib.losses.embeddings.contrastive import contrastive_loss
from corelib.losses.embeddings.icnn import icnn_loss, icnn_score
from corelib.losses.embeddings.mixed import mixed_pair_loss
from corelib.losses.embeddings.multi_similarity import (
    MultiSimilarityLoss,
    multi_similarity_loss,
    multi_similarity_miner,
)
from corelib.losses.embeddings.pair_weighting import (
    BinomialDeviancePairs,
    ContrastivePairs,
    LiftedStructurePairs,
    MultiSimilarityPairs,
    TripletPairs,
    pair_based_loss,
    pair_weights,
)
from corelib.losses.embeddings.prototypes import class_means, proto_triplet_loss
from corelib.losses.embeddings.triplet import triplet_loss
from corelib.losses.infonce.distributed import distributed_info_nce
from corelib.losses.infonce.info_nce import InfoNCELoss, info_nce, weighted_info_nce
from corelib.losses.infonce.matryoshka import matryoshka_info_nce
from corelib.losses.lists.list_kl import (
    list_kl_loss,
)
from corelib.losses.lists.set_contrast import ordered_contrast_loss, set_contrast_loss
from corelib.losses.lists.soft_ranks import approx_ndcg, smooth_ap, soft_rank
from corelib.losses.pairs.exponential import pairwise_exponential_loss
from corelib.losses.pairs.hinge import ordered_hinge_loss, pairwise_hinge_loss, pairwise_squared_hinge_loss
from corelib.losses.pairs.mann_whitney import MannWhitneyLoss, mann_whitney_loss
from corelib.losses.preferences.preference import (
    preference_loss,
    sequence_log_probability,
)
from corelib.losses.preferences.thurstone import thurstone_fidelity_loss
from corelib.search import hard_negatives, top_inner_products

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
    "distributed_info_nce",
    "el2n_scores",
    "grand_scores",
    "hard_negatives",
    "icnn_loss",
    "icnn_score",
    "info_nce",
    "list_kl_loss",
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
    "pairwise_exponential_loss",
    "pairwise_hinge_loss",
    "pairwise_squared_hinge_loss",
    "preference_loss",
    "proto_triplet_loss",
    "sequence_log_probability",
    "set_contrast_loss",
    "smooth_ap",
    "soft_confusion_matrix",
    "soft_rank",
    "spherical_loss",
    "squared_click_loss",
    "thurstone_fidelity_loss",
    "top_inner_products",
    "triplet_loss",
    "weighted_info_nce",
]

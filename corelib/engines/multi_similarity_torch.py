"""Multi-similarity in plain torch, strip by strip: for any device, and a readable twin of the compiled path."""

import torch
from torch import Tensor

from corelib.engines.strips import product_strips


def multi_similarity(
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None,
    reference_labels: Tensor | None,
    alpha: float,
    beta: float,
    base: float,
    epsilon: float | None,
    need_embeddings: bool,
    need_references: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its gradients (empty unless needed)."""
    n = len(embeddings)
    itself = references is None
    targets, need_targets = (embeddings, need_embeddings) if itself else (references, need_references)
    losses = embeddings.new_empty(n)
    of_embeddings = embeddings.new_zeros(embeddings.shape if need_embeddings else 0)
    of_references = targets.new_zeros(targets.shape if need_references else 0)
    of_targets = of_embeddings if itself else of_references
    for start, stop, similarity in product_strips(embeddings, targets):
        positive, negative = _pairs(labels, reference_labels, start, stop)
        if epsilon is not None:
            positive, negative = _keep_hard(similarity, positive, negative, epsilon)
        pos_term, pos_weight = _soft_maximum(-alpha * (similarity - base), positive)
        neg_term, neg_weight = _soft_maximum(beta * (similarity - base), negative)
        losses[start:stop] = pos_term / alpha + neg_term / beta
        weight = neg_weight.sub_(pos_weight).div_(n)
        if need_embeddings:
            of_embeddings[start:stop].addmm_(weight, targets)
        if need_targets:
            of_targets.addmm_(weight.T, embeddings[start:stop])
    return losses.mean(), of_embeddings, of_references


def kept_pairs(embeddings: Tensor, labels: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Anchors and partners of the kept positive pairs, then of the kept negative pairs."""
    kept_pos, kept_neg = [], []
    for start, stop, similarity in product_strips(embeddings, embeddings):
        positive, negative = _keep_hard(similarity, *_pairs(labels, None, start, stop), epsilon)
        for kept, mask in ((kept_pos, positive), (kept_neg, negative)):
            pairs = mask.nonzero()
            pairs[:, 0] += start
            kept.append(pairs)
    return (*torch.cat(kept_pos).T.contiguous().unbind(), *torch.cat(kept_neg).T.contiguous().unbind())


def _pairs(labels: Tensor, reference_labels: Tensor | None, start: int, stop: int) -> tuple[Tensor, Tensor]:
    same = labels[start:stop, None] == (labels if reference_labels is None else reference_labels)
    different = ~same
    if reference_labels is None:
        same.diagonal(offset=start).fill_(False)
    return same, different


def _keep_hard(
    similarity: Tensor, positive: Tensor, negative: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    hardest_positive = similarity.masked_fill(~positive, torch.inf).amin(dim=1, keepdim=True)
    hardest_negative = similarity.masked_fill(~negative, -torch.inf).amax(dim=1, keepdim=True)
    return (
        positive & (similarity - epsilon < hardest_negative),
        negative & (similarity + epsilon > hardest_positive),
    )


def _soft_maximum(exponent: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """log(1 + sum of exp(exponent) over the mask) per row, and its derivative."""
    exponent.masked_fill_(~mask, -torch.inf)
    shift = exponent.amax(dim=1, keepdim=True).clamp_(min=0)
    weight = exponent.sub_(shift).exp_()
    denominator = weight.sum(dim=1, keepdim=True) + torch.exp(-shift)
    return (shift + denominator.log()).squeeze(1), weight.div_(denominator)

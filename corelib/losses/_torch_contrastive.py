"""Contrastive losses in plain torch, strip by strip: for GPUs, and a readable twin of the compiled path.

A strip is a block of complete rows of the similarity matrix, so that everything a row needs (its hardest
pairs, its log-sum-exp, its weights) is known before the strip is dropped; the matrix itself never exists.
"""

import torch
from torch import Tensor

_STRIP_BYTES = {"cpu": 4 << 20}
_STRIP_BYTES_GPU = 64 << 20
_MIN_ROWS = 16


def strips(rows: int, columns: int, like: Tensor) -> list[tuple[int, int]]:
    """Half-open row ranges that cut a ``rows`` x ``columns`` matrix into strips of the device's size."""
    budget = _STRIP_BYTES.get(like.device.type, _STRIP_BYTES_GPU)
    height = max(_MIN_ROWS, budget // (columns * like.element_size()))
    return [(start, min(start + height, rows)) for start in range(0, rows, height)]


def multi_similarity(
    embeddings: Tensor,
    labels: Tensor,
    alpha: float,
    beta: float,
    base: float,
    epsilon: float | None,
    need_grad: bool,
) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient (empty unless ``need_grad``)."""
    n = len(embeddings)
    losses = embeddings.new_empty(n)
    grad = embeddings.new_zeros(embeddings.shape) if need_grad else embeddings.new_empty(0)
    for start, stop in strips(n, n, embeddings):
        anchors = embeddings[start:stop]
        similarity = anchors @ embeddings.T
        positive, negative = _pairs(labels, start, stop)
        if epsilon is not None:
            positive, negative = _keep_hard(similarity, positive, negative, epsilon)
        pos_term, pos_weight = _soft_maximum(-alpha * (similarity - base), positive)
        neg_term, neg_weight = _soft_maximum(beta * (similarity - base), negative)
        losses[start:stop] = pos_term / alpha + neg_term / beta
        if need_grad:
            weight = neg_weight.sub_(pos_weight).div_(n)
            grad[start:stop].addmm_(weight, embeddings)
            grad.addmm_(weight.T, anchors)
    return losses.mean(), grad


def multi_similarity_pairs(
    embeddings: Tensor, labels: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Anchors and partners of the kept positive pairs, then of the kept negative pairs."""
    n = len(embeddings)
    kept_pos, kept_neg = [], []
    for start, stop in strips(n, n, embeddings):
        similarity = embeddings[start:stop] @ embeddings.T
        positive, negative = _keep_hard(similarity, *_pairs(labels, start, stop), epsilon)
        for kept, mask in ((kept_pos, positive), (kept_neg, negative)):
            pairs = mask.nonzero()
            pairs[:, 0] += start
            kept.append(pairs)
    return (*torch.cat(kept_pos).T.contiguous().unbind(), *torch.cat(kept_neg).T.contiguous().unbind())


def _pairs(labels: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
    same = labels[start:stop, None] == labels
    different = ~same
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


def info_nce(
    queries: Tensor,
    keys: Tensor,
    labels: Tensor | None,
    temperature: float,
    symmetric: bool,
    need_queries: bool,
    need_keys: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its gradients (empty unless needed) with respect to queries and keys."""
    n = len(queries)
    targets = torch.arange(n, device=queries.device) if labels is None else labels.long()
    losses = queries.new_empty(n)
    grad_queries = queries.new_empty(queries.shape) if need_queries else queries.new_empty(0)
    grad_keys = keys.new_zeros(keys.shape) if need_keys else keys.new_empty(0)
    blocks = strips(n, len(keys), queries)
    share = 0.5 if symmetric else 1.0
    if symmetric:
        column_lse = queries.new_full((len(keys),), -torch.inf)
        for start, stop in blocks:
            logits = (queries[start:stop] @ keys.T).div_(temperature)
            column_lse = torch.logaddexp(column_lse, logits.logsumexp(dim=0))
    for start, stop in blocks:
        block = queries[start:stop]
        target = targets[start:stop, None]
        logits = (block @ keys.T).div_(temperature)
        matched = logits.gather(1, target).squeeze(1)
        row_lse = logits.logsumexp(dim=1)
        losses[start:stop] = share * (row_lse - matched)
        if symmetric:
            losses[start:stop] += share * (column_lse[start:stop] - matched)
        if not (need_queries or need_keys):
            continue
        weight = torch.exp(logits - row_lse[:, None])
        if symmetric:
            weight += logits.sub_(column_lse).exp_()
        weight.scatter_add_(1, target, weight.new_full(target.shape, -1 / share))
        weight.mul_(share / (n * temperature))
        if need_queries:
            torch.mm(weight, keys, out=grad_queries[start:stop])
        if need_keys:
            grad_keys.addmm_(weight.T, block)
    return losses.mean(), grad_queries, grad_keys

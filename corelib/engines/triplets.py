"""Triplet losses of a labelled batch, anchor by anchor: all triplets by sorting, the hardest, the semi-hard."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from corelib.engines.distances import rounded, rounded_number
from corelib.engines.labelled_pairs import LabelledPairs, labelled_loss
from corelib.engines.pair_sums import pair_loss, pair_sum
from corelib.engines.strips import strips


def hinge_sums(similarity: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """For each row the sum of max(0, margin - s_p + s_n) over its triplets, differentiable once."""
    pos, pos_indptr = _ragged(similarity, positive)
    neg, neg_indptr = _ragged(similarity, negative)
    need = similarity.requires_grad and torch.is_grad_enabled()
    return pair_loss(pos, neg, None, None, pos_indptr, neg_indptr, "hinge", 1.0, margin, False, need, need)[0]


def _ragged(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    sizes = mask.sum(1)
    return values[mask], torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def _loss(
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None,
    reference_labels: Tensor | None,
    margin: float,
    mining: str,
    measure: str,
    reduction: str,
    need_embeddings: bool,
    need_references: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, or that of each anchor for "none", and the gradients (empty unless needed; always for "none")."""
    pairs = LabelledPairs(embeddings, labels, references, reference_labels, measure)
    needs = (need_embeddings, need_references) if reduction != "none" else (False, False)
    gradients, rows = pairs.no_gradients(needs), []
    for start, stop, distances, positive, negative in _strips(pairs):
        columns, slopes = _MINING[mining](distances, positive, negative, margin, any(needs))
        rows.append(columns)
        if any(needs):
            pairs.add_gradients(slice(start, stop), slice(None), slopes, distances, gradients)
    costs, active, taken = torch.cat(rows).T.contiguous().unbind()
    if reduction == "none":
        return rounded(costs, embeddings.dtype), *pairs.pulled_back(gradients, needs)
    counts = {"mean": taken, "active": active}.get(reduction)
    count = 1 if counts is None else max(1, math.fsum(counts.tolist()))
    loss = rounded_number(math.fsum(costs.tolist()) / count, embeddings)
    return loss, *pairs.pulled_back(gradients, needs, 1 / count)


def _gradients(
    upstream: Tensor,
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None,
    reference_labels: Tensor | None,
    margin: float,
    mining: str,
    measure: str,
    need_embeddings: bool,
    need_references: bool,
) -> tuple[Tensor, Tensor]:
    """Those of the sum over anchors of ``upstream`` times their costs."""
    pairs = LabelledPairs(embeddings, labels, references, reference_labels, measure)
    needs = (need_embeddings, need_references)
    gradients = pairs.no_gradients(needs)
    for start, stop, distances, positive, negative in _strips(pairs):
        slopes = _MINING[mining](distances, positive, negative, margin, True)[1].mul_(
            upstream[start:stop, None]
        )
        pairs.add_gradients(slice(start, stop), slice(None), slopes, distances, gradients)
    return pairs.pulled_back(gradients, needs)


triplets = labelled_loss("corelib::triplets", _loss, _gradients)


def _strips(pairs: LabelledPairs) -> Iterator[tuple[int, int, Tensor, Tensor, Tensor]]:
    """Row ranges, their distances, and which of these are to positives and to negatives."""
    for start, stop in strips(pairs.points.shape[0], pairs.targets.shape[0], pairs.points):
        distances = pairs.measure.values(pairs.points[start:stop], pairs.targets)
        positive = pairs.labels[start:stop, None] == pairs.target_labels
        negative = ~positive
        if pairs.itself:
            positive.diagonal(offset=start).fill_(False)
        yield start, stop, distances, positive, negative


# Of each row: what its triplets cost, how many of them cost something and how many are taken, and the derivatives of the
# costs by the distances, if these are needed.
_Rows = tuple[Tensor, Tensor | None]


def _all(distances: Tensor, positive: Tensor, negative: Tensor, margin: float, need: bool) -> _Rows:
    pos, pos_indptr = _ragged(distances, positive)
    neg, neg_indptr = _ragged(distances, negative)
    slopes = torch.zeros_like(distances)
    if not (pos.numel() and neg.numel()):
        return slopes.new_zeros((slopes.shape[0], 3)), slopes
    once = slopes.new_ones(slopes.shape[0])
    costs, of_positive, of_negative = pair_sum(
        "hinge", pos.neg_(), neg.neg_(), None, None, pos_indptr, neg_indptr, 1.0, margin, once, need, True
    )
    slopes[negative] = -of_negative
    active = -slopes.sum(1)  # each active triplet adds a slope of 1
    if need:
        slopes[positive] = -of_positive
    return torch.stack([costs, active, positive.sum(1) * negative.sum(1).double()], dim=1), slopes


def _hardest(distances: Tensor, positive: Tensor, negative: Tensor, margin: float, need: bool) -> _Rows:
    """The farthest positive with the closest negative of each row that has both."""
    farthest, p = distances.masked_fill(~positive, -torch.inf).max(1, keepdim=True)
    closest, n = distances.masked_fill(~negative, torch.inf).min(1, keepdim=True)
    costs = (margin + farthest - closest).clamp_min_(0)
    active = (costs > 0).double()
    columns = torch.cat([costs, active, torch.isfinite(farthest - closest)], dim=1)
    return columns, _slopes(distances, p, n, active) if need else None


def _semihard(distances: Tensor, positive: Tensor, negative: Tensor, margin: float, need: bool) -> _Rows:
    """Each positive with the closest negative that is farther, or else the farthest one."""
    present, p = positive.byte().topk(int(positive.sum(1).max()), dim=1)
    to_positive = distances.gather(1, p)
    ascending, order = distances.masked_fill(~negative, torch.inf).sort(1)
    last = negative.sum(1, keepdim=True) - 1
    farther = torch.searchsorted(ascending, to_positive, right=True)
    n = order.gather(1, torch.minimum(farther, last.clamp_min(0)))
    counted = present.bool() & (last >= 0)
    costs = (margin + to_positive - distances.gather(1, n)).clamp_min_(0).masked_fill_(~counted, 0)
    active = (costs > 0).double()
    columns = torch.stack([costs.sum(1), active.sum(1), counted.sum(1)], dim=1)
    return columns, _slopes(distances, p, n, active) if need else None


def _slopes(distances: Tensor, p: Tensor, n: Tensor, active: Tensor) -> Tensor:
    return torch.zeros_like(distances).scatter_add_(1, p, active).scatter_add_(1, n, -active)


_MINING = {"all": _all, "hard": _hardest, "semihard": _semihard}

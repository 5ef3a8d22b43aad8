"""The triplets of each anchor's row of similarities: all of them by sorting, the hardest, the semi-hard."""

import torch
from torch import Tensor

from corelib.engines.pair_sums import pair_loss


def all_triplets(similarity: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """For each row, its sum of max(0, margin - s_p + s_n), and how many triplets cost something, and there are."""
    pos, pos_indptr = _ragged(similarity, positive)
    neg, neg_indptr = _ragged(similarity, negative)
    losses, _, slopes = pair_loss(
        pos,
        neg,
        None,
        None,
        pos_indptr,
        neg_indptr,
        "hinge",
        1.0,
        margin,
        False,
        torch.is_grad_enabled(),
        True,
    )
    row = torch.arange(len(similarity), device=similarity.device).repeat_interleave(neg_indptr.diff())
    active = losses.new_zeros(len(losses)).index_add(
        0, row, slopes.detach()
    )  # each active triplet adds a slope of 1
    return torch.stack([losses, active, positive.sum(1) * negative.sum(1).double()], dim=1)


def hardest_triplets(similarity: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """The same columns for the farthest positive with the closest negative of each row that has both."""
    farthest = similarity.masked_fill(~positive, torch.inf).min(1).values
    closest = similarity.masked_fill(~negative, -torch.inf).max(1).values
    cost = (margin - farthest + closest).clamp_min(0)
    return torch.stack([cost, cost > 0, positive.any(1) & negative.any(1)], dim=1)


def semihard_triplets(similarity: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """The same columns for each positive with the closest negative that is farther, or else the farthest one."""
    present, column = positive.byte().topk(int(positive.sum(1).max()), dim=1)
    to_positive = -similarity.gather(1, column)
    ascending, order = (-similarity.detach()).masked_fill(~negative, torch.inf).sort(1)
    last = negative.sum(1, keepdim=True) - 1
    farther = torch.searchsorted(ascending, to_positive.detach(), right=True)
    to_negative = -similarity.gather(1, order.gather(1, torch.minimum(farther, last.clamp_min(0))))
    counted = present.bool() & (last >= 0)
    cost = (margin + to_positive - to_negative).clamp_min(0).masked_fill(~counted, 0)
    return torch.stack([cost.sum(1), (cost > 0).sum(1), counted.sum(1)], dim=1)


def _ragged(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    sizes = mask.sum(1)
    return values[mask], torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])

"""What the losses over pairs of scores share: checks of both sides, and the way to the engine."""

from typing import NamedTuple

import torch
from torch import Tensor

from corelib._checks import check_choice
from corelib._tensors import check_constant, check_indptr, check_same, check_scalar, check_tensor, number_of
from corelib.engines.pair_sums import largest_score, pair_loss
from corelib.losses._reduction import reduce


class Sides(NamedTuple):
    """Positives and negatives, their weights, and the groups in which they meet."""

    pos: Tensor
    neg: Tensor
    pos_weight: Tensor | None
    neg_weight: Tensor | None
    pos_indptr: Tensor | None
    neg_indptr: Tensor | None


def check_sides(pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr) -> Sides:
    """Types and shapes of both sides, their weights and their groups."""
    if (pos_indptr is None) != (neg_indptr is None):
        raise ValueError("pos_indptr and neg_indptr must be given together")
    grouped = pos_indptr is not None
    _check_side(pos, "pos", pos_weight, may_be_empty=grouped)
    _check_side(neg, "neg", neg_weight, may_be_empty=grouped)
    check_same(pos, "pos", neg, "neg")
    if grouped:
        pos_indptr = check_indptr(pos_indptr, "pos_indptr", pos, "pos")
        neg_indptr = check_indptr(neg_indptr, "neg_indptr", neg, "neg")
        if pos_indptr.shape != neg_indptr.shape:
            raise ValueError(
                f"pos_indptr and neg_indptr must have the same length; got {len(pos_indptr)} and {len(neg_indptr)}"
            )
    return Sides(pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr)


def pairwise_loss(
    kind: str, sides: Sides, margin: object, reduction: str, temperature: float | Tensor = 1.0
) -> Tensor:
    """The loss of the given kind over the pairs of sides and at a temperature that have been checked."""
    check_pair_reduction(reduction, sides.pos_indptr)
    pos, neg, *rest = sides
    margin = check_margin(margin, largest_score(kind, number_of(temperature)))
    if isinstance(temperature, Tensor) or isinstance(margin, Tensor):  # by torch, for their gradients
        pos, neg = pos / temperature, (neg + margin) / temperature
        temperature, margin = 1.0, 0.0
    track = torch.is_grad_enabled()
    losses, _, _ = pair_loss(
        pos, neg, *rest, kind, temperature, margin, reduction != "sum",
        track and pos.requires_grad, track and neg.requires_grad,
    )  # fmt: skip
    return (losses if sides.pos_indptr is None else reduce(losses, reduction)).to(pos.dtype)


def check_margin(margin: object, largest: float) -> float | Tensor:
    """``margin``, which does not exceed ``largest``; as a tensor if it takes part in the gradient."""
    value = check_scalar(margin, "margin")
    number = number_of(value)
    if abs(number) > largest:
        raise ValueError(f"margin must not exceed {largest:g}; got {number}")
    return value


def check_pair_reduction(reduction: object, indptr: Tensor | None) -> str:
    """``reduction`` if it is "mean", "sum" or, for groups, "none"."""
    return check_choice(
        reduction, "reduction", ("mean", "sum") if indptr is None else ("mean", "sum", "none")
    )


def _check_side(scores: Tensor, name: str, weight: Tensor | None, *, may_be_empty: bool) -> None:
    check_tensor(scores, name, ndim=1)
    if len(scores) == 0 and not may_be_empty:
        raise ValueError(f"{name} must hold at least one score; got none")
    if weight is None:
        return
    weight_name = f"{name}_weight"
    check_tensor(weight, weight_name, ndim=1)
    check_same(scores, name, weight, weight_name)
    if weight.shape != scores.shape:
        raise ValueError(
            f"{weight_name} must have the shape of {name}, {tuple(scores.shape)}; got {tuple(weight.shape)}"
        )
    check_constant(weight, weight_name)

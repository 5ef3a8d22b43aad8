"""From many losses to one."""

import torch

from corelib._checks import check_choice

_BLOCK = 4096


def check_reduction(reduction: object) -> str:
    """``reduction`` if it is "mean", "sum" or "none"."""
    return check_choice(reduction, "reduction", ("mean", "sum", "none"))


def reduce(losses: torch.Tensor, reduction: str) -> torch.Tensor:
    """The mean or the sum of ``losses``, or themselves for "none"; rounded alike on any number of threads."""
    if reduction == "none":
        return losses
    if losses.numel() <= _BLOCK:
        return losses.mean() if reduction == "mean" else losses.sum()
    total = total_of(losses)
    return (total / losses.numel() if reduction == "mean" else total).to(losses.dtype)


def total_of(values: torch.Tensor) -> torch.Tensor:
    """The sum in float64, by blocks that torch adds up in one thread each."""
    flat = values.reshape(-1)
    whole = len(flat) - len(flat) % _BLOCK
    return flat[:whole].view(-1, _BLOCK).sum(1).double().sum() + flat[whole:].sum().double()

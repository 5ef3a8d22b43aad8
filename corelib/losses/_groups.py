"""Numbers in consecutive groups: which group each is in, and sums by group."""

import torch
from torch import Tensor

from corelib._tensors import check_indptr


def groups_of(values: Tensor, name: str, indptr: Tensor | None) -> tuple[Tensor, int]:
    """The group of each value, and how many groups there are."""
    if indptr is None:
        return torch.zeros(len(values), dtype=torch.int64, device=values.device), 1
    indptr = check_indptr(indptr, "indptr" if name == "scores" else f"{name}_indptr", values, name)
    groups = len(indptr) - 1
    return torch.arange(groups, device=values.device).repeat_interleave(
        indptr.diff(), output_size=len(values)
    ), groups


def largest_by_group(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """The largest value of each group, -inf where it is empty."""
    return values.new_full((groups,), -torch.inf).scatter_reduce(0, group, values, "amax")


def logsumexp_by_group(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """log sum exp of each group, -inf where it is empty or all of it is -inf."""
    largest = largest_by_group(values.detach(), group, groups)
    shift = largest.masked_fill(largest == -torch.inf, 0)
    total = values.new_zeros(groups).index_add(0, group, (values - shift[group]).exp())
    return shift + torch.where(total > 0, total, 1).log() + torch.where(total > 0, 0.0, -torch.inf)

"""InfoNCE on the CPU, strip by strip.

torch's matrix product makes a strip of similarities, one kernel turns it into losses and gradient weights in place, and two
products take the weights back.
"""

import math

import numpy as np
import torch
from torch import Tensor

from corelib.kernels import contrastive as kernel
from corelib.losses._candidates import Candidates
from corelib.losses._torch_info_nce import Needs, Result


def one_way(
    candidates: Candidates, weight: Tensor | None, temperature: float, beta: float, gamma: float, detach: bool, needs: Needs
) -> Result:
    """The mean loss of the queries among the keys, and its gradients (empty unless needed)."""
    n = len(candidates.queries)
    own = candidates.own.numpy()
    losses, scales = np.empty(n), np.empty(n)
    gradients = candidates.no_gradients(*needs)
    for start, stop, strip in candidates.similarities(_leave_out_ids(candidates)):
        rows = slice(start, stop)
        kernel.info_nce(strip.numpy(), own[rows], temperature, beta, gamma, detach, losses[rows], scales[rows])
        if weight is not None:
            with np.errstate(over="ignore"):  # an infinite loss, as in plain torch
                losses[rows] *= weight[rows].numpy()
                scales[rows] *= weight[rows].numpy()
        if any(needs):
            scale = torch.from_numpy(scales[rows, None] / n).to(strip.dtype)
            candidates.add_gradients(start, stop, strip, scale, gradients)
    return _mean(losses, candidates.queries), *gradients


def both_ways(candidates: Candidates, temperature: float, needs: Needs) -> Result:
    """The mean over both directions, query i and key i looking for each other, and its gradients."""
    queries = candidates.queries
    n = len(queries)
    leave_out_ids = _leave_out_ids(candidates)
    row_lse, matched, column_sum = np.empty(n), np.empty(n), np.zeros(n)
    column_top = queries.new_full((n,), torch.finfo(queries.dtype).min).numpy()
    for start, stop, strip in candidates.similarities(leave_out_ids):
        kernel.both_sums(strip.numpy(), start, temperature, row_lse, matched, column_top, column_sum)
    column_lse = column_top + temperature * np.log(column_sum)
    losses = (0.5 * (row_lse + column_lse) - matched) / temperature
    gradients = candidates.no_gradients(*needs)
    if any(needs):
        scale = queries.new_full((n, 1), 0.5 / (n * temperature))
        whole = [(0, n, strip)] if stop - start == n else candidates.similarities(leave_out_ids)
        for start, stop, strip in whole:
            kernel.both_weights(strip.numpy(), start, temperature, row_lse, column_lse)
            candidates.add_gradients(start, stop, strip, scale[start:stop], gradients)
    return _mean(losses, queries), *gradients


def _leave_out_ids(candidates: Candidates):
    """Sorted by id, the keys that share one are a range."""
    own = candidates.own.numpy()
    if candidates.key_ids is None:
        return None
    ids, twins = candidates.key_ids.sort(stable=True)
    own_ids = candidates.key_ids[candidates.own]
    first = torch.searchsorted(ids, own_ids).numpy()
    last = torch.searchsorted(ids, own_ids, right=True).numpy()
    twins = twins.numpy()

    def leave_out(strip: Tensor, start: int, stop: int) -> None:
        kernel.leave_out(strip.numpy(), own[start:stop], twins, first[start:stop], last[start:stop])

    return leave_out


def _mean(losses: np.ndarray, like: Tensor) -> Tensor:
    return like.new_tensor(math.fsum(losses) / len(losses))

"""InfoNCE over strips of the similarities of queries and keys.

torch's matrix product makes a strip of similarities, one kernel turns it into losses and gradient weights in place, and two
products take the weights back.
"""

import math

import numpy as np
import torch
from torch import Tensor

from corelib._tensors import check_exponent, check_range, longest_row
from corelib.engines import gpu, info_nce_cuda, info_nce_torch
from corelib.engines.info_nce_candidates import Candidates
from corelib.engines.info_nce_torch import Needs, Result
from corelib.engines.route import Operator, first_derivative_only, keep_gradients, take_gradients, takes_torch
from corelib.kernels import contrastive as kernel


def info_nce(
    queries: Tensor,
    keys: Tensor,
    hard_negatives: Tensor | None,
    labels: Tensor | None,
    key_ids: Tensor | None,
    mask: Tensor | None,
    hard_mask: Tensor | None,
    weight: Tensor | None,
    temperature: float,
    symmetric: bool,
    beta: float = 0.0,
    gamma: float = 0.0,
    detach: bool = True,
) -> Tensor:
    """The mean loss of the queries, differentiable in the three embeddings; indices are int64."""
    embeddings = (queries, keys, hard_negatives)
    grad = torch.is_grad_enabled()
    needs = [grad and value is not None and value.requires_grad for value in embeddings]
    settings = (temperature, symmetric, beta, gamma, detach)
    return _info_nce(*embeddings, labels, key_ids, mask, hard_mask, weight, *settings, *needs)[0]


def _loss(
    queries: Tensor,
    keys: Tensor,
    hard_negatives: Tensor | None,
    labels: Tensor | None,
    key_ids: Tensor | None,
    mask: Tensor | None,
    hard_mask: Tensor | None,
    weight: Tensor | None,
    temperature: float,
    symmetric: bool,
    beta: float,
    gamma: float,
    detach: bool,
    need_queries: bool,
    need_keys: bool,
    need_hard: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    on_gpu = gpu.takes(queries)
    if not on_gpu:
        _check_lengths(queries, keys, hard_negatives, 1 / temperature + abs(beta))
        if labels is not None:
            check_range(labels, "labels", len(keys))
    own = torch.arange(queries.shape[0], device=queries.device) if labels is None else labels
    hard = None if hard_negatives is None else hard_negatives.detach()
    candidates = Candidates(queries.detach(), keys.detach(), own, hard, key_ids, mask, hard_mask)
    needs = (need_queries, need_keys, need_hard)
    if on_gpu:
        one_way, both_ways = info_nce_cuda.one_way, info_nce_cuda.both_ways
    elif takes_torch(queries):
        one_way, both_ways = info_nce_torch.one_way, info_nce_torch.both_ways
    else:
        one_way, both_ways = _one_way, _both_ways
    if symmetric:
        return both_ways(candidates, temperature, needs)
    return one_way(candidates, weight, temperature, beta, gamma, detach, needs)


def _fake(queries, keys, hard_negatives, *arguments):
    pairs = zip((queries, keys, hard_negatives), arguments[-3:], strict=True)
    return queries.new_empty(()), *(
        queries.new_empty(value.shape if needed else 0) for value, needed in pairs
    )


@first_derivative_only
def _backward(ctx, grad_loss, *_):
    needs = ctx.needs_input_grad[:3]
    gradients = take_gradients(ctx, _info_nce, grad_loss)
    return *(g if needed else None for g, needed in zip(gradients, needs, strict=True)), *(None,) * 13


_info_nce = Operator("corelib::info_nce", _loss, fake=_fake, setup_context=keep_gradients, backward=_backward)


def _check_lengths(queries: Tensor, keys: Tensor, hard_negatives: Tensor | None, steep: float) -> None:
    if hard_negatives is None:
        bound = torch.linalg.vector_norm(queries).item() * torch.linalg.vector_norm(keys).item()
        if max(bound, 1.0) * steep <= torch.finfo(queries.dtype).max:
            return
    names, longest = "queries and keys", longest_row(keys, "keys")
    if hard_negatives is not None:
        names = "queries, keys and hard_negatives"
        longest = max(longest, longest_row(hard_negatives.flatten(0, 1), "hard_negatives"))
    largest = max(longest_row(queries, "queries") * longest, 1.0) * steep
    check_exponent(largest, queries.dtype, names, "inner product / temperature")


def _one_way(
    candidates: Candidates,
    weight: Tensor | None,
    temperature: float,
    beta: float,
    gamma: float,
    detach: bool,
    needs: Needs,
) -> Result:
    """The mean loss of the queries among the keys, and its gradients (empty unless needed)."""
    n = candidates.queries.shape[0]
    own = candidates.own.numpy()
    losses, scales = np.empty(n), np.empty(n)
    gradients = candidates.no_gradients(*needs)
    for start, stop, strip in candidates.similarities(_leave_out_ids(candidates)):
        rows = slice(start, stop)
        kernel.info_nce(
            strip.numpy(), own[rows], temperature, beta, gamma, detach, losses[rows], scales[rows]
        )
        if weight is not None:
            with np.errstate(over="ignore"):  # an infinite loss, as in plain torch
                losses[rows] *= weight[rows].numpy()
                scales[rows] *= weight[rows].numpy()
        if any(needs):
            scale = torch.from_numpy(scales[rows, None] / n).to(strip.dtype)
            candidates.add_gradients(start, stop, strip, scale, gradients)
    return _mean(losses, candidates.queries), *gradients


def _both_ways(candidates: Candidates, temperature: float, needs: Needs) -> Result:
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

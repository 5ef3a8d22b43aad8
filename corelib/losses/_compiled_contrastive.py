"""Contrastive losses on the CPU, strip by strip.

torch's matrix product makes a strip of similarities, one kernel turns it into losses and gradient weights in
place, and a product or two take the weights back.
"""

import math

import numpy as np
import torch
from torch import Tensor

from corelib.kernels import contrastive as kernel
from corelib.losses._torch_contrastive import strips


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
    classes, order = labels.sort(stable=True)  # an anchor's positives are a range of columns
    first = torch.searchsorted(classes, classes).numpy()
    last = torch.searchsorted(classes, classes, right=True).numpy()
    grouped = embeddings[order]
    grad_grouped = torch.zeros_like(grouped) if need_grad else None
    losses = np.empty(n)
    for start, stop, strip in _similarity_strips(grouped, grouped):
        kernel.multi_similarity(strip.numpy(), start, first, last, alpha, beta, base, epsilon, 1 / n, losses)
        if need_grad:
            grad_grouped[start:stop].addmm_(strip, grouped)
            grad_grouped.addmm_(strip.T, grouped[start:stop])
    grad = embeddings.new_empty(embeddings.shape if need_grad else 0)
    if need_grad:
        grad[order] = grad_grouped
    return _mean(losses, embeddings), grad


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
    grad_queries = queries.new_empty(queries.shape if need_queries else 0)
    grad_keys = keys.new_zeros(keys.shape if need_keys else 0)
    weigh = _weigh_both_ways if symmetric else _weigh_rows
    losses = np.empty(n)
    for start, stop, weights in weigh(queries, keys, labels, temperature, losses, need_queries or need_keys):
        if need_queries:
            torch.mm(weights, keys, out=grad_queries[start:stop])
        if need_keys:
            grad_keys.addmm_(weights.T, queries[start:stop])
    return _mean(losses, queries), grad_queries, grad_keys


def _weigh_rows(queries, keys, labels, temperature, losses, need_weights):
    n = len(queries)
    targets = np.arange(n) if labels is None else labels.long().contiguous().numpy()
    for start, stop, strip in _similarity_strips(queries, keys):
        kernel.info_nce(strip.numpy(), targets[start:stop], temperature, 1 / n, losses[start:stop])
        yield start, stop, strip


def _weigh_both_ways(queries, keys, labels, temperature, losses, need_weights):
    n = len(queries)
    row_lse, matched, column_sum = np.empty(n), np.empty(n), np.zeros(n)
    column_top = queries.new_full((n,), -torch.inf).numpy()
    for start, stop, strip in _similarity_strips(queries, keys):
        kernel.both_sums(strip.numpy(), start, temperature, row_lse, matched, column_top, column_sum)
    column_lse = column_top + temperature * np.log(column_sum)
    losses[:] = (0.5 * (row_lse + column_lse) - matched) / temperature
    if not need_weights:
        return
    again = [(0, n, strip)] if stop - start == n else _similarity_strips(queries, keys)
    for start, stop, strip in again:
        kernel.both_weights(strip.numpy(), start, temperature, row_lse, column_lse, 0.5 / n)
        yield start, stop, strip


def _similarity_strips(rows: Tensor, columns: Tensor):
    """Row ranges and their block of ``rows @ columns.T``, all in the same memory."""
    blocks = strips(len(rows), len(columns), rows)
    buffer = rows.new_empty(blocks[0][1], len(columns))
    for start, stop in blocks:
        yield start, stop, torch.mm(rows[start:stop], columns.T, out=buffer[: stop - start])


def _mean(losses: np.ndarray, like: Tensor) -> Tensor:
    return like.new_tensor(math.fsum(losses) / len(losses))

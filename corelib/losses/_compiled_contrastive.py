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


def _similarity_strips(rows: Tensor, columns: Tensor):
    """Row ranges and their block of ``rows @ columns.T``, all in the same memory."""
    blocks = strips(len(rows), len(columns), rows)
    buffer = rows.new_empty(blocks[0][1], len(columns))
    for start, stop in blocks:
        yield start, stop, torch.mm(rows[start:stop], columns.T, out=buffer[: stop - start])


def _mean(losses: np.ndarray, like: Tensor) -> Tensor:
    return like.new_tensor(math.fsum(losses) / len(losses))

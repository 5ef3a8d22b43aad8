"""The multi-similarity loss of a labelled batch, strip by strip.

torch's matrix product makes a strip of similarities, one kernel turns it into losses and gradient weights in place, and
two products take the weights back.
"""

import math

import numpy as np
import torch
from torch import Tensor

from corelib._tensors import check_exponent, longest_row
from corelib.engines import multi_similarity_torch
from corelib.engines.route import Operator, first_derivative_only, keep_gradients, take_gradients, takes_torch
from corelib.engines.strips import product_strips
from corelib.kernels import contrastive as kernel


def _loss(
    embeddings: Tensor,
    labels: Tensor,
    alpha: float,
    beta: float,
    base: float,
    epsilon: float | None,
    need_grad: bool,
) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient (empty unless ``need_grad``)."""
    longest = longest_row(embeddings, "embeddings")
    largest = max(alpha, beta) * max(longest * longest + abs(base), abs(epsilon or 0.0), 1.0)
    exponent = "beta * (inner product - base)" if beta >= alpha else "alpha * (inner product - base)"
    check_exponent(largest, embeddings.dtype, "embeddings", exponent)
    function = multi_similarity_torch.multi_similarity if takes_torch(embeddings) else _compiled
    return function(embeddings.detach(), labels, alpha, beta, base, epsilon, need_grad)


@first_derivative_only
def _backward(ctx, grad_loss, _):
    return *take_gradients(ctx, multi_similarity, grad_loss), *(None,) * 6


multi_similarity = Operator(
    "corelib::multi_similarity",
    _loss,
    fake=lambda x, *settings: (x.new_empty(()), x.new_empty(x.shape if settings[-1] else 0)),
    setup_context=keep_gradients,
    backward=_backward,
)


def kept_pairs(embeddings: Tensor, labels: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Anchors and partners of the positive pairs that the miner keeps, then of the negative ones."""
    longest = longest_row(embeddings, "embeddings")
    largest = longest * longest + abs(epsilon)
    check_exponent(largest, embeddings.dtype, "embeddings", "inner product + epsilon")
    return multi_similarity_torch.kept_pairs(embeddings, labels, epsilon)


def _compiled(
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
    for start, stop, strip in product_strips(grouped, grouped):
        kernel.multi_similarity(strip.numpy(), start, first, last, alpha, beta, base, epsilon, 1 / n, losses)
        if need_grad:
            grad_grouped[start:stop].addmm_(strip, grouped)
            grad_grouped.addmm_(strip.T, grouped[start:stop])
    grad = embeddings.new_empty(embeddings.shape if need_grad else 0)
    if need_grad:
        grad[order] = grad_grouped
    return embeddings.new_tensor(math.fsum(losses) / n), grad

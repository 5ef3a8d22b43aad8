"""The multi-similarity loss of a labelled batch, strip by strip.

torch's matrix product makes a strip of similarities, one kernel turns it into losses and gradient weights in place, and
two products take the weights back.
"""

import math

import numpy as np
import torch
from torch import Tensor

from corelib._tensors import check_exponent, longest_row
from corelib.engines import gpu, multi_similarity_cuda, multi_similarity_torch
from corelib.engines.route import Operator, first_derivative_only, keep_gradients, take_gradients, takes_torch
from corelib.engines.strips import product_strips
from corelib.kernels import contrastive as kernel


def _loss(
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None,
    reference_labels: Tensor | None,
    alpha: float,
    beta: float,
    base: float,
    epsilon: float | None,
    need_embeddings: bool,
    need_references: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its gradients by the embeddings and by the references (empty unless needed)."""
    given = (
        embeddings.detach(),
        labels,
        None if references is None else references.detach(),
        reference_labels,
    )
    settings = (alpha, beta, base, epsilon, need_embeddings, need_references)
    if gpu.takes(embeddings):
        return multi_similarity_cuda.multi_similarity(*given, *settings)
    longest = longest_row(embeddings, "embeddings")
    other = longest if references is None else longest_row(references, "references")
    largest = max(alpha, beta) * max(longest * other + abs(base), abs(epsilon or 0.0), 1.0)
    exponent = "beta * (inner product - base)" if beta >= alpha else "alpha * (inner product - base)"
    names = "embeddings" if references is None else "embeddings and references"
    check_exponent(largest, embeddings.dtype, names, exponent)
    function = multi_similarity_torch.multi_similarity if takes_torch(embeddings) else _compiled
    return function(*given, *settings)


def _fake(embeddings, labels, references, *settings):
    pairs = zip((embeddings, embeddings if references is None else references), settings[-2:], strict=True)
    return embeddings.new_empty(()), *(embeddings.new_empty(x.shape if needed else 0) for x, needed in pairs)


@first_derivative_only
def _backward(ctx, grad_loss, *_):
    of_embeddings, of_references = take_gradients(ctx, multi_similarity, grad_loss)
    needs = ctx.needs_input_grad
    return of_embeddings if needs[0] else None, None, of_references if needs[2] else None, *(None,) * 7


multi_similarity = Operator(
    "corelib::multi_similarity",
    _loss,
    fake=_fake,
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
    references: Tensor | None,
    reference_labels: Tensor | None,
    alpha: float,
    beta: float,
    base: float,
    epsilon: float | None,
    need_embeddings: bool,
    need_references: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its gradients (empty unless needed)."""
    itself = references is None
    if itself:
        references, reference_labels, need_references = embeddings, labels, need_embeddings
    n = len(embeddings)
    classes, order = reference_labels.sort(stable=True)  # an anchor's positives are a range of columns
    grouped = references[order]
    anchors, anchor_classes = (grouped, classes) if itself else (embeddings, labels)
    first = torch.searchsorted(classes, anchor_classes).numpy()
    last = torch.searchsorted(classes, anchor_classes, right=True).numpy()
    of_grouped = grouped.new_zeros(grouped.shape if need_references else 0)
    of_anchors = of_grouped
    if not itself:
        of_anchors = anchors.new_zeros(anchors.shape if need_embeddings else 0)
    losses = np.empty(n)
    for start, stop, strip in product_strips(anchors, grouped):
        rows = slice(None) if itself else slice(start, stop)
        own = start if itself else -1
        kernel.multi_similarity(
            strip.numpy(), own, first[rows], last[rows], alpha, beta, base, epsilon, 1 / n, losses[rows]
        )
        if need_embeddings:
            of_anchors[start:stop].addmm_(strip, grouped)
        if need_references:
            of_grouped.addmm_(strip.T, anchors[start:stop])
    loss = embeddings.new_tensor(math.fsum(losses) / n)
    of_references = torch.empty_like(of_grouped)
    if need_references:
        of_references[order] = of_grouped
    return (loss, of_references, anchors.new_empty(0)) if itself else (loss, of_anchors, of_references)

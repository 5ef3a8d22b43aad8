"""Multi-similarity by the CUDA core: what ``multi_similarity`` asks for float32 tensors on a GPU. Nothing here waits for it."""

import torch
from torch import Tensor

from corelib.engines import gpu
from corelib.engines.strips_cuda import GAIN, Factor, Strips, add_product, half_pays, product
from corelib.kernels import cuda


def multi_similarity(
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
    embeddings, labels = embeddings.contiguous(), labels.contiguous()
    targets = embeddings if itself else references.contiguous()
    target_labels = labels if itself else reference_labels.contiguous()
    need_targets = need_embeddings if itself else need_references
    n, m = len(embeddings), len(targets)
    half = (need_embeddings or need_targets) and half_pays(embeddings, n, m)
    strips = Strips(embeddings, n, m, half=half)
    gain = GAIN if half else 1.0
    factor = Factor(embeddings, half)
    target_factor = factor if itself else Factor(targets, half)
    losses = embeddings.new_empty(n)
    of_embeddings = embeddings.new_zeros(embeddings.shape if need_embeddings else 0)
    of_targets = targets.new_zeros(targets.shape if need_targets else 0)
    rows = cuda.MultiSimilarityRows(
        row_label=gpu.address(labels),
        column_label=gpu.address(target_labels),
        losses=gpu.address(losses),
        alpha=alpha,
        beta=beta,
        base=base,
        epsilon=epsilon or 0.0,
        gain=gain,
        mine=epsilon is not None,
        itself=itself,
        columns=m,
    )
    for start, stop, strip in strips:
        torch.mm(embeddings[start:stop], targets.T, out=strip)
        rows.first_row = start
        strips.run("multi_similarity", strip, rows)
        weights = strips.weights(strip)
        if need_embeddings:
            of_embeddings[start:stop] = product(weights, target_factor.value)
        if need_targets:
            add_product(of_targets, weights.T, factor.value[start:stop])
    target_factor.finish(of_embeddings, 1 / (gain * n))
    factor.finish(of_targets, 1 / (gain * n))
    if itself:
        return losses.mean(), of_embeddings.add_(of_targets), embeddings.new_empty(0)
    return losses.mean(), of_embeddings, of_targets

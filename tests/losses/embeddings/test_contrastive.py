"""Contrastive loss: loops over pairs as the oracle, a peer, degenerate batches, memory, refusals."""

import math

import numpy as np
import pytest
import torch
from batches import batch, close, distances, largest_tensor, partners, saved_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer

from corelib.losses import contrastive_loss

MEASURES = ("euclidean", "cosine")


def loop(x, y, near, far, measure, power, reduction):
    d = distances(x, measure)
    costs = {True: [], False: []}
    anchors = []
    for i, positives, negatives in partners(y):
        own = [(d[i, j] - near).clamp_min(0) ** power / power for j in positives]
        other = [(far - d[i, j]).clamp_min(0) ** power / power for j in negatives]
        costs[True] += own
        costs[False] += other
        anchors.append(sum(own + other, torch.zeros((), dtype=x.dtype)))
    if reduction == "none":
        return torch.stack(anchors)
    if reduction == "sum":
        return sum(anchors)
    total = 0
    for side in costs.values():
        counted = [c for c in side if reduction == "mean" or c > 0]
        total = total + sum(counted) / max(1, len(counted))
    return total


@pytest.mark.parametrize("reduction", ["mean", "active", "sum", "none"])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("measure", MEASURES)
def test_value_and_gradient_equal_the_loop(strips, measure, power, reduction):
    x, y = batch()
    close(
        lambda x: contrastive_loss(x, y, 0.4, 1.3, distance=measure, power=power, reduction=reduction),
        lambda x: loop(x, y, 0.4, 1.3, measure, power, reduction),
        x,
    )


@given(seed=st.integers(0, 10**6), n=st.integers(1, 20), classes=st.integers(1, 5), far=st.floats(-0.5, 3))
@settings(max_examples=30, deadline=None)
def test_any_batch_equals_the_loop(seed, n, classes, far):
    x, y = batch(n, 3, classes, seed)
    value = contrastive_loss(x, y, 0.2, far, reduction="none")
    expected = loop(x, y, 0.2, far, "euclidean", 2, "none")
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("reduction", ["mean", "active"])
def test_peer(measure, reduction):
    """pytorch-metric-learning writes the cosine's margins as similarities."""
    x, y = batch(40, 5, 7)
    if measure == "cosine":
        peer = {"pos_margin": 0.9, "neg_margin": 0.3, "distance": CosineSimilarity()}
        margins = (0.1, 0.7)
    else:
        peer = {"pos_margin": 0.5, "neg_margin": 2.0, "distance": LpDistance(normalize_embeddings=False)}
        margins = (0.5, 2.0)
    reducer = MeanReducer() if reduction == "mean" else AvgNonZeroReducer()
    close(
        lambda x: contrastive_loss(x, y, *margins, distance=measure, power=1, reduction=reduction),
        lambda x: ContrastiveLoss(**peer, reducer=reducer)(x, y),
        x,
        rtol=1e-6,
    )


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("power", [1, 2])
def test_gradcheck(measure, power):
    x, y = batch(9, 3, 3)
    x.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: contrastive_loss(x, y, 0.4, 1.3, distance=measure, power=power), x
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_near_duplicates_far_from_the_origin_keep_their_distance(dtype):
    """|a|^2 + |b|^2 - 2 <a, b> would give 0 or noise here."""
    step = 1 / 1024 if dtype == torch.float32 else 1e-6
    x = torch.tensor([[1000.0, 1000.0], [1000.0 + step, 1000.0]], dtype=dtype, requires_grad=True)
    loss = contrastive_loss(x, torch.tensor([0, 1]), neg_margin=2 * step, power=1)
    actual = (x[1] - x[0]).norm().item()
    assert loss.item() == pytest.approx(2 * step - actual, rel=1e-6)
    loss.backward()
    torch.testing.assert_close(
        x.grad, torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=dtype), rtol=1e-5, atol=1e-6
    )


def test_hadsell_by_hand():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    loss = contrastive_loss(x, torch.tensor([0, 0, 1]), neg_margin=3.0)
    assert loss.item() == pytest.approx(25 / 2 + ((3 - 1) ** 2 / 2 + 0) / 2)


@pytest.mark.parametrize("reduction", ["mean", "active", "sum", "none"])
@pytest.mark.parametrize("measure", MEASURES)
def test_degenerate_batches_have_finite_gradients(measure, reduction):
    for x, labels in (
        (torch.ones(5, 2), [0, 0, 1, 1, 2]),
        (torch.zeros(4, 3), [0, 0, 1, 1]),
        (torch.randn(4, 3), [0, 1, 2, 3]),
        (torch.randn(4, 3), [7, 7, 7, 7]),
        (torch.randn(1, 3), [0]),
    ):
        x = x.requires_grad_()
        loss = contrastive_loss(x, torch.tensor(labels), distance=measure, reduction=reduction)
        loss.sum().backward()
        assert loss.isfinite().all() and x.grad.isfinite().all()
        if len(set(labels)) == len(labels):
            assert len(labels) > 1 or (loss == 0).all()
    one_class = torch.tensor([[0.0], [2.0]])
    assert contrastive_loss(one_class, torch.tensor([4, 4]), reduction="sum") == 4


def test_memory_does_not_grow_with_the_matrix():
    """2,500 x 2,500 float64 distances are 50 MB; a strip is 4 MB, and strips are not kept for the backward pass."""
    x, y = batch(2500, 8, 50)
    x.requires_grad_()
    assert largest_tensor(lambda: contrastive_loss(x, y).backward()) < 10e6
    assert saved_bytes(lambda: contrastive_loss(x, y)) < 2e6


def test_arrays_in_arrays_out():
    x, y = batch()
    arrays = x.float().numpy(), y.numpy()
    assert isinstance(contrastive_loss(*arrays), float)
    losses = contrastive_loss(*arrays, reduction="none")
    assert isinstance(losses, np.ndarray) and losses.dtype == np.float32 and losses.shape == (len(x),)


X, Y = batch(4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: contrastive_loss(X[:0], Y[:0]),
            ValueError,
            "embeddings must have at least one row and one column",
        ),
        (lambda: contrastive_loss(X[0], Y), ValueError, "embeddings must be 2-dimensional"),
        (lambda: contrastive_loss(X * math.nan, Y), ValueError, "embeddings must be finite"),
        (lambda: contrastive_loss(X * 1e200, Y), ValueError, "embeddings must not exceed 1e\\+140"),
        (lambda: contrastive_loss(X.float() * 1e30, Y * 0), ValueError, "embeddings must be small enough"),
        (lambda: contrastive_loss(X, Y.double()), TypeError, "labels must hold integers"),
        (lambda: contrastive_loss(X, Y[:3]), ValueError, "labels must have shape"),
        (lambda: contrastive_loss(X, Y, math.inf), ValueError, "pos_margin must be finite"),
        (lambda: contrastive_loss(X, Y, 0.0, "1"), TypeError, "neg_margin must be a real number"),
        (lambda: contrastive_loss(X, Y, power=3), ValueError, "power must be 1 or 2"),
        (lambda: contrastive_loss(X, Y, distance="l1"), ValueError, "distance must be one of"),
        (lambda: contrastive_loss(X, Y, reduction="max"), ValueError, "reduction must be one of"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Triplet loss: every triplet in a loop as the oracle, the three minings, a peer, degenerate batches, memory, refusals."""

import math

import numpy as np
import pytest
import torch
from batches import batch, close, distances, largest_tensor, partners, saved_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer

from corelib.losses import triplet_loss

MEASURES = ("euclidean", "cosine")
MININGS = ("all", "hard", "semihard")


def chosen(d, i, positives, negatives, mining):
    """The triplets of an anchor as pairs (positive, negative)."""
    if not positives or not negatives:
        return []
    if mining == "all":
        return [(p, n) for p in positives for n in negatives]
    if mining == "hard":
        return [(max(positives, key=lambda p: d[i, p]), min(negatives, key=lambda n: d[i, n]))]
    pairs = []
    for p in positives:
        farther = [n for n in negatives if d[i, n] > d[i, p]]
        pairs.append(
            (p, min(farther, key=lambda n: d[i, n]) if farther else max(negatives, key=lambda n: d[i, n]))
        )
    return pairs


def loop(x, y, margin, mining, measure, reduction):
    d = distances(x, measure)
    anchors, costs = [], []
    for i, positives, negatives in partners(y):
        own = [
            (d[i, p] - d[i, n] + margin).clamp_min(0) for p, n in chosen(d, i, positives, negatives, mining)
        ]
        anchors.append(sum(own, torch.zeros((), dtype=x.dtype)))
        costs += own
    if reduction == "none":
        return torch.stack(anchors)
    counted = [c for c in costs if reduction != "active" or c > 0]
    return sum(anchors) / (1 if reduction == "sum" else max(1, len(counted)))


@pytest.mark.parametrize("reduction", ["mean", "active", "sum", "none"])
@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("measure", MEASURES)
def test_value_and_gradient_equal_the_loop(backend, strips, measure, mining, reduction):
    x, y = batch()
    close(
        lambda x: triplet_loss(x, y, 0.3, mining=mining, distance=measure, reduction=reduction),
        lambda x: loop(x, y, 0.3, mining, measure, reduction),
        x,
    )


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 18),
    classes=st.integers(1, 5),
    margin=st.floats(-1, 3),
    mining=st.sampled_from(MININGS),
)
@settings(max_examples=40, deadline=None)
def test_any_batch_equals_the_loop(seed, n, classes, margin, mining):
    x, y = batch(n, 3, classes, seed)
    value = triplet_loss(x, y, margin, mining=mining, reduction="none")
    torch.testing.assert_close(value, loop(x, y, margin, mining, "euclidean", "none"), rtol=1e-10, atol=1e-10)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_ties_and_duplicates_equal_the_loop(seed):
    """Points on a grid: equal distances, duplicates of one and of two classes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(3, (14, 2), generator=generator).double()
    y = torch.randint(4, (14,), generator=generator)
    for mining in MININGS:
        for reduction in ("mean", "none"):
            value = triplet_loss(x, y, 0.7, mining=mining, reduction=reduction)
            expected = loop(x, y, 0.7, mining, "euclidean", reduction)
            torch.testing.assert_close(value, torch.as_tensor(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("reduction", ["mean", "active"])
def test_peer(measure, reduction):
    x, y = batch(30, 5, 5)
    distance = CosineSimilarity() if measure == "cosine" else LpDistance(normalize_embeddings=False)
    reducer = MeanReducer() if reduction == "mean" else AvgNonZeroReducer()
    close(
        lambda x: triplet_loss(x, y, 0.2, distance=measure, reduction=reduction),
        lambda x: TripletMarginLoss(0.2, distance=distance, reducer=reducer)(x, y),
        x,
        rtol=1e-6,
    )


def test_hardest_triplets_are_those_of_the_peer():
    x, y = batch(30, 5, 5)
    distance = LpDistance(normalize_embeddings=False)
    miner, peer = (
        BatchHardMiner(distance=distance),
        TripletMarginLoss(0.2, distance=distance, reducer=MeanReducer()),
    )
    close(lambda x: triplet_loss(x, y, 0.2, mining="hard"), lambda x: peer(x, y, miner(x, y)), x, rtol=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("mining", MININGS)
def test_gradcheck(mining, measure):
    x, y = batch(9, 3, 3)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: triplet_loss(x, y, 0.3, mining=mining, distance=measure), x)


@pytest.mark.parametrize("mining", MININGS)
def test_degenerate_batches_have_finite_gradients(mining):
    cases = (
        (torch.ones(5, 2), [0, 0, 1, 1, 2], 0.2),
        (torch.randn(4, 3), [0, 1, 2, 3], 0.0),
        (torch.randn(4, 3), [7, 7, 7, 7], 0.0),
        (torch.randn(1, 3), [0], 0.0),
    )
    for x, labels, expected in cases:
        for reduction in ("mean", "active", "sum", "none"):
            x = x.detach().requires_grad_()
            loss = triplet_loss(x, torch.tensor(labels), mining=mining, reduction=reduction)
            loss.sum().backward()
            assert x.grad.isfinite().all()
            if reduction in ("mean", "active"):
                assert loss.item() == pytest.approx(expected)


def test_float32_is_the_rounded_float64_loss():
    x, y = batch(40, 4, 5)
    x = x.float()
    for mining in MININGS:
        single, double = (triplet_loss(z, y, mining=mining) for z in (x, x.double()))
        assert single.dtype == torch.float32 and single == double.float()


@pytest.mark.parametrize("mining", MININGS)
def test_memory_does_not_grow_with_the_matrix(mining):
    """2,500 x 2,500 float64 distances are 50 MB (and all triplets 30 million); a strip is 4 MB, and none is kept."""
    x, y = batch(2500, 8, 500)
    x.requires_grad_()
    assert largest_tensor(lambda: triplet_loss(x, y, mining=mining).backward()) < 10e6
    assert saved_bytes(lambda: triplet_loss(x, y, mining=mining)) < 2e6


def test_arrays_in_arrays_out():
    x, y = batch()
    arrays = x.float().numpy(), y.numpy()
    assert isinstance(triplet_loss(*arrays), float)
    losses = triplet_loss(*arrays, reduction="none")
    assert isinstance(losses, np.ndarray) and losses.dtype == np.float32 and losses.shape == (len(x),)


X, Y = batch(4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: triplet_loss(X[:0], Y[:0]),
            ValueError,
            "embeddings must have at least one row and one column",
        ),
        (lambda: triplet_loss(X * math.inf, Y), ValueError, "embeddings must be finite"),
        (lambda: triplet_loss(X, Y.double()), TypeError, "labels must hold integers"),
        (lambda: triplet_loss(X, Y, math.nan), ValueError, "margin must be finite"),
        (lambda: triplet_loss(X, Y, 1e200), ValueError, "margin must not exceed"),
        (lambda: triplet_loss(X, Y, mining="easy"), ValueError, "mining must be one of"),
        (lambda: triplet_loss(X, Y, distance="dot"), ValueError, "distance must be one of"),
        (lambda: triplet_loss(X, Y, reduction="max"), ValueError, "reduction must be one of"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

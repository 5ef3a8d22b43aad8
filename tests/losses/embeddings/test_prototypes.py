"""Prototypes and their triplet loss: means and all distances in loops as the oracle, ties, duplicates, memory, refusals."""

import math

import numpy as np
import pytest
import torch
from batches import batch, close, largest_tensor, saved_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.losses import class_means, proto_triplet_loss


def episode(n=37, classes=6, d=4, seed=0):
    q, _ = batch(n, d, 2, seed)
    c, _ = batch(classes, d, 2, seed + 1)
    return q, c, torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))


def loop(q, c, y, margin, reduction="mean"):
    losses = []
    for z, own in zip(q, y.tolist(), strict=True):
        distances = [((z - p).square().sum() + 1e-6).sqrt() for p in c]
        nearest = min((j for j in range(len(c)) if j != own), key=lambda j: distances[j])
        losses.append((distances[own] - distances[nearest] + margin).clamp_min(0))
    return {"mean": torch.mean, "sum": torch.sum, "none": lambda v: v}[reduction](torch.stack(losses))


def test_class_means_are_means():
    x, _ = batch(20)
    y = torch.arange(20) % 5
    close(lambda x: class_means(x, y), lambda x: torch.stack([x[y == c].mean(0) for c in range(5)]), x)
    assert torch.autograd.gradcheck(lambda x: class_means(x, y), x.requires_grad_())
    torch.testing.assert_close(class_means(x, torch.zeros(20, dtype=torch.int64)), x.mean(0, keepdim=True))


def test_class_means_add_in_float64():
    x = torch.tensor([[2.0**25], [1.0], [1.0], [-(2.0**25)]])
    assert class_means(x, torch.zeros(4, dtype=torch.int64)).item() == 0.5


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_value_and_gradients_equal_the_loop(strips, reduction):
    q, c, y = episode()
    close(
        lambda q: proto_triplet_loss(q, c, y, 0.4, reduction=reduction),
        lambda q: loop(q, c, y, 0.4, reduction),
        q,
    )
    close(
        lambda c: proto_triplet_loss(q, c, y, 0.4, reduction=reduction),
        lambda c: loop(q, c, y, 0.4, reduction),
        c,
    )


@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), classes=st.integers(2, 6), margin=st.floats(-1, 2))
@settings(max_examples=30, deadline=None)
def test_any_episode_equals_the_loop(seed, n, classes, margin):
    q, c, y = episode(n, classes, 3, seed)
    value = proto_triplet_loss(q, c, y, margin, reduction="none")
    torch.testing.assert_close(value, loop(q, c, y, margin, "none"), rtol=1e-12, atol=1e-12)


def test_gradcheck():
    q, c, y = episode(7, 3, 3)
    q.requires_grad_(), c.requires_grad_()
    assert torch.autograd.gradcheck(lambda q, c: proto_triplet_loss(q, c, y), (q, c))
    assert torch.autograd.gradgradcheck(lambda q, c: proto_triplet_loss(q, c, y), (q, c))


def test_prototypes_of_the_batch_pass_the_gradient_on():
    x, _ = batch(12)
    y = torch.arange(12) % 3
    assert torch.autograd.gradcheck(lambda x: proto_triplet_loss(x, class_means(x, y), y), x.requires_grad_())


def test_of_equally_near_prototypes_the_first_moves():
    c = torch.tensor([[5.0, 0.0], [1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], requires_grad=True)
    proto_triplet_loss(torch.tensor([[1.0, 0.0]]), c, torch.tensor([0])).backward()
    assert [bool(g.any()) for g in c.grad] == [True, True, False, False]


def test_a_query_on_its_prototype():
    c = torch.zeros(2, 3, requires_grad=True)
    loss = proto_triplet_loss(torch.zeros(1, 3), c, torch.tensor([0]))
    loss.backward()
    assert loss.item() == 0.5 and (c.grad == 0).all()


def test_memory_is_that_of_queries_and_prototypes():
    """3,000 queries x 1,000 prototypes: 24 MB of distances, 384 MB of differences in 16 dimensions."""
    q, c, y = episode(3000, 1000, 16)
    q.requires_grad_()
    assert largest_tensor(lambda: proto_triplet_loss(q, c, y).backward()) < 6e6
    assert saved_bytes(lambda: proto_triplet_loss(q, c, y)) < 4e6


def test_arrays_in_arrays_out():
    q, c, y = (t.numpy() for t in episode())
    assert isinstance(proto_triplet_loss(q, c, y), float)
    means = class_means(q.astype(np.float32), np.arange(len(q)) % 4)
    assert isinstance(means, np.ndarray) and means.dtype == np.float32 and means.shape == (4, 4)


Q, C, Y = episode(6, 3, 2)
X, L = batch(4)[0], torch.tensor([0, 0, 1, 2])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: class_means(X[:0], L[:0]),
            ValueError,
            "embeddings must have at least one row and one column",
        ),
        (lambda: class_means(X, L.double()), TypeError, "labels must hold integers"),
        (lambda: class_means(X, L - 1), ValueError, r"labels must lie in 0\.\.1; got -1\.\.1"),
        (lambda: class_means(X, L, 2), ValueError, r"labels must lie in 0\.\.1; got 0\.\.2"),
        (
            lambda: class_means(X, L, 4),
            ValueError,
            "labels must give each class a row; class 3 of 0..3 has none",
        ),
        (
            lambda: class_means(X, L * 10**15),
            ValueError,
            "labels must give each of the 2000000000000001 classes a row",
        ),
        (lambda: class_means(X, L, 0), ValueError, "classes must be at least 1"),
        (lambda: class_means(X * math.nan, L), ValueError, "embeddings must be finite"),
        (
            lambda: proto_triplet_loss(Q[:0], C, Y[:0]),
            ValueError,
            "queries must have at least one row and one column",
        ),
        (
            lambda: proto_triplet_loss(Q, C.float(), Y),
            TypeError,
            "queries and prototypes must have the same dtype",
        ),
        (lambda: proto_triplet_loss(Q, C[:, :1], Y), ValueError, "the same number of columns; got 2 and 1"),
        (lambda: proto_triplet_loss(Q, C[:1], Y * 0), ValueError, "prototypes must have at least 2 rows"),
        (lambda: proto_triplet_loss(Q, C, Y + 1), ValueError, r"labels must lie in 0\.\.2"),
        (lambda: proto_triplet_loss(Q, C, Y, math.inf), ValueError, "margin must be finite"),
        (lambda: proto_triplet_loss(Q, C, Y, reduction="max"), ValueError, "reduction must be one of"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""ICNN score and loss: the six steps in plain Python as the oracle, invariances, every hard case, memory, refusals."""

import math

import numpy as np
import pytest
import torch
from batches import batch, largest_tensor, saved_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.losses import icnn_loss, icnn_score


def steps(x, y, k=4, candidates=None, targets=None, target_labels=None):
    """Score, its three parts, point by point, neighbour by neighbour; differentiable."""
    itself = targets is None
    t, ty = (x, y) if itself else (targets, target_labels)

    def distance(i, j):
        return ((x[i] - t[j]).square().sum() + 1e-6).sqrt()

    same, different, share, others = [], [], [], []
    for i in range(len(x)):
        ranked = sorted(
            (j for j in range(len(t)) if not (itself and i == j)), key=lambda j: distance(i, j).item()
        )
        beyond = [j for j in ranked[:candidates] if ty[j] != y[i]]
        nearest = distance(i, beyond[0]) if beyond else math.inf
        e = [distance(i, j) / (nearest + 1e-7) for j in ranked[:k]]
        top = max([torch.ones((), dtype=x.dtype), *e])
        own = [v / top for v, j in zip(e, ranked, strict=False) if ty[j] == y[i]]
        if own:
            same.append(sum(own) / len(own))
        others.append([distance(i, j) for j in ranked[:k] if ty[j] != y[i]])
        share.append(len(own) / k)
    largest = max((v for row in others for v in row), default=None)
    different = [sum(row) / len(row) / largest for row in others if row]
    one = torch.ones((), dtype=x.dtype)
    lambda_same = one - sum(same) / len(same) if same else one
    lambda_diff = sum(different) / len(different) if different else one
    gamma = one * sum(share) / len(share)
    return ((lambda_same + lambda_diff) / 2 + gamma) / 2, lambda_same, lambda_diff, gamma


def check(x, y, **settings):
    for got, expected in zip(icnn_score(x, y, **settings), steps(x, y, **settings), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("candidates", [None, 4, 5, 12, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient_equal_the_steps(strips, seed, candidates):
    x, y = batch(24, 3, 5, seed)
    x.requires_grad_()
    check(x.detach(), y, candidates=candidates)
    (gradient,) = torch.autograd.grad(icnn_loss(x, y, candidates=candidates), x)
    (expected,) = torch.autograd.grad(-steps(x, y, candidates=candidates)[0].log(), x)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_other_targets(strips):
    x, y = batch(17, 3, 4)
    t, ty = batch(20, 3, 4, seed=1)
    x.requires_grad_(), t.requires_grad_()
    named = {"k": 3, "targets": t, "target_labels": ty}
    check(x, y, **named)
    check(x, y, candidates=5, **named)
    got, expected = (torch.autograd.grad(f(x, y, **named)[0], (x, t)) for f in (icnn_score, steps))
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 10**6), n=st.integers(3, 14), classes=st.integers(1, 5), k=st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_any_batch_equals_the_steps(seed, n, classes, k):
    x, y = batch(n, 2, classes, seed)
    check(x, y, k=k)
    check(x, y, k=k, candidates=2)


@given(seed=st.integers(0, 10**6), classes=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_ties_and_duplicates_equal_the_steps(seed, classes):
    """Points on a grid: of equally distant neighbours the first; duplicates of the point are neighbours, it is not."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(3, (12, 2), generator=generator).double()
    check(x, torch.randint(classes, (12,), generator=generator))


@pytest.mark.parametrize("candidates", [None, 5])
def test_gradcheck(candidates):
    x, y = batch(12, 3, 3)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: icnn_loss(x, y, candidates=candidates), x)


def test_no_neighbour_of_the_same_class():
    x, y = batch(6, 3)[0].requires_grad_(), torch.arange(6)
    score, same, different, share = icnn_score(x, y)
    assert same == 1 and share == 0 and 0 < different <= 1
    torch.testing.assert_close(score, (1 + different) / 4)
    icnn_loss(x, y).backward()
    assert x.grad.isfinite().all()


def test_one_class_only():
    x, y = batch(8, 3)[0].requires_grad_(), torch.zeros(8, dtype=torch.int64)
    assert [part.item() for part in icnn_score(x, y)] == [1, 1, 1, 1]
    loss = icnn_loss(x, y)
    loss.backward()
    assert loss == 0 and (x.grad == 0).all()


def test_all_neighbours_of_the_same_class_though_others_exist():
    x = torch.cat([torch.randn(6, 2), torch.randn(6, 2) + 50]).requires_grad_()
    y = torch.arange(12) // 6
    _, same, different, share = icnn_score(x, y)
    assert different == 1 and share == 1 and 0.9 < same < 1
    icnn_loss(x, y).backward()
    assert x.grad.isfinite().all() and x.grad.any()


def test_distance_0():
    """All points in one place, of two classes: every distance is the smoothing, sqrt(1e-6)."""
    x, y = torch.zeros(8, 2, requires_grad=True), torch.arange(8) % 2
    _, same, different, _ = icnn_score(x, y)
    assert same.item() == pytest.approx(1e-7 / (1e-3 + 1e-7), abs=1e-6) and different == 1
    icnn_loss(x, y).backward()
    assert x.grad.isfinite().all()


def test_collapsed_separated_classes_score_1():
    x = torch.eye(3, dtype=torch.float64).repeat_interleave(6, 0) * 100
    score, *_ = icnn_score(x, torch.arange(18) // 6)
    assert 0.99999 < score < 1


def test_a_move_a_turn_and_a_scale_change_nothing():
    x, y = batch(30, 3, 4)
    turn = torch.linalg.qr(batch(3, 3, seed=5)[0])[0]
    score = icnn_score(x, y)[0]
    torch.testing.assert_close(icnn_score(x @ turn + 3, y)[0], score, rtol=1e-12, atol=0)
    for c in (0.1, 10.0, 100.0):
        torch.testing.assert_close(icnn_score(c * x, y)[0], score, rtol=0, atol=1e-4)


def test_memory_is_that_of_the_neighbours():
    """2,500 x 2,500 float64 distances are 50 MB, their differences in 16 dimensions 800 MB."""
    x, y = batch(2500, 16, 30)
    x.requires_grad_()
    assert largest_tensor(lambda: icnn_loss(x, y).backward()) < 6e6
    assert saved_bytes(lambda: icnn_loss(x, y)) < 4e6


def test_arrays_in_numbers_out():
    x, y = batch()
    parts = icnn_score(x.numpy(), y.numpy())
    assert isinstance(parts, tuple) and all(isinstance(part, float) for part in parts)
    assert icnn_loss(x.numpy(), y.numpy()) == pytest.approx(-math.log(parts[0]))
    single = icnn_score(x.float(), y)
    assert all(part.dtype == torch.float32 for part in single)
    np.testing.assert_allclose([part.item() for part in single], parts, rtol=1e-5)


X, Y = batch(6, 2)


@pytest.mark.parametrize("function", [icnn_score, icnn_loss])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X[:0], Y[:0]), ValueError, "embeddings must have at least one row and one column"),
        ((X[:1], Y[:1]), ValueError, "k must be at most the number of neighbours of a point, 0; got 4"),
        ((X, Y.double()), TypeError, "labels must hold integers"),
        ((X, Y, 6), ValueError, "k must be at most the number of neighbours of a point, 5; got 6"),
        ((X, Y, 0), ValueError, "k must be at least 1"),
        ((X, Y, 2, {"candidates": 1}), ValueError, "candidates must be at least k, 2; got 1"),
        ((X, Y, 2, {"targets": X}), ValueError, "targets and target_labels must be given together"),
        (
            (X, Y, 2, {"targets": X[:, :1], "target_labels": Y}),
            ValueError,
            "targets must have as many columns",
        ),
        (
            (X, Y, 2, {"targets": X.float(), "target_labels": Y}),
            TypeError,
            "embeddings and targets must have the same",
        ),
        ((X, Y, 2, {"targets": X, "target_labels": Y[1:]}), ValueError, "target_labels must have shape"),
        ((X, Y, 2, {"targets": X * math.inf, "target_labels": Y}), ValueError, "targets must be finite"),
    ],
)
def test_refusals_name_the_argument(function, arguments, error, message):
    named = arguments[3] if len(arguments) > 3 else {}
    with pytest.raises(error, match=message):
        function(*arguments[:3], **named)

"""General pair weighting: the losses from their formulas, weights from closed forms and the cube of triplets, peers."""

import math

import numpy as np
import pytest
import torch
from batches import batch, close, largest_tensor, partners, saved_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import GeneralizedLiftedStructureLoss
from torch.nn import functional as F

from corelib.losses import (
    BinomialDeviancePairs,
    ContrastivePairs,
    LiftedStructurePairs,
    MultiSimilarityPairs,
    TripletPairs,
    multi_similarity_loss,
    pair_based_loss,
    pair_weights,
)

LOSSES = (
    ContrastivePairs(0.3),
    TripletPairs(0.2),
    LiftedStructurePairs(0.5),
    BinomialDeviancePairs(2.0, 10.0, 0.4),
    MultiSimilarityPairs(2.0, 20.0, 0.4),
)


def unit(*args, **kwargs):
    x, y = batch(*args, **kwargs)
    return F.normalize(x), y


def of_anchor(loss, pos, neg):
    """The papers' formulas for one anchor with similarities ``pos`` and ``neg``."""
    zero = pos.sum() * 0 + neg.sum() * 0
    match loss:
        case ContrastivePairs(m):
            return zero + (1 - pos).sum() + (neg - m).clamp_min(0).sum()
        case TripletPairs(m):
            return zero + (neg[None] - pos[:, None] + m).clamp_min(0).sum()
        case LiftedStructurePairs(m):
            if not len(pos) or not len(neg):
                return zero
            return ((-pos).exp().sum().log() + neg.exp().sum().log() + m).clamp_min(0)
        case BinomialDeviancePairs(a, b, m):
            pull = (1 + (-a * (pos - m)).exp()).log().mean() / a if len(pos) else 0
            push = (1 + (b * (neg - m)).exp()).log().mean() / b if len(neg) else 0
            return zero + pull + push
        case MultiSimilarityPairs(a, b, m):
            pull = (1 + (-a * (pos - m)).exp().sum()).log() / a
            return pull + (1 + (b * (neg - m)).exp().sum()).log() / b


def loop(x, y, loss):
    s = x @ x.T
    return torch.stack(
        [of_anchor(loss, s[i, positives], s[i, negatives]) for i, positives, negatives in partners(y)]
    )


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_value_and_gradient_equal_the_formulas(strips, loss, reduction):
    x, y = unit()
    reduce = {"mean": torch.mean, "sum": torch.sum, "none": lambda losses: losses}[reduction]
    close(
        lambda x: pair_based_loss(x, y, loss, reduction=reduction),
        lambda x: reduce(loop(x, y, loss)),
        x,
        rtol=1e-9,
    )


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_gradcheck(loss):
    x, y = unit(9, 3, 3)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pair_based_loss(x, y, loss), x)


@pytest.mark.parametrize("loss", [MultiSimilarityPairs(), MultiSimilarityPairs(3.0, 40.0, 0.7)])
def test_multi_similarity_is_the_compiled_loss_without_mining(loss):
    x, y = unit(40, 5, 6)
    close(
        lambda x: pair_based_loss(x, y, loss),
        lambda x: multi_similarity_loss(x, y, loss.alpha, loss.beta, loss.base, None),
        x,
    )


def test_peer_of_lifted_structure():
    """With cosines, its two margins are one: the positive's minus the negative's."""
    x, y = unit(30, 5)[0], torch.arange(30) % 5
    peer = GeneralizedLiftedStructureLoss(neg_margin=0.1, pos_margin=0.4, distance=CosineSimilarity())
    ours = LiftedStructurePairs(0.3)
    close(lambda x: pair_based_loss(F.normalize(x), y, ours), lambda x: peer(x, y), x, rtol=1e-6)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 25), classes=st.integers(1, 6), margin=st.floats(-0.5, 1))
@settings(max_examples=40, deadline=None)
def test_triplet_weights_equal_those_of_the_cube(seed, n, classes, margin):
    """Each active triplet adds 1 to both of its pairs; counted exactly, duplicates and ties included."""
    generator = torch.Generator().manual_seed(seed)
    s = torch.randint(-8, 9, (n, n), generator=generator).double() / 8
    y = torch.randint(classes, (n,), generator=generator)
    margin = round(margin * 8) / 8
    same = y[:, None] == y
    positive, negative = same & ~torch.eye(n, dtype=torch.bool), ~same
    cube = positive[:, :, None] & negative[:, None] & (s[:, None] - s[:, :, None] + margin > 0)
    assert torch.equal(pair_weights(s, y, TripletPairs(margin)), (cube.sum(2) + cube.sum(1)).double())


def test_weights_are_the_closed_forms():
    x, y = unit()
    s = x @ x.T
    same = y[:, None] == y
    positive, negative = same & ~torch.eye(len(y), dtype=torch.bool), ~same

    w = pair_weights(s, y, MultiSimilarityPairs(2.0, 20.0, 0.4))
    for mask, slope in ((positive, -2.0), (negative, 20.0)):
        terms = (slope * (s - 0.4)).exp() * mask
        torch.testing.assert_close(w * mask, terms / (1 + terms.sum(1, keepdim=True)), rtol=1e-12, atol=1e-14)
    assert (w.sum(1) < 2).all() and (w >= 0).all()

    w = pair_weights(s, y, BinomialDeviancePairs(2.0, 20.0, 0.4))
    for mask, slope in ((positive, -2.0), (negative, 20.0)):
        expected = torch.sigmoid(slope * (s - 0.4)) * mask / mask.sum(1, keepdim=True).clamp_min(1)
        torch.testing.assert_close(w * mask, expected, rtol=1e-12, atol=1e-14)

    w = pair_weights(s, y, ContrastivePairs(0.3))
    assert torch.equal(w, (positive | (negative & (s > 0.3))).double())

    w = pair_weights(s, y, LiftedStructurePairs(5.0))  # wide enough for the hinge to be active
    both = (positive.any(1) & negative.any(1))[:, None]
    for mask, sign in ((positive, -1), (negative, 1)):
        softmax = (sign * s).masked_fill(~mask, -math.inf).softmax(1)
        torch.testing.assert_close(w * mask, torch.where(mask & both, softmax, 0.0), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_a_loss_and_its_frozen_weights_have_one_gradient(strips, loss):
    """The theorem of general pair weighting: (G + G^T) X, of the loss as of the sum of weighted similarities."""
    x, y = unit()
    w = pair_weights(x @ x.T, y, loss)
    sign = 1 - 2 * (y[:, None] == y).double()
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(pair_based_loss(leaf, y, loss, reduction="sum"), leaf)
    torch.testing.assert_close(gradient, (sign * w + (sign * w).T) @ x, rtol=1e-9, atol=1e-12)


def test_a_loss_given_by_its_weights():
    x, y = unit()
    fixed = MultiSimilarityPairs(2.0, 20.0, 0.4)

    def surrogate(s, positive, negative):
        w = positive * (-2 * (s - 0.4)).exp() / (1 + (positive * (-2 * (s - 0.4)).exp()).sum(1, keepdim=True))
        v = negative * (20 * (s - 0.4)).exp() / (1 + (negative * (20 * (s - 0.4)).exp()).sum(1, keepdim=True))
        return ((v - w).detach() * s).sum(1)

    x.requires_grad_()
    gradients = (torch.autograd.grad(pair_based_loss(x, y, loss), x)[0] for loss in (fixed, surrogate))
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_parameters_of_a_loss_of_yours_learn(strips):
    x, y = unit()
    margin = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    loss = pair_based_loss(x, y, lambda s, p, n: (n * (s - margin).clamp_min(0)).sum(1), reduction="sum")
    loss.backward()
    active = (y[:, None] != y) & (x @ x.T > 0.3)
    assert margin.grad.item() == -active.sum().item()


def test_steep_slopes_do_not_overflow():
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    y = torch.tensor([0, 0, 1])
    for loss, last in (
        (MultiSimilarityPairs(500.0, 5000.0), 0.5),
        (BinomialDeviancePairs(500.0, 5000.0), 0.25),
    ):
        value = pair_based_loss(x, y, loss, reduction="none")
        torch.testing.assert_close(value, torch.tensor([2.0, 1.5, last]))
        (gradient,) = torch.autograd.grad(value.sum(), x)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_anchors_without_partners_add_what_is_left(loss):
    for labels in ([0, 1, 2, 3], [5, 5, 5, 5], [0, 0, 0, 1]):
        x, y = unit(4)[0].requires_grad_(), torch.tensor(labels)
        value = pair_based_loss(x, y, loss, reduction="none")
        torch.testing.assert_close(value, loop(x, y, loss))
        value.sum().backward()
        assert x.grad.isfinite().all()
    assert pair_based_loss(unit(1)[0], torch.tensor([3]), loss) == 0


def test_memory_does_not_grow_with_the_matrix():
    """2,500 x 2,500 float64 similarities are 50 MB; a strip is 4 MB, and strips are not kept for the backward pass."""
    x, y = unit(2500, 8, 50)
    x.requires_grad_()
    for loss in LOSSES:
        assert largest_tensor(lambda loss=loss: pair_based_loss(x, y, loss).backward()) < 10e6
        assert saved_bytes(lambda loss=loss: pair_based_loss(x, y, loss)) < 2e6


def test_arrays_in_arrays_out():
    x, y = unit()
    x, y = x.float().numpy(), y.numpy()
    assert isinstance(pair_based_loss(x, y, LOSSES[0]), float)
    for result in (pair_based_loss(x, y, LOSSES[0], reduction="none"), pair_weights(x @ x.T, y, LOSSES[0])):
        assert isinstance(result, np.ndarray) and result.dtype == np.float32


X, Y = unit(4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: pair_based_loss(X[:0], Y[:0], LOSSES[0]),
            ValueError,
            "embeddings must have at least one row and one column",
        ),
        (lambda: pair_based_loss(X, Y, "contrastive"), TypeError, "loss must be callable; got str"),
        (
            lambda: pair_based_loss(X, Y, lambda s, p, n: s),
            ValueError,
            r"loss must return .* shape \(4,\); got \(4, 4\)",
        ),
        (lambda: pair_based_loss(X, Y, lambda s, p, n: 1.0), ValueError, "loss must return .* got float"),
        (
            lambda: pair_based_loss(X, Y, lambda s, p, n: s.sum(1) / 0),
            ValueError,
            "embeddings must be small enough",
        ),
        (lambda: pair_based_loss(X, Y, LOSSES[0], reduction="max"), ValueError, "reduction must be one of"),
        (lambda: pair_weights(X[:, :3], Y, LOSSES[0]), ValueError, "similarity must be square"),
        (lambda: pair_weights(X @ X.T, Y.double(), LOSSES[0]), TypeError, "labels must hold integers"),
        (lambda: ContrastivePairs("1"), TypeError, "margin must be a real number"),
        (lambda: TripletPairs(math.nan), ValueError, "margin must be finite"),
        (lambda: LiftedStructurePairs(1e200), ValueError, "margin must not exceed"),
        (lambda: BinomialDeviancePairs(alpha=0), ValueError, "alpha must be greater than 0"),
        (lambda: MultiSimilarityPairs(beta=-1), ValueError, "beta must be greater than 0"),
        (lambda: MultiSimilarityPairs(base=None), TypeError, "base must be a real number"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Mixed pairs: every mix formed and normalised as the oracle, the paper's exact claims, memory, degenerate batches."""

import math

import pytest
import torch
from batches import batch, close, largest_tensor, partners, saved_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from corelib.losses import (
    BinomialDeviancePairs,
    ContrastivePairs,
    LiftedStructurePairs,
    MultiSimilarityPairs,
    mixed_pair_loss,
    pair_based_loss,
)
from corelib.losses.embeddings import mixed

LOSSES = (
    ContrastivePairs(0.3),
    LiftedStructurePairs(0.5),
    BinomialDeviancePairs(2.0, 10.0, 0.4),
    MultiSimilarityPairs(2.0, 20.0, 0.4),
)
PAIRS = ("positive-negative", "anchor-negative")


@pytest.fixture(params=["one tile", "tiles of one anchor"])
def tiles(request, monkeypatch):
    if request.param != "one tile":
        monkeypatch.setattr(mixed, "_TILE_BYTES", 1)


def unit(*args, **kwargs):
    x, y = batch(*args, **kwargs)
    return F.normalize(x), y


def similarities(x, y, share, pairs, hardest=None, normalize=True):
    """Of each anchor to its mixes, each formed as a vector."""
    for i, positives, negatives in partners(y):
        ranked = sorted(negatives, key=lambda j: -(x[i] @ x[j]).item())[:hardest]
        mixes = [
            share * x[p] + (1 - share) * x[n]
            for p in (positives if pairs == PAIRS[0] else [i])
            for n in ranked
        ]
        mixes = [v / v.norm() for v in mixes] if normalize else mixes
        yield torch.stack([x[i] @ v for v in mixes]) if mixes else x.new_zeros(0)


def formula(loss, s, share):
    """The general form of the paper (its equation with tau, sigma and rho) for similarities of label ``share``."""
    zero = 0 * s.sum()
    if not len(s):
        return zero
    match loss:
        case ContrastivePairs(m):
            return share * (1 - s).sum() + (1 - share) * (s - m).clamp_min(0).sum()
        case LiftedStructurePairs(m):
            if share in (0, 1):
                return zero
            return ((share * (-s).exp()).sum().log() + ((1 - share) * s.exp()).sum().log() + m).clamp_min(0)
        case BinomialDeviancePairs(a, b, m):
            pull = (1 + (-a * (s - m)).exp()).log().mean() / a if share > 0 else 0
            return zero + pull + ((1 + (b * (s - m)).exp()).log().mean() / b if share < 1 else 0)
        case MultiSimilarityPairs(a, b, m):
            pull = (1 + (share * (-a * (s - m)).exp()).sum()).log() / a
            return pull + (1 + ((1 - share) * (b * (s - m)).exp()).sum()).log() / b


def loop(x, y, share, loss, pairs, hardest=None, normalize=True):
    rows = similarities(x, y, share, pairs, hardest, normalize)
    return torch.stack([formula(loss, s, share) + 0 * x.sum() for s in rows]).mean()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize(("hardest", "normalize"), [(None, True), (3, True), (100, False)])
def test_value_and_gradient_equal_explicit_mixing(tiles, loss, pairs, hardest, normalize):
    x, y = unit()
    close(
        lambda x: mixed_pair_loss(x, y, 0.3, loss, pairs=pairs, hardest=hardest, normalize=normalize),
        lambda x: loop(x, y, 0.3, loss, pairs, hardest, normalize),
        x,
        rtol=1e-9,
    )


@given(seed=st.integers(0, 10**6), n=st.integers(1, 14), classes=st.integers(1, 5), share=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_any_batch_equals_explicit_mixing(seed, n, classes, share):
    """Lengths other than 1, too."""
    x, y = batch(n, 3, classes, seed)
    for pairs in PAIRS:
        for loss in LOSSES[::3]:
            value = mixed_pair_loss(x, y, share, loss, pairs=pairs)
            torch.testing.assert_close(value, loop(x, y, share, loss, pairs), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_labels_of_0_and_1(loss, share):
    x, y = unit()
    for pairs in PAIRS:
        close(
            lambda x, pairs=pairs: mixed_pair_loss(x, y, share, loss, pairs=pairs),
            lambda x, pairs=pairs: loop(x, y, share, loss, pairs),
            x,
            rtol=1e-9,
        )


def test_all_positive_mixes_are_the_clean_positive_part():
    """With one negative to mix with and label 1, what is left of multi-similarity is its positive part."""
    x, y = unit(12, 4, 2)
    loss = MultiSimilarityPairs(2.0, 20.0, 0.4)
    value = mixed_pair_loss(x, y, 1.0, loss, hardest=1)
    positives = pair_based_loss(x, y, lambda s, p, n: (1 + (p * (-2 * (s - 0.4)).exp()).sum(1)).log() / 2)
    torch.testing.assert_close(value, positives, rtol=1e-12, atol=0)


def test_slope_of_the_contrastive_loss():
    """d loss / d s = -mix + (1 - mix) [s > margin]: positive iff mix >= 1/2 or s <= margin."""
    loss = ContrastivePairs(0.5)
    s = torch.linspace(-0.95, 0.95, 20, dtype=torch.float64)[None].requires_grad_()
    for share in (0.2, 0.5, 0.8):
        weight = torch.full_like(s, share)
        (slope,) = torch.autograd.grad(loss(s, weight, 1 - weight).sum(), s)
        torch.testing.assert_close(
            slope, -share + (1 - share) * (s.detach() > 0.5).double(), rtol=1e-12, atol=0
        )


def test_when_a_mix_is_a_positive_of_multi_similarity():
    """s - base <= (log(mix / (1 - mix)) + log((1 + B) / (1 + A))) / (alpha + beta)."""
    generator = torch.Generator().manual_seed(0)
    loss = MultiSimilarityPairs(2.0, 30.0, 0.5)
    for _ in range(100):
        s = (2 * torch.rand(1, 10, generator=generator, dtype=torch.float64) - 1).requires_grad_()
        share = torch.rand((), generator=generator, dtype=torch.float64)
        weight = share.expand_as(s)
        (slope,) = torch.autograd.grad(loss(s, weight, 1 - weight).sum(), s)
        above = s.detach() - 0.5
        a, b = (share * (-2 * above).exp()).sum(), ((1 - share) * (30 * above).exp()).sum()
        threshold = ((share / (1 - share)).log() + ((1 + b) / (1 + a)).log()) / 32
        assert torch.equal(slope <= 0, above <= threshold)


@pytest.mark.parametrize("pairs", PAIRS)
def test_gradcheck(pairs):
    x, y = unit(9, 3, 3)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mixed_pair_loss(x, y, 0.4, pairs=pairs), x)


def test_opposite_vectors_whose_mix_vanishes():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], requires_grad=True)
    loss = mixed_pair_loss(x, torch.tensor([0, 0, 1]), 0.5)
    loss.backward()
    assert loss.isfinite() and x.grad.isfinite().all()


@pytest.mark.parametrize("pairs", PAIRS)
def test_batches_without_mixes(pairs):
    for x, labels in ((unit(4)[0], [2, 2, 2, 2]), (unit(1)[0], [0]), (unit(4)[0].float(), [0, 0, 0, 0])):
        x = x.requires_grad_()
        loss = mixed_pair_loss(x, torch.tensor(labels), 0.5, pairs=pairs)
        loss.backward()
        assert loss == 0 and loss.dtype == x.dtype and (x.grad == 0).all()
    x = unit(4)[0]
    no_positives = mixed_pair_loss(x, torch.arange(4), 0.5, pairs=pairs)
    assert (no_positives == 0) == (pairs == "positive-negative")


def test_mixes_are_never_vectors_and_never_all_at_once():
    """600 x 3 x 596 mixes: 8.6 MB as numbers, 550 MB as vectors of 64 float64 numbers."""
    x, y = unit(600, 64, 1)
    y = torch.arange(600) // 4
    x.requires_grad_()
    assert largest_tensor(lambda: mixed_pair_loss(x, y, 0.4).backward()) < 6e6
    assert saved_bytes(lambda: mixed_pair_loss(x, y, 0.4)) < 1e6


def test_arrays_in_number_out():
    x, y = unit()
    value = mixed_pair_loss(x.numpy(), y.numpy(), 0.4)
    assert isinstance(value, float) and value == mixed_pair_loss(x, y, 0.4).item()


X, Y = unit(4)[0], torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: mixed_pair_loss(X[:0], Y[:0], 0.5),
            ValueError,
            "embeddings must have at least one row and one column",
        ),
        (lambda: mixed_pair_loss(X, Y[:3], 0.5), ValueError, "labels must have shape"),
        (lambda: mixed_pair_loss(X, Y, 1.5), ValueError, "mix must lie in 0..1; got 1.5"),
        (lambda: mixed_pair_loss(X, Y, math.nan), ValueError, "mix must be finite"),
        (lambda: mixed_pair_loss(X, Y, 0.5, "ms"), TypeError, "loss must be callable"),
        (lambda: mixed_pair_loss(X, Y, 0.5, lambda s, p, n: s), ValueError, "loss must return"),
        (lambda: mixed_pair_loss(X, Y, 0.5, pairs="all"), ValueError, "pairs must be one of"),
        (lambda: mixed_pair_loss(X, Y, 0.5, hardest=0), ValueError, "hardest must be at least 1"),
        (lambda: mixed_pair_loss(X, Y, 0.5, normalize=1), TypeError, "normalize must be True or False"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

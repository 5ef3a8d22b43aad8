"""Set and ordered contrast: loops over pairs as the oracle, the resting point of the boundary, extremes and refusals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.losses import ordered_contrast_loss, set_contrast_loss


def pairs(pos, neg, constraint="none", beta=0.0):
    """One group, pair by pair, differentiable."""
    if not len(pos) or not len(neg):
        return pos.sum() * 0 + neg.sum() * 0
    if constraint == "detach":
        neg = neg.detach()
    total = torch.ones((), dtype=pos.dtype)
    for p in pos:
        for n in neg:
            total = total + (n - p).exp()
            if constraint == "boundary":
                target = 2 * (pos.min() - beta).detach() - p.detach()
                total = total + (target - n).exp()
    return total.log()


def ordered_pairs(scores, rank):
    total = 1 + 0 * scores.sum()
    for i in range(len(scores)):
        for j in range(len(scores)):
            if rank[i] < rank[j]:
                total = total + (scores[j] - scores[i]).exp()
    return total.log()


def ragged(sizes):
    return torch.tensor(np.concatenate([[0], np.cumsum(sizes)]), dtype=torch.int64)


def random(n, seed, scale=2.0):
    return scale * torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


CONSTRAINTS = [("none", None), ("detach", None), ("boundary", 0.15), ("boundary", 2.0)]


@pytest.mark.parametrize(("constraint", "beta"), CONSTRAINTS)
def test_groups_agree_with_loops_over_pairs(constraint, beta):
    p_sizes, n_sizes = [3, 0, 1, 4, 2], [2, 3, 1, 0, 5]
    pos, neg = random(10, 0).requires_grad_(), random(11, 1).requires_grad_()
    upstream = torch.tensor([1.0, 2.0, -1.0, 3.0, 0.5], dtype=torch.float64)
    got = set_contrast_loss(
        pos,
        neg,
        pos_indptr=ragged(p_sizes),
        neg_indptr=ragged(n_sizes),
        constraint=constraint,
        beta=beta,
        reduction="none",
    )
    groups = zip(pos.split(p_sizes), neg.split(n_sizes))
    expected = torch.stack([pairs(p, n, constraint, beta) for p, n in groups])
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-13)
    ours = torch.autograd.grad((got * upstream).sum(), (pos, neg), allow_unused=True)
    theirs = torch.autograd.grad((expected * upstream).sum(), (pos, neg), allow_unused=True)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-12, atol=1e-14)
    if constraint == "detach":
        assert ours[1] is None
    else:
        torch.testing.assert_close(ours[1], theirs[1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("constraint", "beta"), [("none", None), ("detach", None)])
def test_gradcheck(constraint, beta):
    indptr = {"pos_indptr": ragged([2, 0, 1]), "neg_indptr": ragged([1, 2, 2])}
    neg = random(5, 4)
    pos = random(3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: set_contrast_loss(p, neg, constraint=constraint, **indptr), pos)
    assert torch.autograd.gradgradcheck(
        lambda p: set_contrast_loss(p, neg, constraint=constraint, **indptr), pos
    )


@pytest.mark.parametrize("beta", [0.05, 0.5, 3.0])
def test_negatives_rest_at_the_boundary(beta):
    pos = torch.tensor([-0.3, -1.0, -0.8], dtype=torch.float64)
    at = -1.0 - beta
    neg = torch.tensor([at, at + 0.1, at - 0.1], dtype=torch.float64, requires_grad=True)
    set_contrast_loss(pos, neg, constraint="boundary", beta=beta).backward()
    assert abs(neg.grad[0]) < 1e-15 and neg.grad[1] > 1e-4 and neg.grad[2] < -1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_far_beyond_the_range_of_exp(dtype):
    pos = torch.tensor([-1e4, -9e3], dtype=dtype, requires_grad=True)
    neg = torch.tensor([1e4, -800.0], dtype=dtype, requires_grad=True)
    loss = set_contrast_loss(pos, neg)
    loss.backward()
    assert loss.item() == 2e4 and pos.grad.tolist() == [-1, 0] and neg.grad.tolist() == [1, 0]
    separated = set_contrast_loss(-pos, -neg - 2e4)
    separated.backward()
    assert separated.item() == 0.0


def test_a_tiny_loss_keeps_its_digits():
    loss = set_contrast_loss(torch.tensor([30.0]).double(), torch.tensor([-20.0]).double())
    assert loss.item() == pytest.approx(math.exp(-50), rel=1e-13)


def test_no_group_has_both_sides():
    empty = torch.zeros(0, requires_grad=True)
    loss = set_contrast_loss(torch.ones(3), empty)
    loss.backward()
    assert loss == 0 and empty.grad.shape == (0,)
    assert set_contrast_loss(empty, empty, constraint="boundary", beta=1.0) == 0


def test_without_groups_all_scores_are_one():
    pos, neg = random(4, 5), random(6, 6)
    torch.testing.assert_close(set_contrast_loss(pos, neg), pairs(pos, neg))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_ordered_contrast_agrees_with_loops_over_pairs(sizes, seed):
    total = sum(sizes)
    if not total:
        return
    scores = random(total, seed).requires_grad_()
    rank = torch.randint(-2, 3, (total,), generator=torch.Generator().manual_seed(seed))
    got = ordered_contrast_loss(scores, rank, indptr=ragged(sizes), reduction="none")
    expected = torch.stack([ordered_pairs(s, r) for s, r in zip(scores.split(sizes), rank.split(sizes))])
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-13)
    upstream = random(len(sizes), 1)
    (ours,) = torch.autograd.grad((got * upstream).sum(), scores)
    (theirs,) = torch.autograd.grad((expected * upstream).sum(), scores)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def test_ordered_contrast_of_a_long_list():
    scores, rank = random(700, 2), torch.randperm(700, generator=torch.Generator().manual_seed(3))
    s = scores[rank.argsort()]
    expected = torch.triu((s[None] - s[:, None]).exp(), 1).sum().log1p()
    torch.testing.assert_close(ordered_contrast_loss(scores, rank), expected, rtol=1e-12, atol=0)
    assert torch.autograd.gradcheck(
        lambda x: ordered_contrast_loss(x, rank[:40]), scores[:40].clone().requires_grad_()
    )


def test_two_ranks_are_the_set_contrast():
    pos, neg = random(5, 7), random(4, 8)
    rank = torch.tensor([1] * 5 + [2] * 4)
    torch.testing.assert_close(
        ordered_contrast_loss(torch.cat([pos, neg]), rank), set_contrast_loss(pos, neg)
    )


def test_ordered_contrast_at_the_extremes():
    scores = torch.tensor([-1e4, 1e4, 0.0], requires_grad=True)
    loss = ordered_contrast_loss(scores, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 2e4 and scores.grad.tolist() == [-1, 1, 0]


def test_a_single_rank_is_no_comparison():
    scores = torch.ones(3, requires_grad=True)
    loss = ordered_contrast_loss(scores, torch.zeros(3, dtype=torch.int64))
    loss.backward()
    assert loss == 0 and scores.grad.tolist() == [0, 0, 0]


def test_numpy_in_numpy_out():
    pos, neg = np.arange(6, dtype=np.float32)[::2], np.ones(2, dtype=np.float32)
    pos.setflags(write=False)
    losses = set_contrast_loss(
        pos, neg, pos_indptr=np.array([0, 1, 3]), neg_indptr=np.array([0, 1, 2]), reduction="none"
    )
    assert losses.dtype == np.float32
    np.testing.assert_allclose(losses, np.log1p([np.e, np.exp(-1) + np.exp(-3)]), rtol=1e-6)
    assert isinstance(ordered_contrast_loss(pos, np.array([3, 2, 1])), float)


P, N = random(3, 0), random(2, 1)
RANK = torch.tensor([1, 2, 3])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: set_contrast_loss(P.tolist(), N), TypeError, "pos must be a torch.Tensor"),
        (lambda: set_contrast_loss(P, N.float()), TypeError, "pos and neg must have the same dtype"),
        (lambda: set_contrast_loss(P / 0, N), ValueError, "pos must be finite"),
        (lambda: set_contrast_loss(P, N[None]), ValueError, "neg must be 1-dimensional"),
        (lambda: set_contrast_loss(P, N, pos_indptr=ragged([3])), ValueError, "must be given together"),
        (
            lambda: set_contrast_loss(P, N, pos_indptr=ragged([3]), neg_indptr=ragged([1, 1])),
            ValueError,
            "same length; got 2 and 3",
        ),
        (
            lambda: set_contrast_loss(P, N, pos_indptr=ragged([2]), neg_indptr=ragged([2])),
            ValueError,
            "pos_indptr must run from 0 to the length of pos, 3; got 0..2",
        ),
        (
            lambda: set_contrast_loss(P, N, pos_indptr=ragged([3]), neg_indptr=torch.tensor([0, 2, 1, 2])),
            ValueError,
            "neg_indptr must not fall; it does after entry 1",
        ),
        (
            lambda: set_contrast_loss(P, N, pos_indptr=ragged([3]), neg_indptr=torch.tensor([0])),
            ValueError,
            "neg_indptr must be 1-dimensional with at least 2 entries",
        ),
        (
            lambda: set_contrast_loss(P, N, pos_indptr=ragged([3]).float(), neg_indptr=ragged([2])),
            TypeError,
            "pos_indptr must hold integers; got float32",
        ),
        (lambda: set_contrast_loss(P, N, constraint="both"), ValueError, "constraint must be one of"),
        (
            lambda: set_contrast_loss(P, N, beta=0.1),
            ValueError,
            'beta must be given for constraint "boundary" and only there',
        ),
        (lambda: set_contrast_loss(P, N, constraint="boundary"), ValueError, "beta must be given"),
        (
            lambda: set_contrast_loss(P, N, constraint="boundary", beta=math.inf),
            ValueError,
            "beta must be finite",
        ),
        (lambda: set_contrast_loss(P, N, reduction="max"), ValueError, "reduction must be one of"),
        (lambda: ordered_contrast_loss(P[:0], RANK[:0]), ValueError, "scores must not be empty"),
        (lambda: ordered_contrast_loss(P, RANK.double()), TypeError, "rank must hold integers; got float64"),
        (lambda: ordered_contrast_loss(P, RANK[:2]), ValueError, r"rank must have shape \(3,\); got \(2,\)"),
        (
            lambda: ordered_contrast_loss(P, RANK, indptr=ragged([2])),
            ValueError,
            "indptr must run from 0 to the length of scores, 3",
        ),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

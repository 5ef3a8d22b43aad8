"""Hinge and exponential losses of all pairs against brute force in extended precision, wherever the scores lie."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.kernels import cpu
from corelib.losses import (
    mann_whitney_loss,
    ordered_hinge_loss,
    pairwise_exponential_loss,
    pairwise_hinge_loss,
    pairwise_squared_hinge_loss,
)

HINGES = [pairwise_hinge_loss, pairwise_squared_hinge_loss]
PAIR_LOSSES = [*HINGES, pairwise_exponential_loss, mann_whitney_loss]
TOLERANCE = {np.float64: 2e-13, np.float32: 2e-7}
DTYPES = [np.float64, np.float32]


def pair_function(loss, z):
    """The loss of pairs whose negative stands z above their positive, margin included, and its derivative."""
    if loss is pairwise_hinge_loss:
        return np.maximum(z, 0), (z > 0).astype(z.dtype)
    if loss is pairwise_squared_hinge_loss:
        return np.maximum(z, 0) ** 2, 2 * np.maximum(z, 0)
    if loss is pairwise_exponential_loss:
        return np.exp(z), np.exp(z)
    e = np.exp(-np.abs(z))
    return np.maximum(z, 0) + np.log1p(e), np.where(z > 0, 1, e) / (1 + e)


def brute_force(loss, pos, neg, margin, u=None, v=None):
    """Weighted mean over all pairs and its gradients, in extended precision."""
    x, y = pos.astype(np.longdouble), neg.astype(np.longdouble)
    u = np.ones_like(x) if u is None else u.astype(np.longdouble)
    v = np.ones_like(y) if v is None else v.astype(np.longdouble)
    u, v = u / u.sum(), v / v.sum()
    value, slope = pair_function(loss, y - x[:, None] + np.longdouble(margin))
    return u @ value @ v, -u * (slope @ v), v * (u @ slope)


def run(loss, pos, neg, margin=1.0, **options):
    x, y = (torch.tensor(side).requires_grad_() for side in (pos, neg))
    options = {n: torch.tensor(o) if isinstance(o, np.ndarray) else o for n, o in options.items()}
    value = loss(x, y, margin=margin, **options)
    value.sum().backward()
    return value.detach().numpy(), x.grad.numpy(), y.grad.numpy()


def assert_close(found, expected, dtype):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=TOLERANCE[dtype]
        )


def normal(dtype, n=700, m=500, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n).astype(dtype), rng.normal(size=m).astype(dtype)


def moved(change):
    return lambda dtype: tuple(change(side.astype(np.float64)).astype(dtype) for side in normal(dtype))


def clusters(dtype):
    pos, neg = normal(np.float64)
    places = np.repeat([0, 1e7, -1e8, 40], 175), np.repeat([0, 1e7, 37, -1e8], 125)
    return (pos + places[0]).astype(dtype), (neg + places[1]).astype(dtype)


SCORES = {
    "normal": normal,
    "far from zero": moved(lambda s: s + 1e5),
    "very far from zero": moved(lambda s: s + 1e8),
    "spread over 1e8": moved(lambda s: s * 1e8),
    "clusters": clusters,
    "magnitudes from 1e-13 to 1e13": moved(lambda s: np.exp(10 * s)),
    "ties, some exactly at the margin": moved(lambda s: np.round(3 * s)),
    "all equal": moved(np.zeros_like),
    "one above all": lambda dtype: (normal(dtype)[0], normal(dtype, m=1)[1] + 5),
}


@pytest.mark.parametrize("loss", HINGES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("margin", [0.0, 1.0, 0.3, -2.0])
def test_hinges_against_brute_force(backend, loss, dtype, scores, margin):
    """Every single entry of the gradients too, to the last digits of the dtype."""
    if margin == 0.3 and scores.startswith("spread"):
        pytest.skip("a margin below the resolution of the scores")
    pos, neg = SCORES[scores](dtype)
    assert_close(run(loss, pos, neg, margin), brute_force(loss, pos, neg, margin), dtype)


@pytest.mark.parametrize("loss", HINGES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n", "m"), [(1, 1), (1, 3_000), (3_000, 1), (24, 25), (1_023, 1_025), (2_500, 2_000)]
)
def test_hinges_at_every_size_of_sort(loss, dtype, n, m):
    """Short sides are sorted in another way than long ones; half of these scores lie in one narrow cluster."""
    pos, neg = normal(np.float64, n, m)
    pos[::2], neg[::2] = 1 + 1e-4 * pos[::2], 1 + 1e-4 * neg[::2]
    pos, neg = pos.astype(dtype), neg.astype(dtype)
    assert_close(run(loss, pos, neg, 0.25), brute_force(loss, pos, neg, 0.25), dtype)


@pytest.mark.parametrize("loss", PAIR_LOSSES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_weights(backend, loss, dtype):
    rng = np.random.default_rng(1)
    pos, neg = normal(dtype)
    u, v = (rng.random(700) ** 8).astype(dtype), (rng.random(500) * (rng.random(500) > 0.5)).astype(dtype)
    for weights in ((u, v), (u, None), (None, v)):
        found = run(loss, pos, neg, 0.5, pos_weight=weights[0], neg_weight=weights[1])
        assert_close(found, brute_force(loss, pos, neg, 0.5, *weights), dtype)


@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_sum_is_mean_times_pairs(backend, loss):
    pos, neg = normal(np.float64)
    u = np.linspace(0, 2.1, len(pos))
    for weight, pairs in ((None, len(pos) * len(neg)), (u, u.sum() * len(neg))):
        mean = run(loss, pos, neg, 0.5, pos_weight=weight)
        total = run(loss, pos, neg, 0.5, pos_weight=weight, reduction="sum")
        assert_close(total, [pairs * part for part in mean], np.float64)


SIZES = np.array([[3, 5], [0, 4], [1, 1], [6, 0], [0, 0], [40, 90], [700, 900], [2, 3]])


@pytest.mark.parametrize("loss", PAIR_LOSSES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_groups_are_separate_losses(backend, loss, dtype, weighted):
    """A group with an empty side, or without weight on one, has loss 0."""
    rng = np.random.default_rng(2)
    (pos, neg), indptr = normal(dtype, *SIZES.sum(0)), np.concatenate([[[0, 0]], SIZES.cumsum(0)])
    weight = [rng.random(len(side)).astype(dtype) if weighted else None for side in (pos, neg)]
    if weighted:
        weight[0][indptr[-2, 0] :] = 0
    losses, grads = np.zeros(len(SIZES)), [np.zeros_like(pos, np.float64), np.zeros_like(neg, np.float64)]
    for g, (from_, to) in enumerate(pairwise(indptr)):
        rows = [slice(a, b) for a, b in zip(from_, to, strict=True)]
        u, v = [None, None] if not weighted else [w[r] for w, r in zip(weight, rows, strict=True)]
        if (SIZES[g] > 0).all() and (not weighted or u.any()):
            losses[g], grads[0][rows[0]], grads[1][rows[1]] = brute_force(
                loss, pos[rows[0]], neg[rows[1]], 0.5, u, v
            )
    options = {"pos_indptr": indptr[:, 0].copy(), "neg_indptr": indptr[:, 1].copy()}
    options |= {"pos_weight": weight[0], "neg_weight": weight[1]}
    assert_close(run(loss, pos, neg, 0.5, reduction="none", **options), [losses, *grads], dtype)
    found = run(loss, pos, neg, 0.5, **options)
    assert_close(found, [losses.mean(), *(grad / len(SIZES) for grad in grads)], dtype)
    totals = (
        SIZES
        if not weighted
        else np.stack(
            [
                [w[a:b].astype(float).sum() for a, b in pairwise(p)]
                for w, p in zip(weight, indptr.T, strict=True)
            ],
            1,
        )
    )
    assert_close(run(loss, pos, neg, 0.5, reduction="sum", **options)[:1], [losses @ totals.prod(1)], dtype)


def test_upstream_gradients_of_groups_are_their_own(backend):
    pos, neg = (torch.tensor(side).requires_grad_() for side in normal(np.float64, 9, 7))
    indptr = torch.tensor([0, 4, 9]), torch.tensor([0, 2, 7])
    weight = torch.tensor([0.0, 3.0], dtype=torch.float64)
    for loss in PAIR_LOSSES:
        losses = loss(pos, neg, pos_indptr=indptr[0], neg_indptr=indptr[1], reduction="none")
        grads = torch.autograd.grad(weight @ losses, (pos, neg))
        second = torch.autograd.grad(3 * loss(pos[4:], neg[2:]), (pos, neg))
        for a, b in zip(grads, second, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_gradient_against_finite_differences(backend, loss):
    x, y = (torch.tensor(side).requires_grad_() for side in normal(np.float64, 8, 6))
    u = torch.linspace(0.1, 1, 8, dtype=torch.float64)
    groups = {"pos_indptr": torch.tensor([0, 5, 8]), "neg_indptr": torch.tensor([0, 2, 6])}
    for options in ({}, {"reduction": "sum", **groups}, {"reduction": "none", **groups}):
        assert torch.autograd.gradcheck(
            lambda a, b, o=options: loss(a, b, margin=0.4, pos_weight=u, **o), (x, y)
        )


def test_margin_moves_the_negatives(backend):
    pos, neg = normal(np.float64)
    for loss in PAIR_LOSSES:
        np.testing.assert_allclose(loss(pos, neg, margin=0.75), loss(pos, neg + 0.75, margin=0.0), rtol=1e-13)


def test_margin_of_float32_scores_is_not_rounded(backend):
    pos, neg = (np.float32(1e6 + np.round(side * 16) / 16) for side in normal(np.float64))
    for loss in (mann_whitney_loss, *HINGES):
        assert_close(run(loss, pos, neg, 0.01), brute_force(loss, pos, neg, 0.01), np.float32)


finite = st.floats(-50, 50, allow_subnormal=False)
sides = st.lists(finite, min_size=1, max_size=60).map(np.array)


@settings(max_examples=60, deadline=None)
@given(pos=sides, neg=sides, margin=st.sampled_from([-1.0, 0.0, 0.5, 3.0]))
def test_properties(pos, neg, margin):
    for loss in HINGES:
        value, grad_pos, grad_neg = run(loss, pos, neg, margin)
        swapped = run(loss, -neg, -pos, margin)
        assert value >= 0 and (grad_pos <= 0).all() and (grad_neg >= 0).all()
        np.testing.assert_allclose(grad_pos.sum(), -grad_neg.sum(), rtol=1e-12)
        assert_close(swapped, (value, -grad_neg, -grad_pos), np.float64)
        order = np.random.default_rng(0).permutation(len(pos))
        shuffled = run(loss, pos[order], neg, margin)
        assert_close(shuffled, (value, grad_pos[order], grad_neg), np.float64)


def test_squared_hinge_bounds_the_share_of_misordered_pairs():
    pos, neg = normal(np.float64)
    assert pairwise_squared_hinge_loss(pos, neg) >= np.mean(pos[:, None] <= neg) > 0.4


@pytest.mark.parametrize("loss", HINGES)
def test_result_does_not_depend_on_the_number_of_threads(loss):
    pos, neg = normal(np.float32, 60_000, 50_000)
    indptr = np.linspace(0, 60_000, 301).astype(np.int64), np.linspace(0, 50_000, 301).astype(np.int64)
    groups = {"pos_indptr": indptr[0], "neg_indptr": indptr[1], "reduction": "none"}
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert cpu.openmp_threads() == threads
            results.append([*run(loss, pos, neg, pos_weight=np.abs(pos)), *run(loss, pos, neg, **groups)])
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        for part, expected in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(part, expected)


def test_log_linear_time():
    """Ten billion pairs in the time of a few sorts, with a value that a sample confirms."""
    pos, neg = normal(np.float64, 100_000, 100_000)
    for loss in HINGES:
        sample = np.random.default_rng(3).choice(len(pos), 64, replace=False)
        estimate = pair_function(loss, 1 + neg - pos[sample, None])[0].mean(axis=1)
        assert abs(loss(pos, neg) - estimate.mean()) < 5 * estimate.std() / 8


def ordered_brute_force(scores, margin):
    """Mean over the pairs of each row."""
    a, b = np.triu_indices(scores.shape[-1], 1)
    return np.maximum(0, margin + scores[..., a].astype(np.longdouble) - scores[..., b]).mean(-1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [2, 3, 5, 8, 33, 100])
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_ordered_hinge_against_brute_force(backend, dtype, columns, margin):
    scores = np.random.default_rng(4).normal(size=(7, columns)).astype(dtype)
    rows = ordered_brute_force(scores, margin).astype(float)
    tolerance = {"rtol": TOLERANCE[dtype]}
    np.testing.assert_allclose(ordered_hinge_loss(scores, margin, reduction="none"), rows, **tolerance)
    np.testing.assert_allclose(ordered_hinge_loss(scores, margin), rows.mean(), **tolerance)
    total = rows.sum() * columns * (columns - 1) / 2
    np.testing.assert_allclose(ordered_hinge_loss(scores, margin, reduction="sum"), total, **tolerance)
    np.testing.assert_allclose(ordered_hinge_loss(scores[0], margin), rows[0], **tolerance)


def test_ordered_hinge_gradient(backend):
    scores = torch.tensor(np.random.default_rng(5).normal(size=(3, 6))).requires_grad_()
    for reduction in ("mean", "sum", "none"):
        assert torch.autograd.gradcheck(
            lambda s, r=reduction: ordered_hinge_loss(s, 0.2, reduction=r), scores
        )
    with torch.no_grad():
        assert not ordered_hinge_loss(scores).requires_grad


@pytest.mark.parametrize("learned", ["margin", "margin and scores"])
def test_ordered_hinge_learns_its_margin(backend, learned):
    scores = torch.tensor(
        [[1.0, 0.5, 2.0], [1.0, 2.1, 3.0]], dtype=torch.float64, requires_grad="scores" in learned
    )
    margin = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ordered_hinge_loss, (scores, margin))


def test_ordered_hinge_of_rising_rows_is_zero():
    scores = np.sort(np.random.default_rng(6).normal(size=(4, 9)))
    assert ordered_hinge_loss(scores) == 0 < ordered_hinge_loss(scores[:, ::-1])


def test_loss_over_losses_weights_the_two_losses_of_a_violating_pair():
    """Section 4 of LoL: with one pair the total has slope 1/2 + [violated] on the loss with more feedback."""
    losses = torch.tensor(
        [[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64
    ).requires_grad_()  # more feedback first
    (losses.mean(1) + ordered_hinge_loss(losses, reduction="none")).sum().backward()
    np.testing.assert_array_equal(losses.grad, [[1.5, -0.5], [0.5, 0.5]])


T = torch.tensor
GOOD = T([1.0, 2.0])


@pytest.mark.parametrize("loss", PAIR_LOSSES)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pos": T([])}, ValueError, "^pos must hold at least one score; got none"),
        ({"neg": T([1.0, float("nan")])}, ValueError, "^neg must be finite; 1 of 2"),
        ({"pos": T([float("inf"), 1.0])}, ValueError, "^pos must be finite; 1 of 2"),
        ({"pos": [1.0, 2.0]}, TypeError, "^pos must be a torch.Tensor or a numpy.ndarray; got list"),
        ({"neg": GOOD.double()}, TypeError, "^pos and neg must have the same dtype; got float32 and float64"),
        ({"margin": float("nan")}, ValueError, "^margin must be finite"),
        ({"margin": "1"}, TypeError, "^margin must be a real number; got str"),
        ({"margin": 1e300}, ValueError, "^margin must not exceed"),
        ({"margin": 1e100}, ValueError, "^pos and neg lie too far apart: their loss overflows float32"),
        ({"reduction": "none"}, ValueError, "^reduction must be one of 'mean', 'sum'; got 'none'"),
        ({"neg_weight": T([0.0, 0.0])}, ValueError, "^neg_weight must not be all zero"),
        ({"neg_weight": T([-1.0, 0.0])}, ValueError, "^neg_weight must not be negative"),
        ({"pos_indptr": T([0, 2])}, ValueError, "^pos_indptr and neg_indptr must be given together"),
        (
            {"pos_indptr": T([0, 2]), "neg_indptr": T([0, 1, 2])},
            ValueError,
            "must have the same length; got 2 and 3",
        ),
        (
            {"pos_indptr": T([0, 3]), "neg_indptr": T([0, 2])},
            ValueError,
            "^pos_indptr must run from 0 to the length",
        ),
        (
            {"pos_indptr": T([0, 2, 1, 2]), "neg_indptr": T([0, 1, 1, 2])},
            ValueError,
            "^pos_indptr must not fall",
        ),
        (
            {"pos_indptr": T([0.0, 2.0]), "neg_indptr": T([0, 2])},
            TypeError,
            "^pos_indptr must hold integers; got float32",
        ),
    ],
)
def test_refuses(backend, loss, change, error, message):
    arguments = {"pos": GOOD, "neg": GOOD, "margin": 1.0} | change
    with pytest.raises(error, match=message):
        loss(**arguments)


@pytest.mark.parametrize(
    ("loss", "most"), [(pairwise_hinge_loss, 1e280), (pairwise_squared_hinge_loss, 1e140)]
)
def test_refuses_scores_that_overflow(backend, loss, most):
    one = np.ones(3)
    with pytest.raises(ValueError, match=f"^neg must not exceed {most:g}".replace("+", "")):
        loss(one, 10 * most * one)
    assert loss(most * one / 2, -most * one / 2) == 0
    assert np.isfinite(loss(-most * one / 2, most * one / 2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scores": T([[1.0]])}, ValueError, "^scores must have a row and at least 2 columns"),
        ({"scores": torch.ones(0, 3)}, ValueError, "^scores must have a row"),
        ({"scores": torch.ones(2, 2, 2)}, ValueError, "^scores must be 1-dimensional or 2-dimensional"),
        ({"scores": T([1.0, float("nan")])}, ValueError, "^scores must be finite"),
        ({"scores": T([1.0, 1e38])}, ValueError, "^scores must not exceed 1e\\+37"),
        ({"margin": None}, TypeError, "^margin must be a real number"),
        ({"reduction": "max"}, ValueError, "^reduction must be one of 'mean', 'sum', 'none'"),
    ],
)
def test_ordered_hinge_refuses(change, error, message):
    with pytest.raises(error, match=message):
        ordered_hinge_loss(**{"scores": GOOD} | change)


def test_memory_layout_and_inputs(backend):
    wide = np.random.default_rng(7).normal(size=(200, 3))
    copy = wide.copy()
    wide.flags.writeable = False
    for loss in HINGES:
        expected = loss(wide[:, 0].copy(), wide[::-1, 2].copy())
        assert loss(wide[:, 0], wide[::-1, 2]) == expected
        assert isinstance(expected, float)
    np.testing.assert_array_equal(wide, copy)
    assert ordered_hinge_loss(wide[:, ::-1]) == ordered_hinge_loss(wide[:, ::-1].copy())

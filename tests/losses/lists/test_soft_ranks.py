"""Soft ranks and the losses made of them against brute force over all pairs in extended precision."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.engines.pair_sums import soft_counts
from corelib.kernels import cpu
from corelib.losses import approx_ndcg, smooth_ap, soft_rank
from corelib.metrics import average_precision, ndcg

TOLERANCE = {np.float64: 2e-12, np.float32: 5e-7}
DTYPES = [np.float64, np.float32]
LOSSES = [smooth_ap, approx_ndcg]


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z > 0, 1, e) / (1 + e)


def brute_ranks(scores, temperature):
    s = scores.astype(np.longdouble)
    return 0.5 + sigmoid((s - s[:, None]) / np.longdouble(temperature)).sum(1)


def brute_rank_gradient(scores, temperature, upstream):
    """Of the weighted sum of ranks."""
    s, g = scores.astype(np.longdouble), upstream.astype(np.longdouble)
    z = (s - s[:, None]) / np.longdouble(temperature)
    bump = sigmoid(z) * sigmoid(-z) / temperature
    return g @ bump - g * bump.sum(1)


def brute_smooth_ap(scores, relevance, temperature):
    pos = scores[relevance == 1]
    if len(pos) == 0:
        return 0.0
    among, ranks = brute_ranks(pos, temperature), brute_ranks(scores, temperature)[relevance == 1]
    return float(1 - (among / ranks).mean())


def brute_approx_ndcg(scores, relevance, temperature, gain="linear"):
    gains = (
        relevance.astype(np.longdouble) if gain == "linear" else np.exp2(relevance.astype(np.longdouble)) - 1
    )
    ideal = (np.sort(gains)[::-1] / np.log2(np.arange(2, len(gains) + 2))).sum()
    return (
        float(1 - (gains / np.log2(1 + brute_ranks(scores, temperature))).sum() / ideal) if ideal > 0 else 0.0
    )


def scores_of(dtype, n=300, seed=0):
    return np.random.default_rng(seed).normal(size=n).astype(dtype)


CASES = {
    "normal": lambda s: s,
    "far from zero": lambda s: s + 1e5,
    "spread": lambda s: s * 1e6,
    "ties": lambda s: np.round(3 * s),
    "all equal": np.zeros_like,
    "outliers": lambda s: np.concatenate([s[4:], np.array([1e30, -1e30, 1e12, 2e30], s.dtype)]),
    "one": lambda s: s[:1],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("temperature", [3.0, 0.3, 0.01])
def test_ranks_and_gradient_against_brute_force(backend, dtype, case, temperature):
    scores = CASES[case](scores_of(dtype)).astype(dtype)
    upstream = np.random.default_rng(1).normal(size=len(scores))
    s = torch.tensor(scores).requires_grad_()
    ranks = soft_rank(s, temperature)
    assert ranks.dtype == s.dtype
    np.testing.assert_allclose(
        ranks.detach(), brute_ranks(scores, temperature).astype(float), rtol=TOLERANCE[dtype]
    )
    ranks.backward(torch.tensor(upstream.astype(dtype)))
    expected = brute_rank_gradient(scores, temperature, upstream.astype(dtype)).astype(float)
    size = (
        TOLERANCE[dtype] * np.abs(upstream).max() * len(scores) / temperature
    )  # differences of sums this large
    np.testing.assert_allclose(s.grad, expected, rtol=0, atol=size)


@pytest.mark.parametrize("n", [30, 3_000, 40_000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_by_boxes_against_a_sample_of_brute_force(n, dtype):
    """Small lists go pair by pair, large ones through boxes; upstream of both signs and of one."""
    scores, few = scores_of(dtype, n), np.arange(0, n, max(1, n // 40))
    s64 = scores.astype(float)
    for upstream in (np.ones(n), np.random.default_rng(2).normal(size=n)):
        s = torch.tensor(scores).requires_grad_()
        soft_rank(s, 0.2).backward(torch.tensor(upstream.astype(dtype)))
        z = (s64 - s64[few, None]) / 0.2
        bump = sigmoid(z) * sigmoid(-z) / 0.2
        expected = bump @ upstream.astype(dtype).astype(float) - upstream[few].astype(dtype) * bump.sum(1)
        size = TOLERANCE[dtype] * np.abs(bump).sum(1).max() * np.abs(upstream).max()
        np.testing.assert_allclose(s.grad[few], expected, rtol=0, atol=size)


def test_cold_ranks_are_ranks(backend):
    scores = np.random.default_rng(3).permutation(50).astype(np.float64)
    np.testing.assert_allclose(soft_rank(scores, 0.01), 50 - scores, rtol=1e-14)
    np.testing.assert_allclose(soft_rank(scores, 1e9), 25.5, rtol=1e-6)


def test_cold_losses_are_one_minus_the_metrics(backend):
    rng = np.random.default_rng(4)
    scores, grades = rng.permuted(np.tile(np.arange(30.0), (20, 1)), axis=1), rng.integers(0, 4, (20, 30))
    grades[3] = 0
    has_relevant = grades.any(1)
    found = smooth_ap(scores, (grades > 1).astype(int), 0.01, reduction="none")
    expected = np.where((grades > 1).any(1), 1 - average_precision(scores, (grades > 1).astype(int)), 0)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    for gain in ("linear", "exponential"):
        found = approx_ndcg(scores, grades, 0.01, gain=gain, reduction="none")
        np.testing.assert_allclose(
            found, np.where(has_relevant, 1 - ndcg(scores, grades, gain=gain), 0), atol=1e-13
        )


LENGTHS = np.array([5, 1, 0, 300, 12, 40, 1_000, 2])
INDPTR = np.concatenate([[0], LENGTHS.cumsum()])


@pytest.mark.parametrize("dtype", DTYPES)
def test_lists_against_brute_force(backend, dtype):
    scores = scores_of(dtype, LENGTHS.sum(), seed=5)
    grades = np.random.default_rng(6).integers(0, 3, LENGTHS.sum())
    grades[INDPTR[4] : INDPTR[5]] = 0
    lists = [slice(a, b) for a, b in pairwise(INDPTR)]
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    ranks = np.concatenate([brute_ranks(scores[rows], 0.2) for rows in lists]).astype(float)
    np.testing.assert_allclose(soft_rank(scores, 0.2, indptr=INDPTR), ranks, **tolerance)
    binary = (grades == 2).astype(int)
    for loss, relevance, brute in (
        (smooth_ap, binary, brute_smooth_ap),
        (approx_ndcg, grades, brute_approx_ndcg),
    ):
        expected = [brute(scores[rows], relevance[rows], 0.2) for rows in lists]
        found = loss(scores, relevance, 0.2, indptr=INDPTR, reduction="none")
        np.testing.assert_allclose(found, expected, **tolerance)
        np.testing.assert_allclose(
            loss(scores, relevance, 0.2, indptr=INDPTR), np.mean(expected), **tolerance
        )
        total = loss(scores, relevance, 0.2, indptr=INDPTR, reduction="sum")
        np.testing.assert_allclose(total, np.sum(expected), **tolerance)


def test_rows_are_lists(backend):
    scores, grades = scores_of(np.float64, 60), np.random.default_rng(7).integers(0, 2, 60)
    indptr = np.arange(0, 61, 15)
    table, labels = scores.reshape(4, 15), grades.reshape(4, 15)
    np.testing.assert_array_equal(soft_rank(table, 0.1), soft_rank(scores, 0.1, indptr=indptr).reshape(4, 15))
    for loss in LOSSES:
        found = loss(table, labels, 0.1, reduction="none")
        np.testing.assert_array_equal(found, loss(scores, grades, 0.1, indptr=indptr, reduction="none"))


@pytest.mark.parametrize(
    "relevance", [np.array([0, 2, 1, 0]), np.array([0.0, 2.5, 1.0, 0.0]), np.array([3, 3, 3, 3])]
)
def test_gains(backend, relevance):
    scores = scores_of(np.float64, 4)
    for gain in ("linear", "exponential"):
        expected = brute_approx_ndcg(scores, relevance, 0.5, gain)
        np.testing.assert_allclose(approx_ndcg(scores, relevance, 0.5, gain=gain), expected, rtol=1e-12)


def test_gradient_against_finite_differences(backend):
    s = torch.tensor(scores_of(np.float64, 9)).requires_grad_()
    relevance, indptr = torch.tensor([1, 0, 1, 0, 0, 1, 0, 0, 0]), torch.tensor([0, 4, 4, 7, 9])
    assert torch.autograd.gradcheck(lambda x: soft_rank(x, 0.7, indptr=indptr), s)
    for loss in LOSSES:
        for options in ({}, {"indptr": indptr, "reduction": "none"}):
            assert torch.autograd.gradcheck(lambda x, f=loss, o=options: f(x, relevance, 0.7, **o), s)
    x, y = (torch.tensor(scores_of(np.float64, n, seed=n)).requires_grad_() for n in (5, 7))
    groups = torch.tensor([0, 2, 5]), torch.tensor([0, 4, 7])
    assert torch.autograd.gradcheck(lambda a, b: soft_counts(a, b, *groups, 0.7), (x, y))


def test_second_derivative_is_refused(backend):
    s = torch.tensor(scores_of(np.float64, 9)).requires_grad_()
    (gradient,) = torch.autograd.grad(soft_rank(s).square().sum(), s, create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiable once"):
        gradient.sum().backward()


def test_operators_obey_the_rules_of_torch(backend):
    x, y = (torch.tensor(scores_of(np.float32, n)) for n in (5, 7))
    groups = torch.tensor([0, 2, 5]), torch.tensor([0, 4, 7])
    torch.library.opcheck(soft_counts.traced, (x.requires_grad_(), y, *groups, 0.5))
    backward = torch.ops.corelib.soft_counts_backward
    torch.library.opcheck(backward, (x.detach(), x.detach(), y, *groups, 0.5, True, False))


def test_descent_raises_the_metrics():
    """The point of it all: a few steps along the gradient, and the ranking is perfect."""
    relevance = np.random.default_rng(8).integers(0, 2, (6, 20))
    for loss, temperature in ((smooth_ap, 0.3), (approx_ndcg, 0.3)):
        scores = torch.tensor(np.random.default_rng(9).normal(size=(6, 20))).requires_grad_()
        assert average_precision(scores.detach().numpy(), relevance).mean() < 0.7
        optimizer = torch.optim.Adam([scores], lr=0.1)
        for _ in range(60):
            optimizer.zero_grad()
            loss(scores, torch.tensor(relevance), temperature).backward()
            optimizer.step()
        assert average_precision(scores.detach().numpy(), relevance).mean() > 0.99


@settings(max_examples=40, deadline=None)
@given(
    scores=st.lists(st.floats(-20, 20, allow_subnormal=False), min_size=1, max_size=60).map(np.array),
    temperature=st.sampled_from([0.01, 0.5, 5.0]),
)
def test_properties(scores, temperature):
    n = len(scores)
    ranks = soft_rank(scores, temperature)
    np.testing.assert_allclose(ranks.sum(), n * (n + 1) / 2, rtol=1e-12)  # as the ranks themselves
    assert (ranks >= 1 - 1e-12).all() and (ranks <= n + 1e-9).all()
    assert (np.diff(ranks[np.argsort(-scores, kind="stable")]) >= -1e-9).all()
    np.testing.assert_allclose(soft_rank(-scores, temperature), n + 1 - ranks, rtol=1e-12)
    relevance = np.arange(n) % 2
    for loss in LOSSES:
        value = loss(scores, relevance, temperature)
        assert -1e-12 <= value < 1
        order = np.random.default_rng(0).permutation(n)
        np.testing.assert_allclose(
            loss(scores[order], relevance[order], temperature), value, rtol=1e-11, atol=1e-14
        )


def test_result_does_not_depend_on_the_number_of_threads():
    scores, relevance = scores_of(np.float32, 60_000), np.random.default_rng(1).integers(0, 2, 60_000)
    indptr = np.linspace(0, 60_000, 601).astype(np.int64)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert cpu.openmp_threads() == threads
            parts = []
            for loss in LOSSES:
                for groups in (None, torch.tensor(indptr)):
                    s = torch.tensor(scores).requires_grad_()
                    value = loss(s, torch.tensor(relevance), 0.1, indptr=groups)
                    value.backward()
                    parts += [value.detach().numpy(), s.grad.numpy()]
            results.append(parts)
    finally:
        torch.set_num_threads(before)
    for parts in results[1:]:
        for part, expected in zip(parts, results[0], strict=True):
            np.testing.assert_array_equal(part, expected)


def test_linear_time():
    """Forty billion pairs, forward and backward, in seconds at most."""
    scores = torch.tensor(scores_of(np.float64, 200_000)).requires_grad_()
    ranks = soft_rank(scores, 0.01)
    ranks.square().sum().backward()
    few = np.arange(0, 200_000, 10_000)
    s = scores.detach().numpy()
    np.testing.assert_allclose(
        ranks.detach()[few], 0.5 + sigmoid((s - s[few, None]) / 0.01).sum(1), rtol=1e-11
    )
    assert torch.isfinite(scores.grad).all()


T = torch.tensor
GOOD = {"scores": T([1.0, 2.0, 0.5]), "relevance": T([1, 0, 1])}


@pytest.mark.parametrize("function", [soft_rank, *LOSSES])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"scores": [1.0, 2.0, 3.0]},
            TypeError,
            "^scores must be a torch.Tensor or a numpy.ndarray; got list",
        ),
        ({"scores": T([1, 2, 3])}, TypeError, "^scores must hold floats of 16, 32 or 64 bits; got int64"),
        ({"scores": T([])}, ValueError, "^scores must not be empty"),
        ({"scores": T(1.0)}, ValueError, "^scores must be 1-dimensional or 2-dimensional"),
        ({"scores": T([1.0, float("nan"), 2.0])}, ValueError, "^scores must be finite; 1 of 3"),
        (
            {"scores": T([1.0, 1e290, 2.0], dtype=torch.float64)},
            ValueError,
            r"^scores must not exceed 1e\+2(80|78); got 1e\+290",
        ),
        ({"temperature": 0.0}, ValueError, "^temperature must be greater than 0"),
        ({"temperature": "1"}, TypeError, "^temperature must be a real number"),
        ({"temperature": 1e-40}, ValueError, "^temperature must lie between 1e-37"),
        ({"indptr": T([0, 2])}, ValueError, "^indptr must run from 0 to the length of scores, 3; got 0..2"),
        ({"indptr": T([0, 2, 1, 3])}, ValueError, "^indptr must not fall"),
        ({"indptr": T([0.0, 3.0])}, TypeError, "^indptr must hold integers"),
        ({"indptr": [0, 3]}, TypeError, "^indptr must be a torch.Tensor"),
    ],
)
def test_refuses(backend, function, change, error, message):
    arguments = GOOD | change
    if function is soft_rank:
        del arguments["relevance"]
    with pytest.raises(error, match=message):
        function(**arguments)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"relevance": T([1, 0])},
            ValueError,
            r"^relevance must have the shape of scores, \(3,\); got \(2,\)",
        ),
        ({"relevance": [1, 0, 1]}, TypeError, "^relevance must be a torch.Tensor"),
        ({"relevance": T([1, 0, -1])}, ValueError, "^relevance must"),
        ({"relevance": T([1.0, 0.0, float("nan")])}, ValueError, "^relevance must"),
        ({"relevance": T([1, 0, 1j])}, TypeError, "^relevance must"),
        ({"reduction": "max"}, ValueError, "^reduction must be one of 'mean', 'sum', 'none'"),
        (
            {"scores": torch.ones(3, 1), "indptr": T([0, 3]), "relevance": T([[1], [0], [1]])},
            ValueError,
            "^scores must",
        ),
    ],
)
def test_losses_refuse(backend, loss, change, error, message):
    with pytest.raises(error, match=message):
        loss(**GOOD | change)


def test_approx_ndcg_refuses():
    with pytest.raises(ValueError, match="^gain must be one of 'linear', 'exponential'; got 'log'"):
        approx_ndcg(**GOOD, gain="log")
    with pytest.raises(
        ValueError, match="^relevance must be between 0 and 1000 with exponential gain; got 1..2000"
    ):
        approx_ndcg(GOOD["scores"], T([1, 2000, 3]), gain="exponential")
    with pytest.raises(ValueError, match="^relevance must not require a gradient"):
        approx_ndcg(GOOD["scores"], torch.ones(3, requires_grad=True))


def test_memory_layout_and_inputs(backend):
    wide = np.random.default_rng(7).normal(size=(20, 3))
    relevance = np.arange(20) % 2
    copy = wide.copy()
    wide.flags.writeable = relevance.flags.writeable = False
    assert isinstance(soft_rank(wide), np.ndarray)
    for loss in LOSSES:
        expected = loss(wide[::-1, 1].copy(), relevance.copy())
        assert isinstance(expected, float)
        assert loss(wide[::-1, 1], relevance) == expected
    np.testing.assert_array_equal(wide, copy)

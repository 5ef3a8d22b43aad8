"""Tests over queries: exact where signs can be counted, SciPy's numbers elsewhere, valid under the null."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from corelib.metrics import bootstrap_interval, paired_bootstrap, paired_randomization_test

A = [0.9, 0.8, 0.7, 0.6, 0.9, 0.2]
B = [0.5, 0.7, 0.9, 0.5, 0.8, 0.0]
SIDES = ["two-sided", "greater", "less"]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=7), st.sampled_from(SIDES)
)
@settings(max_examples=60, deadline=None)
def test_exact_test_counts_every_assignment(pairs, alternative):
    """In tenths, whose sums in floating point depend on the order: ties must count as ties."""
    a, b = np.array(pairs).T
    observed = int((a - b).sum())
    sums = [int(np.dot(signs, a - b)) for signs in itertools.product([1, -1], repeat=len(pairs))]
    extreme = {
        "two-sided": sum(abs(s) >= abs(observed) for s in sums),
        "greater": sum(s >= observed for s in sums),
        "less": sum(s <= observed for s in sums),
    }[alternative]
    found = paired_randomization_test(a / 10, b / 10, alternative=alternative)
    assert found.exact and found.pvalue == extreme / len(sums)


@pytest.mark.parametrize("alternative", SIDES)
def test_exact_and_sampled_tests_agree_with_scipy(alternative):
    rng = np.random.default_rng(1)
    for n in (10, 40):
        a, b = rng.random(n), rng.random(n) * 0.8
        theirs = stats.permutation_test(
            (a, b), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples",
            alternative=alternative, n_resamples=20_000, vectorized=True, rng=np.random.default_rng(3),
        )  # fmt: skip
        ours = paired_randomization_test(a, b, alternative=alternative, resamples=20_000)
        assert ours.exact == (n == 10)
        assert ours.pvalue == pytest.approx(theirs.pvalue, abs=1e-12 if ours.exact else 0.02)
        assert ours.difference == pytest.approx(theirs.statistic, rel=1e-14)


def test_all_are_counted_as_soon_as_there_are_no_more_than_resamples():
    a, b = np.arange(7.0), np.zeros(7)
    assert paired_randomization_test(a, b, resamples=128).exact
    assert not paired_randomization_test(a, b, resamples=127).exact


def test_sampled_test_is_valid_and_never_zero():
    a = np.linspace(1, 2, 50)
    found = paired_randomization_test(a, np.zeros(50), resamples=999)
    assert found == (1.5, 0.001, False)
    rng = np.random.default_rng(0)
    pvalues = [
        paired_randomization_test(rng.normal(size=20), rng.normal(size=20), resamples=199).pvalue
        for _ in range(400)
    ]
    assert stats.binomtest(sum(p <= 0.1 for p in pvalues), 400, 0.1).pvalue > 0.001
    assert min(pvalues) >= 1 / 200


def test_sides_mirror_each_other():
    one = paired_randomization_test(A, B, alternative="greater")
    other = paired_randomization_test(B, A, alternative="less")
    assert one.pvalue == other.pvalue and one.difference == -other.difference
    assert paired_randomization_test(A, A) == (0.0, 1.0, True)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("n", [5, 300])
def test_interval_is_that_of_scipy_on_the_same_draws(method, n):
    values = np.random.default_rng(2).exponential(size=n)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=5000,
        confidence_level=0.9,
        method=method,
        rng=np.random.default_rng(7),
    ).confidence_interval
    ours = bootstrap_interval(values, confidence=0.9, method=method, resamples=5000, rng=7)
    assert ours.mean == pytest.approx(values.mean(), rel=1e-14)
    np.testing.assert_allclose((ours.low, ours.high), theirs, rtol=1e-10)


def test_percentile_interval_is_that_of_all_resamples():
    values = np.array([0.1, 0.4, 0.5, 0.9])
    every = [np.mean(sample) for sample in itertools.product(values, repeat=4)]
    ours = bootstrap_interval(values, confidence=0.8, resamples=50_000)
    np.testing.assert_allclose(ours[1:], np.quantile(every, [0.1, 0.9]), atol=0.026)


def test_intervals_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(4)
    held = 0
    for trial in range(300):
        low, high = bootstrap_interval(rng.normal(size=60), confidence=0.8, resamples=300, rng=trial)[1:]
        held += low <= 0 <= high
    assert 0.7 < held / 300 < 0.87


def test_paired_bootstrap_is_the_bootstrap_of_differences():
    rng = np.random.default_rng(5)
    a, b = rng.random(40), rng.random(40) - 0.1
    both, single = paired_bootstrap(a, b, rng=3), bootstrap_interval(a - b, rng=3)
    assert both[:3] == single
    index = np.random.default_rng(3).integers(0, 40, (10_000, 40))
    moved = (a - b)[index].mean(1) - (a - b).mean()
    extreme = (abs(moved) >= abs((a - b).mean())).sum()
    assert both.pvalue == (extreme + 1) / 10_001
    assert both.pvalue == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)
    assert paired_bootstrap(a, b, method="bca", rng=3).low != both.low


def test_draws_do_not_depend_on_chunks(monkeypatch):
    a, b = np.random.default_rng(6).random((2, 33))
    before = paired_bootstrap(a, b, resamples=500), paired_randomization_test(a, b, resamples=500).pvalue
    monkeypatch.setattr("corelib.metrics.significance._CHUNK", 33 * 8)
    chunked = paired_bootstrap(a, b, resamples=500), paired_randomization_test(a, b, resamples=500).pvalue
    assert chunked == before


def test_exact_test_over_many_chunks(monkeypatch):
    a, b = np.random.default_rng(8).integers(0, 6, (2, 11)) / 10
    whole = paired_randomization_test(a, b)
    monkeypatch.setattr("corelib.metrics.significance._EXACT_CHUNK", 3)
    assert whole.exact and paired_randomization_test(a, b) == whole


def test_a_generator_moves_on_and_a_seed_does_not():
    generator = np.random.default_rng(0)
    first = bootstrap_interval(A, rng=generator)
    assert first == bootstrap_interval(A, rng=0) == bootstrap_interval(A)
    assert bootstrap_interval(np.linspace(0, 1, 50) ** 2, rng=generator) != bootstrap_interval(
        np.linspace(0, 1, 50) ** 2
    )


def test_equal_values_have_an_interval_of_no_width():
    for method in ("percentile", "bca"):
        assert bootstrap_interval([0.1] * 3, method=method)[1:] == (0.1, 0.1)
    assert paired_bootstrap(A, A)[1:] == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("test", [paired_randomization_test, paired_bootstrap])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"a": A[:-1]}, ValueError, r"a and b must have the same shape; got \(5,\) and \(6,\)"),
        ({"b": [B]}, ValueError, r"b must have shape \(queries,\) .*; got shape \(1, 6\)"),
        ({"a": [], "b": []}, ValueError, r"a must have shape \(queries,\) .*; got shape \(0,\)"),
        (
            {"a": [math.nan, *A[1:]]},
            ValueError,
            "a must not be NaN .*; 1 of 6 values are, the first nan at index 0",
        ),
        ({"b": [*B[1:], -math.inf]}, ValueError, "b must not be NaN .* the first -inf at index 5"),
        ({"a": list("abcdef")}, TypeError, "a must hold bool, integer, float32 or float64"),
        ({"resamples": 99}, ValueError, "resamples must be at least 100; got 99"),
        ({"resamples": 1e4}, TypeError, "resamples must be an integer; got float"),
        ({"rng": "7"}, TypeError, "rng must be an integer; got str"),
        ({"rng": -1}, ValueError, "rng must be at least 0; got -1"),
        ({"rng": None}, TypeError, "rng must be an integer; got NoneType"),
    ],
)
def test_refusals_name_the_argument(test, change, error, message):
    with pytest.raises(error, match=message):
        test(**{"a": A, "b": B} | change)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"confidence": 1.0}, ValueError, "confidence must be greater than 0 and less than 1; got 1.0"),
        ({"confidence": 95}, ValueError, "confidence must be greater than 0 and less than 1; got 95.0"),
        ({"confidence": "0.9"}, TypeError, "confidence must be a real number; got str"),
        ({"method": "BCa"}, ValueError, "method must be one of 'percentile', 'bca'; got 'BCa'"),
        (
            {"values": [1.0]},
            ValueError,
            r"values must have shape \(queries,\) with at least 2 of them; got shape \(1,\)",
        ),
    ],
)
def test_interval_refuses(change, error, message):
    with pytest.raises(error, match=message):
        bootstrap_interval(**{"values": A} | change)


def test_alternative_is_checked():
    with pytest.raises(ValueError, match="alternative must be one of"):
        paired_randomization_test(A, B, alternative="both")

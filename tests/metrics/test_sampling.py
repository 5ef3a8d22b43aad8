"""pass@k against exact fractions, against every possible draw, and far beyond where binomials overflow."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.metrics import pass_at_k


@given(st.integers(1, 300), st.data())
@settings(max_examples=100, deadline=None)
def test_estimate_is_the_fraction(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    expected = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    assert pass_at_k(n, [c], k)[0] == pytest.approx(float(expected), rel=1e-13, abs=0)


def test_estimate_is_the_share_of_draws_with_a_hit():
    samples = [1, 1, 0, 0, 0, 0]
    for k in range(1, 7):
        draws = list(itertools.combinations(samples, k))
        assert pass_at_k(6, [2], k)[0] == pytest.approx(sum(map(any, draws)) / len(draws), rel=1e-14)


def test_estimate_is_unbiased():
    n, k, p = 7, 3, 0.23
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    assert np.dot(chance, pass_at_k(n, range(n + 1), k)) == pytest.approx(1 - (1 - p) ** k, rel=1e-13)


def test_many_samples_keep_all_digits():
    assert pass_at_k(10**6, [1], 1)[0] == pytest.approx(1e-6, rel=1e-14)
    assert pass_at_k(10**9, [3], 10)[0] == pytest.approx(3e-8, rel=1e-7)
    assert pass_at_k(2**31, [2**30], 2**30)[0] == 1.0
    assert pass_at_k(10**5, [50_000], 1000)[0] == 1.0


def test_shapes_and_means():
    n, c = np.array([5, 8, 5]), np.array([0, 3, 5], dtype=np.uint8)
    both = pass_at_k(n, c, [1, 2])
    assert both.shape == (3, 2) and both.dtype == np.float64
    np.testing.assert_array_equal(both[:, 1], pass_at_k(n, c, 2))
    np.testing.assert_array_equal(pass_at_k(n, c, [1, 2], reduce="mean"), both.mean(0))
    assert pass_at_k(n, c, 1, reduce="mean") == both[:, 0].mean()
    assert pass_at_k(4, [], 1).shape == (0,) and pass_at_k(4, [], [1, 2]).shape == (0, 2)
    assert pass_at_k(4, [1], []).shape == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((5, [1.0], 1), TypeError, "correct must hold integers; got dtype float64"),
        ((5, [True], 1), TypeError, "correct must hold integers; got dtype bool"),
        ((5, 1, 1), ValueError, r"correct must be 1-dimensional; got shape \(\)"),
        ((5, [-1], 1), ValueError, "correct must not be negative; got -1"),
        ((2**32, [6], 1), ValueError, "samples must not exceed 2..31; got 4294967296"),
        ((5, [6], 1), ValueError, "correct must not exceed samples; it does for 1 of 1 problems"),
        (([5, 5], [1], 1), ValueError, r"samples must be an integer or have the shape of correct, \(1,\); got \(2,\)"),
        ((5.0, [1], 1), TypeError, "samples must hold integers"),
        ((5, [1], 0), ValueError, "k must be at least 1; got 0"),
        ((5, [1], [1, 6]), ValueError, "k must not exceed the smallest number of samples, 5; got 6"),
        ((5, [1], [[1]]), ValueError, "k must be an integer or 1-dimensional"),
        ((5, [1], "1"), TypeError, "k must hold bool, integer"),
    ],
)
def test_refusals_name_the_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        pass_at_k(*arguments)


def test_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="needs at least one query"):
        pass_at_k(4, [], 1, reduce="mean")

"""pass@k and best of n against exact fractions, every possible draw and special cases, and beyond where binomials overflow."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.metrics import best_of_n, pass_at_k


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
        (
            ([5, 5], [1], 1),
            ValueError,
            r"samples must be an integer or have the shape of correct, \(1,\); got \(2,\)",
        ),
        ((5.0, [1], 1), TypeError, "samples must hold integers"),
        ((5, [1], 0), ValueError, "k must be at least 1; got 0"),
        ((5, [1], [1, 6]), ValueError, "k must not exceed the smallest number of samples, 5; got 6"),
        ((5, [1], [[1]]), ValueError, "k must be an integer or 1-dimensional"),
        ((5, [1], "1"), TypeError, "k must be an array or a list of numbers; got str"),
    ],
)
def test_refusals_name_the_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        pass_at_k(*arguments)


def test_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="needs at least one query"):
        pass_at_k(4, [], 1, reduce="mean")


def by_draws(scores, quality, n):
    """Mean over all draws of the mean quality among the draw's highest scores."""
    kept = []
    for draw in itertools.combinations(range(len(scores)), n):
        top = max(scores[i] for i in draw)
        kept.append(np.mean([quality[i] for i in draw if scores[i] == top]))
    return np.mean(kept)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-10, 10)), min_size=1, max_size=7), st.data())
@settings(max_examples=150, deadline=None)
def test_best_of_n_is_the_mean_over_all_draws(samples, data):
    scores, quality = map(list, zip(*samples, strict=True))
    n = data.draw(st.integers(1, len(samples)))
    assert best_of_n(scores, quality, n) == pytest.approx(by_draws(scores, quality, n), rel=1e-12, abs=1e-13)


def test_a_score_that_knows_the_answer_is_pass_at_k():
    right = np.repeat([[0, 1]], [40, 24], axis=1).astype(bool)
    sizes = np.arange(1, 65)
    np.testing.assert_allclose(best_of_n(right, right, sizes)[0], pass_at_k(64, [24], sizes)[0], rtol=1e-13)


def test_ends_of_the_curve_of_best_of_n_and_many_samples():
    rng = np.random.default_rng(0)
    scores, quality = rng.normal(size=(3, 100_000)), rng.random((3, 100_000))
    curve = best_of_n(scores, quality, [1, 100_000])
    np.testing.assert_allclose(curve[:, 0], quality.mean(1), rtol=1e-13)
    np.testing.assert_allclose(curve[:, 1], quality[np.arange(3), scores.argmax(1)], rtol=1e-13)
    expected_maximum = best_of_n(rng.random((1, 100_000)), rng.random((1, 100_000)), 9).item()
    assert expected_maximum == pytest.approx(0.5, abs=0.01)
    uniform = (np.arange(100_000) + 0.5) / 100_000
    assert best_of_n(uniform, uniform, 9) == pytest.approx(9 / 10, abs=1e-4)


def test_best_of_n_shapes_and_means():
    scores, quality = np.array([[3, 1, 2], [0, 0, 0]]), np.array([[1, 0, 0], [1, 1, 0]])
    assert best_of_n(scores, quality, 2).shape == (2,)
    assert best_of_n(scores, quality, [1, 3]).shape == (2, 2)
    assert best_of_n(scores, quality, [1, 3], reduce="mean").shape == (2,)
    assert isinstance(best_of_n(scores[0], quality[0], 2), float)
    assert isinstance(best_of_n(scores, quality, 2, reduce="mean"), float)
    assert best_of_n(np.zeros((0, 3)), np.zeros((0, 3)), [1, 2]).shape == (0, 2)
    np.testing.assert_allclose(best_of_n(scores[1], quality[1], [1, 2, 3]), 2 / 3, rtol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0], 2), "n must not exceed the number of samples, 1; got 2"),
        (([1.0], [1.0], 0), "n must be at least 1"),
        (([1.0], [1.0, 2.0], 1), "scores and quality must have the same shape"),
        (([], [], 1), "N at least 1"),
        (([np.nan], [1.0], 1), "scores must be finite"),
        (([1.0], [np.inf], 1), "quality must be finite"),
    ],
)
def test_best_of_n_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        best_of_n(*arguments)

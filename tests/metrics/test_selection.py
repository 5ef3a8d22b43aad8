"""Best of n against every possible draw, and against the special cases that other functions know."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.metrics import best_of_n, pass_at_k


def by_draws(scores, quality, n):
    """Mean over all draws of the mean quality among the draw's highest scores."""
    kept = []
    for draw in itertools.combinations(range(len(scores)), n):
        top = max(scores[i] for i in draw)
        kept.append(np.mean([quality[i] for i in draw if scores[i] == top]))
    return np.mean(kept)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-10, 10)), min_size=1, max_size=7), st.data())
@settings(max_examples=150, deadline=None)
def test_it_is_the_mean_over_all_draws(samples, data):
    scores, quality = map(list, zip(*samples, strict=True))
    n = data.draw(st.integers(1, len(samples)))
    assert best_of_n(scores, quality, n) == pytest.approx(by_draws(scores, quality, n), rel=1e-12, abs=1e-13)


def test_a_score_that_knows_the_answer_is_pass_at_k():
    right = np.repeat([[0, 1]], [40, 24], axis=1).astype(bool)
    sizes = np.arange(1, 65)
    np.testing.assert_allclose(best_of_n(right, right, sizes)[0], pass_at_k(64, [24], sizes)[0], rtol=1e-13)


def test_ends_of_the_curve_and_many_samples():
    rng = np.random.default_rng(0)
    scores, quality = rng.normal(size=(3, 100_000)), rng.random((3, 100_000))
    curve = best_of_n(scores, quality, [1, 100_000])
    np.testing.assert_allclose(curve[:, 0], quality.mean(1), rtol=1e-13)
    np.testing.assert_allclose(curve[:, 1], quality[np.arange(3), scores.argmax(1)], rtol=1e-13)
    expected_maximum = best_of_n(rng.random((1, 100_000)), rng.random((1, 100_000)), 9).item()
    assert expected_maximum == pytest.approx(0.5, abs=0.01)
    uniform = (np.arange(100_000) + 0.5) / 100_000
    assert best_of_n(uniform, uniform, 9) == pytest.approx(9 / 10, abs=1e-4)


def test_shapes_and_means():
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
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        best_of_n(*arguments)

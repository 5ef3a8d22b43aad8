"""Bradley-Terry against a general-purpose optimiser, and what it refuses."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from corelib.ratings import fit_bradley_terry


def test_bradley_terry_agrees_with_a_general_optimiser():
    rng = np.random.default_rng(0)
    winner = rng.integers(0, 8, 200)
    loser = (winner + rng.integers(1, 8, 200)) % 8
    weight = rng.uniform(0, 2, 200)

    def objective(s):
        return (weight * np.logaddexp(0, s[loser] - s[winner])).sum() + 0.05 * (s**2).sum()

    expected = minimize(objective, np.zeros(8), tol=1e-12).x
    model = fit_bradley_terry(winner, loser, 8, weight=weight, precision=0.1)
    np.testing.assert_allclose(model.strength, expected - expected.mean(), atol=1e-5)
    assert (model.standard_error > 0).all()


def test_bradley_terry_survives_a_perfect_record():
    model = fit_bradley_terry([0] * 1000, [1] * 1000, players=3)
    assert np.isfinite(model.strength).all() and model.strength[0] > 3 > model.strength[1]
    assert model.strength.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(winner=[0], loser=[0], players=2), ValueError, "loser must differ from winner"),
        (dict(winner=[0], loser=[2], players=2), ValueError, "loser must lie in 0..1"),
        (dict(winner=[0], loser=[1], players=1), ValueError, "players must be at least 2"),
        (dict(winner=[0], loser=[1], players=2, weight=[-1.0]), ValueError, "weight must not be negative"),
        (dict(winner=[0], loser=[1], players=2, precision=0), ValueError, "precision must be at least 1e-9"),
        (
            dict(winner=[0] * 9, loser=[1] * 9, players=2, max_iterations=1),
            RuntimeError,
            "no convergence in 1",
        ),
    ],
)
def test_bradley_terry_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        fit_bradley_terry(**arguments)


@pytest.mark.parametrize("nothing", [[], np.array([]), torch.tensor([])])
def test_without_games_the_strengths_are_the_prior(nothing):
    model = fit_bradley_terry(nothing, nothing, 3, precision=0.25, weight=nothing)
    np.testing.assert_array_equal(model.strength, [0, 0, 0])
    np.testing.assert_allclose(model.standard_error, 2, rtol=1e-14)

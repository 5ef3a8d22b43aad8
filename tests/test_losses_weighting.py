"""Loss-based weights: the formula in plain Python, the bound on their ratio, equal and extreme losses, refusals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from corelib.losses import loss_weights

STRATEGIES = ("linear_upper", "upper", "quadratic", "extremes", "uniform")


def preferences(losses, strategy, delta):
    low, high = min(losses), max(losses)
    h = [delta * (2 * x - (high + low)) / max(high - low, 1e-6) for x in losses]
    shape = {
        "linear_upper": lambda x: min(x + delta, delta),
        "upper": lambda x: x / 2 + delta / 2,
        "quadratic": lambda x: 1 - x**2 / delta**2,
        "extremes": abs,
        "uniform": lambda x: 0.0,
    }[strategy]
    return [shape(x) for x in h]


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(st.lists(st.floats(0, 20), min_size=1, max_size=12), st.floats(0.05, 10), st.floats(0.1, 3))
@settings(max_examples=30, deadline=None)
def test_weights_are_the_formula(strategy, losses, r, delta):
    got = loss_weights(np.array(losses), strategy, r=r, delta=delta)
    f = preferences(losses, strategy, delta)
    powers = [math.exp((x - max(f)) / r) for x in f]
    np.testing.assert_allclose(got, np.array(powers) / sum(powers), rtol=1e-9, atol=1e-300)


def test_weights_solve_the_problem_they_come_from():
    losses, r = [0.5, 1.0, 3.0, 2.2], 0.7
    f = np.array(preferences(losses, "linear_upper", 1.0))
    objective = lambda w: -(w @ f) + r * (w * np.log(4 * w)).sum()
    best = minimize(objective, np.full(4, 0.25), bounds=[(1e-9, 1)] * 4, constraints={"type": "eq", "fun": lambda w: w.sum() - 1})
    np.testing.assert_allclose(loss_weights(np.array(losses), r=r), best.x, atol=1e-3)


@given(st.lists(st.floats(0, 20), min_size=2, max_size=30, unique=True), st.floats(0.1, 5))
@settings(max_examples=40, deadline=None)
def test_linear_upper_bounds_the_ratio_and_never_lowers_the_weighted_loss(losses, r):
    if max(losses) - min(losses) < 1e-6:
        return
    losses = np.array(losses)
    weights = loss_weights(losses, r=r)
    assert weights.max() / weights.min() == pytest.approx(math.exp(1 / r), rel=1e-6)
    assert (weights * losses).sum() >= losses.mean() * (1 - 1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("value", [0.0, 2.345678, 1e8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_losses_get_equal_weights(strategy, value, dtype):
    weights = loss_weights(torch.full((7,), value, dtype=dtype), strategy, r=1e-3)
    torch.testing.assert_close(weights, torch.full((7,), 1 / 7, dtype=dtype), rtol=1e-6, atol=0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_extreme_losses_and_tiny_r(strategy):
    weights = loss_weights(torch.tensor([0.0, 1e30, 5e29, 1e4]), strategy, r=1e-300)
    assert weights.isfinite().all() and abs(weights.sum() - 1) < 1e-6


def test_batches_are_rows_and_nothing_flows_back():
    losses = torch.rand(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weights = loss_weights(losses, "quadratic", r=0.3)
    assert not weights.requires_grad
    for row, expected in zip(losses, weights):
        torch.testing.assert_close(loss_weights(row, "quadratic", r=0.3), expected)
    assert loss_weights(losses.detach().numpy()[:, ::-1]).dtype == np.float32


LOSSES = torch.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: loss_weights([1.0]), TypeError, "losses must be a torch.Tensor"),
        (lambda: loss_weights(LOSSES[:0]), ValueError, "losses must not be empty"),
        (lambda: loss_weights(LOSSES / 0), ValueError, "losses must be finite; 2 of 2"),
        (lambda: loss_weights(LOSSES, "linupper"), ValueError, "strategy must be one of 'linear_upper'"),
        (lambda: loss_weights(LOSSES, r=0.0), ValueError, "r must be greater than 0"),
        (lambda: loss_weights(LOSSES, delta=-1), ValueError, "delta must be greater than 0"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

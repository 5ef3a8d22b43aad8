"""Glicko-2 against its worked example and a scalar version, and what it refuses."""

import math

import numpy as np
import pytest
import torch

from corelib.ratings import glicko2_period


def glicko2_one_player(r, rd, vol, opponents, tau):
    """Steps 2 to 8 of Glickman's paper for one player, one number at a time."""
    mu, phi = (r - 1500) / 173.7178, rd / 173.7178
    if not opponents:
        return r, 173.7178 * math.sqrt(phi**2 + vol**2), vol
    v = total = 0.0
    for r_j, rd_j, s in opponents:
        g = 1 / math.sqrt(1 + 3 * (rd_j / 173.7178) ** 2 / math.pi**2)
        e = 1 / (1 + math.exp(-g * (mu - (r_j - 1500) / 173.7178)))
        v += g**2 * e * (1 - e)
        total += g * (s - e)
    v = 1 / v
    delta, a = v * total, math.log(vol**2)

    def f(x):
        e = math.exp(x)
        return e * (delta**2 - phi**2 - v - e) / (2 * (phi**2 + v + e) ** 2) - (x - a) / tau**2

    low, high = -60.0, 60.0  # f falls: bisection needs no clever bracket
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) > 0 else (low, middle)
    new_vol = math.exp(low / 2)
    new_phi = 1 / math.sqrt(1 / (phi**2 + new_vol**2) + 1 / v)
    return 1500 + 173.7178 * (mu + new_phi**2 * total), 173.7178 * new_phi, new_vol


def test_glicko_worked_example():
    new = glicko2_period(
        [1500, 1400, 1550, 1700],
        [200, 30, 100, 300],
        [0.06] * 4,
        player=[0, 0, 0],
        opponent=[1, 2, 3],
        score=[1, 0, 0],
    )
    assert new.rating[0] == pytest.approx(1464.06, abs=0.01)
    assert new.deviation[0] == pytest.approx(151.52, abs=0.01)
    assert new.volatility[0] == pytest.approx(0.05999, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_glicko_agrees_with_one_player_at_a_time(seed):
    rng = np.random.default_rng(seed)
    n, games = 12, 40
    rating, deviation = rng.normal(1500, 300, n), rng.uniform(30, 350, n)
    volatility = rng.uniform(
        0.03, 0.3, n
    )  # with upsets: both start brackets of the volatility equation occur
    player = rng.integers(0, n - 1, games)
    opponent = (player + rng.integers(1, n - 1, games)) % (n - 1)  # the last player rests
    score = rng.choice([0, 0.5, 1], games)
    new = glicko2_period(rating, deviation, volatility, player, opponent, score, tau=0.8, max_deviation=1e9)
    for i in range(n):
        met = [(rating[o], deviation[o], s) for p, o, s in zip(player, opponent, score) if p == i]
        met += [(rating[p], deviation[p], 1 - s) for p, o, s in zip(player, opponent, score) if o == i]
        expected = glicko2_one_player(rating[i], deviation[i], volatility[i], met, 0.8)
        np.testing.assert_allclose([new.rating[i], new.deviation[i], new.volatility[i]], expected, rtol=1e-6)


@pytest.mark.parametrize("upsets", [1, 28, 29, 1000])
def test_impossible_results_do_what_the_source_says(upsets):
    """From the 29th upset on, the volatility equation has a far root, and the source's own steps find it."""
    new = glicko2_period(
        [2500, 500], [30] * 2, [0.06] * 2, [1] * upsets, [0] * upsets, [1] * upsets, max_deviation=1e9
    )
    mu, phi, g = 1000 / 173.7178, 30 / 173.7178, 1 / math.sqrt(1 + 3 * (30 / 173.7178 / math.pi) ** 2)
    expected = 1 / (1 + math.exp(-g * 2000 / 173.7178))
    v = 1 / (upsets * g**2 * expected * (1 - expected))
    delta2, a = (v * upsets * g * -expected) ** 2, math.log(0.06**2)

    def f(x):
        e = math.exp(x)
        return e * (delta2 - phi**2 - v - e) / (2 * (phi**2 + v + e) ** 2) - (x - a) / 0.25

    low, high = a, math.log(delta2 - phi**2 - v)
    f_low, f_high = f(low), f(high)
    while abs(high - low) > 1e-6:
        middle = low + (low - high) * f_low / (f_high - f_low)
        f_middle = f(middle)
        low, f_low = (high, f_high) if f_middle * f_high <= 0 else (low, f_low / 2)
        high, f_high = middle, f_middle
    new_phi2 = 1 / (1 / (phi**2 + math.exp(low)) + 1 / v)
    assert new.volatility[0] == pytest.approx(math.exp(low / 2), rel=1e-9)
    assert new.deviation[0] == pytest.approx(173.7178 * math.sqrt(new_phi2), rel=1e-9)
    assert new.rating[0] == pytest.approx(1500 + 173.7178 * (mu - new_phi2 * upsets * g * expected), rel=1e-9)


def test_glicko_rest_widens_up_to_the_cap():
    empty = np.zeros(0, dtype=int)
    new = glicko2_period([1500.0, 1500.0], [50.0, 349.99], [0.06, 0.5], empty, empty, np.zeros(0))
    assert new.rating.tolist() == [1500, 1500] and new.volatility.tolist() == [0.06, 0.5]
    assert new.deviation[0] == pytest.approx(math.hypot(50, 0.06 * 173.7178))
    assert new.deviation[1] == 350


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(rating=[1500.0, np.nan]), ValueError, "rating must be finite"),
        (
            dict(rating=["a", "b"]),
            TypeError,
            "rating must hold bool, integer, float32 or float64 numbers; got dtype <U1",
        ),
        (dict(rating=[True, False]), TypeError, "rating must hold real numbers; got dtype bool"),
        (dict(rating=[[1500.0, 1500.0]]), ValueError, "rating must be 1-dimensional"),
        (dict(deviation=[350.0]), ValueError, r"deviation must have as many entries as rating \(2\); got 1"),
        (dict(deviation=[350.0, 0.0]), ValueError, "deviation must lie in 0.001..100000; got 0..350"),
        (dict(volatility=[0.06, -1.0]), ValueError, "volatility must lie in 1e-06..10"),
        (dict(player=[2]), ValueError, r"player must lie in 0..1; got 2..2"),
        (dict(player=[-1]), ValueError, "player must lie in 0..1"),
        (dict(player=[0.0]), TypeError, "player must hold integers"),
        (dict(opponent=[0]), ValueError, "opponent must differ from player"),
        (dict(opponent=[1, 1]), ValueError, "opponent must have as many entries as player"),
        (dict(score=[1.5]), ValueError, "score must lie in 0..1"),
        (dict(tau=0.0), ValueError, "tau must lie in 0.01..10"),
        (dict(max_deviation="x"), TypeError, "max_deviation must be a real number"),
    ],
)
def test_glicko_refuses(change, error, message):
    arguments = dict(
        rating=[1500.0, 1500.0],
        deviation=[350.0, 350.0],
        volatility=[0.06, 0.06],
        player=[0],
        opponent=[1],
        score=[1.0],
    )
    with pytest.raises(error, match=message):
        glicko2_period(**arguments | change)


@pytest.mark.parametrize("nothing", [[], np.array([]), np.array([], dtype=np.uint8), torch.tensor([])])
def test_a_period_without_games_only_widens_the_deviations(nothing):
    new = glicko2_period([1500, 1600], [200, 350], [0.06, 0.1], nothing, nothing, nothing)
    np.testing.assert_array_equal(new.rating, [1500, 1600])
    np.testing.assert_array_equal(new.volatility, [0.06, 0.1])
    alone = [
        glicko2_one_player(r, rd, vol, [], 0.5)[1] for r, rd, vol in ((1500, 200, 0.06), (1600, 350, 0.1))
    ]
    np.testing.assert_allclose(new.deviation, np.minimum(alone, 350), rtol=1e-14)
    assert glicko2_period(*[nothing] * 6).rating.shape == (0,)

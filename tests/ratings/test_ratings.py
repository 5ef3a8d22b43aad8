"""Ratings: Glicko-2 against its worked example and a scalar version, Bradley-Terry and item response models against
general-purpose optimisers and autograd, and what each refuses."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from corelib.kernels import ratings as kernel
from corelib.ratings import fit_bradley_terry, fit_item_response, glicko2_period


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


def test_results_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(0)
    player = rng.integers(0, 3000, 20_000)
    opponent = (player + rng.integers(1, 3000, 20_000)) % 3000
    games = dict(player=player, opponent=opponent, score=rng.random(20_000))
    start = rng.normal(1500, 300, 3000), rng.uniform(30, 350, 3000), rng.uniform(0.03, 0.3, 3000)
    answers = simulate(100, 300)[0]
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            new, fit = glicko2_period(*start, **games), fit_item_response(answers, model="2pl")
        results.append(
            [new.rating, new.deviation, new.volatility, fit.ability, fit.difficulty, fit.discrimination]
        )
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


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


def simulate(solvers=40, items=150, seed=0, spread=0.3):
    rng = np.random.default_rng(seed)
    ability, difficulty, a = (
        rng.normal(size=solvers),
        rng.normal(size=items),
        np.exp(spread * rng.normal(size=items)),
    )
    p = 1 / (1 + np.exp(-a * (ability[:, None] - difficulty)))
    return (rng.random(p.shape) < p).astype(np.uint8), ability, difficulty, a


def test_item_response_kernel_agrees_with_autograd():
    answers, ability, difficulty, a = simulate()
    answers[::7, ::5] = kernel.UNANSWERED
    theta, b, log_a = (torch.tensor(v, requires_grad=True) for v in (ability * 20, difficulty, np.log(a)))
    y, seen = torch.tensor(answers == 1).double(), torch.tensor(answers != kernel.UNANSWERED)
    z = log_a.exp() * (theta[:, None] - b)
    expected = (torch.nn.functional.softplus(z, threshold=700) - y * z)[seen].sum()
    expected.backward()
    nll, *pulls = kernel.item_response(answers.ravel(), None, None, ability * 20, a, difficulty)
    pulls, information = pulls[:3], pulls[3:]
    assert nll == pytest.approx(expected.item(), rel=1e-13)
    for pull, parameter in zip(pulls, (theta, b, log_a)):
        np.testing.assert_allclose(pull, parameter.grad, rtol=1e-11, atol=1e-11)
    z = a * (20 * ability[:, None] - difficulty)
    weight = (answers != kernel.UNANSWERED) / (2 + np.exp(z) + np.exp(-z))  # p (1 - p)
    of_ability, of_difficulty = (weight * a**2).sum(1), (weight * a**2).sum(0)
    cross, of_log_a = -(weight * a * z).sum(0), (weight * z**2).sum(0)
    for ours, expected in zip(information, (of_ability, of_difficulty, cross, of_log_a)):
        np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("model", ["1pl", "2pl"])
def test_item_response_agrees_with_a_general_optimiser(model):
    answers, *_ = simulate(15, 20)
    fit = fit_item_response(answers, model=model)

    def objective(v):
        theta, b = v[:15], v[15:35]
        log_a = v[35:] if model == "2pl" else np.zeros(20)
        z = np.exp(log_a) * (theta[:, None] - b)
        nll = (np.logaddexp(0, z) - answers * z).sum()
        return nll + 0.5 * (theta @ theta) + 0.125 * (b @ b) + 2 * (log_a @ log_a)

    expected = minimize(objective, np.zeros(55 if model == "2pl" else 35), tol=1e-10)
    np.testing.assert_allclose(fit.ability, expected.x[:15], atol=2e-4)
    np.testing.assert_allclose(fit.difficulty, expected.x[15:35], atol=2e-4)
    assert fit.log_posterior == pytest.approx(-expected.fun, rel=1e-9)


def test_item_response_takes_about_twenty_passes_to_the_mode():
    answers, *_ = simulate(300, 200)
    rough, exact = (
        fit_item_response(answers, model="2pl", tolerance=tolerance) for tolerance in (1e-3, 1e-10)
    )
    assert exact.iterations <= 40
    assert np.abs(rough.difficulty - exact.difficulty).max() < 2e-3  # the tolerance is about the error


def test_equal_totals_give_equal_difficulty_in_the_rasch_model():
    answers, *_ = simulate(30, 60)
    fit = fit_item_response(answers, tolerance=1e-9)
    totals = answers.sum(0)
    for total in np.unique(totals):
        assert np.ptp(fit.difficulty[totals == total]) < 1e-7
    assert (np.diff(fit.difficulty[np.argsort(totals)]) < 1e-7).all()


@pytest.mark.parametrize("model", ["1pl", "2pl"])
def test_sparse_and_dense_answers_give_the_same_fit(model):
    answers, *_ = simulate()
    rng = np.random.default_rng(1)
    solver, item = np.nonzero(rng.random(answers.shape) < 0.4)
    matrix = np.full(answers.shape, np.nan)
    matrix[solver, item] = answers[solver, item]
    shuffled = rng.permutation(len(solver))
    solver, item = solver[shuffled], item[shuffled]
    dense = fit_item_response(matrix, model=model)
    sparse = fit_item_response(
        answers[solver, item], solver=solver, item=item, shape=answers.shape, model=model
    )
    for name in ("ability", "ability_error", "difficulty", "difficulty_error", "discrimination"):
        np.testing.assert_allclose(getattr(sparse, name), getattr(dense, name), atol=1e-5)


def test_item_response_recovers_what_made_the_answers():
    answers, ability, difficulty, a = simulate(800, 100)
    fit = fit_item_response(answers, model="2pl")
    assert np.corrcoef(fit.ability, ability)[0, 1] > 0.95
    assert np.corrcoef(fit.difficulty, difficulty)[0, 1] > 0.98
    assert np.corrcoef(np.log(fit.discrimination), np.log(a))[0, 1] > 0.85
    assert fit.probability().shape == answers.shape


def test_standard_errors_cover_the_truth():
    answers, _, difficulty, _ = simulate(2000, 200, spread=0)
    fit = fit_item_response(answers, ability_precision=0.1, difficulty_precision=0.01)
    off = (fit.difficulty - fit.difficulty.mean() - difficulty + difficulty.mean()) / fit.difficulty_error
    assert 0.8 < off.std() < 1.3


def test_all_right_and_all_wrong_stay_finite():
    fit = fit_item_response(np.array([[1, 0, 1], [1, 0, 0]]))
    assert np.isfinite(fit.difficulty).all() and fit.difficulty[0] < fit.difficulty[2] < fit.difficulty[1]


def test_responses_are_left_alone():
    matrix = np.asfortranarray([[1.0, 0.0, np.nan], [0.0, 1.0, 1.0]])
    matrix.setflags(write=False)
    before = matrix.copy()
    fit_item_response(matrix)
    np.testing.assert_array_equal(matrix, before)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(responses=[[0, 2]]), ValueError, "responses must be 0 or 1; 1 are not, the first is 2"),
        (dict(responses=[["a"]]), TypeError, "responses must hold bool, integer"),
        (dict(responses=[0, 1]), ValueError, r"responses must have the shape \(solvers, items\)"),
        (dict(responses=np.zeros((0, 3))), ValueError, r"both at least 1; got \(0, 3\)"),
        (dict(responses=[[np.nan]]), ValueError, "at least one answer; all are NaN"),
        (dict(responses=[[np.inf]]), ValueError, "responses must be 0 or 1"),
        (dict(responses=[[1]], shape=(1, 1)), ValueError, "shape goes with solver and item"),
        (dict(responses=[1], solver=[0]), ValueError, "solver and item must be given together"),
        (dict(responses=[1], solver=[0], item=[0]), ValueError, r"shape must be \(solvers, items\)"),
        (dict(responses=[1], solver=[1], item=[0], shape=(1, 1)), ValueError, "solver must lie in 0..0"),
        (
            dict(responses=[1, 1], solver=[0, 0], item=[0, 0], shape=(1, 1)),
            ValueError,
            "1 answers come again",
        ),
        (dict(responses=[[1, 0]], model="3pl"), ValueError, "model must be one of '1pl', '2pl'; got '3pl'"),
        (
            dict(responses=[[1, 0]], ability_precision=0),
            ValueError,
            "ability_precision must be greater than 0",
        ),
        (dict(responses=simulate()[0], max_iterations=1), RuntimeError, "no convergence"),
    ],
)
def test_item_response_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        fit_item_response(**arguments)


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


@pytest.mark.parametrize("nothing", [[], np.array([]), torch.tensor([])])
def test_without_games_the_strengths_are_the_prior(nothing):
    model = fit_bradley_terry(nothing, nothing, 3, precision=0.25, weight=nothing)
    np.testing.assert_array_equal(model.strength, [0, 0, 0])
    np.testing.assert_allclose(model.standard_error, 2, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_players_of_every_integer_type(dtype):
    winner, loser = np.array([0, 0, 1], dtype=dtype), np.array([1, 2, 2], dtype=dtype)
    wanted = fit_bradley_terry([0, 0, 1], [1, 2, 2], 3).strength
    np.testing.assert_array_equal(fit_bradley_terry(winner, loser, 3).strength, wanted)
    state = [1500, 1500, 1500], [200, 200, 200], [0.06] * 3
    found = glicko2_period(*state, winner, loser, np.ones(3, dtype=dtype))
    np.testing.assert_array_equal(
        found.rating, glicko2_period(*state, [0, 0, 1], [1, 2, 2], [1, 1, 1]).rating
    )


def test_tensors_of_half_precision_are_read_exactly():
    answers = torch.tensor([[1, 0], [0, 1], [1, 1]])
    wanted = fit_item_response(answers.numpy())
    for other in (
        answers.bfloat16().requires_grad_(),
        answers.half(),
        answers.bool(),
        answers.to(torch.uint8),
    ):
        np.testing.assert_array_equal(fit_item_response(other).ability, wanted.ability)
    weight = torch.tensor([0.5, 0.25], dtype=torch.bfloat16)
    np.testing.assert_array_equal(
        fit_bradley_terry(torch.tensor([0, 1]), torch.tensor([1, 0]), 2, weight=weight).strength,
        fit_bradley_terry([0, 1], [1, 0], 2, weight=[0.5, 0.25]).strength,
    )

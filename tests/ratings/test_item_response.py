"""Item response models against general-purpose optimisers and autograd, and what they refuse."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from corelib.kernels import ratings as kernel
from corelib.ratings import fit_item_response


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

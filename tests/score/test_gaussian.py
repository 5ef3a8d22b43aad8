"""The factored forms equal the dense ones, at full rank, low rank and rank 0."""

import numpy as np
import pytest
import torch
from noised import covariance, log_normal, random_gaussian

from corelib import score
from corelib.data import digits


@pytest.mark.parametrize("rank", [0, 3, 6])
@pytest.mark.parametrize("sigma", [0.05, 1.0, 30.0])
def test_equals_the_dense_gaussian_and_its_autograd(rank, sigma):
    gaussian = random_gaussian(6, rank)
    x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    dense = covariance(*gaussian[1:]) + sigma**2 * torch.eye(6, dtype=torch.float64)
    want = log_normal(x, gaussian[0], dense)
    torch.testing.assert_close(score.gaussian_log_density(x, *gaussian, sigma), want, rtol=1e-11, atol=1e-11)
    (grad,) = torch.autograd.grad(want.sum(), x)
    torch.testing.assert_close(score.gaussian_score(x, *gaussian, sigma), grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rank", [0, 2, 4])
def test_derivatives(rank):
    mean, eigenvalues, axes = random_gaussian(4, rank)
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    mean.requires_grad_(), eigenvalues.requires_grad_()
    sigma = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    for function in (score.gaussian_score, score.gaussian_log_density):
        assert torch.autograd.gradcheck(
            lambda x, m, e, s, f=function: f(x, m, e, axes, s), (x, mean, eigenvalues, sigma)
        )
    assert torch.autograd.gradcheck(
        lambda x, m, e, s: score.gaussian_flow(x, m, e, axes, s, 0.3), (x, mean, eigenvalues, sigma)
    )


@pytest.mark.parametrize("rank", [0, 3, 8])
def test_flow_solves_its_differential_equation(rank):
    """Against Runge-Kutta steps of dx/dsigma = -sigma score in log sigma: error falls by 16 when steps halve."""
    gaussian = random_gaussian(8, rank)
    start = 80 * torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def integrate(steps):
        def slope(t, x):
            sigma = float(np.exp(t))
            return -(sigma**2) * score.gaussian_score(x, *gaussian, sigma)

        x, h = start, (np.log(0.05) - np.log(80)) / steps
        for i in range(steps):
            t = np.log(80) + i * h
            a = slope(t, x)
            b = slope(t + h / 2, x + h / 2 * a)
            c = slope(t + h / 2, x + h / 2 * b)
            x = x + h / 6 * (a + 2 * b + 2 * c + slope(t + h, x + h * c))
        return x

    exact = score.gaussian_flow(start, *gaussian, 80.0, 0.05)
    errors = [float((integrate(n) - exact).abs().max() / exact.abs().max()) for n in (100, 200)]
    assert errors[1] < 1e-6
    assert 12 < errors[0] / errors[1] < 20


@pytest.mark.parametrize("rank", [0, 3, 6])
def test_flow_composes_and_inverts(rank):
    gaussian = random_gaussian(6, rank)
    x = 10 * torch.randn(7, 6, dtype=torch.float64)
    one = score.gaussian_flow(x, *gaussian, 10.0, 0.3)
    two = score.gaussian_flow(score.gaussian_flow(x, *gaussian, 10.0, 2.0), *gaussian, 2.0, 0.3)
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(score.gaussian_flow(one, *gaussian, 0.3, 10.0), x, rtol=1e-10, atol=1e-10)


def test_flow_ends_on_the_data_subspace():
    gaussian = random_gaussian(6, 2)
    end = score.gaussian_flow(torch.randn(7, 6, dtype=torch.float64), *gaussian, 5.0, 0.0) - gaussian[0]
    torch.testing.assert_close(end @ gaussian[2] @ gaussian[2].mT, end, rtol=1e-12, atol=1e-12)


def test_a_zero_eigenvalue_is_a_missing_axis():
    mean, eigenvalues, axes = random_gaussian(5, 5)
    eigenvalues[3:] = 0
    x = torch.randn(4, 5, dtype=torch.float64)
    for function, rest in (
        (score.gaussian_score, (0.3,)),
        (score.gaussian_log_density, (0.3,)),
        (score.gaussian_flow, (2.0, 0.3)),
    ):
        full = function(x, mean, eigenvalues, axes, *rest)
        torch.testing.assert_close(
            full, function(x, mean, eigenvalues[:3], axes[:, :3], *rest), rtol=1e-11, atol=1e-11
        )


def test_digits_have_rank_61():
    train = digits().train
    mean, eigenvalues, eigenvectors = score.fit_gaussian(train)
    assert eigenvectors.shape == (64, 61)
    np.testing.assert_allclose(mean, train.mean(0), atol=1e-14)
    cov = eigenvectors @ np.diag(eigenvalues) @ eigenvectors.T
    np.testing.assert_allclose(cov, np.cov(train.T, bias=True), atol=1e-13)
    assert score.fit_gaussian(train.astype(np.float32))[2].dtype == np.float32
    np.testing.assert_array_equal(score.fit_gaussian(train, rank=5)[1], eigenvalues[:5])


def test_large_noise_expansion_agrees_with_the_empirical_score():
    """Both scores have the same mean and covariance, so that denoisers differ at second order in 1 / sigma only."""
    train = digits().train
    gaussian = score.fit_gaussian(train)
    noise = np.random.default_rng(0).standard_normal((100, 64))

    def gap(sigma):
        x = gaussian[0] + sigma * noise
        return sigma**2 * np.linalg.norm(
            score.empirical_score(x, train, sigma) - score.gaussian_score(x, *gaussian, sigma)
        )

    assert gap(200.0) / gap(400.0) == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": torch.zeros(3)}, r"mean must have shape \(2,\)"),
        ({"eigenvalues": torch.ones(2)}, r"eigenvectors must have shape \(2, 2\); got \(2, 1\)"),
        ({"eigenvalues": -torch.ones(1)}, "eigenvalues must be at least 0; the smallest is -1.0"),
        ({"eigenvectors": torch.tensor([[1.0], [1.0]])}, "eigenvectors must be orthonormal columns"),
        ({"eigenvalues": torch.ones(3), "eigenvectors": torch.eye(3)[:2]}, "at most as many columns as rows"),
        ({"eigenvalues": torch.tensor([float("nan")])}, "eigenvalues must be finite"),
        ({"sigma": 0.0}, "sigma must be greater than 0"),
        ({"sigma": 1e-30}, "overflows float32"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {
        "x": torch.ones(1, 2),
        "mean": torch.zeros(2),
        "eigenvalues": torch.ones(1),
        "eigenvectors": torch.tensor([[1.0], [0.0]]),
        "sigma": 1.0,
    } | change
    with pytest.raises(ValueError, match=message):
        score.gaussian_score(**arguments)


def test_bad_flow_and_fit_arguments():
    gaussian = random_gaussian(2, 1)
    x = torch.zeros(1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="sigma_to must be at least 0; got -1"):
        score.gaussian_flow(x, *gaussian, 1.0, -1.0)
    with pytest.raises(ValueError, match="sigma_from must be greater than 0"):
        score.gaussian_flow(x, *gaussian, 0.0, 1.0)
    with pytest.raises(ValueError, match="rank must be at most the dimension of the data, 2; got 3"):
        score.fit_gaussian(x, rank=3)
    with pytest.raises(ValueError, match="data must hold at least one point"):
        score.fit_gaussian(x[:0])


@pytest.mark.parametrize("rank", [2, 4])
@pytest.mark.parametrize("function", [score.gaussian_score, score.gaussian_log_density])
def test_second_derivatives(function, rank):
    mean, eigenvalues, axes = random_gaussian(4, rank)
    x = torch.randn(2, 4, dtype=torch.float64)
    sigma = torch.tensor([0.5, 2.0], dtype=torch.float64)
    arguments = tuple(t.requires_grad_() for t in (x, mean, eigenvalues, sigma))
    assert torch.autograd.gradgradcheck(lambda x, m, e, s: function(x, m, e, axes, s), arguments)


FUNCTIONS = [
    (score.gaussian_score, (0.02,)),
    (score.gaussian_log_density, (0.02,)),
    (score.gaussian_flow, (3.0, 0.02)),
]


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("function", "noise"), FUNCTIONS)
def test_autocast_changes_nothing(function, noise, half):
    gaussian = random_gaussian(6, 3, dtype=torch.float32)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    leaves = [t.requires_grad_() for t in (x, *gaussian)]

    def run():
        value = function(*leaves, *noise)
        return value, *torch.autograd.grad(value.square().sum(), leaves)

    expected = run()
    with torch.autocast("cpu", dtype=half):
        got = run()
    assert all(map(torch.equal, got, expected))


@pytest.mark.parametrize("sigma", [1e-3, 0.02, 1.0])
@pytest.mark.parametrize("rank", [3, 6])
def test_float32_is_exact_at_small_noise(rank, sigma):
    """Points on the axes, whose components 1 / sigma^2 would magnify from rounding errors: 6 % in float32 arithmetic."""
    mean, eigenvalues, axes = random_gaussian(6, rank, dtype=torch.float32)
    x = mean + torch.randn(5, rank, generator=torch.Generator().manual_seed(0)) @ axes.mT
    wide = [t.double() for t in (x, mean, eigenvalues, axes)]
    got = score.gaussian_score(x, mean, eigenvalues, axes, sigma)
    torch.testing.assert_close(got, score.gaussian_score(*wide, sigma).float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("function", "noise"), FUNCTIONS)
def test_compiles_in_one_graph(function, noise):
    gaussian = random_gaussian(6, 3)
    x = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: function(x, *gaussian, *noise), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), function(x, *gaussian, *noise))
    torch.testing.assert_close(
        torch.autograd.grad(compiled(x).sum(), x),
        torch.autograd.grad(function(x, *gaussian, *noise).sum(), x),
    )


def test_eigenvectors_rounded_to_half_precision_are_orthonormal_enough():
    mean, eigenvalues, axes = random_gaussian(300, 300, dtype=torch.bfloat16)
    score.gaussian_score(mean[None], mean, eigenvalues, axes, 1.0)
    with pytest.raises(ValueError, match="eigenvectors must be orthonormal columns"):
        score.gaussian_score(mean[None].float(), mean.float(), eigenvalues.float(), 1.03 * axes.float(), 1.0)


def test_a_variance_that_overflows_is_refused():
    with pytest.raises(ValueError, match="the covariance overflows float64: data are too far apart"):
        score.fit_gaussian(np.array([[1e200, 0.0], [-1e200, 1.0]]))
    with pytest.raises(ValueError, match="a variance overflows float32: data are too far apart"):
        score.fit_gaussian(np.array([[1e30, 0.0], [-1e30, 1.0]], np.float32))


@pytest.mark.parametrize("name", ["x", "mean", "eigenvalues", "eigenvectors"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("rank", [2, 3])
def test_what_is_not_finite_is_named(name, value, rank):
    arguments = dict(zip(["mean", "eigenvalues", "eigenvectors"], random_gaussian(3, rank), strict=True))
    arguments["x"] = torch.zeros(1, 3, dtype=torch.float64)
    arguments[name].view(-1)[0] = value
    for function, noise in FUNCTIONS:
        with pytest.raises(ValueError, match=f"{name} must be finite; 1 of"):
            function(
                arguments["x"], arguments["mean"], arguments["eigenvalues"], arguments["eigenvectors"], *noise
            )

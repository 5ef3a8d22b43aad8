"""A mixture of low-rank Gaussians, its log-determinant outside the subspaces included."""

import numpy as np
import pytest
import torch
from noised import covariance, log_normal, noised, random_gaussian
from sklearn.mixture import GaussianMixture

from corelib import score
from corelib.data import digits


def random_mixture(k, d, rank, seed=0):
    parts = [random_gaussian(d, rank, seed + j) for j in range(k)]
    weights = torch.from_numpy(np.random.default_rng(seed).uniform(0.2, 1, k))
    return weights, *(torch.stack(column) for column in zip(*parts, strict=True))


@pytest.mark.parametrize("rank", [0, 2, 5])
@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_equals_the_dense_mixture_and_its_autograd(rank, sigma):
    weights, means, eigenvalues, axes = random_mixture(4, 5, rank)
    x = 2 * torch.randn(9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    noise = sigma**2 * torch.eye(5, dtype=torch.float64)
    logs = [
        log_normal(x, m, covariance(e, u) + noise) for m, e, u in zip(means, eigenvalues, axes, strict=True)
    ]
    want = torch.logsumexp(torch.stack(logs, 1) + (weights / weights.sum()).log(), 1)
    got = score.mixture_log_density(x, weights, means, eigenvalues, axes, sigma)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    (grad,) = torch.autograd.grad(want.sum(), x)
    torch.testing.assert_close(
        score.mixture_score(x, weights, means, eigenvalues, axes, sigma),
        grad,
        rtol=1e-8,
        atol=1e-9 / sigma**2,
    )


def test_equals_scikit_learn():
    train = digits().train[:, 20:28]
    fitted = GaussianMixture(3, random_state=0, reg_covar=0.04).fit(train)
    eigenvalues, axes = np.linalg.eigh(fitted.covariances_)
    got = score.mixture_log_density(
        train, fitted.weights_, fitted.means_, eigenvalues - 0.03, axes, np.sqrt(0.03)
    )
    np.testing.assert_allclose(got, fitted.score_samples(train), rtol=1e-9)


@pytest.mark.parametrize("sigma", [0.05, 1.0, 10.0])
def test_rank_0_is_the_empirical_distribution_and_one_component_the_gaussian(sigma):
    x, data = (torch.from_numpy(a) for a in noised(np.float64, sigma, d=5, n=30))
    weights = torch.rand(30, dtype=torch.float64)
    weights[4] = 0
    points = (weights, data, data.new_zeros(30, 0), data.new_zeros(30, 5, 0), sigma)
    torch.testing.assert_close(
        score.mixture_score(x, *points),
        score.empirical_score(x, data, sigma, weights=weights),
        rtol=1e-9,
        atol=1e-9,
    )
    mean, eigenvalues, axes = random_gaussian(5, 3)
    one = score.mixture_score(
        x, torch.ones(1, dtype=torch.float64), mean[None], eigenvalues[None], axes[None], sigma
    )
    torch.testing.assert_close(
        one, score.gaussian_score(x, mean, eigenvalues, axes, sigma), rtol=1e-9, atol=1e-9
    )


def test_derivatives():
    weights, means, eigenvalues, axes = random_mixture(3, 4, 2)
    x = torch.randn(3, 4, dtype=torch.float64)
    for t in (x, weights, means, eigenvalues):
        t.requires_grad_()
    for function in (score.mixture_score, score.mixture_log_density):
        assert torch.autograd.gradcheck(
            lambda x, w, m, e, f=function: f(x, w, m, e, axes, 0.7), (x, weights, means, eigenvalues)
        )


def test_float32_decides_between_far_components_as_float64_does():
    x = torch.tensor([[1000.0, 0.001]])
    parts = (
        torch.ones(2),
        torch.tensor([[0.0, 1.0], [0.0, -1.0]]),
        torch.zeros(2, 0),
        torch.zeros(2, 2, 0),
        0.05,
    )
    wide = score.mixture_score(x.double(), *(p.double() for p in parts[:4]), 0.05)
    torch.testing.assert_close(score.mixture_score(x, *parts), wide.float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": torch.ones(3)}, r"weights must have shape \(2,\)"),
        ({"weights": torch.zeros(2)}, "weights must have a positive entry"),
        ({"means": torch.zeros(0, 2)}, "means must hold at least one component"),
        ({"means": torch.zeros(2, 3)}, r"means must have shape \(any, 2\)"),
        ({"eigenvalues": torch.ones(1, 1)}, r"eigenvalues must have shape \(2, any\)"),
        ({"eigenvectors": torch.ones(2, 2, 1)}, "eigenvectors must be orthonormal"),
        ({"sigma": torch.ones(2)}, r"sigma must have shape \(1,\)"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {
        "x": torch.ones(1, 2),
        "weights": torch.ones(2),
        "means": torch.zeros(2, 2),
        "eigenvalues": torch.ones(2, 1),
        "eigenvectors": torch.tensor([[[1.0], [0.0]]] * 2),
        "sigma": 1.0,
    } | change
    with pytest.raises(ValueError, match=message):
        score.mixture_score(**arguments)


@pytest.mark.parametrize("function", [score.mixture_score, score.mixture_log_density])
class TestModes:
    def test_second_derivatives(self, function):
        weights, means, eigenvalues, axes = random_mixture(3, 4, 2)
        x = torch.randn(2, 4, dtype=torch.float64)
        sigma = torch.tensor([0.7, 1.5], dtype=torch.float64)
        arguments = tuple(t.requires_grad_() for t in (x, weights, means, eigenvalues, sigma))
        assert torch.autograd.gradgradcheck(lambda x, w, m, e, s: function(x, w, m, e, axes, s), arguments)

    @pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
    def test_autocast_changes_nothing(self, function, half):
        leaves = [t.float().requires_grad_() for t in random_mixture(3, 4, 2)]
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)

        def run():
            value = function(x, *leaves, 0.02)
            return value, *torch.autograd.grad(value.square().sum(), [x, *leaves])

        expected = run()
        with torch.autocast("cpu", dtype=half):
            got = run()
        assert all(map(torch.equal, got, expected))

    @pytest.mark.parametrize("where", [[0], [0, 1], [2], [1, 3]])
    def test_components_of_weight_0_are_left_out(self, function, where):
        weights, means, eigenvalues, axes = random_mixture(4, 5, 2)
        weights[where] = 0
        used = weights > 0
        x = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
        got = function(x, weights, means, eigenvalues, axes, 0.5)
        want = function(x, *(t[used] for t in (weights, means, eigenvalues, axes)), 0.5)
        torch.testing.assert_close(got, want, rtol=1e-14, atol=1e-14)
        torch.testing.assert_close(
            torch.autograd.grad(got.sum(), x), torch.autograd.grad(want.sum(), x), rtol=1e-12, atol=1e-12
        )

    def test_compiles_in_one_graph(self, function):
        mixture = random_mixture(3, 4, 2)
        mixture[0][1] = 0
        x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
        torch._dynamo.reset()
        compiled = torch.compile(lambda x: function(x, *mixture, 0.5), backend="aot_eager", fullgraph=True)
        got, want = compiled(x), function(x, *mixture, 0.5)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(torch.autograd.grad(got.sum(), x), torch.autograd.grad(want.sum(), x))

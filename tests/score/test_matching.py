"""Score matching losses, Frechet distance and kernel descent against definitions written out, and what they refuse."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from corelib.score import (
    contractive_penalty,
    denoising_loss,
    frechet_distance,
    gaussian_score,
    hyvarinen_loss,
    kernel_descent,
    relu_ntk,
    sliced_score_loss,
)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weighting", ["edm", "score", "none"])
@pytest.mark.parametrize("per_point", [True, False])
def test_denoising_loss_is_its_definition(weighting, per_point):
    denoised, clean = normal(5, 3), normal(5, 3, seed=1)
    sigma = torch.linspace(0.1, 2, 5, dtype=torch.float64) if per_point else 0.7
    total = 0.0
    for i in range(5):
        s = float(sigma[i]) if per_point else sigma
        weight = {"edm": (s**2 + 0.25) / (0.5 * s) ** 2, "score": 1 / s**4, "none": 1.0}[weighting]
        total += weight * float(((denoised[i] - clean[i]) ** 2).sum()) / 5
    assert float(denoising_loss(denoised, clean, sigma, weighting=weighting)) == pytest.approx(total, rel=1e-12)
    assert torch.autograd.gradcheck(lambda d: denoising_loss(d, clean, sigma, weighting=weighting), denoised.requires_grad_())


def test_score_weighting_is_the_error_of_the_score():
    clean, noise = normal(6, 2), normal(6, 2, seed=1)
    noisy, denoised = clean + 0.3 * noise, normal(6, 2, seed=2)
    score, target = (denoised - noisy) / 0.09, -noise / 0.3
    expected = ((score - target) ** 2).sum(1).mean()
    torch.testing.assert_close(denoising_loss(denoised, clean, 0.3, weighting="score"), expected)


def network(d, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(d, 7), torch.nn.Tanh(), torch.nn.Linear(7, d)).double()


def test_hyvarinen_loss_is_the_trace_of_the_jacobian():
    score, x = network(3), normal(8, 3)
    jacobian = torch.func.vmap(torch.func.jacrev(score))(x)
    expected = (score(x).square().sum(1) / 2 + jacobian.diagonal(dim1=1, dim2=2).sum(1)).mean()
    torch.testing.assert_close(hyvarinen_loss(score, x), expected, rtol=1e-12, atol=0)


def test_hyvarinen_loss_is_the_score_error_up_to_a_constant():
    mean, covariance = torch.zeros(2, dtype=torch.float64), torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    x = torch.from_numpy(np.random.default_rng(0).multivariate_normal(mean.numpy(), covariance.numpy(), 200_000))
    precision = torch.linalg.inv(covariance)
    others = [lambda x: -x, lambda x: -x @ precision, lambda x: -0.5 * x @ precision]
    gaps = [float(hyvarinen_loss(s, x).detach() - ((s(x) + x @ precision) ** 2).sum(1).mean() / 2) for s in others]
    np.testing.assert_allclose(gaps, -float(precision.trace()) / 2, atol=0.02)


def test_sliced_loss_is_unbiased_and_trains():
    score, x = network(4), normal(50, 4)
    generator = torch.Generator().manual_seed(1)
    exact = hyvarinen_loss(score, x)
    estimates = torch.stack([sliced_score_loss(score, x, projections=8, generator=generator).detach() for _ in range(200)])
    standard_error = float(estimates.std() / math.sqrt(200))
    assert abs(float(estimates.mean() - exact.detach())) < 4 * standard_error
    sliced_score_loss(score, x, generator=generator).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in score[0].parameters())


def test_contractive_penalty_is_the_norm_of_the_jacobian():
    encoder, decoder, x = normal(9, 4), normal(4, 9, seed=1), normal(6, 4, seed=2)
    slopes = 1 - torch.tanh(x @ encoder.T) ** 2
    jacobian = torch.func.vmap(torch.func.jacrev(lambda v: decoder @ torch.tanh(encoder @ v)))(x)
    torch.testing.assert_close(contractive_penalty(encoder, decoder, slopes), jacobian.square().sum((1, 2)), rtol=1e-12, atol=0)
    arguments = [value.clone().requires_grad_() for value in (encoder, decoder, slopes)]
    assert torch.autograd.gradcheck(contractive_penalty, arguments)


@pytest.mark.parametrize("rank", [6, 2])
def test_frechet_distance_agrees_with_the_singular_values_of_the_factors(rank):
    rng = np.random.default_rng(rank)
    root_a, root_b = rng.normal(size=(6, rank)), rng.normal(size=(6, 6))
    a, b, (p, q) = root_a @ root_a.T, root_b @ root_b.T, rng.normal(size=(2, 6))
    expected = ((p - q) ** 2).sum() + np.trace(a + b) - 2 * scipy.linalg.svdvals(root_a.T @ root_b).sum()
    rel = 1e-12 if rank == 6 else 1e-8  # the root of an eigenvalue that is zero but for rounding
    assert frechet_distance(p, a, q, b) == pytest.approx(expected, rel=rel)
    assert frechet_distance(q, b, p, a) == pytest.approx(expected, rel=rel)
    assert frechet_distance(p, a, p, a) == pytest.approx(0, abs=1e-6)


def test_relu_ntk_is_the_expectation_over_neurons():
    a, b = normal(4, 3), normal(5, 3, seed=1)
    w = normal(400_000, 3, seed=2)
    on_a, on_b = (w @ a.T >= 0).double(), (w @ b.T >= 0).double()
    expected = (a @ b.T) * (on_a.T @ on_b) / len(w)
    torch.testing.assert_close(relu_ntk(a, b), expected, atol=0.01, rtol=0)


def test_relu_ntk_keeps_its_digits_for_nearly_parallel_rows():
    a = torch.tensor([[1.0, 0.0]])
    b = torch.tensor([[1.0, 1e-5]])
    assert float(relu_ntk(a, b)) == pytest.approx((math.pi - 1e-5) / (2 * math.pi), abs=1e-7)
    assert float(relu_ntk(a.double(), b.double())) == pytest.approx((math.pi - math.atan(1e-5)) / (2 * math.pi), rel=1e-13)
    assert relu_ntk(torch.zeros(1, 2), a).tolist() == [[0.0]]


def test_kernel_descent_is_gradient_descent():
    z, test, targets = normal(12, 3), normal(4, 3, seed=1), normal(12, 2, seed=2)
    kernel, cross = relu_ntk(z, z), relu_ntk(test, z)
    for lr in (1.0 / float(torch.linalg.eigvalsh(kernel)[-1]), 1.9 / float(torch.linalg.eigvalsh(kernel)[-1])):
        coefficients, wanted = torch.zeros(12, 2, dtype=torch.float64), {}
        for k in range(51):
            if k in (0, 1, 7, 50):
                wanted[k] = cross @ coefficients
            coefficients = coefficients + lr * (targets - kernel @ coefficients)
        got = kernel_descent(kernel, targets, cross, lr, list(wanted))
        torch.testing.assert_close(got, torch.stack(list(wanted.values())), rtol=1e-9, atol=1e-11)


def test_kernel_descent_after_very_many_steps_interpolates():
    z = normal(8, 3)
    kernel, targets = relu_ntk(z, z) + 0.1 * torch.eye(8, dtype=torch.float64), normal(8, 1, seed=1)
    got = kernel_descent(kernel, targets, kernel, 0.1, [10**6])
    torch.testing.assert_close(got[0], targets, rtol=1e-8, atol=1e-10)


def test_a_gaussian_has_the_lowest_hyvarinen_loss():
    x = normal(5000, 2)
    mean, eigenvalues, eigenvectors = x.mean(0), torch.ones(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    right = hyvarinen_loss(lambda v: gaussian_score(v, mean, eigenvalues, eigenvectors, 1e-3), x)
    wrong = hyvarinen_loss(lambda v: gaussian_score(v, mean + 1, eigenvalues, eigenvectors, 1e-3), x)
    assert right < wrong - 0.5


X = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: denoising_loss(X, X[:1], 1.0), ValueError, r"clean must have the shape of denoised, \(2, 3\); got \(1, 3\)"),
        (lambda: denoising_loss(X, X.double(), 1.0), TypeError, "denoised and clean must have the same dtype"),
        (lambda: denoising_loss(X, X, 0.0), ValueError, "sigma must be greater than 0"),
        (lambda: denoising_loss(X, X, torch.ones(3)), ValueError, "sigma must have shape"),
        (lambda: denoising_loss(X[:0], X[:0], 1.0), ValueError, "denoised must have at least one row"),
        (lambda: denoising_loss(X, X, 1.0, weighting="best"), ValueError, "weighting must be one of 'edm', 'score', 'none'"),
        (lambda: denoising_loss(X * float("nan"), X, 1.0), ValueError, "denoised must be finite"),
        (lambda: hyvarinen_loss(lambda x: x[:, :1], X), ValueError, r"score\(x\) must have the shape of x"),
        (lambda: hyvarinen_loss(lambda x: torch.ones(2, 3), X), ValueError, r"score\(x\) must depend on x"),
        (lambda: hyvarinen_loss(lambda x: x, X.long()), TypeError, "x must be float32 or float64"),
        (lambda: sliced_score_loss(lambda x: x, X, projections=0), ValueError, "projections must be at least 1"),
        (lambda: contractive_penalty(X, X, X), ValueError, r"decoder must have shape \(3, 2\)"),
        (lambda: contractive_penalty(X, X.T, X), ValueError, "slopes must have 2 columns"),
        (lambda: frechet_distance(X[0], torch.ones(3, 2), X[0], torch.eye(3)), ValueError, "covariance_a must be square"),
        (lambda: frechet_distance(X[0], torch.eye(3), X[0], -torch.eye(3)), ValueError, "covariance_b must be positive semi-definite"),
        (lambda: frechet_distance(X[0], torch.eye(3).cumsum(1), X[0], torch.eye(3)), ValueError, "covariance_a must be symmetric"),
        (lambda: frechet_distance(X[0, :2], torch.eye(3), X[0], torch.eye(3)), ValueError, "mean_a must have shape"),
        (lambda: relu_ntk(X, X.T), ValueError, "b must have 3 columns"),
        (lambda: kernel_descent(torch.eye(2), X, torch.eye(2), 3.0, [1]), ValueError, "lr must be at most 2 / "),
        (lambda: kernel_descent(torch.eye(2), X, torch.eye(2), 1.0, [-1]), ValueError, "steps must be a list of integers"),
        (lambda: kernel_descent(torch.eye(2), X, X, 1.0, [1]), ValueError, "cross_kernel must have shape"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

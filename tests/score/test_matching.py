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


def test_a_gaussian_has_the_lowest_hyvarinen_loss():
    x = normal(5000, 2)
    mean, eigenvalues, eigenvectors = x.mean(0), torch.ones(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    right = hyvarinen_loss(lambda v: gaussian_score(v, mean, eigenvalues, eigenvectors, 1e-3), x)
    wrong = hyvarinen_loss(lambda v: gaussian_score(v, mean + 1, eigenvalues, eigenvectors, 1e-3), x)
    assert right < wrong - 0.5


X = torch.zeros(2, 3)



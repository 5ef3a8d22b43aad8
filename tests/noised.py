"""Oracles of noised data: sums over all points in long double, dense Gaussians of torch."""

import numpy as np
import torch

WIDE = np.longdouble


def brute_force(x, data, sigma, weights=None):
    """Score and log-density of the noised data, one row at a time from differences, in long double."""
    x, data = x.astype(WIDE), data.astype(WIDE)
    sigma = np.broadcast_to(np.asarray(sigma, WIDE), len(x))
    p = np.ones(len(data), WIDE) if weights is None else weights.astype(WIDE)
    used = p > 0
    data, log_p = data[used], np.log(p[used] / p.sum())
    scores, log_densities = np.empty_like(x), np.empty(len(x), WIDE)
    for i, row in enumerate(x):
        steps = data - row
        logits = log_p - (steps**2).sum(1) / (2 * sigma[i] ** 2)
        w = np.exp(logits - logits.max())
        scores[i] = (w[:, None] * steps).sum(0) / w.sum() / sigma[i] ** 2
        normaliser = x.shape[1] * np.log(2 * WIDE(np.pi) * sigma[i] ** 2) / 2
        log_densities[i] = logits.max() + np.log(w.sum()) - normaliser
    return scores, log_densities


def relative_error(got, want):
    return float((np.linalg.norm(got - want, axis=1) / np.linalg.norm(want, axis=1)).max())


def noised(dtype, sigma, *, rows=13, d=20, n=700, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    data = (rng.standard_normal((n, d)) + offset).astype(dtype)
    return (data[:rows] + sigma * rng.standard_normal((rows, d))).astype(dtype), data


def random_gaussian(d, rank, seed=0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    axes = torch.from_numpy(np.linalg.qr(rng.standard_normal((d, d)))[0][:, :rank].copy()).to(dtype)
    return (
        torch.from_numpy(rng.standard_normal(d)).to(dtype),
        torch.from_numpy(rng.uniform(0.1, 4, rank)).to(dtype),
        axes,
    )


def covariance(eigenvalues, eigenvectors):
    return eigenvectors @ torch.diag(eigenvalues) @ eigenvectors.mT


def log_normal(x, mean, cov):
    return torch.distributions.MultivariateNormal(mean, cov).log_prob(x)

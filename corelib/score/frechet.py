"""The Frechet distance between two Gaussians."""

import torch
from torch import Tensor

from corelib._front_end import front_end
from corelib._tensors import check_rows, check_shaped


@front_end("mean_a", "covariance_a", "mean_b", "covariance_b")
def frechet_distance(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> Tensor:
    """Squared 2-Wasserstein distance of N(mean_a, covariance_a) and N(mean_b, covariance_b): the "FID" of two moments.

    Parameters
    ----------
    mean_a, mean_b : Tensor or ndarray, shape (d,), float32 or float64
    covariance_a, covariance_b : Tensor or ndarray, shape (d, d), same dtype
        Symmetric, positive semi-definite; rank-deficient ones are fine.

    Returns
    -------
    Tensor, 0-dimensional (a float for arrays)
        ``|mean_a - mean_b|^2 + tr(A + B - 2 (A^(1/2) B A^(1/2))^(1/2))``, at least 0; computed in float64.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype or shape, or a covariance is not symmetric or not positive semi-definite.

    Notes
    -----
    O(d^3), by two symmetric eigendecompositions: no square root of a non-symmetric matrix, hence no complex numbers.
    D. Dowson and B. Landau, "The Frechet distance between multivariate normal distributions" (1982).

    Examples
    --------
    >>> import numpy as np
    >>> frechet_distance(np.zeros(2), np.eye(2), np.array([3.0, 0.0]), 4 * np.eye(2))
    11.0
    """
    covariance_a = _check_covariance(covariance_a, "covariance_a")
    d = len(covariance_a)
    mean_a = check_shaped(mean_a, "mean_a", covariance_a, (d,), "covariance_a")
    mean_b = check_shaped(mean_b, "mean_b", covariance_a, (d,), "covariance_a")
    covariance_b = check_shaped(covariance_b, "covariance_b", covariance_a, (d, d), "covariance_a")
    _check_covariance(covariance_b, "covariance_b")
    a, b = covariance_a.to(torch.float64), covariance_b.to(torch.float64)
    values, vectors = torch.linalg.eigh(a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b @ root).clamp_min(0).sqrt().sum()
    shift = (mean_a.to(torch.float64) - mean_b.to(torch.float64)).square().sum()
    return (shift + a.trace() + b.trace() - 2 * cross).clamp_min(0).to(covariance_a.dtype)


def _check_covariance(value: object, name: str) -> Tensor:
    matrix = check_rows(value, name)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be square; got shape {tuple(matrix.shape)}")
    wide = matrix.detach().to(torch.float64)
    scale = float(wide.abs().max())
    slack = 1e3 * torch.finfo(matrix.dtype).eps * max(scale, torch.finfo(matrix.dtype).tiny)
    if float((wide - wide.T).abs().max()) > slack:
        raise ValueError(
            f"{name} must be symmetric; entries differ by up to {float((wide - wide.T).abs().max()):.1e}"
        )
    lowest = float(torch.linalg.eigvalsh(wide)[0])
    if lowest < -slack * len(wide):
        raise ValueError(f"{name} must be positive semi-definite; its smallest eigenvalue is {lowest:.1e}")
    return matrix

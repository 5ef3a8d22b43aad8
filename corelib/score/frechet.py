"""The Frechet distance between two Gaussians."""

import torch
from torch import Tensor

from corelib._front_end import front_end
from corelib._tensors import check_rows, check_shaped
from corelib._types import TensorOrArray
from corelib.engines.route import first_derivative_only
from corelib.score._arguments import check_result


@front_end("mean_a", "covariance_a", "mean_b", "covariance_b")
def frechet_distance(
    mean_a: TensorOrArray, covariance_a: TensorOrArray, mean_b: TensorOrArray, covariance_b: TensorOrArray
) -> TensorOrArray:
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
        If an argument has another type, dtype or shape, a covariance is not symmetric or not positive semi-definite, or
        the distance overflows. A second derivative raises NotImplementedError.

    Notes
    -----
    O(d^3), by two symmetric eigendecompositions: no square root of a non-symmetric matrix, hence no complex numbers.
    Differentiable in every argument; along directions in which a Gaussian has no variance, where the slope of the
    square root is infinite, the gradient of the last term is taken as 0.
    D. Dowson and B. Landau, "The Frechet distance between multivariate normal distributions" (1982).

    Examples
    --------
    >>> import numpy as np
    >>> frechet_distance(np.zeros(2), np.eye(2), np.array([3.0, 0.0]), 4 * np.eye(2))
    11.0
    """
    d = len(_check_square(covariance_a, "covariance_a"))
    check_shaped(mean_a, "mean_a", covariance_a, (d,), "covariance_a")
    check_shaped(mean_b, "mean_b", covariance_a, (d,), "covariance_a")
    check_shaped(covariance_b, "covariance_b", covariance_a, (d, d), "covariance_a")
    size = torch.maximum(*(c.detach().to(torch.float64).abs().max() for c in (covariance_a, covariance_b)))
    size = torch.where(size > 0, size, 1.0)  # products of matrices of this size might overflow
    a, b = (c.to(torch.float64) / size for c in (covariance_a, covariance_b))
    if not torch.compiler.is_compiling():
        eps = torch.finfo(covariance_a.dtype).eps
        _check_covariance(a.detach(), "covariance_a", eps, size)
        _check_covariance(b.detach(), "covariance_b", eps, size)
    spread = (a.trace() + b.trace() - 2 * _CrossTerm.apply(a, b)).clamp_min(0)
    shift = (mean_a.to(torch.float64) - mean_b.to(torch.float64)).square().sum()
    return check_result(
        (shift + size * spread).to(covariance_a.dtype),
        "the distance",
        "mean_a - mean_b, covariance_a or covariance_b is too large",
    )


class _CrossTerm(torch.autograd.Function):
    """``tr (A^(1/2) B A^(1/2))^(1/2)``, whose gradient exists even where eigenvalues coincide, where those of
    eigenvectors do not."""

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor) -> Tensor:
        root = _power(*torch.linalg.eigh(a), 0.5)
        ctx.save_for_backward(a, b)
        return torch.linalg.eigvalsh(root @ b @ root).clamp_min(0).sqrt().sum()

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, Tensor]:
        a, b = ctx.saved_tensors
        spectrum = torch.linalg.eigh(a)
        root, inverse_root = _power(*spectrum, 0.5), _power(*spectrum, -0.5)
        product = torch.linalg.eigh(root @ b @ root)
        along_a = inverse_root @ _power(*product, 0.5) @ inverse_root
        along_b = root @ _power(*product, -0.5) @ root
        return upstream / 2 * along_a, upstream / 2 * along_b


def _power(values: Tensor, vectors: Tensor, exponent: float) -> Tensor:
    """A power of a positive semi-definite matrix; of an inverse, that on its range."""
    floor = len(values) * torch.finfo(values.dtype).eps * values.max().clamp_min(0)
    powers = torch.where(values > floor, values.clamp_min(floor).pow(exponent), 0.0)
    return vectors * powers @ vectors.mT


def _check_square(value: object, name: str) -> Tensor:
    matrix = check_rows(value, name)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be square; got shape {tuple(matrix.shape)}")
    return matrix


def _check_covariance(matrix: Tensor, name: str, eps: float, size: Tensor) -> None:
    """A ``ValueError`` unless ``matrix``, given in units of ``size``, is symmetric and positive semi-definite."""
    slack = 1e3 * eps * float(matrix.abs().max())
    difference = (matrix - matrix.mT).abs().max()
    if float(difference) > slack:
        raise ValueError(f"{name} must be symmetric; entries differ by up to {float(difference * size):.1e}")
    lowest = torch.linalg.eigvalsh(matrix)[0]
    if float(lowest) < -slack * len(matrix):
        raise ValueError(
            f"{name} must be positive semi-definite; its smallest eigenvalue is {float(lowest * size):.1e}"
        )

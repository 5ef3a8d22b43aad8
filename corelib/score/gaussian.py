"""A Gaussian plus noise: its score, its log-density and its probability flow, all in closed form."""

import math

import torch
from torch import Tensor

from corelib._checks import check_int
from corelib._front_end import front_end
from corelib._tensors import check_shaped
from corelib._types import TensorOrArray
from corelib.score._arguments import (
    check_points,
    check_queries,
    check_result,
    check_sigma,
    check_spectrum,
)

_TOO_FAR = "sigma is too small for the distance between x and mean"
_ARRAYS = ("x", "mean", "eigenvalues", "eigenvectors")


@front_end("data")
def fit_gaussian(
    data: TensorOrArray, *, rank: int | None = None
) -> tuple[TensorOrArray, TensorOrArray, TensorOrArray]:
    """Mean and principal axes of a data set, in the form that the Gaussian functions take.

    Parameters
    ----------
    data : (N, d) tensor or array, float32 or float64
        One point per row.
    rank : int, optional
        How many leading axes to keep. Default: all whose eigenvalue exceeds ``max(N, d) * eps`` times the largest,
        with the ``eps`` of float64, that is the numerical rank.

    Returns
    -------
    mean : (d,)
    eigenvalues : (r,)
        Variances along the axes, in descending order; of the covariance with divisor N.
    eigenvectors : (d, r)
        The axes, as orthonormal columns.

    Raises
    ------
    TypeError
        If ``data`` is not a float32 or float64 array, or ``rank`` is not an integer.
    ValueError
        If ``data`` is empty or not finite, ``rank`` is negative or above d, or a variance overflows.

    Notes
    -----
    O(N d^2 + d^3) time; computed in float64, returned in the dtype of ``data``.

    Examples
    --------
    >>> import numpy as np
    >>> mean, eigenvalues, eigenvectors = fit_gaussian(np.array([[1.0, 0, 0], [3.0, 0, 0], [2.0, 0, 0]]))
    >>> mean, eigenvectors.shape
    (array([2., 0., 0.]), (3, 1))
    """
    n, d = check_points(data, "data").shape
    if rank is not None and check_int(rank, "rank", minimum=0) > d:
        raise ValueError(f"rank must be at most the dimension of the data, {d}; got {rank}")
    wide = data.to(torch.float64)
    mean = wide.mean(0)
    centred = wide - mean
    covariance = check_result(centred.mT @ centred / n, "the covariance", "data are too far apart")
    eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
    eigenvalues, eigenvectors = eigenvalues.flip(0).clamp(min=0), eigenvectors.flip(1)
    if rank is None:
        floor = max(n, d) * torch.finfo(torch.float64).eps * eigenvalues[0]
        rank = int((eigenvalues > floor).sum())
    return (
        mean.to(data.dtype),
        check_result(eigenvalues[:rank].to(data.dtype), "a variance", "data are too far apart"),
        eigenvectors[:, :rank].contiguous().to(data.dtype),
    )


@front_end(*_ARRAYS, "sigma")
def gaussian_score(
    x: TensorOrArray,
    mean: TensorOrArray,
    eigenvalues: TensorOrArray,
    eigenvectors: TensorOrArray,
    sigma: float | TensorOrArray,
) -> TensorOrArray:
    r"""Score of a Gaussian plus noise, :math:`(\Sigma+\sigma^2 I)^{-1}(\mu-x)`.

    The covariance is given by its axes, :math:`\Sigma=U\,\mathrm{diag}(\lambda)\,U^\top`, as `fit_gaussian` or
    ``torch.linalg.eigh`` return them; directions outside their span have variance 0, so a rank-deficient covariance
    needs no special care, and rank 0 is a single point.

    Parameters
    ----------
    x : (B, d) tensor or array, float32 or float64
        Where to evaluate.
    mean : (d,)
    eigenvalues : (r,)
        Variances along the axes, at least 0.
    eigenvectors : (d, r)
        Orthonormal columns, up to 2 percent, r <= d.
    sigma : float or (B,)
        Standard deviation of the noise, greater than 0: one for all points or one for each.

    Returns
    -------
    (B, d) tensor or array

    Raises
    ------
    TypeError
        If an argument is not of the stated kind, or the dtypes differ.
    ValueError
        If shapes disagree, an entry is not finite, an eigenvalue is negative, the eigenvectors are not orthonormal,
        ``sigma`` is not positive, or the result overflows.

    Notes
    -----
    O(B d r) time, two matrix products; computed in float64, because small noise magnifies what float32 would cancel;
    differentiable in every argument, any number of times.
    Wang and Vastola (TMLR 2024), equation for the Gaussian score.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.array([[1.0], [0.0]])  # variance 3 along the first axis, none along the second
    >>> gaussian_score(np.array([[4.0, 1.0]]), np.zeros(2), np.array([3.0]), line, sigma=1.0)
    array([[-1., -1.]])
    """
    _check_gaussian(x, mean, eigenvalues, eigenvectors)
    variance = check_sigma(sigma, "sigma", x).square()
    gaussian = project(x, mean, eigenvalues, eigenvectors)
    return check_result(score_of(*gaussian, variance).to(x.dtype), "the score", _TOO_FAR, x=x, mean=mean)


@front_end(*_ARRAYS, "sigma")
def gaussian_log_density(
    x: TensorOrArray,
    mean: TensorOrArray,
    eigenvalues: TensorOrArray,
    eigenvectors: TensorOrArray,
    sigma: float | TensorOrArray,
) -> TensorOrArray:
    r"""Log-density of a Gaussian plus noise, :math:`\log\mathcal N(x;\mu,\Sigma+\sigma^2 I)`.

    Parameters, errors and cost are those of `gaussian_score`, which is its gradient in ``x``.

    Returns
    -------
    (B,) tensor or array

    Examples
    --------
    >>> import numpy as np
    >>> line = np.array([[1.0], [0.0]])
    >>> gaussian_log_density(np.zeros((1, 2)), np.zeros(2), np.array([3.0]), line, sigma=1.0).round(6)
    array([-2.531024])
    """
    _check_gaussian(x, mean, eigenvalues, eigenvectors)
    variance = check_sigma(sigma, "sigma", x).square()
    gaussian = project(x, mean, eigenvalues, eigenvectors)
    return check_result(
        log_density_of(*gaussian, variance).to(x.dtype), "the log-density", _TOO_FAR, x=x, mean=mean
    )


@front_end(*_ARRAYS, "sigma_from", "sigma_to")
def gaussian_flow(
    x: TensorOrArray,
    mean: TensorOrArray,
    eigenvalues: TensorOrArray,
    eigenvectors: TensorOrArray,
    sigma_from: float | TensorOrArray,
    sigma_to: float | TensorOrArray,
) -> TensorOrArray:
    r"""Exact solution of the probability-flow ODE of a Gaussian, from one noise level to another.

    The ODE :math:`dx/d\sigma=-\sigma\,s(x,\sigma)` decouples along the axes, so that with
    :math:`c_k=u_k^\top(x-\mu)`

    .. math:: x(\sigma')=\mu+\frac{\sigma'}{\sigma}\Bigl(x-\mu-\sum_k c_k u_k\Bigr)
              +\sum_k\sqrt{\frac{\lambda_k+\sigma'^2}{\lambda_k+\sigma^2}}\;c_k\,u_k .

    Parameters
    ----------
    x : (B, d) tensor or array, float32 or float64
        Points at noise level ``sigma_from``.
    mean, eigenvalues, eigenvectors
        As in `gaussian_score`.
    sigma_from : float or (B,)
        Noise level of ``x``, greater than 0.
    sigma_to : float or (B,)
        Noise level of the result, at least 0; above ``sigma_from`` the flow runs backwards.

    Returns
    -------
    (B, d) tensor or array

    Raises
    ------
    TypeError, ValueError
        As `gaussian_score`.

    Notes
    -----
    O(B d r) time whatever the distance; computed in float64; differentiable in every argument, any number of times.
    Wang and Vastola (TMLR 2024), solution of the PF-ODE for the Gaussian score ("analytical teleportation").

    Examples
    --------
    >>> import numpy as np
    >>> line = np.array([[1.0], [0.0]])
    >>> gaussian_flow(np.array([[4.0, 4.0]]), np.zeros(2), np.array([1.0]), line, sigma_from=4.0, sigma_to=0.0).round(4)
    array([[0.9701, 0.    ]])
    """
    _check_gaussian(x, mean, eigenvalues, eigenvectors)
    start = check_sigma(sigma_from, "sigma_from", x)
    end = check_sigma(sigma_to, "sigma_to", x, zero=True)
    centred, coefficients, eigenvalues, eigenvectors = project(x, mean, eigenvalues, eigenvectors)
    along = ((eigenvalues + end.square()) / (eigenvalues + start.square())).sqrt()
    if _spans_everything(eigenvectors):
        moved = (along * coefficients) @ eigenvectors.mT
    else:
        outside = end / start
        moved = outside * centred + ((along - outside) * coefficients) @ eigenvectors.mT
    return check_result(
        (mean + moved).to(x.dtype),
        "the flow",
        "sigma_to is too large, or sigma_from too small",
        x=x,
        mean=mean,
    )


def project(
    x: Tensor, mean: Tensor, eigenvalues: Tensor, eigenvectors: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``x - mean``, its coefficients along the axes, the eigenvalues and the axes, in float64, which autocast leaves alone."""
    eigenvectors = eigenvectors.to(torch.float64)
    centred = x.to(torch.float64) - mean
    return centred, centred @ eigenvectors, eigenvalues.to(torch.float64), eigenvectors


def score_of(
    centred: Tensor, coefficients: Tensor, eigenvalues: Tensor, eigenvectors: Tensor, variance: Tensor
) -> Tensor:
    """Score (B, d) of what `project` returns plus noise of ``variance`` (B, 1)."""
    shrunk = coefficients / (eigenvalues + variance)
    if _spans_everything(eigenvectors):
        return -(shrunk @ eigenvectors.mT)
    return ((eigenvalues * shrunk) @ eigenvectors.mT - centred) / variance


def log_density_of(
    centred: Tensor, coefficients: Tensor, eigenvalues: Tensor, eigenvectors: Tensor, variance: Tensor
) -> Tensor:
    """Log-density (B,) of what `project` returns plus noise of ``variance`` (B, 1)."""
    d, r = eigenvectors.shape
    widths = eigenvalues + variance
    squared = (coefficients.square() / widths).sum(1)
    log_det = widths.log().sum(1)
    if not _spans_everything(eigenvectors):
        outside = centred - coefficients @ eigenvectors.mT
        squared = squared + outside.square().sum(1) / variance[:, 0]
        log_det = log_det + (d - r) * variance[:, 0].log()
    return -0.5 * (squared + log_det + d * math.log(2 * math.pi))


def _spans_everything(eigenvectors: Tensor) -> bool:
    """Whether there is no direction of variance 0, whose rounding errors 1 / sigma^2 would magnify."""
    return eigenvectors.shape[0] == eigenvectors.shape[1]


def _check_gaussian(x: Tensor, mean: Tensor, eigenvalues: Tensor, eigenvectors: Tensor) -> None:
    check_queries(x)
    check_shaped(mean, "mean", x, (x.shape[1],), finite=False)
    check_spectrum(eigenvalues, eigenvectors, x, (None,))

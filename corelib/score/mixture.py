"""A mixture of Gaussians plus noise: its score and its log-density."""

from collections.abc import Iterator

import torch
from torch import Tensor

from corelib._front_end import front_end
from corelib._tensors import check_shaped
from corelib._types import TensorOrArray
from corelib.score._arguments import (
    check_queries,
    check_result,
    check_sigma,
    check_spectrum,
    check_weights,
)
from corelib.score.gaussian import log_density_of, project, score_of

_TOO_FAR = "sigma is too small for the distance between x and means"
_NOTHING = -1e300  # the log of weight 0, finite, so that differences of two of them are no NaN
_ARRAYS = ("x", "weights", "means", "eigenvalues", "eigenvectors", "sigma")


@front_end(*_ARRAYS)
def mixture_score(
    x: TensorOrArray,
    weights: TensorOrArray,
    means: TensorOrArray,
    eigenvalues: TensorOrArray,
    eigenvectors: TensorOrArray,
    sigma: float | TensorOrArray,
) -> TensorOrArray:
    r"""Score of a mixture of k Gaussians plus noise.

    .. math:: s(x)=\sum_j w_j(x)\,(\Sigma_j+\sigma^2 I)^{-1}(\mu_j-x),\qquad
              w_j(x)\propto\pi_j\,\mathcal N(x;\mu_j,\Sigma_j+\sigma^2 I)

    Parameters
    ----------
    x : (B, d) tensor or array, float32 or float64
        Where to evaluate.
    weights : (k,)
        Mixture weights, at least 0; only their ratios matter.
    means : (k, d)
    eigenvalues : (k, r)
        Variances along the axes of each component, at least 0 (0 pads a component of lower rank).
    eigenvectors : (k, d, r)
        The axes of each component, as orthonormal columns; other directions have variance 0.
    sigma : float or (B,)
        Standard deviation of the noise, greater than 0.

    Returns
    -------
    (B, d) tensor or array

    Raises
    ------
    TypeError
        If an argument is not of the stated kind, or the dtypes differ.
    ValueError
        If shapes disagree, an entry is not finite, a weight or an eigenvalue is negative, all weights are 0, the
        eigenvectors are not orthonormal, ``sigma`` is not positive, or the result overflows.

    Notes
    -----
    O(B k d r) time, O(B (d + k)) memory without autograd; computed in float64, because a difference of two large
    log-densities decides the weights; differentiable in every argument, any number of times, except that a component
    of weight 0 is left out.
    Wang and Vastola (TMLR 2024), Gaussian-mixture score with low-rank components.

    Examples
    --------
    >>> import numpy as np
    >>> two_points = np.array([[-1.0], [1.0]])
    >>> mixture_score(np.array([[0.0], [9.0]]), np.ones(2), two_points, np.zeros((2, 0)), np.zeros((2, 1, 0)), 1.0).round(4)
    array([[ 0.],
           [-8.]])
    """
    parts = _components(x, weights, means, eigenvalues, eigenvectors, sigma)
    score = total = None
    for gaussian, log_weight, variance in parts:
        part, log_density = score_of(*gaussian, variance), log_density_of(*gaussian, variance) + log_weight
        if total is None:
            score, total = part, log_density
            continue
        lead = (log_density - total)[:, None]
        score = torch.sigmoid(-lead) * score + torch.sigmoid(lead) * part
        total = torch.logaddexp(total, log_density)
    return check_result(score.to(x.dtype), "the score", _TOO_FAR, x=x)


@front_end(*_ARRAYS)
def mixture_log_density(
    x: TensorOrArray,
    weights: TensorOrArray,
    means: TensorOrArray,
    eigenvalues: TensorOrArray,
    eigenvectors: TensorOrArray,
    sigma: float | TensorOrArray,
) -> TensorOrArray:
    r"""Log-density of a mixture of Gaussians plus noise, :math:`\log\sum_j\pi_j\,\mathcal N(x;\mu_j,\Sigma_j+\sigma^2 I)`.

    Parameters, errors and cost are those of `mixture_score`, which is its gradient in ``x``.

    Returns
    -------
    (B,) tensor or array

    Examples
    --------
    >>> import numpy as np
    >>> point = (np.ones(1), np.zeros((1, 1)), np.zeros((1, 0)), np.zeros((1, 1, 0)))
    >>> mixture_log_density(np.zeros((1, 1)), *point, sigma=1.0).round(6)
    array([-0.918939])
    """
    parts = _components(x, weights, means, eigenvalues, eigenvectors, sigma)
    logs = [log_density_of(*gaussian, variance) + log_weight for gaussian, log_weight, variance in parts]
    return check_result(torch.logsumexp(torch.stack(logs), 0).to(x.dtype), "the log-density", _TOO_FAR, x=x)


def _components(
    x: Tensor,
    weights: object,
    means: object,
    eigenvalues: object,
    eigenvectors: object,
    sigma: object,
) -> Iterator[tuple[tuple[Tensor, ...], Tensor, Tensor]]:
    """For each component what `project` returns, the log of its weight, and the variance of the noise."""
    d = check_queries(x).shape[1]
    k = check_shaped(means, "means", x, (None, d)).shape[0]
    if k == 0:
        raise ValueError("means must hold at least one component; got none")
    check_weights(weights, "weights", x, k)
    check_spectrum(eigenvalues, eigenvectors, x, (k, None))
    variance = check_sigma(sigma, "sigma", x).square()
    wide = weights.to(torch.float64)
    counts = wide > 0
    log_weights = torch.where(counts, torch.where(counts, wide, 1.0).log() - wide.sum().log(), _NOTHING)
    return (
        (project(x, means[j], eigenvalues[j], eigenvectors[j]), log_weights[j], variance) for j in range(k)
    )

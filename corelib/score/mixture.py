"""A mixture of Gaussians plus noise: its score and its log-density."""

import torch

from corelib._front_end import front_end
from corelib._tensors import check_rows, check_shaped
from corelib.score._arguments import check_no_overflow, check_sigma, check_spectrum, check_weights
from corelib.score.gaussian import log_density_and_score

_ARRAYS = ("x", "weights", "means", "eigenvalues", "eigenvectors", "sigma")


@front_end(*_ARRAYS)
def mixture_score(x, weights, means, eigenvalues, eigenvectors, sigma):
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
    O(B k d r) time, O(B d) memory without autograd; computed in float64, because a difference of two large
    log-densities decides the weights; differentiable in every argument.
    Wang and Vastola (TMLR 2024), Gaussian-mixture score with low-rank components.

    Examples
    --------
    >>> import numpy as np
    >>> two_points = np.array([[-1.0], [1.0]])
    >>> mixture_score(np.array([[0.0], [9.0]]), np.ones(2), two_points, np.zeros((2, 0)), np.zeros((2, 1, 0)), 1.0).round(4)
    array([[ 0.],
           [-8.]])
    """
    score, _ = _mixture(x, weights, means, eigenvalues, eigenvectors, sigma)
    return check_no_overflow(score.to(x.dtype), "the score")


@front_end(*_ARRAYS)
def mixture_log_density(x, weights, means, eigenvalues, eigenvectors, sigma):
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
    _, log_density = _mixture(x, weights, means, eigenvalues, eigenvectors, sigma)
    return check_no_overflow(log_density.to(x.dtype), "the log-density")


def _mixture(x, weights, means, eigenvalues, eigenvectors, sigma) -> tuple[torch.Tensor, torch.Tensor]:
    """Score and log-density by a running softmax over the components."""
    d = check_rows(x, "x").shape[1]
    k = check_shaped(means, "means", x, (None, d)).shape[0]
    if k == 0:
        raise ValueError("means must hold at least one component; got none")
    check_weights(weights, "weights", x, k)
    rank = check_shaped(eigenvalues, "eigenvalues", x, (k, None)).shape[1]
    check_shaped(eigenvectors, "eigenvectors", x, (k, d, rank))
    check_spectrum(eigenvalues, eigenvectors)
    variance = check_sigma(sigma, "sigma", x).square()

    wide = weights.to(torch.float64)
    log_weights = (wide / wide.sum()).log()
    total = score = None
    for j in torch.nonzero(weights.detach() > 0)[:, 0].tolist():
        log_density, part = log_density_and_score(x, means[j], eigenvalues[j], eigenvectors[j], variance)
        log_density = log_density + log_weights[j]
        if total is None:
            total, score = log_density, part
            continue
        joint = torch.logaddexp(total, log_density)
        score = (total - joint).exp()[:, None] * score + (log_density - joint).exp()[:, None] * part
        total = joint
    return score, total

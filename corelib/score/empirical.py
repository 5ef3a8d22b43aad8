"""The noised empirical distribution: a Gaussian of width sigma on every data point."""

import math

import torch

from corelib._front_end import front_end
from corelib._tensors import check_rows, check_same
from corelib.engines import mixtures as engine
from corelib.score._arguments import check_no_overflow, check_sigma, check_weights


@front_end("x", "data", "sigma", "weights")
def empirical_score(x, data, sigma, *, weights=None):
    r"""Score of a data set plus noise, the exact minimiser of the denoising score-matching loss.

    .. math:: s(x)=\frac{1}{\sigma^2}\Bigl(\sum_i w_i(x)\,y_i-x\Bigr),\qquad
              w(x)=\mathrm{softmax}_i\Bigl(\log p_i-\frac{\lVert x-y_i\rVert^2}{2\sigma^2}\Bigr)

    Parameters
    ----------
    x : (B, d) tensor or array, float32 or float64
        Where to evaluate.
    data : (N, d), same dtype
        The data points :math:`y_i`, N >= 1.
    sigma : float or (B,)
        Standard deviation of the noise, greater than 0: one for all points or one for each row of ``x``.
    weights : (N,), optional
        Weights :math:`p_i` of the data points, at least 0; only their ratios matter. Default: all equal.

    Returns
    -------
    (B, d) tensor or array

    Raises
    ------
    TypeError
        If an argument is not of the stated kind, or the dtypes differ.
    ValueError
        If shapes disagree, an entry is not finite, ``data`` is empty, a weight is negative or all are 0, ``sigma`` is
        not positive, anything but ``x`` requires a gradient, or the result overflows.

    Notes
    -----
    O(B N d) time and O((B + N) d) memory: the softmax runs over tiles of the data, so that neither the (B, N) weights nor
    the (B, N, d) differences exist. Where the noise is small against the data, ``|x|^2 - 2 x.y + |y|^2`` would
    cancel; there the distances of the points that matter are summed directly from the differences in float64.
    Differentiable in ``x`` once, by :math:`J=(\mathrm{Cov}_w(y)/\sigma^2-I)/\sigma^2` and one more pass.
    The delta mixture of Wang and Vastola (TMLR 2024).

    Examples
    --------
    >>> import numpy as np
    >>> empirical_score(np.array([[0.0], [2.0]]), np.array([[-1.0], [1.0]]), sigma=1.0).round(4)
    array([[ 0.   ],
           [-1.036]])
    """
    score, _ = _empirical(x, data, sigma, weights)
    return score


@front_end("x", "data", "sigma", "weights")
def empirical_log_density(x, data, sigma, *, weights=None):
    r"""Log-density of a data set plus noise, :math:`\log\sum_i p_i\,\mathcal N(x;y_i,\sigma^2 I)` with :math:`\sum_i p_i=1`.

    Parameters, errors and cost are those of `empirical_score`, which is its gradient in ``x`` (so it can be
    differentiated twice).

    Returns
    -------
    (B,) tensor or array

    Examples
    --------
    >>> import numpy as np
    >>> empirical_log_density(np.zeros((1, 1)), np.array([[-1.0], [1.0]]), sigma=1.0).round(4)
    array([-1.4189])
    """
    _, log_density = _empirical(x, data, sigma, weights)
    return log_density


def _empirical(x, data, sigma, weights) -> tuple[torch.Tensor, torch.Tensor]:
    check_rows(x, "x")
    check_rows(data, "data")
    check_same(x, "x", data, "data")
    n, d = data.shape
    if n == 0:
        raise ValueError("data must hold at least one point; got none")
    if x.shape[1] != d:
        raise ValueError(f"x and data must have the same number of columns; got {x.shape[1]} and {d}")
    width = check_sigma(sigma, "sigma", x)[:, 0]
    if weights is None:
        log_weights = torch.full((n,), -math.log(n), dtype=torch.float64, device=x.device)
    else:
        wide = check_weights(weights, "weights", x, n).to(torch.float64)
        used = wide > 0
        if not bool(used.all()):
            data, wide = data[used], wide[used]
        log_weights = (wide / wide.max()).log()
        log_weights = log_weights - torch.logsumexp(log_weights, 0)
    for value, name in ((data, "data"), (width, "sigma"), (log_weights, "weights")):
        if value.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{name} must not require a gradient: the result is differentiable in x only")
    score, log_total = engine.empirical_score(x, data, width, log_weights)
    check_no_overflow(log_total, "the squared distance over sigma^2")
    log_density = log_total - d * (0.5 * math.log(2 * math.pi) + width.log())
    return check_no_overflow(score, "the score"), check_no_overflow(
        log_density.to(x.dtype), "the log-density"
    )

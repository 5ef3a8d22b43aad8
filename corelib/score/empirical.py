"""The noised empirical distribution: a Gaussian of width sigma on every data point."""

import math

import torch
from torch import Tensor

from corelib._front_end import front_end
from corelib._tensors import check_same
from corelib._types import TensorOrArray
from corelib.engines.mixtures import Points
from corelib.score._arguments import check_points, check_queries, check_result, check_sigma, check_weights

_TOO_FAR = "sigma is too small for the distance between x and the data"


@front_end("x", "data", "sigma", "weights")
def empirical_score(
    x: TensorOrArray,
    data: TensorOrArray,
    sigma: float | TensorOrArray,
    *,
    weights: TensorOrArray | None = None,
) -> TensorOrArray:
    r"""Score of a data set plus noise, the exact minimiser of the denoising score-matching loss.

    .. math:: s(x)=\frac{1}{\sigma^2}\Bigl(\sum_i w_i(x)\,y_i-x\Bigr),\qquad
              w(x)=\mathrm{softmax}_i\Bigl(\log p_i-\frac{\lVert x-y_i\rVert^2}{2\sigma^2}\Bigr)

    For many calls on the same data, `EmpiricalDistribution` prepares them once.

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
    NotImplementedError
        If a second derivative of the score, the third of the log-density, is asked for.

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
    return _score(_prepare(data, weights), x, sigma)


@front_end("x", "data", "sigma", "weights")
def empirical_log_density(
    x: TensorOrArray,
    data: TensorOrArray,
    sigma: float | TensorOrArray,
    *,
    weights: TensorOrArray | None = None,
) -> TensorOrArray:
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
    return _log_density(_prepare(data, weights), x, sigma)


class EmpiricalDistribution:
    """A data set that is checked and prepared once, for many evaluations of its noised score.

    Parameters
    ----------
    data : (N, d) tensor or array, float32 or float64
        The data points, N >= 1.
    weights : (N,), optional
        Weights of the data points, at least 0; only their ratios matter. Default: all equal.

    Raises
    ------
    TypeError, ValueError
        As `empirical_score`.

    Notes
    -----
    The object holds a copy of the data, so that it stays what it is when ``data`` change, and twice as much again in the
    order in which the kernels read it (on the CPU, from the first evaluation on). It cannot be changed; it can be copied,
    pickled and shared between threads. It lives on the device of ``data``.

    Examples
    --------
    >>> import numpy as np
    >>> points = EmpiricalDistribution(np.array([[-1.0], [1.0]]))
    >>> x = np.array([[2.0]])
    >>> for sigma in (2.0, 1.0, 0.5):
    ...     print(points.score(x, sigma).round(4), points.log_density(x, sigma).round(4))
    [[-0.3845]] [-2.117]
    [[-1.036]] [-2.0939]
    [[-4.]] [-2.9189]
    """

    __slots__ = ("_points",)

    @front_end("data", "weights")
    def __init__(self, data: TensorOrArray, weights: TensorOrArray | None = None) -> None:
        object.__setattr__(self, "_points", _prepare(data, weights, copy=True))

    @front_end("x", "sigma")
    def score(self, x: TensorOrArray, sigma: float | TensorOrArray) -> TensorOrArray:
        """`empirical_score` at the rows of ``x``, (B, d); an array if ``x`` is one, whatever the data were."""
        return _score(self._points, x, sigma)

    @front_end("x", "sigma")
    def log_density(self, x: TensorOrArray, sigma: float | TensorOrArray) -> TensorOrArray:
        """`empirical_log_density` at the rows of ``x``, (B,)."""
        return _log_density(self._points, x, sigma)

    def __repr__(self) -> str:
        data = self._points.data
        return f"EmpiricalDistribution({len(data)} points of {data.shape[1]} dimensions, {data.dtype}, {data.device})"

    def __reduce__(self) -> tuple:
        return _restore, (self._points,)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an EmpiricalDistribution cannot be changed")


def _restore(points: Points) -> EmpiricalDistribution:
    distribution = EmpiricalDistribution.__new__(EmpiricalDistribution)
    object.__setattr__(distribution, "_points", points)
    return distribution


def _prepare(data: Tensor, weights: Tensor | None, *, copy: bool = False) -> Points:
    """The points that count with the logs of their normalised weights."""
    n = len(check_points(data, "data"))
    if weights is not None:
        check_weights(weights, "weights", data, n, "data")
    for value, name in ((data, "data"), (weights, "weights")):
        if value is not None:
            _check_no_gradient(value, name)
    if copy:
        with torch.inference_mode(False):  # else it could never be part of a backward pass
            return _points(data.detach().clone(), weights)
    return _points(data, weights)


def _points(data: Tensor, weights: Tensor | None) -> Points:
    if weights is None:
        n = len(data)
        return Points(data, torch.full((n,), -math.log(n), dtype=torch.float64, device=data.device))
    wide = weights.detach().to(torch.float64)
    if not torch.compiler.is_compiling():  # the shapes of a graph do not depend on values
        used = wide > 0
        if not bool(used.all()):
            data, wide = data[used], wide[used]
    log_weights = (wide / wide.max()).log().clamp(min=-1e300)
    return Points(data, log_weights - torch.logsumexp(log_weights, 0))


def _score(points: Points, x: Tensor, sigma: object) -> Tensor:
    return check_result(_evaluate(points, x, sigma)[0], "the score", _TOO_FAR, x=x)


def _log_density(points: Points, x: Tensor, sigma: object) -> Tensor:
    _, log_total, width = _evaluate(points, x, sigma)
    log_density = log_total - x.shape[1] * (0.5 * math.log(2 * math.pi) + width.log())
    return check_result(log_density.to(x.dtype), "the log-density", _TOO_FAR, x=x)


def _evaluate(points: Points, x: Tensor, sigma: object) -> tuple[Tensor, Tensor, Tensor]:
    """The score, the log of the softmax's denominator, and the width of the noise."""
    check_queries(x)
    check_same(x, "x", points.data, "data")
    if x.shape[1] != points.data.shape[1]:
        raise ValueError(
            f"x and data must have the same number of columns; got {x.shape[1]} and {points.data.shape[1]}"
        )
    width = check_sigma(sigma, "sigma", x)[:, 0]
    _check_no_gradient(width, "sigma")
    return *points.score(x, width), width


def _check_no_gradient(value: Tensor, name: str) -> None:
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} must not require a gradient: the result is differentiable in x only")

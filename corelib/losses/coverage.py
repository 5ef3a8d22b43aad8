"""Training for several tries: the chance that one of n samples is right, and its loss."""

import math

import torch

from corelib._checks import check_int
from corelib._tensors import accepts_numpy
from corelib.losses._arguments import check_reduction, check_values, reduce, total_of

_SMALL = -20.0  # log of a number whose square is below float64's resolution


def _log_one_minus_exp(x: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(x)) for x <= 0."""
    return torch.where(x > -math.log(2), (-torch.expm1(x)).log(), torch.log1p(-x.exp()))


def _log_miss(log_probability: torch.Tensor, n: int) -> torch.Tensor:
    """log of the probability (1 - p)^n that all n samples are wrong."""
    return n * _log_one_minus_exp(log_probability)


def _log_coverage(log_probability: torch.Tensor, n: int) -> torch.Tensor:
    """log(1 - (1 - p)^n), by its expansion where p or n p is so small that the powers would round."""
    miss = _log_miss(log_probability, n)
    log_np = math.log(n) + torch.where(log_probability < _SMALL, log_probability + log_probability.exp() / 2, (-miss / n).log())
    return torch.where(log_np < _SMALL, log_np - log_np.exp() / 2, _log_one_minus_exp(miss))


class _DirectCoverageLoss(torch.autograd.Function):
    """-log coverage of each answer; the derivative is minus the factor F of the source."""

    @staticmethod
    def forward(ctx, log_probability, n):
        p = log_probability.double()
        coverage = _log_coverage(p, n)
        ctx.n = n
        ctx.save_for_backward(p, coverage)
        return (-coverage).to(log_probability.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        p, coverage = ctx.saved_tensors
        n = ctx.n
        factor = torch.ones_like(p) if n == 1 else (math.log(n) + _log_miss(p, n - 1) + p - coverage).exp()
        return (-factor * upstream.double()).to(upstream.dtype), None


@accepts_numpy("log_probability")
def dco_loss(log_probability: torch.Tensor, n: int, *, reduction: str = "mean") -> torch.Tensor:
    r"""Direct coverage optimisation: minus the log of the chance that one of n samples is the right answer.

    .. math:: L = -\log\big(1 - (1 - p)^n\big)

    n = 1 is the cross-entropy. The gradient is that of the cross-entropy times
    :math:`F = n (1 - p)^{n - 1} p / (1 - (1 - p)^n)`, which fades where p is well above 1/n.

    Parameters
    ----------
    log_probability : Tensor or ndarray, shape (m,), float32 or float64
        log p of each right answer, at most 0; for a text, ``sequence_log_probability``.
    n : int
        Number of samples, at least 1.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        A scalar, or shape (m,) for "none". Computed in float64. Differentiable once.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is empty or not finite.

    Notes
    -----
    O(m). Exact to rounding for every p that has a finite logarithm, also where p or 1 - p is below the smallest
    number of the dtype. Source: Chen et al., "Rethinking Fine-Tuning when Scaling Test-Time Compute: Limiting
    Confidence Improves Mathematical Reasoning" (arXiv 2502.07154).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import dco_loss
    >>> log_probability = torch.tensor([0.9, 0.01]).log().requires_grad_()
    >>> dco_loss(log_probability, n=16).backward()
    >>> log_probability.grad * 2                     # -F: the confident answer is left alone
    tensor([-1.4400e-14, -9.2640e-01])
    """
    _check_log_probability(log_probability)
    check_int(n, "n", minimum=1)
    check_reduction(reduction)
    return reduce(_DirectCoverageLoss.apply(log_probability, int(n)), reduction)


@accepts_numpy("log_probability")
def coverage(log_probability: torch.Tensor, n) -> torch.Tensor:
    """Mean chance that one of n samples is the right answer, for one or several n.

    Parameters
    ----------
    log_probability : Tensor or ndarray, shape (m,), float32 or float64
        log p of each right answer, at most 0.
    n : int or sequence of int
        Number of samples, at least 1.

    Returns
    -------
    Tensor, shape () or (len(n),)
        In float64; without a gradient (train with ``dco_loss``).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is empty or not finite.

    Notes
    -----
    O(m len(n)) time, O(m) memory. From counts of right samples instead of probabilities, the unbiased estimate is
    ``corelib.metrics.pass_at_k``.

    Examples
    --------
    >>> import numpy as np
    >>> from corelib.losses import coverage
    >>> coverage(np.log([0.5, 0.1]), [1, 10])
    array([0.3      , 0.8251725])
    """
    _check_log_probability(log_probability)
    single = not hasattr(n, "__len__")
    counts = [check_int(value, "n", minimum=1) for value in ([n] if single else n)]
    p = log_probability.detach().double()
    values = [-total_of(torch.expm1(_log_miss(p, count))) / len(p) for count in counts]
    values = torch.stack(values) if counts else p.new_zeros(0)
    return values[0] if single else values


def _check_log_probability(value: object) -> None:
    check_values(value, "log_probability")
    if bool((value > 0).any()):
        raise ValueError(f"log_probability must not be greater than 0; got {value.max().item()}")

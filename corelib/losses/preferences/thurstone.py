"""Learning opinion scores: a mean and a spread per item as a soft label over levels, and comparisons of two items."""

import math

import torch

from corelib._checks import check_choice
from corelib._front_end import front_end
from corelib._tensors import check_constant_like, check_integers, check_range, check_values
from corelib._types import TensorOrArray
from corelib.engines.route import first_derivative_only

_CHUNK = 1 << 18  # pairs looked at together


class _ThurstoneFidelity(torch.autograd.Function):
    """Sum over pairs, with the gradient of the predicted means from the same pass; in float64."""

    @staticmethod
    def forward(ctx, predicted, predicted_variance, mean, variance, pairs):
        total, gradient = mean.new_zeros(()), torch.zeros_like(mean)
        x, ctx.dtype = predicted.double(), predicted.dtype
        for i, j in pairs:
            target = _standardise(mean[i] - mean[j], variance[i] + variance[j])
            spread = 2.0 if predicted_variance is None else predicted_variance[i] + predicted_variance[j]
            losses, slopes = _fidelity(_standardise(x[i] - x[j], spread), target)
            total += losses.sum()
            slopes /= spread**0.5
            gradient.index_add_(0, i, slopes)
            gradient.index_add_(0, j, slopes, alpha=-1)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        return (upstream * gradient).to(ctx.dtype), None, None, None, None


def _standardise(difference: torch.Tensor, variance: torch.Tensor | float) -> torch.Tensor:
    """In standard deviations; a tie without spread is 0, and beyond 1000 the normal distribution has no more to tell."""
    return torch.nan_to_num(difference / variance**0.5).clamp(-1e3, 1e3)


def _fidelity(b: torch.Tensor, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """1 - sqrt(F(b) F(a)) - sqrt((1 - F(b)) (1 - F(a))) for the normal distribution F, and its derivative in b."""
    log_density = -0.5 * b**2 - 0.5 * math.log(2 * math.pi)
    loss, slope = torch.zeros_like(b), torch.zeros_like(b)
    for sign in (1, -1):
        said, true = (torch.special.log_ndtr(sign * x) / 2 for x in (b, a))
        loss += (said.exp() - true.exp()) ** 2 / 2
        slope -= sign * (log_density + true - said).exp() / 2
    return loss, slope


@front_end("predicted", "mean", "sd", "predicted_sd", "pairs", "groups")
def thurstone_fidelity_loss(
    predicted: TensorOrArray,
    mean: TensorOrArray,
    sd: TensorOrArray,
    *,
    predicted_sd: TensorOrArray | None = None,
    pairs: TensorOrArray | None = None,
    groups: TensorOrArray | None = None,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Fidelity loss of the probabilities that one item is better than another, by Thurstone's model.

    .. math:: L = 1 - \sqrt{T \hat T} - \sqrt{(1 - T)(1 - \hat T)}, \qquad
              T = \Phi\Big(\frac{\mu_i - \mu_j}{\sqrt{\sigma_i^2 + \sigma_j^2}}\Big)

    and :math:`\hat T` likewise from the predictions.

    Parameters
    ----------
    predicted : Tensor or ndarray, shape (n,), float32 or float64
        Predicted means.
    mean, sd : Tensor or ndarray, shape (n,), dtype of ``predicted``
        Mean and standard deviation (not negative) of the opinions; constants.
    predicted_sd : Tensor or ndarray, shape (n,), dtype of ``predicted``, optional
        Predicted standard deviations, positive, constants; 1 if left out.
    pairs : Tensor or ndarray of int64, shape (P, 2), optional
        Which items are compared; all pairs within each group if left out.
    groups : Tensor or ndarray of int64, shape (n,), optional
        The group of each item, such as its data set; one group if left out. Not together with ``pairs``.
    reduction : {"mean", "sum"}
        Over pairs. Without a single pair the loss is 0.

    Returns
    -------
    Tensor, shape ()
        Computed in float64. Differentiable once in ``predicted``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, or is not finite.

    Notes
    -----
    O(pairs) time, O(n) memory. Computed from logarithms of the normal distribution: neither the loss nor its gradient
    needs the small number that is usually added under the roots, where probabilities reach 0 and 1. Sources: Tsai et
    al., "FRank" (SIGIR 2007); You et al. (arXiv 2501.11561).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import thurstone_fidelity_loss
    >>> mean, sd = torch.tensor([3.0, 2.0, 1.0]), torch.tensor([0.5, 0.5, 0.5])
    >>> round(thurstone_fidelity_loss(torch.tensor([0.1, 0.2, 0.0]), mean, sd).item(), 4)
    0.1583
    """
    check_values(predicted, "predicted")
    check_constant_like(mean, "mean", predicted, "predicted")
    _check_sd(sd, "sd", predicted, "predicted")
    if predicted_sd is not None:
        check_constant_like(predicted_sd, "predicted_sd", predicted, "predicted")
        if bool((predicted_sd <= 0).any()):
            raise ValueError(
                f"predicted_sd must be greater than 0; the smallest is {predicted_sd.min().item()}"
            )
    check_choice(reduction, "reduction", ("mean", "sum"))
    if pairs is not None:
        if groups is not None:
            raise ValueError("pairs and groups must not be given together")
        pairs = check_integers(pairs, "pairs", predicted, "predicted")
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(f"pairs must have shape (P, 2); got {tuple(pairs.shape)}")
        check_range(pairs, "pairs", len(predicted))
        count, parts = len(pairs), (part.unbind(1) for part in pairs.split(_CHUNK))
    else:
        if groups is None:
            groups = torch.zeros(len(predicted), dtype=torch.int64, device=predicted.device)
        groups = check_integers(groups, "groups", predicted, "predicted", shape=tuple(predicted.shape))
        count, parts = _pairs_within(groups)
    variance = None if predicted_sd is None else predicted_sd.double() ** 2
    total = _ThurstoneFidelity.apply(predicted, variance, mean.double(), sd.double() ** 2, parts)
    return (total / max(count, 1) if reduction == "mean" else total).to(predicted.dtype)


def _pairs_within(groups: torch.Tensor):
    """How many pairs of items share a group, and an iterator over them by chunks of (first, second)."""
    order = groups.argsort(stable=True)
    sizes = torch.unique_consecutive(groups[order], return_counts=True)[1]
    position = torch.arange(len(groups), device=groups.device)
    partners = sizes.cumsum(0).repeat_interleave(sizes) - position - 1  # of each item, those after it
    ends = partners.cumsum(0)

    def chunks():
        start, done = 0, 0
        while start < len(order):
            stop = max(start + 1, int(torch.searchsorted(ends, done + _CHUNK, right=True)))
            here = partners[start:stop]
            first = position[start:stop].repeat_interleave(here)
            before = (ends[start:stop] - here - done).repeat_interleave(here)
            second = first + 1 + torch.arange(len(first), device=groups.device) - before
            yield order[first], order[second]
            start, done = stop, int(ends[stop - 1])

    return int(ends[-1]), chunks()


def _check_sd(sd: object, name: str, other: torch.Tensor, other_name: str) -> None:
    check_constant_like(sd, name, other, other_name)
    if bool((sd < 0).any()):
        raise ValueError(f"{name} must not be negative; the smallest is {sd.min().item()}")

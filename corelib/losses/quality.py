"""Learning opinion scores: a mean and a spread per item as a soft label over levels, and comparisons of two items."""

import math

import torch

from corelib._checks import check_bool, check_choice, check_int, check_positive, check_real
from corelib._tensors import accepts_numpy, check_same
from corelib.losses._arguments import (
    check_constant_like,
    check_integers,
    check_range,
    check_reduction,
    check_values,
    reduce,
)

_CHUNK = 1 << 18  # pairs looked at together
_FLAT = 1000.0  # a spread, in levels, from which a Gaussian is the parabola at its top


@accepts_numpy("mean", "sd")
def soft_labels(
    mean: torch.Tensor,
    sd: torch.Tensor,
    levels: int = 5,
    *,
    low: float | None = None,
    high: float | None = None,
    kind: str = "pdf",
    min_sd: float = 0.2,
    max_error: float = 0.1,
    renormalise: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Distributions over the levels 1..K with the mean, and about the spread, of the opinions on each item.

    On the scale of the levels, item i has mean m and standard deviation s. The Gaussian at the levels, p, is moved to
    :math:`q = \max(\alpha p + \beta, 0)` such that, before the cut at 0, it sums to 1 and has mean m. Where s is below
    ``min_sd``, or the mean after the cut is off by more than ``max_error``, the two neighbouring levels share the
    probability instead, with the mean exact.

    Parameters
    ----------
    mean, sd : Tensor or ndarray, shape (n,), float32 or float64, of one dtype
        Mean opinion score of each item of a data set, and its standard deviation (not negative).
    levels : int, default 5
        K, at least 2; column k of the result is level k + 1, the best last.
    low, high : float, optional
        The scores that are the levels 1 and K; the smallest and the largest mean if left out.
    kind : {"pdf", "cdf"}
        p is the density at the level, or the probability of the unit interval around it (for small spreads).
    min_sd, max_error : float, default 0.2 and 0.1
        In the unit of the levels, in which a spread above 1000 is taken as 1000.
    renormalise : bool, default False
        Let each row sum to 1 after the cut; the source does not.

    Returns
    -------
    labels : Tensor, shape (n, K)
        In the dtype of ``mean``; computed in float64.
    interpolated : Tensor of bool, shape (n,)
        Where the two neighbouring levels were used.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is not finite, or all means are equal and no range
        is given.

    Notes
    -----
    O(n K). At the middle level, alpha is 0/0; its limit is used. Source: You et al., "Teaching Large Language Models to
    Regress Accurate Image Quality Scores using Score Distribution" (arXiv 2501.11561), and its code.

    Examples
    --------
    >>> import numpy as np
    >>> from corelib.losses import soft_labels
    >>> labels, interpolated = soft_labels(np.array([3.6, 2.25]), np.array([0.6, 0.1]), low=1, high=5)
    >>> labels.round(3)
    array([[0.001, 0.02 , 0.403, 0.532, 0.044],
           [0.   , 0.75 , 0.25 , 0.   , 0.   ]])
    >>> interpolated
    array([False,  True])
    """
    check_values(mean, "mean")
    _check_sd(sd, "sd", mean, "mean")
    K = check_int(levels, "levels", minimum=2)
    check_choice(kind, "kind", ("pdf", "cdf"))
    min_sd, max_error = check_positive(min_sd, "min_sd"), check_positive(max_error, "max_error")
    check_bool(renormalise, "renormalise")
    low = float(mean.min()) if low is None else check_real(low, "low")
    high = float(mean.max()) if high is None else check_real(high, "high")
    if not low < high:
        raise ValueError(f"high must be greater than low; got {high} and {low}")
    if bool(((mean < low) | (mean > high)).any()):
        raise ValueError(f"mean must lie in low..high, {low}..{high}; got {mean.min().item()}..{mean.max().item()}")

    scale = (K - 1) / (high - low)
    m, s = 1 + scale * (mean.detach().double() - low), scale * sd.detach().double()
    level = torch.arange(1, K + 1, dtype=torch.float64, device=m.device)
    narrow = s < min_sd
    p, slope = _gaussian_at(level, m[:, None], s.clamp(min_sd, _FLAT)[:, None], kind)

    centre = (K + 1) / 2
    offset = m - centre
    lean, near = (p * (level - centre)).sum(1), offset.abs() < 1e-6
    alpha = torch.where(near, 1.0, offset) / torch.where(near, (slope * (level - centre)).sum(1), lean)
    beta = (1 - alpha * p.sum(1)) / K
    labels = (alpha[:, None] * p + beta[:, None]).clamp_min(0)
    interpolated = narrow | (((labels * level).sum(1) - m).abs() > max_error)
    labels = torch.where(interpolated[:, None], (1 - (level - m[:, None]).abs()).clamp_min(0), labels)
    if renormalise:
        labels /= labels.sum(1, keepdim=True)
    return labels.to(mean.dtype), interpolated


def _gaussian_at(level, m, s, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The Gaussian at each level up to a factor and a constant, which the adjustment undoes; its derivative in m."""
    if kind == "pdf":
        bell = -0.5 * ((level - m) / s) ** 2
        return s**2 * bell.expm1(), (level - m) * bell.exp()
    upper, lower = ((level + side - m) / s for side in (0.5, -0.5))
    slope = ((-0.5 * lower**2).exp() - (-0.5 * upper**2).exp()) / (s * math.sqrt(2 * math.pi))
    flip = lower > 0  # so that the difference is one of small numbers
    upper, lower = torch.where(flip, -lower, upper), torch.where(flip, -upper, lower)
    return torch.special.ndtr(upper) - torch.special.ndtr(lower), slope


@accepts_numpy("logits", "labels", "columns")
def soft_label_kl(
    logits: torch.Tensor, labels: torch.Tensor, columns: torch.Tensor | None = None, *, reduction: str = "mean"
) -> torch.Tensor:
    r"""Kullback-Leibler divergence from soft labels to a softmax, :math:`\sum_k q_k (\log q_k - \log p_k)`.

    Parameters
    ----------
    logits : Tensor or ndarray, shape (n, V), float32 or float64
        Such as those of a language model over its vocabulary.
    labels : Tensor or ndarray, shape (n, K), dtype of ``logits``
        q, not negative, a constant. Rows need not sum to 1: the gradient is ``sum(q) * softmax - q``.
    columns : Tensor or ndarray of int64, shape (K,), optional
        The column of ``logits`` (the token) of each level; without it K = V.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        A scalar, or shape (n,) for "none".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is empty or not finite.

    Notes
    -----
    O(n V); labels are never spread over the vocabulary. Source: arXiv 2501.11561.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import soft_label_kl
    >>> logits, labels = torch.zeros(1, 4), torch.tensor([[0.5, 0.5]])
    >>> soft_label_kl(logits, labels, torch.tensor([3, 1]))           # log 2
    tensor(0.6931)
    """
    check_values(logits, "logits", ndim=2)
    check_values(labels, "labels", ndim=2)
    check_same(labels, "labels", logits, "logits")
    if labels.requires_grad:
        raise ValueError("labels must not require a gradient (it is a constant); pass labels.detach()")
    n, V = logits.shape
    if columns is None:
        K = V
    else:
        check_range(check_integers(columns, "columns", logits, "logits"), "columns", V)
        if columns.ndim != 1 or not len(columns):
            raise ValueError(f"columns must be 1-dimensional and not empty; got shape {tuple(columns.shape)}")
        K = len(columns)
    if labels.shape != (n, K):
        per = "column of logits (or give columns)" if columns is None else "entry of columns"
        raise ValueError(f"labels must have shape {(n, K)}, one label per {per}; got {tuple(labels.shape)}")
    if bool((labels < 0).any()):
        raise ValueError(f"labels must not be negative; the smallest is {labels.min().item()}")
    check_reduction(reduction)
    chosen = logits if columns is None else logits.index_select(1, columns)
    log_probability = chosen - torch.logsumexp(logits, 1, keepdim=True)
    return reduce((torch.xlogy(labels, labels) - labels * log_probability).sum(1), reduction)


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
    @torch.autograd.function.once_differentiable
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


@accepts_numpy("predicted", "mean", "sd", "predicted_sd", "pairs", "groups")
def thurstone_fidelity_loss(
    predicted: torch.Tensor,
    mean: torch.Tensor,
    sd: torch.Tensor,
    *,
    predicted_sd: torch.Tensor | None = None,
    pairs: torch.Tensor | None = None,
    groups: torch.Tensor | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
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
            raise ValueError(f"predicted_sd must be greater than 0; the smallest is {predicted_sd.min().item()}")
    check_choice(reduction, "reduction", ("mean", "sum"))
    if pairs is not None:
        if groups is not None:
            raise ValueError("pairs and groups must not be given together")
        check_integers(pairs, "pairs", predicted, "predicted")
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(f"pairs must have shape (P, 2); got {tuple(pairs.shape)}")
        check_range(pairs, "pairs", len(predicted))
        count, parts = len(pairs), (part.unbind(1) for part in pairs.split(_CHUNK))
    else:
        if groups is None:
            groups = torch.zeros(len(predicted), dtype=torch.int64, device=predicted.device)
        check_integers(groups, "groups", predicted, "predicted", shape=tuple(predicted.shape))
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

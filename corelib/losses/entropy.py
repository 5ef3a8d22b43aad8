"""Entropies of softmaxes, exact down to the surest, and the mixture of heads that they weigh."""

import torch

from corelib._checks import check_real
from corelib._tensors import accepts_numpy, check_tensor
from corelib.losses._arguments import check_values


class _SoftmaxEntropy(torch.autograd.Function):
    """Entropy over the last dimension, from the largest logit and the rest: two terms that are never negative."""

    @staticmethod
    def forward(ctx, logits):
        shifted, rest = _shift(logits)
        log_total = rest.sum(-1).log1p_()
        spread = rest.mul_(shifted).nan_to_num_(nan=0.0).sum(-1).mul_((-log_total).exp())  # 0 * -inf is 0 here
        entropy = log_total - spread
        ctx.save_for_backward(logits, log_total, entropy)
        return entropy

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        logits, log_total, entropy = ctx.saved_tensors
        log_p = logits - logits.amax(-1, keepdim=True) - log_total[..., None]
        slope = log_p.exp().mul_(log_p.add_(entropy[..., None])).nan_to_num_(nan=0.0)
        return slope.mul_(-upstream[..., None])


def _shift(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits minus the largest, and their exponentials without that of the largest."""
    largest, where = logits.max(-1, keepdim=True)
    shifted = logits - largest
    return shifted, shifted.exp().scatter_(-1, where, 0.0)


@accepts_numpy("logits")
def softmax_entropy(logits: torch.Tensor) -> torch.Tensor:
    r"""Entropy in nats of the softmax over the last dimension.

    Parameters
    ----------
    logits : Tensor or ndarray, shape (..., classes), 1- to 3-dimensional, float32 or float64
        Entries may be -inf (excluded classes), not all of a row.

    Returns
    -------
    Tensor, shape (...)
        Differentiable once.

    Raises
    ------
    TypeError, ValueError
        If the argument has the wrong type, dtype or shape, is empty, or holds NaN, +inf or a row of -inf.

    Notes
    -----
    O(size); one number a row is kept for backward. The entropy of a softmax that is all but one-hot keeps its relative
    precision, as long as the second largest probability is a number of the dtype.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import softmax_entropy
    >>> softmax_entropy(torch.tensor([[0.0, 0.0], [50.0, 0.0]]))
    tensor([6.9315e-01, 9.8366e-21])
    """
    check_tensor(logits, "logits", ndim=(1, 2, 3))
    if logits.numel() == 0:
        raise ValueError(f"logits must not be empty; got shape {tuple(logits.shape)}")
    if not bool(logits.detach().amax(-1).isfinite().all()):
        raise ValueError("logits must not be NaN or +inf, nor -inf for all classes of a row")
    return _SoftmaxEntropy.apply(logits)


@accepts_numpy("logits")
def entropy_weighted_mixture(logits: torch.Tensor, gamma: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Mixture of the softmaxes of several heads, each weighted by how sure it is of the example.

    .. math:: p = \sum_k w_k\, \mathrm{softmax}(z_k), \qquad w_k = H_k^{-\gamma} \Big/ \sum_j H_j^{-\gamma}

    with H the entropy of a head's softmax.

    Parameters
    ----------
    logits : Tensor or ndarray, shape (heads, n, classes), float32 or float64
    gamma : float, default 1.0
        Not negative: 0 is the mean of the heads; as it grows the surest head takes all (``weights.argmax(0)``).

    Returns
    -------
    mixture : Tensor, shape (n, classes)
        Rows sum to 1. Differentiable once in ``logits``, through the weights too.
    weights : Tensor, shape (heads, n)
        Columns sum to 1.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is empty or not finite.

    Notes
    -----
    O(size) time and, without gradients, O(n classes) memory. Computed in float64 with the logarithms of the entropies:
    no power overflows, and heads are told apart as long as their entropies are above 1e-307. Source: Zhang et al.,
    "Domain-Specific Risk Minimization for Out-of-Distribution Generalization" (arXiv 2208.08661).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import entropy_weighted_mixture
    >>> mixture, weights = entropy_weighted_mixture(torch.tensor([[[3.0, 0.0]], [[0.0, 1.0]]]))
    >>> weights.T
    tensor([[0.7531, 0.2469]])
    """
    check_values(logits, "logits", ndim=3)
    if check_real(gamma, "gamma") < 0:
        raise ValueError(f"gamma must not be negative; got {gamma}")
    entropy = torch.stack([softmax_entropy(head.double()) for head in logits])
    log_entropy = entropy.clamp_min(torch.finfo(torch.float64).tiny).log()
    weights = torch.softmax(-float(gamma) * (log_entropy - log_entropy.amin(0)), 0)
    mixture = sum(weight[:, None] * torch.softmax(head.double(), 1) for weight, head in zip(weights, logits, strict=True))
    return mixture.to(logits.dtype), weights.to(logits.dtype)

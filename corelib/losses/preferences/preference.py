"""Losses and accuracies of pairwise preferences: one answer was chosen, the other rejected."""

import torch
from torch.nn import functional as F

from corelib._checks import check_bool, check_choice, check_int, check_real
from corelib._front_end import front_end
from corelib._tensors import (
    check_constant_like,
    check_integers,
    check_mask_like,
    check_positive_scalar,
    check_range,
    check_scalar,
    check_tensor,
    check_values,
    unseen,
)
from corelib._types import TensorOrArray
from corelib.engines.route import first_derivative_only
from corelib.losses._reduction import check_reduction, reduce

_CHUNK = 1 << 20  # logits looked at together
_NOT_FINITE = "logits must not be NaN or +inf, nor -inf for all tokens, where a token counts"


@front_end("margin", "reference_margin")
def preference_loss(
    margin: TensorOrArray,
    reference_margin: TensorOrArray | None = None,
    *,
    beta: float | torch.Tensor = 0.1,
    gamma: float | torch.Tensor = 1.0,
    kind: str = "dpo",
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Preference loss of the margins by which a policy prefers the chosen to the rejected answers.

    With :math:`u = m - \gamma\, m_\mathrm{ref}`, :math:`m = \log \pi(y_w) / \pi(y_l)` and likewise for the reference:

    ========  ==========================================================
    kind      loss
    ========  ==========================================================
    "dpo"     :math:`-\log \sigma(\beta u)`
    "ipo"     :math:`(u - 1 / (2 \beta))^2`
    "hinge"   :math:`\max(0, 1 - \beta u)`
    ========  ==========================================================

    Parameters
    ----------
    margin : Tensor or ndarray, shape (n,), float32 or float64
        Log-probability of the chosen answer minus that of the rejected one, under the policy.
    reference_margin : Tensor or ndarray, shape (n,), dtype of ``margin``, optional
        The same under the reference model, a constant; 0 if left out.
    beta : float or Tensor of one number, default 0.1
        Positive; how strongly the policy is tied to the reference.
    gamma : float or Tensor of one number, default 1.0
        Share of the reference that counts: 0 leaves it out.
    kind : {"dpo", "ipo", "hinge"}
    label_smoothing : float, default 0.0
        Probability, at most 0.5, that a label is swapped: the loss is then its expectation,
        ``(1 - label_smoothing) * loss(u) + label_smoothing * loss(-u)``.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        A scalar, or shape (n,) for "none".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is not finite, or the reference requires a gradient.

    Notes
    -----
    O(n). No exponential overflows: a log-ratio may be hundreds of nats. Sources: Rafailov et al., "Direct Preference
    Optimization" (arXiv 2305.18290), eq. 7; Azar et al. (arXiv 2310.12036), eq. 17; Zhao et al., "SLiC-HF"
    (arXiv 2305.10425); gamma: Chen et al., "Preference Learning Algorithms Do Not Learn Preference Rankings"
    (arXiv 2405.19534), eq. 4, whose reference term has the opposite sign.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import preference_loss
    >>> preference_loss(torch.tensor([3.0, -1.0]), torch.tensor([-2.0, -1.0]), beta=0.1, reduction="none")
    tensor([0.4741, 0.6931])
    """
    check_values(margin, "margin")
    beta, gamma = check_positive_scalar(beta, "beta"), check_scalar(gamma, "gamma")
    check_choice(kind, "kind", ("dpo", "ipo", "hinge"))
    if not 0 <= check_real(label_smoothing, "label_smoothing") <= 0.5:
        raise ValueError(f"label_smoothing must lie between 0 and 0.5; got {label_smoothing}")
    check_reduction(reduction)
    u = margin
    if reference_margin is not None:
        check_constant_like(reference_margin, "reference_margin", margin, "margin")
        u = margin - gamma * reference_margin
    losses = _preference_losses(u, beta, kind)
    if label_smoothing:
        flipped = _preference_losses(-u, beta, kind)
        losses = (
            1 - label_smoothing
        ) * losses + label_smoothing * flipped  # lerp makes NaN of two infinite losses
    return reduce(losses, reduction)


def _preference_losses(u: torch.Tensor, beta: float | torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "dpo":
        return -F.logsigmoid(beta * u)
    if kind == "ipo":
        return (u - 1 / (2 * beta)) ** 2
    return F.relu(1 - beta * u)


class _TokenLogProbabilities(torch.autograd.Function):
    """log softmax of (B, T, V) at the targets (B, T), 0 where not kept; one number a token is saved for backward.

    Half precision becomes float32 in blocks.
    """

    @staticmethod
    def forward(ctx, logits, targets, keep):
        wide = torch.promote_types(logits.dtype, torch.float32)
        normalisers = logits.new_empty(targets.shape, dtype=wide)
        for part in _chunks(logits):
            normalisers[part] = torch.logsumexp(logits[part].to(wide), -1)
        fine = normalisers.isfinite() if keep is None else normalisers.isfinite() | ~keep
        if not unseen(fine, fine.all, _NOT_FINITE) and not bool(fine.all()):
            raise ValueError(_NOT_FINITE)
        ctx.save_for_backward(logits, targets, keep, normalisers)
        tokens = logits.gather(-1, targets[..., None])[..., 0] - normalisers
        return tokens if keep is None else tokens.masked_fill_(~keep, 0)

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        logits, targets, keep, normalisers = ctx.saved_tensors
        gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        in_place = logits.dtype == normalisers.dtype
        for part in _chunks(logits):
            scale, here = upstream[part][..., None], gradient[part]
            piece = torch.sub(logits[part], normalisers[part][..., None], out=here if in_place else None)
            piece.exp_().mul_(-scale).scatter_add_(-1, targets[part][..., None], scale)
            if keep is not None:
                piece.masked_fill_(~keep[part][..., None], 0)
            if not in_place:
                here.copy_(piece)
        return gradient, None, None


def _chunks(logits: torch.Tensor):
    B, T, V = logits.shape
    sequences, tokens = max(1, _CHUNK // (T * V)), max(1, _CHUNK // V)
    for b in range(0, B, sequences):
        for t in range(0, T, tokens):
            yield slice(b, b + sequences), slice(t, t + tokens)


@front_end("logits", "targets", "mask", half=("logits",))
def sequence_log_probability(
    logits: TensorOrArray,
    targets: TensorOrArray,
    mask: TensorOrArray | None = None,
    *,
    ignore_index: int | None = None,
    average: bool = False,
) -> TensorOrArray:
    """Log-probability of each target sequence under the logits of a language model.

    Parameters
    ----------
    logits : Tensor or ndarray, shape (B, T, V), floats of 16, 32 or 64 bits
        ``logits[b, t]`` predicts ``targets[b, t]`` (shift them before the call). Entries may be -inf (forbidden
        tokens); NaN and +inf are refused wherever a token counts.
    targets : Tensor or ndarray of int64, shape (B, T)
        Token ids in 0..V-1. Where the mask is False any number will do, such as -100.
    mask : Tensor or ndarray of bool, shape (B, T), optional
        Which tokens count; all by default.
    ignore_index : int, optional
        Target of tokens that do not count, such as -100: another way to say it.
    average : bool, default False
        Divide by the number of tokens that count: the length-normalised score.

    Returns
    -------
    Tensor, shape (B,)
        In the dtype of ``logits``, float32 for half precision. Sums are taken in float64. A sequence without tokens has log-probability 0. Differentiable once in ``logits``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, a row of logits that counts has no finite
        normaliser, or ``average`` meets a sequence without tokens.

    Notes
    -----
    O(B T V) time. What is kept for backward, besides the logits, is one number a token: the log-probabilities of
    the other V - 1 tokens are never stored. Logits in half precision are converted by blocks of 4 MB: neither they nor
    their gradient ever exist in float32.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import sequence_log_probability
    >>> logits = torch.log(torch.tensor([[[0.5, 0.5], [0.9, 0.1]]]))
    >>> sequence_log_probability(logits, torch.tensor([[1, 0]])).exp()        # 0.5 * 0.9
    tensor([0.4500])
    """
    check_tensor(logits, "logits", ndim=3, half=True)
    if logits.numel() == 0:
        raise ValueError(f"logits must not be empty; got shape {tuple(logits.shape)}")
    B, T, V = logits.shape
    targets = check_integers(targets, "targets", logits, "logits", shape=(B, T))
    check_bool(average, "average")
    if mask is not None:
        check_mask_like(mask, "mask", targets, "targets")
    if ignore_index is not None:
        labelled = targets != check_int(ignore_index, "ignore_index")
        mask = labelled if mask is None else mask & labelled
    if mask is not None:
        targets = targets.masked_fill(~mask, 0)
    tokens = _TokenLogProbabilities.apply(logits, check_range(targets, "targets", V), mask)
    sums = tokens.sum(1, dtype=torch.float64)
    if average:
        counts = torch.full_like(sums, T) if mask is None else mask.sum(1)
        none = counts == 0
        must = "mask and ignore_index must leave a token of every sequence to average"
        if not unseen(none, lambda: ~none.any(), must) and bool(none.any()):
            raise ValueError(f"{must}; {int(none.sum())} have none")
        sums = sums / counts
    return sums.to(tokens.dtype)

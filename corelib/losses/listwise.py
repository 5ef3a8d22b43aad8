"""Losses over short lists of candidates: distilling a teacher's scores, and the weights and directions of rerankers."""

import torch

from corelib._checks import check_choice, check_positive, check_real
from corelib._tensors import accepts_numpy, check_finite, check_same, check_tensor
from corelib.losses._arguments import (
    check_constant_like,
    check_mask_like,
    check_reduction,
    check_values,
    reduce,
)

_WEIGHTS = ("cl", "sft", "constant", "unsolved")


@accepts_numpy("scores", "teacher", "mask")
def list_kl_loss(
    scores: torch.Tensor,
    teacher: torch.Tensor,
    *,
    temperature: float = 1.0,
    teacher_temperature: float | None = None,
    mask: torch.Tensor | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    r"""Kullback-Leibler divergence from a teacher's softmax over each list to the student's.

    .. math:: L = \mathrm{KL}(Q \,\|\, P), \quad P = \mathrm{softmax}(s / \tau), \quad Q = \mathrm{softmax}(t / \tau_T)

    Parameters
    ----------
    scores : Tensor or ndarray, shape (n, k), float32 or float64
        The student's scores s, one list a row.
    teacher : Tensor or ndarray, shape (n, k), dtype of ``scores``
        The teacher's scores t, a constant.
    temperature : float, default 1.0
        tau, in the unit of ``scores``.
    teacher_temperature : float, optional
        tau_T, in the unit of ``teacher``; ``temperature`` if left out.
    mask : Tensor or ndarray of bool, shape (n, k), optional
        Which candidates exist; the others may hold anything. A list without candidates has loss 0.
    reduction : {"mean", "sum", "none"}
        Over lists.

    Returns
    -------
    Tensor
        A scalar, or shape (n,) for "none".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, or a score that counts is not finite.

    Notes
    -----
    O(n k). Log-probabilities are never made from probabilities, so that candidates far below the best keep their
    gradient. Source: Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach" (ICML 2007), up to
    the teacher's entropy.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import list_kl_loss
    >>> list_kl_loss(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[2.0, 1.0, 0.0]]))
    tensor(0.0767)
    """
    student, target = _log_distributions(scores, teacher, temperature, teacher_temperature, mask)
    check_reduction(reduction)
    return reduce((target.exp() * (target - student)).sum(1), reduction)


@accepts_numpy("scores", "teacher", "mask")
def jeffreys_loss(
    scores: torch.Tensor,
    teacher: torch.Tensor,
    *,
    temperature: float = 1.0,
    teacher_temperature: float | None = None,
    mask: torch.Tensor | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    r"""Half the Jeffreys divergence between a student's and a teacher's softmax over each list.

    .. math:: L = \tfrac12 \big(\mathrm{KL}(P \,\|\, Q) + \mathrm{KL}(Q \,\|\, P)\big)
              = \tfrac12 \sum_j (P_j - Q_j) (\log P_j - \log Q_j)

    Parameters
    ----------
    scores, teacher, temperature, teacher_temperature, mask, reduction
        As in ``list_kl_loss``.

    Returns
    -------
    Tensor
        A scalar, or shape (n,) for "none".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, or a score that counts is not finite.

    Notes
    -----
    O(n k). Source: Gu et al., "UniME-V2" (arXiv 2510.13515), which calls it Jensen-Shannon divergence.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import jeffreys_loss
    >>> jeffreys_loss(torch.tensor([[0.8, 0.1]]), torch.tensor([[0.1, 0.1]]), temperature=0.02)
    tensor(8.7500)
    """
    student, target = _log_distributions(scores, teacher, temperature, teacher_temperature, mask)
    check_reduction(reduction)
    return reduce(((student.exp() - target.exp()) * (student - target)).sum(1) / 2, reduction)


@accepts_numpy("yes", "no", "mask")
def rerank_weights(
    yes: torch.Tensor,
    no: torch.Tensor | None = None,
    *,
    weight: str = "cl",
    threshold: float = 0.1,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""How hard a reranking loss pulls at each document of a list; the first is the relevant one.

    ============  ==========================================  ==================
    weight        relevant document                           other documents
    ============  ==========================================  ==================
    "cl"          :math:`\sum_{i \ge 1} p_i`                  :math:`p_i`
    "sft"         :math:`1 - s_0`                             :math:`s_i`
    "constant"    1                                           1
    "unsolved"    1, or 0 if :math:`s_0 > 1 - \tau`           1, or 0 if :math:`s_i < \tau`
    ============  ==========================================  ==================

    with p the softmax of the "yes" logits over the list, :math:`s = \sigma(\mathrm{yes} - \mathrm{no})` and
    :math:`\tau` the threshold.

    Parameters
    ----------
    yes : Tensor or ndarray, shape (n, k), float32 or float64
        Logits of the token "yes"; column 0 is the relevant document.
    no : Tensor or ndarray, shape (n, k), dtype of ``yes``, optional
        Logits of the token "no"; "sft" and "unsolved" need them.
    weight : {"cl", "sft", "constant", "unsolved"}
    threshold : float, default 0.1
        For "unsolved"; in (0, 1).
    mask : Tensor or ndarray of bool, shape (n, k), optional
        Which documents exist; the others may hold anything and weigh 0. Column 0 must exist.

    Returns
    -------
    Tensor, shape (n, k)
        Not negative; without a gradient.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, a logit that counts is not finite, or ``no`` is
        needed and missing.

    Notes
    -----
    O(n k). No weight is one minus a number close to one. Source: Dai et al., "Supervised Fine-Tuning or Contrastive
    Learning? Towards Better Multimodal LLM Reranking" (arXiv 2510.14824).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import rerank_weights
    >>> rerank_weights(torch.tensor([[20.0, 0.0, 1.0]]))
    tensor([[7.6640e-09, 2.0612e-09, 5.6028e-09]])
    """
    yes, no = _check_rerank(yes, no, weight, "cl", threshold, mask)
    return _rerank_weights(yes, no, weight, threshold, mask)


@accepts_numpy("yes", "no", "mask")
def rerank_loss(
    yes: torch.Tensor,
    no: torch.Tensor | None = None,
    *,
    weight: str = "cl",
    direction: str = "cl",
    threshold: float = 0.1,
    mask: torch.Tensor | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    r"""A reranking loss put together from a weight and a direction, to see which of the two matters.

    .. math:: L = \frac1k \Big(-W_0\, d_0 + \sum_{i \ge 1} W_i\, d_i\Big)

    with the weights of ``rerank_weights``, constants, and d = yes for direction "cl" or yes - no for "sft". Its
    gradient is what counts, its value means nothing: with both "cl" it is the gradient of the softmax cross-entropy
    over the list, divided by k, and with both "sft" that of the binary cross-entropies.

    Parameters
    ----------
    yes, no, weight, threshold, mask
        As in ``rerank_weights``; direction "sft" needs ``no`` too.
    direction : {"cl", "sft"}
    reduction : {"mean", "sum", "none"}
        Over lists. The k of a list counts the documents that exist.

    Returns
    -------
    Tensor
        A scalar, or shape (n,) for "none".

    Raises
    ------
    TypeError, ValueError
        As ``rerank_weights``.

    Notes
    -----
    O(n k). Source: arXiv 2510.14824, the unified reranking loss.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import rerank_loss
    >>> yes = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
    >>> rerank_loss(yes).backward()
    >>> 3 * yes.grad                          # softmax minus one-hot
    tensor([[-0.4239,  0.2119,  0.2119]])
    """
    yes, no = _check_rerank(yes, no, weight, direction, threshold, mask)
    check_reduction(reduction)
    weights = _rerank_weights(yes, no, weight, threshold, mask)
    weights[:, 0].neg_()
    documents = yes.shape[1] if mask is None else mask.sum(1)
    along = yes if direction == "cl" else yes - no
    return reduce((weights * along).sum(1) / documents, reduction)


@accepts_numpy("pos", "neg", "weight")
def pairwise_softmax_loss(
    pos: torch.Tensor, neg: torch.Tensor, *, weight: torch.Tensor | None = None, reduction: str = "mean"
) -> torch.Tensor:
    r"""One minus the softmax probability of the relevant document against its negatives, weighted by query.

    .. math:: L = w\, \Big(1 - \frac{e^{s^+}}{e^{s^+} + \sum_j e^{s_j^-}}\Big)

    Parameters
    ----------
    pos : Tensor or ndarray, shape (n,), float32 or float64
    neg : Tensor or ndarray, shape (n,) or (n, m), dtype of ``pos``
    weight : Tensor or ndarray, shape (n,), dtype of ``pos``, optional
        Such as the easiness of a training curriculum. A constant, not negative.
    reduction : {"mean", "sum", "none"}
        "mean" divides by n, not by the sum of the weights.

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
    O(n m). The gradient in ``pos`` is -w l (1 - l): it fades not only for pairs that are right by far but also for
    those that are wrong by far. Source: MacAvaney et al., "Training Curricula for Open Domain Answer Re-Ranking"
    (arXiv 2004.14269), with a weight for each sample.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import pairwise_softmax_loss
    >>> pairwise_softmax_loss(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), reduction="none")
    tensor([0.2689, 0.8808])
    """
    check_values(pos, "pos")
    check_values(neg, "neg", ndim=(1, 2))
    check_same(pos, "pos", neg, "neg")
    if len(neg) != len(pos):
        raise ValueError(f"neg must have one row per entry of pos, {len(pos)}; got shape {tuple(neg.shape)}")
    check_reduction(reduction)
    against = neg if neg.ndim == 1 else torch.logsumexp(neg, 1)
    losses = torch.sigmoid(against - pos)
    if weight is not None:
        check_constant_like(weight, "weight", pos, "pos")
        if bool((weight < 0).any()):
            raise ValueError(f"weight must not be negative; its smallest entry is {weight.min().item()}")
        losses = losses * weight
    return reduce(losses, reduction)


def _log_distributions(scores, teacher, temperature, teacher_temperature, mask) -> tuple[torch.Tensor, torch.Tensor]:
    """log softmax of the student's and the teacher's lists."""
    tau = check_positive(temperature, "temperature")
    teacher_tau = tau if teacher_temperature is None else check_positive(teacher_temperature, "teacher_temperature")
    scores = _check_lists(scores, "scores", mask)
    if getattr(teacher, "requires_grad", False):
        raise ValueError("teacher must not require a gradient (it is a constant); pass teacher.detach()")
    teacher = _check_lists(teacher, "teacher", mask)
    check_same(scores, "scores", teacher, "teacher")
    if teacher.shape != scores.shape:
        raise ValueError(f"teacher must have the shape of scores, {tuple(scores.shape)}; got {tuple(teacher.shape)}")
    student = check_finite(scores / tau, "scores / temperature")
    target = check_finite(teacher / teacher_tau, "teacher / teacher_temperature")
    return torch.log_softmax(_drop(student, mask), 1), torch.log_softmax(_drop(target, mask), 1)


def _check_rerank(yes, no, weight, direction, threshold, mask) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The logits, with zeros where the mask is False."""
    check_choice(weight, "weight", _WEIGHTS), check_choice(direction, "direction", ("cl", "sft"))
    if not 0 < check_real(threshold, "threshold") < 1:
        raise ValueError(f"threshold must lie between 0 and 1; got {threshold}")
    yes = _check_lists(yes, "yes", mask)
    if mask is not None and not bool(mask[:, 0].all()):
        raise ValueError(f"mask must be True in column 0, the relevant documents; {int((~mask[:, 0]).sum())} are False")
    if no is None:
        if direction == "sft" or weight in ("sft", "unsolved"):
            raise ValueError(f"no must be given for weight {weight!r} in direction {direction!r}")
        return yes, None
    no = _check_lists(no, "no", mask)
    check_same(yes, "yes", no, "no")
    if no.shape != yes.shape:
        raise ValueError(f"no must have the shape of yes, {tuple(yes.shape)}; got {tuple(no.shape)}")
    return yes, no


@torch.no_grad()
def _rerank_weights(yes, no, weight: str, threshold: float, mask) -> torch.Tensor:
    if weight == "cl":
        weights = torch.softmax(_drop(yes, mask), 1)
        weights[:, 0] = weights[:, 1:].sum(1)
    elif weight == "constant":
        weights = torch.ones_like(yes)
    else:
        wrong = torch.cat([(no - yes)[:, :1], (yes - no)[:, 1:]], 1).sigmoid_()  # 1 - s_0, s_1, s_2, ...
        weights = wrong if weight == "sft" else (wrong >= threshold).to(yes.dtype)
    return weights if mask is None else weights.masked_fill(~mask, 0)


def _check_lists(values: object, name: str, mask) -> torch.Tensor:
    """``values`` as lists, with zeros where the mask is False."""
    check_tensor(values, name, ndim=2)
    if values.numel() == 0:
        raise ValueError(f"{name} must not be empty; got shape {tuple(values.shape)}")
    if mask is not None:
        values = values.masked_fill(~check_mask_like(mask, "mask", values, name), 0)
    return check_finite(values, name)


def _drop(logits: torch.Tensor, mask) -> torch.Tensor:
    """``logits`` with numbers so low where the mask is False that their softmax is 0, yet their difference is finite."""
    return logits if mask is None else logits.masked_fill(~mask, torch.finfo(logits.dtype).min / 4)

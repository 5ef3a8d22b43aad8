"""Distilling a teacher's scores of short lists of candidates."""

import torch

from corelib._front_end import front_end
from corelib._tensors import (
    check_finite,
    check_mask_like,
    check_positive_scalar,
    check_same,
    check_tensor,
)
from corelib._types import TensorOrArray
from corelib.losses._reduction import check_reduction, reduce


@front_end("scores", "teacher", "mask")
def list_kl_loss(
    scores: TensorOrArray,
    teacher: TensorOrArray,
    *,
    temperature: float | torch.Tensor = 1.0,
    teacher_temperature: float | torch.Tensor | None = None,
    mask: TensorOrArray | None = None,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Kullback-Leibler divergence from a teacher's softmax over each list to the student's.

    .. math:: L = \mathrm{KL}(Q \,\|\, P), \quad P = \mathrm{softmax}(s / \tau), \quad Q = \mathrm{softmax}(t / \tau_T)

    Parameters
    ----------
    scores : Tensor or ndarray, shape (n, k), float32 or float64
        The student's scores s, one list a row.
    teacher : Tensor or ndarray, shape (n, k), dtype of ``scores``
        The teacher's scores t, a constant.
    temperature : float or Tensor of one number, default 1.0
        tau, in the unit of ``scores``.
    teacher_temperature : float or Tensor of one number, optional
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
    probability = target.exp()
    # where it is 0, and left out candidates have 0, the difference of the logarithms may be infinite
    terms = torch.where(probability > 0, probability * (target - student), 0.0)
    return reduce(terms.sum(1), reduction)


def _log_distributions(
    scores, teacher, temperature, teacher_temperature, mask
) -> tuple[torch.Tensor, torch.Tensor]:
    """log softmax of the student's and the teacher's lists."""
    tau = teacher_tau = check_positive_scalar(temperature, "temperature")
    if teacher_temperature is not None:
        teacher_tau = check_positive_scalar(teacher_temperature, "teacher_temperature")
    scores = _check_lists(scores, "scores", mask)
    if getattr(teacher, "requires_grad", False):
        raise ValueError("teacher must not require a gradient (it is a constant); pass teacher.detach()")
    teacher = _check_lists(teacher, "teacher", mask)
    check_same(scores, "scores", teacher, "teacher")
    if teacher.shape != scores.shape:
        raise ValueError(
            f"teacher must have the shape of scores, {tuple(scores.shape)}; got {tuple(teacher.shape)}"
        )
    student = _divided(scores, "scores", tau, "temperature")
    target = _divided(teacher, "teacher", teacher_tau, "teacher_temperature")
    return torch.log_softmax(_drop(student, mask), 1), torch.log_softmax(_drop(target, mask), 1)


def _check_lists(values: object, name: str, mask) -> torch.Tensor:
    """``values`` as lists, with zeros where the mask is False."""
    check_tensor(values, name, ndim=2)
    if values.numel() == 0:
        raise ValueError(f"{name} must not be empty; got shape {tuple(values.shape)}")
    if mask is not None:
        values = values.masked_fill(~check_mask_like(mask, "mask", values, name), 0)
    return values


def _divided(values: torch.Tensor, name: str, unit: float | torch.Tensor, unit_name: str) -> torch.Tensor:
    """``values`` in this unit, if they and the quotients are finite."""
    quotients = values / unit
    try:
        return check_finite(quotients, f"{name} / {unit_name}")
    except ValueError:
        check_finite(values, name)
        raise


def _drop(logits: torch.Tensor, mask) -> torch.Tensor:
    """``logits`` with numbers so low where the mask is False that their softmax is 0, yet their difference is finite."""
    return logits if mask is None else logits.masked_fill(~mask, torch.finfo(logits.dtype).min / 4)

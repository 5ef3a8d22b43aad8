"""Losses over all pairs of a positive and a negative score."""

import torch

from corelib._checks import check_choice, check_positive
from corelib._front_end import front_end
from corelib._tensors import check_temperature
from corelib._types import Scalar, TensorOrArray
from corelib.losses.pairs._sides import check_sides, pairwise_loss


@front_end("pos", "neg", "pos_weight", "neg_weight", "pos_indptr", "neg_indptr")
def mann_whitney_loss(
    pos: TensorOrArray,
    neg: TensorOrArray,
    temperature: Scalar = 1.0,
    *,
    margin: Scalar = 0.0,
    pos_weight: TensorOrArray | None = None,
    neg_weight: TensorOrArray | None = None,
    pos_indptr: TensorOrArray | None = None,
    neg_indptr: TensorOrArray | None = None,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Mann-Whitney loss: a smooth count of the pairs in which a negative outscores a positive.

    .. math::

        L = \frac{\sum_{i,j} u_i v_j \log\left(1 + e^{(\mathrm{neg}_j - \mathrm{pos}_i + \mathrm{margin}) / \tau}\right)}
                 {\sum_i u_i \sum_j v_j}

    over *all* pairs, which for margin 0 is an upper bound of :math:`\log 2` times the share of misordered pairs, that is of
    :math:`(1 - \mathrm{AUC}) \log 2`. The sum is exact to rounding, and its cost grows with the number of scores,
    not of pairs.

    Parameters
    ----------
    pos : Tensor or ndarray, shape (n,), float32 or float64
        Scores of the positives; at least one, all finite.
    neg : Tensor or ndarray, shape (m,), dtype of ``pos``
        Scores of the negatives; at least one, all finite.
    temperature : float or Tensor of one number, default 1.0
        :math:`\tau`, in the unit of the scores.
    margin : float or Tensor of one number, default 0.0
        In the unit of the scores: how far a positive should stand above a negative. It is added to the negatives in
        float64 (a margin that requires a gradient in their dtype).
    pos_weight, neg_weight : Tensor or ndarray, shapes (n,) and (m,), dtype of ``pos``, optional
        Weights :math:`u_i, v_j \ge 0`, not all 0; 1 if left out. They are constants: no gradient flows to them.
    pos_indptr, neg_indptr : Tensor or ndarray of int64, shape (groups + 1,), optional
        ``pos[pos_indptr[g]:pos_indptr[g + 1]]`` are the positives of group g (a query, say), and likewise the
        negatives: only pairs within a group count. Give both or neither. A group without positives or without
        negatives (or with all weights 0 on one side) has loss 0.
    reduction : {"mean", "sum", "none"}
        "mean" is the weighted mean above, of groups the mean of theirs; "sum" leaves out the denominators; "none",
        for groups only, is the mean of each. (One loss per pair would be n times m numbers.)

    Returns
    -------
    Tensor, shape () or (groups,)
        The loss, in the dtype of ``pos``; a float for NumPy arrays.

    Raises
    ------
    TypeError
        If an argument is not of the type or dtype above, or arrays and tensors are mixed.
    ValueError
        If a side is empty or not one-dimensional, a score or weight is NaN or infinite, a weight is negative or all
        of a side are 0, a weight requires a gradient, the devices differ, the temperature is not positive, a score
        or margin exceeds 1e280 or 1e280 temperatures, the groups of the sides differ in number or do not cover
        their scores, or the loss overflows. With groups, a side may be empty.

    Notes
    -----
    The gradient is computed together with the loss, and only for the sides that require it. It is linear in the
    number of scores as well. The loss can be differentiated once; a second derivative raises an error.

    Source: eq. 2 and 3 of Sheikholeslami et al., *Optimizing What Matters: AUC-Driven Learning for Robust Neural
    Retrieval*, arXiv 2510.00137, normalised by the number of pairs and with the temperature of its experiments.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import mann_whitney_loss
    >>> pos = torch.tensor([2.0, 0.5], requires_grad=True)
    >>> neg = torch.tensor([0.0, 1.0, -1.0])
    >>> loss = mann_whitney_loss(pos, neg)
    >>> round(loss.item(), 4)
    0.3564
    >>> loss.backward()
    >>> pos.grad
    tensor([-0.0726, -0.1971])
    """
    sides = check_sides(pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr)
    return pairwise_loss("softplus", sides, margin, reduction, check_temperature(temperature, pos.dtype))


class MannWhitneyLoss(torch.nn.Module):
    """:func:`mann_whitney_loss` as a module.

    Parameters
    ----------
    temperature : float or torch.nn.Parameter of one number, default 1.0
        In the unit of the scores; a parameter is learned.
    reduction : {"mean", "sum"}
        Mean or sum over all pairs.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import MannWhitneyLoss
    >>> criterion = MannWhitneyLoss(temperature=0.1)
    >>> round(criterion(torch.tensor([0.9, 0.2]), torch.tensor([0.3])).item(), 4)
    0.6579
    """

    def __init__(self, temperature: float | torch.nn.Parameter = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        learned = isinstance(temperature, torch.nn.Parameter)
        self.temperature = temperature if learned else check_positive(temperature, "temperature")
        self.reduction = check_choice(reduction, "reduction", ("mean", "sum"))

    def forward(
        self,
        pos: torch.Tensor,
        neg: torch.Tensor,
        pos_weight: torch.Tensor | None = None,
        neg_weight: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of scores ``pos`` (n,) against ``neg`` (m,)."""
        return mann_whitney_loss(
            pos, neg, self.temperature, pos_weight=pos_weight, neg_weight=neg_weight, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        number = torch.as_tensor(self.temperature).item()
        return f"temperature={number:g}, reduction={self.reduction!r}"

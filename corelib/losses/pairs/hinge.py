"""Hinge losses: every pair in the right order by at least a margin."""

import torch

from corelib._front_end import front_end
from corelib._tensors import check_bounded, check_tensor
from corelib._types import Scalar, TensorOrArray
from corelib.engines.pair_sums import pair_loss
from corelib.losses._reduction import check_reduction, reduce
from corelib.losses.pairs._sides import check_margin, check_sides, pairwise_loss

_LARGEST = {torch.float32: 1e37, torch.float64: 1e280}  # score whose loss does not overflow


@front_end("pos", "neg", "pos_weight", "neg_weight", "pos_indptr", "neg_indptr")
def pairwise_hinge_loss(
    pos: TensorOrArray,
    neg: TensorOrArray,
    margin: Scalar = 1.0,
    *,
    pos_weight: TensorOrArray | None = None,
    neg_weight: TensorOrArray | None = None,
    pos_indptr: TensorOrArray | None = None,
    neg_indptr: TensorOrArray | None = None,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Hinge loss of all pairs: what each positive lacks to stand a margin above each negative.

    .. math::

        L = \frac{\sum_{i,j} u_i v_j \max(0, \mathrm{margin} - \mathrm{pos}_i + \mathrm{neg}_j)}
                 {\sum_i u_i \sum_j v_j}

    exactly, over *all* pairs, at the cost of two sorts.

    Parameters
    ----------
    pos : Tensor or ndarray, shape (n,), float32 or float64
        Scores of the positives; at least one, all finite.
    neg : Tensor or ndarray, shape (m,), dtype of ``pos``
        Scores of the negatives; at least one, all finite.
    margin : float or Tensor of one number, default 1.0
        In the unit of the scores.
    pos_weight, neg_weight : Tensor or ndarray, shapes (n,) and (m,), dtype of ``pos``, optional
        Weights :math:`u_i, v_j \ge 0`, not all 0; 1 if left out. They are constants: no gradient flows to them.
    pos_indptr, neg_indptr : Tensor or ndarray of int64, shape (groups + 1,), optional
        ``pos[pos_indptr[g]:pos_indptr[g + 1]]`` are the positives of group g, and likewise the negatives: only pairs
        within a group count. Give both or neither. A group without positives or without negatives (or with all
        weights 0 on one side) has loss 0.
    reduction : {"mean", "sum", "none"}
        "mean" is the weighted mean above, of groups the mean of theirs; "sum" leaves out the denominators; "none",
        for groups only, is the mean of each.

    Returns
    -------
    Tensor, shape () or (groups,)
        The loss, in the dtype of ``pos``; a float for NumPy arrays. Differentiable once in ``pos`` and ``neg``; a pair
        exactly at the margin has derivative 0.

    Raises
    ------
    TypeError
        If an argument is not of the type or dtype above, or arrays and tensors are mixed.
    ValueError
        If a side is empty or not one-dimensional, a score or weight is NaN or infinite, a weight is negative or all
        of a side are 0, a weight requires a gradient, the devices differ, a score or the margin exceeds 1e280, the
        groups of the sides differ in number or do not cover their scores, or the loss overflows.

    Notes
    -----
    O((n + m) log(n + m)): with both sides sorted, the negatives that violate the margin of a positive are those above
    a line that only moves down, so that their number and their excess are running sums. Gradients come out of the same
    pass. Source: the algorithm of :func:`pairwise_squared_hinge_loss`, with a polynomial of degree 1.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import pairwise_hinge_loss
    >>> pos = torch.tensor([2.0, 0.5], requires_grad=True)
    >>> loss = pairwise_hinge_loss(pos, torch.tensor([0.0, 1.0, -1.0]))
    >>> round(loss.item(), 4)
    0.3333
    >>> loss.backward()
    >>> pos.grad
    tensor([ 0.0000, -0.3333])
    """
    sides = check_sides(pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr)
    return pairwise_loss("hinge", sides, margin, reduction)


@front_end("pos", "neg", "pos_weight", "neg_weight", "pos_indptr", "neg_indptr")
def pairwise_squared_hinge_loss(
    pos: TensorOrArray,
    neg: TensorOrArray,
    margin: Scalar = 1.0,
    *,
    pos_weight: TensorOrArray | None = None,
    neg_weight: TensorOrArray | None = None,
    pos_indptr: TensorOrArray | None = None,
    neg_indptr: TensorOrArray | None = None,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Squared hinge loss of all pairs: a margin between positives and negatives, whose large violations cost most.

    .. math::

        L = \frac{\sum_{i,j} u_i v_j \max(0, \mathrm{margin} - \mathrm{pos}_i + \mathrm{neg}_j)^2}
                 {\sum_i u_i \sum_j v_j}

    exactly, over *all* pairs, at the cost of two sorts.

    Parameters
    ----------
    pos : Tensor or ndarray, shape (n,), float32 or float64
        Scores of the positives; at least one, all finite.
    neg : Tensor or ndarray, shape (m,), dtype of ``pos``
        Scores of the negatives; at least one, all finite.
    margin : float or Tensor of one number, default 1.0
        In the unit of the scores.
    pos_weight, neg_weight, pos_indptr, neg_indptr, reduction
        As in :func:`pairwise_hinge_loss`.

    Returns
    -------
    Tensor, shape () or (groups,)
        The loss, in the dtype of ``pos``; a float for NumPy arrays. Differentiable once in ``pos`` and ``neg``.

    Raises
    ------
    TypeError, ValueError
        As in :func:`pairwise_hinge_loss`; scores and margin must not exceed 1e140.

    Notes
    -----
    O((n + m) log(n + m)). Sums are carried as distances from where the sweep stands, never as powers of the scores,
    so that nothing cancels for scores far from zero or widely spread. Source: Rust and Hocking, "A Log-linear Gradient
    Descent Algorithm for Unbalanced Binary Classification using the All Pairs Squared Hinge Loss" (arXiv 2302.11062),
    algorithm 2, normalised by the number of pairs.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import pairwise_squared_hinge_loss
    >>> pos = torch.tensor([2.0, 0.5], requires_grad=True)
    >>> loss = pairwise_squared_hinge_loss(pos, torch.tensor([0.0, 1.0, -1.0]))
    >>> round(loss.item(), 4)
    0.4167
    >>> loss.backward()
    >>> pos.grad
    tensor([ 0.0000, -0.6667])
    """
    sides = check_sides(pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr)
    return pairwise_loss("squared_hinge", sides, margin, reduction)


@front_end("scores")
def ordered_hinge_loss(
    scores: TensorOrArray, margin: Scalar = 0.0, *, reduction: str = "mean"
) -> TensorOrArray:
    r"""Hinge loss of every pair of columns: each row should rise from left to right.

    .. math:: L = \frac{2}{C (C - 1)} \sum_{a < b} \max(0, \mathrm{margin} + s_a - s_b)

    for each row. For "losses over losses" the scores are the losses of one query under feedback of falling size, of
    which more should never do worse.

    Parameters
    ----------
    scores : Tensor or ndarray, shape (..., C), float32 or float64, 1- or 2-dimensional
        At least two columns.
    margin : float or Tensor of one number, default 0.0
        In the unit of the scores: how far each should exceed all before it.
    reduction : {"mean", "sum", "none"}
        Mean over rows, the sum of all pairs of all rows, or the mean of each row.

    Returns
    -------
    Tensor
        A scalar, or a number for each row for "none". Computed in float64. Differentiable once; a pair exactly at the
        margin has derivative 0.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype or shape, a score is not finite, or a score or the margin exceeds
        1e280 (1e37 for float32).

    Notes
    -----
    O(C log(C)^2) for each row: cut the columns in two; the pairs across the cut are one :func:`pairwise_hinge_loss`, and
    so on within the halves, all blocks of all rows at once. Source: Zhu et al., "LoL: A Comparative Regularization Loss
    over Query Reformulation Losses for Pseudo-Relevance Feedback" (arXiv 2204.11545), whose margin is 0.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import ordered_hinge_loss
    >>> ordered_hinge_loss(torch.tensor([[1.0, 0.5, 2.0], [1.0, 2.0, 3.0]]), reduction="none")
    tensor([0.1667, 0.0000])
    """
    check_tensor(scores, "scores", ndim=(1, 2))
    columns = scores.shape[-1]
    if columns < 2 or scores.numel() == 0:
        raise ValueError(f"scores must have a row and at least 2 columns; got shape {tuple(scores.shape)}")
    largest = _LARGEST[scores.dtype]
    check_bounded(scores, "scores", largest)
    margin = check_margin(margin, largest)
    check_reduction(reduction)
    rows = scores.double().reshape(-1, columns)
    losses, width = rows.new_zeros(len(rows)), 1
    while width < columns:
        losses = losses + _across_cuts(rows, width, margin)
        width *= 2
    pairs = 1 if reduction == "sum" else columns * (columns - 1) / 2
    return reduce((losses / pairs).reshape(scores.shape[:-1]), reduction).to(scores.dtype)


def _across_cuts(rows: torch.Tensor, width: int, margin: float | torch.Tensor) -> torch.Tensor:
    """The loss of each row over the pairs between the halves of its blocks of 2 ``width`` columns."""
    column = torch.arange(rows.shape[1], device=rows.device)
    blocks = -(-rows.shape[1] // (2 * width))
    right = column // width % 2 == 1
    sides, indptrs = [], []
    for half in (right, ~right):
        sizes = torch.bincount(column[half] // (2 * width), minlength=blocks).repeat(len(rows))
        indptrs.append(torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]))
        sides.append((rows[:, half] if half is right else rows[:, half] + margin).reshape(-1))
    track = [torch.is_grad_enabled() and side.requires_grad for side in sides]
    losses, _, _ = pair_loss(*sides, None, None, *indptrs, "hinge", 1.0, 0.0, False, *track)
    return losses.reshape(len(rows), blocks).sum(1)

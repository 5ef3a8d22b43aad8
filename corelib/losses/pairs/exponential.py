"""The exponential loss of all pairs: a product of two sums."""

import math

import torch

from corelib._front_end import front_end
from corelib._tensors import check_finite, check_temperature, dtype_name, number_of
from corelib._types import Scalar, TensorOrArray
from corelib.engines.pair_sums import normalised
from corelib.losses._groups import groups_of, logsumexp_by_group
from corelib.losses._reduction import reduce, total_of
from corelib.losses.pairs._sides import check_margin, check_pair_reduction, check_sides


@front_end("pos", "neg", "pos_weight", "neg_weight", "pos_indptr", "neg_indptr")
def pairwise_exponential_loss(
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
    r"""Exponential loss of all pairs, the objective of RankBoost.

    .. math::

        L = \frac{\sum_{i,j} u_i v_j e^{(\mathrm{neg}_j - \mathrm{pos}_i + \mathrm{margin}) / \tau}}
                 {\sum_i u_i \sum_j v_j}
          = e^{\mathrm{margin} / \tau}\,
            \frac{\sum_i u_i e^{-\mathrm{pos}_i / \tau}}{\sum_i u_i}\,
            \frac{\sum_j v_j e^{\mathrm{neg}_j / \tau}}{\sum_j v_j}

    Parameters
    ----------
    pos : Tensor or ndarray, shape (n,), float32 or float64
        Scores of the positives; at least one, all finite.
    neg : Tensor or ndarray, shape (m,), dtype of ``pos``
        Scores of the negatives; at least one, all finite.
    temperature : float or Tensor of one number, default 1.0
        :math:`\tau`, in the unit of the scores.
    margin : float or Tensor of one number, default 0.0
        In the unit of the scores.
    pos_weight, neg_weight, pos_indptr, neg_indptr, reduction
        As in :func:`mann_whitney_loss`.

    Returns
    -------
    Tensor, shape () or (groups,)
        The loss, in the dtype of ``pos``; a float for NumPy arrays.

    Raises
    ------
    TypeError, ValueError
        As in :func:`mann_whitney_loss`; the loss overflows where a negative stands some 700 temperatures (88 in
        float32) above the positives.

    Notes
    -----
    O(n + m), by log-sum-exp in float64. Source: Freund et al., "An Efficient Boosting Algorithm for Combining
    Preferences" (JMLR 4, 2003), section 3.2.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import pairwise_exponential_loss
    >>> pairwise_exponential_loss(torch.tensor([2.0, 0.5]), torch.tensor([0.0, 1.0, -1.0]))
    tensor(0.5052)
    """
    sides = check_sides(pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr)
    pos_indptr, neg_indptr = sides.pos_indptr, sides.neg_indptr
    tau = check_temperature(temperature, pos.dtype)
    margin = check_margin(margin, 1e280 * min(1.0, number_of(tau)))
    check_pair_reduction(reduction, pos_indptr)
    mean = reduction != "sum"
    pull, pull_possible = _log_sum(
        -check_finite(pos, "pos").double() / tau, "pos", pos_weight, pos_indptr, mean
    )
    push, push_possible = _log_sum(
        check_finite(neg, "neg").double() / tau, "neg", neg_weight, neg_indptr, mean
    )
    possible = pull_possible & push_possible
    exponent = (pull + push)[possible] + margin / tau
    if bool(
        (exponent.detach() > math.log(torch.finfo(pos.dtype).max)).any() | exponent.detach().isnan().any()
    ):
        raise ValueError(f"pos and neg lie too far apart: their loss overflows {dtype_name(pos)}")
    losses = exponent.new_zeros(len(possible)).index_put((possible.nonzero()[:, 0],), exponent.exp())
    return (losses[0] if pos_indptr is None else reduce(losses, reduction)).to(pos.dtype)


def _log_sum(
    values: torch.Tensor, name: str, weight: torch.Tensor | None, indptr: torch.Tensor | None, mean: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log of the mean or sum of the exponentials of each group, and which groups have weight."""
    weight, total = normalised(weight, f"{name}_weight", indptr)
    if weight is not None:
        values = values + weight.log()
    if indptr is None:
        shift = values.detach().max()
        out = shift + total_of((values - shift).exp()).log().reshape(1)
        sizes = values.new_tensor([len(values)])
    else:
        out = logsumexp_by_group(values, *groups_of(values, name, indptr))
        sizes = indptr.diff().double()
    if weight is None:
        return (out - sizes.clamp_min(1).log() if mean else out), sizes > 0
    total = torch.as_tensor(total, dtype=torch.float64, device=values.device).expand(len(out))
    return (out if mean else out + total.log()), total > 0

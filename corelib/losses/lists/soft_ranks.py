"""Ranks, average precision and nDCG made smooth: a step between two scores becomes a sigmoid."""

import torch
from torch import Tensor
from torch.nn import functional as F

from corelib._checks import check_choice
from corelib._front_end import front_end
from corelib._tensors import (
    check_binary_like,
    check_bounded,
    check_constant,
    check_finite,
    check_indptr,
    check_numbers_like,
    check_temperature,
    check_tensor,
    number_of,
    unseen,
)
from corelib._types import Scalar, TensorOrArray
from corelib.engines.pair_sums import soft_counts
from corelib.losses._reduction import check_reduction, reduce

_MOST_RELEVANT = {"linear": 1e300, "exponential": 1000.0}


@front_end("scores", "indptr")
def soft_rank(
    scores: TensorOrArray, temperature: Scalar = 1.0, *, indptr: TensorOrArray | None = None
) -> TensorOrArray:
    r"""Smooth ranks: 1 plus a soft count of the scores above each.

    .. math:: r_i = 1 + \sum_{j \ne i} \sigma\left(\frac{s_j - s_i}{\tau}\right)

    The highest score has the smallest rank; equal scores share theirs; as :math:`\tau \to 0` they become the ranks.

    Parameters
    ----------
    scores : Tensor or ndarray, shape (n,) or (lists, n), float32 or float64
        At least one, all finite. Each row is a list of its own.
    temperature : float or Tensor of one number, default 1.0
        :math:`\tau`, in the unit of the scores.
    indptr : Tensor or ndarray of int64, shape (lists + 1,), optional
        For lists of different lengths: ``scores[indptr[l]:indptr[l + 1]]`` are list l, and ``scores`` has one dimension.

    Returns
    -------
    Tensor, shape and dtype of ``scores``
        Differentiable once.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, a score is not finite or exceeds 1e280 or 1e280
        temperatures, or the temperature is not positive.

    Notes
    -----
    O(n), gradient included, instead of the number of pairs: sums of a sigmoid over all pairs, by the method of
    :func:`mann_whitney_loss`. Source: Qin, Liu and Li, "A general approximation framework for direct optimization of
    information retrieval measures" (Information Retrieval 13, 2010), eq. 14.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import soft_rank
    >>> soft_rank(torch.tensor([0.3, 2.0, -1.0]), 0.1)
    tensor([2.0000, 1.0000, 3.0000])
    >>> soft_rank(torch.tensor([0.3, 2.0, -1.0]), 1.0)
    tensor([2.0597, 1.2019, 2.7384])
    """
    flat, indptr = _lists(scores, indptr)
    flat, tau = _scaled(flat, temperature)
    return 0.5 + soft_counts(flat, flat, indptr, indptr, tau).reshape(scores.shape)


@front_end("scores", "relevance", "indptr")
def smooth_ap(
    scores: TensorOrArray,
    relevance: TensorOrArray,
    temperature: Scalar = 0.01,
    *,
    indptr: TensorOrArray | None = None,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Smooth-AP loss: one minus a smooth average precision.

    .. math::

        L = 1 - \frac1{|P|} \sum_{i \in P}
            \frac{1 + \sum_{j \in P, j \ne i} \sigma((s_j - s_i) / \tau)}
                 {1 + \sum_{j \ne i} \sigma((s_j - s_i) / \tau)}

    for each list, with P its relevant items: the soft rank among the relevant over that among all.

    Parameters
    ----------
    scores : Tensor or ndarray, shape (n,) or (lists, n), float32 or float64
        At least one, all finite. Each row is a list of its own.
    relevance : Tensor or ndarray, shape of ``scores``
        Zeros and ones of any real dtype.
    temperature : float or Tensor of one number, default 0.01
        :math:`\tau`, in the unit of the scores.
    indptr : Tensor or ndarray of int64, shape (lists + 1,), optional
        For lists of different lengths: ``scores[indptr[l]:indptr[l + 1]]`` are list l, and ``scores`` has one dimension.
    reduction : {"mean", "sum", "none"}
        Over lists. A list without relevant items has loss 0.

    Returns
    -------
    Tensor
        A scalar, or shape (lists,) for "none". Differentiable once in ``scores``.

    Raises
    ------
    TypeError, ValueError
        As in :func:`soft_rank`, or if ``relevance`` is not as above.

    Notes
    -----
    O(n), gradient included. Source: Brown et al., "Smooth-AP: Smoothing the Path Towards Large-Scale Image Retrieval"
    (arXiv 2007.12163), eq. 5.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import smooth_ap
    >>> scores = torch.tensor([0.9, 0.8, 0.3, 0.1])
    >>> smooth_ap(scores, torch.tensor([1, 0, 1, 0]), temperature=0.01)     # 1 - (1 / 1 + 2 / 3) / 2
    tensor(0.1667)
    """
    flat, indptr = _lists(scores, indptr)
    relevant = check_binary_like(relevance, "relevance", scores, "scores").reshape(-1)
    flat, tau = _scaled(flat, temperature)
    check_reduction(reduction)
    group, lists = _list_of(indptr, len(flat))
    counts = torch.bincount(group[relevant], minlength=lists)
    pos, pos_indptr = flat[relevant], F.pad(counts.cumsum(0), (1, 0))
    neg, neg_indptr = flat[~relevant], indptr - pos_indptr
    among_relevant = 0.5 + soft_counts(pos, pos, pos_indptr, pos_indptr, tau).double()
    above = soft_counts(pos, neg, pos_indptr, neg_indptr, tau).double()
    missed = above / (among_relevant + above)
    losses = missed.new_zeros(lists).index_add(0, group[relevant], missed) / counts.clamp_min(1)
    return reduce(losses, reduction).to(scores.dtype)


@front_end("scores", "relevance", "indptr")
def approx_ndcg(
    scores: TensorOrArray,
    relevance: TensorOrArray,
    temperature: Scalar = 1.0,
    *,
    indptr: TensorOrArray | None = None,
    gain: str = "linear",
    reduction: str = "mean",
) -> TensorOrArray:
    r"""ApproxNDCG loss: one minus the nDCG of smooth ranks.

    .. math:: L = 1 - \frac1{\mathrm{IDCG}} \sum_i \frac{g_i}{\log_2(1 + r_i)}

    for each list, with the soft ranks r of :func:`soft_rank` and the gains g.

    Parameters
    ----------
    scores : Tensor or ndarray, shape (n,) or (lists, n), float32 or float64
        At least one, all finite. Each row is a list of its own.
    relevance : Tensor or ndarray, shape of ``scores``
        Grades of at least 0 in any real dtype.
    temperature : float or Tensor of one number, default 1.0
        :math:`\tau`, in the unit of the scores.
    indptr : Tensor or ndarray of int64, shape (lists + 1,), optional
        For lists of different lengths: ``scores[indptr[l]:indptr[l + 1]]`` are list l, and ``scores`` has one dimension.
    gain : {"linear", "exponential"}
        The grade itself, as in ``corelib.metrics.ndcg``, or 2 to the grade minus 1, as in the paper.
    reduction : {"mean", "sum", "none"}
        Over lists. A list without gain has loss 0.

    Returns
    -------
    Tensor
        A scalar, or shape (lists,) for "none". Differentiable once in ``scores``.

    Raises
    ------
    TypeError, ValueError
        As in :func:`soft_rank`, or if ``relevance`` or ``gain`` is not as above.

    Notes
    -----
    O(n) and a sort of the grades. Source: Qin, Liu and Li, "A general approximation framework for direct optimization
    of information retrieval measures" (Information Retrieval 13, 2010), eq. 14 and 17.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import approx_ndcg
    >>> from corelib.metrics import ndcg
    >>> scores, relevance = torch.tensor([0.9, 0.1, 0.5]), torch.tensor([1, 3, 0])
    >>> approx_ndcg(scores, relevance, temperature=0.01)
    tensor(0.3115)
    >>> round(1 - float(ndcg(scores.numpy(), relevance.numpy())), 4)
    0.3115
    """
    flat, indptr = _lists(scores, indptr)
    check_choice(gain, "gain", tuple(_MOST_RELEVANT))
    gains = _gains(relevance, scores, gain)
    flat, tau = _scaled(flat, temperature)
    check_reduction(reduction)
    group, lists = _list_of(indptr, len(flat))
    by_gain = gains.argsort(descending=True)
    by_gain = by_gain[group[by_gain].argsort(stable=True)]
    rank = torch.arange(1, len(flat) + 1, device=flat.device) - indptr[:-1][group]
    zeros = gains.new_zeros(lists)
    ideal = zeros.index_add(0, group, gains[by_gain] / torch.log2((rank + 1).double()))
    share = gains / torch.where(ideal > 0, ideal, 1)[group]
    soft = 0.5 + soft_counts(flat, flat, indptr, indptr, tau).double()
    losses = (ideal > 0).double() - zeros.index_add(0, group, share / torch.log2(1 + soft))
    return reduce(losses, reduction).to(scores.dtype)


def _lists(scores: object, indptr: Tensor | None) -> tuple[Tensor, Tensor]:
    """All scores in one dimension, and where each list begins and ends."""
    check_tensor(scores, "scores", ndim=(1, 2))
    if scores.numel() == 0:
        raise ValueError(f"scores must not be empty; got shape {tuple(scores.shape)}")
    if indptr is None:
        lists, length = (1, len(scores)) if scores.ndim == 1 else scores.shape
        return scores.reshape(-1), torch.arange(lists + 1, device=scores.device) * length
    if scores.ndim != 1:
        raise ValueError(
            f"scores must be 1-dimensional where indptr is given; got shape {tuple(scores.shape)}"
        )
    return scores, check_indptr(indptr, "indptr", scores, "scores")


def _scaled(scores: Tensor, temperature: object) -> tuple[Tensor, float]:
    """Scores and temperature: in units of it where it takes part in the gradient."""
    tau = check_temperature(temperature, scores.dtype)
    check_bounded(scores, "scores", 1e280 * min(1.0, number_of(tau)))
    return (scores / tau, 1.0) if isinstance(tau, Tensor) else (scores, tau)


def _list_of(indptr: Tensor, items: int) -> tuple[Tensor, int]:
    """The list of each item, and how many lists there are."""
    lists = len(indptr) - 1
    return torch.arange(lists, device=indptr.device).repeat_interleave(
        indptr.diff(), output_size=items
    ), lists


def _gains(relevance: object, scores: Tensor, gain: str) -> Tensor:
    relevance = check_constant(check_numbers_like(relevance, "relevance", scores, "scores"), "relevance")
    grade = check_finite(relevance, "relevance").reshape(-1).double()
    most = _MOST_RELEVANT[gain]
    allowed = f"relevance must be between 0 and {most:g} with {gain} gain"
    if not unseen(grade, lambda: ((grade >= 0) & (grade <= most)).all(), allowed):
        low, high = (extreme.item() for extreme in grade.aminmax())
        if low < 0 or high > most:
            raise ValueError(f"{allowed}; got {low:g}..{high:g}")
    return grade if gain == "linear" else torch.exp2(grade) - 1

"""Contrast between sets: every good answer of a question above every bad one, without visiting the pairs."""

import torch
from torch.nn import functional as F

from corelib._checks import check_choice, check_real
from corelib._front_end import front_end
from corelib._tensors import check_finite, check_integers, check_same, check_tensor, check_values
from corelib._types import TensorOrArray
from corelib.engines.route import first_derivative_only
from corelib.losses._groups import groups_of, largest_by_group, logsumexp_by_group
from corelib.losses._reduction import check_reduction, reduce


@front_end("pos", "neg", "pos_indptr", "neg_indptr")
def set_contrast_loss(
    pos: TensorOrArray,
    neg: TensorOrArray,
    *,
    pos_indptr: TensorOrArray | None = None,
    neg_indptr: TensorOrArray | None = None,
    constraint: str = "none",
    beta: float | None = None,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Alignment loss of groups of positive and negative scores.

    .. math::

        L = \log\Big(1 + \sum_{p, n} e^{s_n - s_p}\Big)
          = \mathrm{softplus}\big(\mathrm{LSE}(s_N) + \mathrm{LSE}(-s_P)\big)

    for each group: the sum over pairs is a product of two sums. A group without positives or without negatives has
    loss 0.

    Parameters
    ----------
    pos, neg : Tensor or ndarray, shapes (P,) and (N,), float32 or float64, of one dtype
        Scores, such as length-normalised log-probabilities, group after group.
    pos_indptr, neg_indptr : Tensor or ndarray of int64, shape (groups + 1,), optional
        ``pos[pos_indptr[g]:pos_indptr[g + 1]]`` are the positives of group g, and likewise the negatives. Give both or
        neither; without them all scores are one group.
    constraint : {"none", "detach", "boundary"}
        What keeps the negatives from being pushed down without end. "detach": no gradient flows to ``neg``.
        "boundary": a term :math:`e^{T_p - s_n}` joins each pair, with the constant
        :math:`T_p = 2 (\min_{p'} s_{p'} - \beta) - s_p`, so that a negative is at rest at ``beta`` below the
        lowest positive, pushed down above that and up below it.
    beta : float, optional
        Depth of the boundary in the unit of the scores; given if and only if the constraint is "boundary".
    reduction : {"mean", "sum", "none"}
        Over groups, those with loss 0 included.

    Returns
    -------
    Tensor
        A scalar, or shape (groups,) for "none". Sums are taken in float64.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is not finite, or the two sides differ in groups.

    Notes
    -----
    O(P + N). Source: Wang et al., "Making Large Language Models Better Reasoners with Alignment" (arXiv 2309.02144),
    whose text fixes what the boundary does; the term here is the one with that resting point.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import set_contrast_loss
    >>> pos, neg = torch.tensor([-0.5, -0.7, -1.0]), torch.tensor([-2.0, -0.9])
    >>> set_contrast_loss(pos, neg)
    tensor(1.4946)
    >>> two = torch.tensor([0, 2, 3]), torch.tensor([0, 2, 2])       # the second group has no negative
    >>> set_contrast_loss(pos, neg, pos_indptr=two[0], neg_indptr=two[1], reduction="none")
    tensor([1.0935, 0.0000])
    """
    _check_side(pos, "pos"), _check_side(neg, "neg")
    check_same(pos, "pos", neg, "neg")
    if (pos_indptr is None) != (neg_indptr is None):
        raise ValueError("pos_indptr and neg_indptr must be given together")
    check_choice(constraint, "constraint", ("none", "detach", "boundary"))
    if (beta is not None) != (constraint == "boundary"):
        raise ValueError(
            f'beta must be given for constraint "boundary" and only there; got {beta} for {constraint!r}'
        )
    depth = 0.0 if beta is None else check_real(beta, "beta")
    check_reduction(reduction)
    pos_group, groups = groups_of(pos, "pos", pos_indptr)
    neg_group, neg_groups = groups_of(neg, "neg", neg_indptr)
    if groups != neg_groups:
        raise ValueError(
            f"pos_indptr and neg_indptr must have the same length; got {groups + 1} and {neg_groups + 1}"
        )

    wide_pos, wide_neg = pos.double(), neg.double()
    if constraint == "detach":
        wide_neg = wide_neg.detach()
    both = (torch.bincount(pos_group, minlength=groups) > 0) & (
        torch.bincount(neg_group, minlength=groups) > 0
    )
    pull, push = (
        logsumexp_by_group(-wide_pos, pos_group, groups),
        logsumexp_by_group(wide_neg, neg_group, groups),
    )
    exponent = (pull + push)[both]
    if constraint == "boundary":
        lowest = -largest_by_group(-wide_pos.detach(), pos_group, groups)
        restore = 2 * (lowest - depth) + pull.detach() + logsumexp_by_group(-wide_neg, neg_group, groups)
        exponent = torch.logaddexp(exponent, restore[both])
    losses = exponent.new_zeros(groups).index_put((both.nonzero()[:, 0],), -F.logsigmoid(-exponent))
    return reduce(losses, reduction).to(pos.dtype)


@front_end("scores", "rank", "indptr")
def ordered_contrast_loss(
    scores: TensorOrArray,
    rank: TensorOrArray,
    *,
    indptr: TensorOrArray | None = None,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""The alignment loss when answers are ranked: every better answer above every worse one.

    .. math:: L = \log\Big(1 + \sum_{i, j:\ \mathrm{rank}_i < \mathrm{rank}_j} e^{s_j - s_i}\Big)

    for each group. Answers of equal rank are not compared; a group with a single rank has loss 0.

    Parameters
    ----------
    scores : Tensor or ndarray, shape (n,), float32 or float64
    rank : Tensor or ndarray of int64, shape (n,)
        Lower is better.
    indptr : Tensor or ndarray of int64, shape (groups + 1,), optional
        ``scores[indptr[g]:indptr[g + 1]]`` are group g; without it all scores are one group.
    reduction : {"mean", "sum", "none"}
        Over groups, those with loss 0 included.

    Returns
    -------
    Tensor
        A scalar, or shape (groups,) for "none". Computed in float64. Differentiable once in ``scores``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, or a score is not finite.

    Notes
    -----
    O(n log n) instead of the number of pairs: sorted by rank, the partners of an answer are a suffix of its group,
    whose log-sum-exp comes from a scan. With two ranks it is ``set_contrast_loss``. Source: arXiv 2309.02144.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import ordered_contrast_loss
    >>> ordered_contrast_loss(torch.tensor([2.0, 1.0, 0.0]), torch.tensor([1, 2, 3]))     # log(1 + 2 / e + 1 / e^2)
    tensor(0.6265)
    """
    check_values(scores, "scores")
    rank = check_integers(rank, "rank", scores, "scores", shape=tuple(scores.shape))
    check_reduction(reduction)
    group, groups = groups_of(scores, "scores", indptr)
    return reduce(_OrderedContrast.apply(scores, rank, group, groups), reduction)


class _OrderedContrast(torch.autograd.Function):
    """Losses by group; the log of each answer's share in the sum of pairs is kept for backward."""

    @staticmethod
    def forward(ctx, scores, rank, group, groups):
        by_rank = rank.argsort(stable=True)
        order = by_rank[group[by_rank].argsort(stable=True)]
        s, group = scores[order].double(), group[order]
        rank = rank[order]
        first = _starts((group.diff() != 0) | (rank.diff() != 0))  # where a run of equal ranks begins
        run = first.cumsum(0) - 1
        starts = first.nonzero()[:, 0]
        ends = torch.cat([starts[1:], starts.new_tensor([len(s)])])
        begin, end = starts[run], ends[run]

        worse = _tail(_scan(s.flip(0), group.flip(0)).flip(0), group, end)  # LSE of the scores after the run
        better = _head(_scan(-s, group), group, begin)  # LSE of minus the scores before it
        total = logsumexp_by_group(worse - s, group, groups)
        ctx.save_for_backward(order, group, s, worse, better, total)
        ctx.dtype = scores.dtype
        return F.softplus(total, threshold=40).to(scores.dtype)

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        order, group, s, worse, better, total = ctx.saved_tensors
        normaliser = torch.logaddexp(total, torch.zeros_like(total))[group]
        slope = (s + better - normaliser).exp() - (worse - s - normaliser).exp()
        gradient = torch.empty_like(slope)
        gradient[order] = slope * upstream.double()[group]
        return gradient.to(ctx.dtype), None, None, None


def _scan(values: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Running log-sum-exp within runs of equal ``group``, by doubling: O(n log(longest run))."""
    index = torch.arange(len(values), device=values.device)
    first = _starts(group.diff() != 0)
    within = index - index[first][first.cumsum(0) - 1]
    step = 1
    while step <= int(within.max()):
        joined = torch.logaddexp(values[step:], values[:-step])
        values = torch.cat([values[:step], torch.where(within[step:] >= step, joined, values[step:])])
        step *= 2
    return values


def _starts(changes: torch.Tensor) -> torch.Tensor:
    return torch.cat([changes.new_ones(1), changes])


def _tail(suffix: torch.Tensor, group: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """``suffix[end]`` within the group, -inf where the group ends there."""
    at = end.clamp_max(len(group) - 1)
    return suffix[at].masked_fill((end == len(group)) | (group[at] != group), -torch.inf)


def _head(prefix: torch.Tensor, group: torch.Tensor, begin: torch.Tensor) -> torch.Tensor:
    """``prefix[begin - 1]`` within the group, -inf where the group begins there."""
    at = (begin - 1).clamp_min(0)
    return prefix[at].masked_fill((begin == 0) | (group[at] != group), -torch.inf)


def _check_side(values: object, name: str) -> None:
    check_finite(check_tensor(values, name, ndim=1), name)

"""Losses for clicks: what was clicked was seen and liked, what was not may just not have been seen."""

import math

import torch
from torch.nn import functional as F

from corelib._checks import check_bool, check_choice, check_real
from corelib._front_end import front_end
from corelib._tensors import (
    check_binary_like,
    check_bounded,
    check_constant,
    check_finite,
    check_integers,
    check_range,
    check_same,
    check_tensor,
    check_values,
    dtype_name,
    unseen,
)
from corelib._types import TensorOrArray
from corelib.engines.pair_sums import pair_loss
from corelib.engines.route import first_derivative_only
from corelib.losses._reduction import check_reduction, reduce

_CHUNK = 1 << 20  # numbers gathered together
_LARGEST = 1e280  # score whose differences can be summed


@front_end("logits", "clicks", "propensity")
def click_loss(
    logits: TensorOrArray,
    clicks: TensorOrArray,
    propensity: TensorOrArray,
    *,
    clip: float = 0.0,
    kind: str = "log",
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Pointwise loss whose mean over the clicks is the loss of the relevance behind them.

    With :math:`w = \mathrm{click} / \max(\theta, \mathrm{clip})` and a score s:

    ==========  ==========================================================
    kind        loss
    ==========  ==========================================================
    "log"       :math:`-w \log \sigma(s) - (1 - w) \log(1 - \sigma(s)) = \log(1 + e^s) - w s`
    "squared"   :math:`w (1 - s)^2 + (1 - w) s^2`
    ==========  ==========================================================

    Parameters
    ----------
    logits : Tensor or ndarray, shape (..., items), float32 or float64, 1- or 2-dimensional
        Scores s; for "squared" they are the predictions themselves.
    clicks : Tensor or ndarray, shape of ``logits``
        Zeros and ones of any real dtype.
    propensity : Tensor or ndarray, shape of ``logits`` or (items,), dtype of ``logits``
        Probability theta, in 0..1, that an item was seen. A constant.
    clip : float, default 0.0
        Smallest propensity used, in 0..1: 0 is unbiased, 1 ignores the propensity, between lies less variance.
    kind : {"log", "squared"}
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        A scalar, or the shape of ``logits`` for "none". Where w > 1 the "log" loss falls without end as s grows:
        regularise, or clip.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is not finite, something with propensity 0 was
        clicked, or the loss overflows.

    Notes
    -----
    O(size). Source: Saito et al., "Unbiased Recommender Learning from Missing-Not-At-Random Implicit Feedback"
    (arXiv 1909.03601): the unbiased estimator and the clipped one.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import click_loss
    >>> click_loss(torch.tensor([0.5, -1.0]), torch.tensor([1, 0]), torch.tensor([0.5, 0.8]), reduction="none")
    tensor([-0.0259,  0.3133])
    """
    check_tensor(logits, "logits", ndim=(1, 2))
    if logits.numel() == 0:
        raise ValueError(f"logits must not be empty; got shape {tuple(logits.shape)}")
    clicks, weight = _weights(logits, clicks, propensity, clip)
    check_choice(kind, "kind", ("log", "squared"))
    check_reduction(reduction)
    if kind == "log":
        losses = -F.logsigmoid(-logits) - weight * logits
    else:
        losses = weight * (1 - logits) ** 2 + (1 - weight) * logits**2
    loss = reduce(losses, reduction)
    try:
        return check_finite(loss, "loss")
    except ValueError:
        check_finite(logits, "logits")
        raise ValueError(
            f"logits must be small enough for their losses to stay within {dtype_name(logits)}"
        ) from None


@front_end("logits", "clicks", "propensity")
def pairwise_click_loss(
    logits: TensorOrArray,
    clicks: TensorOrArray,
    propensity: TensorOrArray,
    *,
    clip: float = 0.0,
    nonnegative: bool = False,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""Pairwise loss whose mean over the clicks ranks by relevance: all ordered pairs of a user's items.

    .. math:: L_u = \frac1{I (I - 1)} \sum_{i \ne j} w_i (1 - w_j) \log\big(1 + e^{s_j - s_i}\big)

    with :math:`w = \mathrm{click} / \max(\theta, \mathrm{clip})`.

    Parameters
    ----------
    logits : Tensor or ndarray, shape (users, items), float32 or float64
        Scores s; at least two items.
    clicks : Tensor or ndarray, shape (users, items)
        Zeros and ones of any real dtype.
    propensity : Tensor or ndarray, shape (users, items) or (items,), dtype of ``logits``
        Probability theta, in 0..1, that an item was seen. A constant.
    clip : float, default 0.0
        Smallest propensity used, in 0..1.
    nonnegative : bool, default False
        Leave out the pairs of negative weight, those with a clicked item j: some bias, less variance, and a loss that
        cannot fall without end.
    reduction : {"mean", "sum", "none"}
        Over users. A user without clicks has loss 0.

    Returns
    -------
    Tensor
        A scalar, or shape (users,) for "none". Computed in float64. Differentiable once in ``logits``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is not finite, or something with propensity 0 was
        clicked.

    Notes
    -----
    O(users items): the weight of a pair is a product, so two sums as in ``mann_whitney_loss`` give all pairs of all
    users, clicked against not clicked and clicked against clicked. Source: Saito, "Unbiased Pairwise Learning from Biased Implicit
    Feedback" (ICTIR 2020).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import pairwise_click_loss
    >>> logits, clicks = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[1, 0, 0]])
    >>> pairwise_click_loss(logits, clicks, torch.tensor([0.5, 0.5, 0.1]))
    tensor(0.1467)
    """
    check_values(logits, "logits", ndim=2)
    items = logits.shape[1]
    if items < 2:
        raise ValueError(f"logits must have at least 2 items; got shape {tuple(logits.shape)}")
    check_bounded(logits, "logits", _LARGEST)
    clicks, weight = _weights(logits, clicks, propensity, clip)
    check_bool(nonnegative, "nonnegative")
    check_reduction(reduction)
    scores, weight = logits.double(), weight.double()
    pos, pos_indptr = _by_user(scores, clicks)
    neg, neg_indptr = _by_user(scores, ~clicks)
    w, _ = _by_user(weight, clicks)
    losses = 0 * scores.sum(1)
    if len(pos) and len(neg):
        losses = losses + _pair_sums(pos, neg, w, None, pos_indptr, neg_indptr)
    if len(pos) and not nonnegative:
        # Between clicked items w_i (1 - w_j) is not positive; the sum includes i = j, which is no pair.
        losses = losses - _pair_sums(pos, pos, w, w - 1, pos_indptr, pos_indptr)
        losses = losses + math.log(2) * (weight * (weight - 1)).sum(1)
    return reduce(losses / (items * (items - 1)), reduction).to(logits.dtype)


def _by_user(values: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The chosen values, user after user, and where each user begins."""
    return values[chosen], F.pad(chosen.sum(1).cumsum(0), (1, 0))


def _pair_sums(pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr) -> torch.Tensor:
    """The weighted sum of log(1 + exp(neg - pos)) over the pairs of each user."""
    need = torch.is_grad_enabled() and pos.requires_grad
    sums, _, _ = pair_loss(
        pos, neg, pos_weight, neg_weight, pos_indptr, neg_indptr, "softplus", 1.0, 0.0, False, need, need
    )
    return sums


class _SquaredClickLoss(torch.autograd.Function):
    """The sum over all cells from two Gram matrices and the clicks, in float64."""

    @staticmethod
    def forward(ctx, users, items, click_user, click_item, weight):
        grams = _gram(users), _gram(items)
        total = (grams[0] * grams[1]).sum() + weight.sum()
        for u, i, w in _click_chunks(click_user, click_item, weight, users.shape[1]):
            total -= 2 * (w * (users[u].double() * items[i].double()).sum(1)).sum()
        ctx.save_for_backward(users, items, click_user, click_item, weight, *grams)
        return total

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        users, items, click_user, click_item, weight, user_gram, item_gram = ctx.saved_tensors
        gradients = [
            2 * upstream.to(users.dtype) * (x @ g.to(x.dtype))
            for x, g in ((users, item_gram), (items, user_gram))
        ]
        for u, i, w in _click_chunks(click_user, click_item, -2 * upstream * weight, users.shape[1]):
            w = w[:, None].to(users.dtype)
            gradients[0].index_add_(0, u, w * items[i])
            gradients[1].index_add_(0, i, w * users[u])
        return *gradients, None, None, None


@front_end("users", "items", "click_user", "click_item", "propensity")
def squared_click_loss(
    users: TensorOrArray,
    items: TensorOrArray,
    click_user: TensorOrArray,
    click_item: TensorOrArray,
    propensity: TensorOrArray,
    *,
    clip: float = 0.0,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""``click_loss`` of kind "squared" for factorised scores, over all users and items, without visiting them.

    With :math:`s_{ui} = p_u^\top q_i` and :math:`w = 1 / \max(\theta, \mathrm{clip})` where there is a click:

    .. math::

        \sum_{u, i} w (1 - s)^2 + (1 - w) s^2
          = \mathrm{tr}(P^\top P\, Q^\top Q) - 2 \sum_\mathrm{clicks} w s + \sum_\mathrm{clicks} w

    Parameters
    ----------
    users, items : Tensor or ndarray, shapes (U, d) and (I, d), float32 or float64, of one dtype
        Factors. Biases are two more columns: (b_u, 1) for users and (1, b_i) for items.
    click_user, click_item : Tensor or ndarray of int64, shape (clicks,)
        Which user clicked which item; each pair once.
    propensity : Tensor or ndarray, shape (clicks,), dtype of ``users``
        Probability, in (0, 1], that the clicked item was seen. A constant.
    clip : float, default 0.0
        Smallest propensity used, in 0..1.
    reduction : {"mean", "sum"}
        Over all U I cells.

    Returns
    -------
    Tensor, shape ()
        Summed in float64. Differentiable once in ``users`` and ``items``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, or is not finite.

    Notes
    -----
    Exact, without sampled negatives, in O((U + I) d^2 + clicks d) time and O(d^2) memory besides the gradients; cell
    by cell it is O(U I d). Sources: the loss is that of arXiv 1909.03601 for a linear score; the Gram matrices are
    those of Hu, Koren and Volinsky (ICDM 2008).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import squared_click_loss
    >>> users, items = torch.tensor([[1.0], [0.5]]), torch.tensor([[1.0], [0.0], [0.2]])
    >>> clicked = torch.tensor([0, 1]), torch.tensor([0, 2])
    >>> squared_click_loss(users, items, *clicked, torch.tensor([0.5, 1.0]))
    tensor(0.0167)
    """
    check_values(users, "users", ndim=2), check_values(items, "items", ndim=2)
    check_same(users, "users", items, "items")
    if users.shape[1] != items.shape[1]:
        raise ValueError(
            f"users and items must have the same number of columns; got {users.shape[1]} and {items.shape[1]}"
        )
    click_user = check_integers(click_user, "click_user", users, "users")
    if click_user.ndim != 1:
        raise ValueError(f"click_user must be 1-dimensional; got shape {tuple(click_user.shape)}")
    click_item = check_integers(click_item, "click_item", users, "users", shape=tuple(click_user.shape))
    check_range(click_user, "click_user", len(users)), check_range(click_item, "click_item", len(items))
    check_choice(reduction, "reduction", ("mean", "sum"))
    check_tensor(propensity, "propensity", ndim=1)
    check_same(propensity, "propensity", users, "users")
    if propensity.shape != click_user.shape:
        raise ValueError(
            f"propensity must have shape {tuple(click_user.shape)}; got {tuple(propensity.shape)}"
        )
    everywhere = torch.ones_like(click_user, dtype=torch.bool)
    total = _SquaredClickLoss.apply(
        users, items, click_user, click_item, _inverse(everywhere, propensity, clip).double()
    )
    too_large = "users and items must be small enough for the squares of their products to be finite"
    if not unseen(total, total.isfinite, too_large) and not bool(total.isfinite()):
        raise ValueError(too_large)
    cells = len(users) * len(items) if reduction == "mean" else 1
    return (total / cells).to(users.dtype)


def _gram(factors: torch.Tensor) -> torch.Tensor:
    total = factors.new_zeros(factors.shape[1], factors.shape[1], dtype=torch.float64)
    for part in factors.split(max(1, _CHUNK // factors.shape[1])):
        wide = part.double()
        total.addmm_(wide.T, wide)
    return total


def _click_chunks(click_user, click_item, weight, columns: int):
    step = max(1, _CHUNK // columns)
    return zip(click_user.split(step), click_item.split(step), weight.split(step), strict=True)


def _weights(logits, clicks, propensity, clip) -> tuple[torch.Tensor, torch.Tensor]:
    """The clicks as booleans and w, both in the shape of ``logits``."""
    clicks = check_binary_like(clicks, "clicks", logits, "logits")
    check_tensor(propensity, "propensity", ndim=(1, 2))
    check_same(propensity, "propensity", logits, "logits")
    if propensity.shape not in (logits.shape, logits.shape[-1:]):
        raise ValueError(
            f"propensity must have shape {tuple(logits.shape)} or {tuple(logits.shape[-1:])}; got {tuple(propensity.shape)}"
        )
    return clicks, _inverse(clicks, propensity.expand_as(logits), clip)


def _inverse(clicks: torch.Tensor, propensity: torch.Tensor, clip: float) -> torch.Tensor:
    """1 / max(propensity, clip) where clicked, else 0."""
    check_constant(propensity, "propensity")
    if not 0 <= check_real(clip, "clip") <= 1:
        raise ValueError(f"clip must lie in 0..1; got {clip}")
    if not propensity.numel():
        return propensity
    if unseen(
        propensity,
        lambda: ((propensity <= 1) & ((propensity > 0) | ((propensity == 0) & (~clicks | (clip > 0))))).all(),
        "propensity must lie in 0..1, and above 0 where there is a click",
    ):
        return torch.where(clicks, propensity.clamp_min(clip).reciprocal(), 0.0)
    low, high = (extreme.item() for extreme in propensity.aminmax())
    if not 0 <= low <= high <= 1:  # nor is NaN
        check_finite(propensity, "propensity")
        raise ValueError(f"propensity must lie in 0..1; got {low}..{high}")
    weight = torch.where(clicks, propensity.clamp_min(clip).reciprocal(), 0.0)
    if max(low, clip) < torch.finfo(weight.dtype).tiny and (endless := int(weight.isinf().sum())):
        raise ValueError(
            f"propensity must be greater than 0 where there is a click, with a finite inverse; {endless} are not"
        )
    return weight

"""The cosine adapter: cosines become probabilities by a map of their own for each query."""

import torch
from torch.nn import functional as F

from corelib._checks import check_positive
from corelib._tensors import accepts_numpy, check_finite, check_same, check_tensor
from corelib.losses._arguments import check_binary_like, check_reduction, check_values, reduce

_SMALLEST, _LARGEST = 1e-6, 1 + 1e-5  # cosines that a power is taken of; above 1 by rounding
_LARGEST_POWER = 100.0
_LINEAR_FROM = 40.0  # softplus(x) rounds to x from there on


class _AdapterLoss(torch.autograd.Function):
    """Loss per pair; the logarithm serves the power and its derivative, the error serves every derivative."""

    @staticmethod
    def forward(ctx, cosines, labels, slope, offset, power):
        logarithm = None if power is None else cosines.log()
        mapped = cosines if power is None else (power[:, None] * logarithm).exp_()
        logits = (slope[:, None] * mapped).add_(offset[:, None])
        ctx.save_for_backward(cosines, logarithm, mapped, logits.sigmoid().sub_(labels), slope, power)
        return F.softplus(logits.mul_(1 - 2 * labels), threshold=_LINEAR_FROM)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        cosines, logarithm, mapped, error, slope, power = ctx.saved_tensors
        need_cosines, _, need_slope, need_offset, need_power = ctx.needs_input_grad
        error = error * upstream
        weighted = error * mapped
        grad_slope = weighted.sum(1) if need_slope else None
        grad_offset = error.sum(1) if need_offset else None
        grad_power = slope * (weighted * logarithm).sum(1) if need_power else None
        grad_cosines = None
        if need_cosines:
            grad_cosines = slope[:, None] * (error if power is None else power[:, None] * weighted / cosines)
        return grad_cosines, None, grad_slope, grad_offset, grad_power


@accepts_numpy("cosines", "labels", "slope", "offset", "power")
def cosine_adapter_loss(
    cosines: torch.Tensor,
    labels: torch.Tensor,
    slope: torch.Tensor,
    offset: torch.Tensor,
    power: torch.Tensor | float = 1.0,
    *,
    reduction: str = "mean",
) -> torch.Tensor:
    r"""Cross-entropy of relevance under a map from cosine to probability whose parameters belong to the query.

    .. math::

        r_{qj} = \sigma\big(a_q\, c_{qj}^{k_q} + b_q\big), \qquad
        \ell_{qj} = -y_{qj} \log r_{qj} - (1 - y_{qj}) \log(1 - r_{qj})

    Parameters
    ----------
    cosines : Tensor or ndarray, shape (queries, candidates), float32 or float64
        Scores c of the candidates of each query. Unless ``power`` is the number 1, in [1e-6, 1].
    labels : Tensor or ndarray, shape (queries, candidates)
        Zeros and ones y of any real dtype: is the candidate relevant?
    slope, offset : Tensor or ndarray, shape (queries,), dtype of ``cosines``
        a and b. Only a > 0 keeps the order within a query; no sign is refused here.
    power : float, or Tensor or ndarray of shape (queries,) and dtype of ``cosines``; default 1.0
        k, greater than 0 and at most 100. One number for all queries is a constant: 1 is the linear map, 0.5 the square
        root, 2 the square.
    reduction : {"mean", "sum", "none"}
        Over all pairs.

    Returns
    -------
    Tensor
        A scalar, or shape (queries, candidates) for "none". Differentiable once in everything but ``labels``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, or is not finite.

    Notes
    -----
    O(queries candidates) time. The derivatives are sums over the candidates, with :math:`e = r - y`:
    :math:`\partial_a = e c^k`, :math:`\partial_b = e`, :math:`\partial_k = e a c^k \log c`,
    :math:`\partial_c = e a k c^{k-1}`; one logarithm serves the power and its derivative, one error all four. Computed
    from logits, so saturated probabilities lose nothing. Source: Rossi et al., "Relevance Filtering for Embedding-based Retrieval"
    (arXiv 2408.04887), which names the families of maps; the closing sigmoid and the cross-entropy are this library's
    reading of it.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import cosine_adapter_loss
    >>> cosines = torch.tensor([[0.8, 0.4], [0.5, 0.3]])
    >>> labels = torch.tensor([[1, 0], [1, 0]])
    >>> cosine_adapter_loss(cosines, labels, torch.tensor([9.0, 9.0]), torch.tensor([-5.4, -3.6]))
    tensor(0.2471)
    """
    check_values(cosines, "cosines", ndim=2)
    labels = check_binary_like(labels, "labels", cosines, "cosines").to(cosines.dtype)
    _check_per_query(slope, "slope", cosines)
    _check_per_query(offset, "offset", cosines)
    power = _power(power, cosines)
    check_reduction(reduction)
    losses = _AdapterLoss.apply(cosines, labels, slope, offset, power)
    if not bool(losses.detach().sum().isfinite()) and not bool(losses.detach().isfinite().all()):
        raise ValueError(f"slope and offset must be small enough for slope * cosines + offset to be finite in {cosines.dtype}")
    return reduce(losses, reduction)


def _power(power: torch.Tensor | float, cosines: torch.Tensor) -> torch.Tensor | None:
    """One power per query, or None for the identity."""
    if isinstance(power, torch.Tensor):
        _check_per_query(power, "power", cosines)
        least, most = (bound.item() for bound in power.detach().aminmax())
    else:
        least = most = check_positive(power, "power")
        if power == 1:
            return None
        power = cosines.new_full((len(cosines),), power)
    if least <= 0 or most > _LARGEST_POWER:
        raise ValueError(f"power must be greater than 0 and at most {_LARGEST_POWER}; got {least}..{most}")
    low, high = (bound.item() for bound in cosines.detach().aminmax())
    if low < _SMALLEST or high > _LARGEST:
        raise ValueError(
            f"cosines must lie in [{_SMALLEST}, 1] for a power of them; got {low}..{high} (clamp them, as a "
            "cosine of 0 or less is as irrelevant as a small one)"
        )
    return power


def _check_per_query(value: object, name: str, cosines: torch.Tensor) -> None:
    check_finite(check_tensor(value, name, ndim=1), name)
    check_same(value, name, cosines, "cosines")
    if value.shape != cosines.shape[:1]:
        raise ValueError(f"{name} must have shape ({len(cosines)},), one per query; got {tuple(value.shape)}")

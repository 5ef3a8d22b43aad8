"""Weights of the samples of a batch, from nothing but their losses."""

import torch

from corelib._checks import check_choice, check_positive
from corelib._tensors import accepts_numpy
from corelib.losses._arguments import check_values

_STRATEGIES = ("linear_upper", "upper", "quadratic", "extremes", "uniform")


@accepts_numpy("losses")
def loss_weights(
    losses: torch.Tensor, strategy: str = "linear_upper", *, r: float = 1.0, delta: float = 1.0
) -> torch.Tensor:
    r"""Weights that sum to 1, larger for the samples whose loss the strategy prefers.

    .. math:: w_i = \frac{e^{f(h_i) / r}}{\sum_j e^{f(h_j) / r}}, \qquad
              h_i = \delta\, \frac{2 \ell_i - (\ell_{\max} + \ell_{\min})}{\max(\ell_{\max} - \ell_{\min}, 10^{-6})}

    ================  ===================================  =============================================
    strategy          f(h)                                 prefers
    ================  ===================================  =============================================
    "linear_upper"    :math:`\min(h + \delta, \delta)`     all in the upper half of the range alike
    "upper"           :math:`(h + \delta) / 2`             the larger the loss, the more
    "quadratic"       :math:`1 - h^2 / \delta^2`           the middle
    "extremes"        :math:`|h|`                          both ends
    "uniform"         0                                    none
    ================  ===================================  =============================================

    Parameters
    ----------
    losses : Tensor or ndarray, shape (n,) or (batches, n), float32 or float64
        The loss of each sample, one batch a row.
    strategy : str, default "linear_upper"
        One of the above.
    r : float, default 1.0
        Positive: the weights maximise :math:`\sum_i w_i f(h_i) - r\, \mathrm{KL}(w \,\|\, 1/n)`, so that large r means
        equal weights.
    delta : float, default 1.0
        Positive; the half-width of h. With "linear_upper" the largest weight is exp(delta / r) times the smallest.

    Returns
    -------
    Tensor, shape of ``losses``
        Rows sum to 1. Computed in float64, without a gradient: use as ``(weights * losses).sum()``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is empty or not finite.

    Notes
    -----
    O(size). A batch of equal losses gets equal weights. Source: Sow et al., "Dynamic Loss-Based Sample Reweighting for
    Improved Large Language Model Pretraining" (arXiv 2502.06733), and its code.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import loss_weights
    >>> loss_weights(torch.tensor([1.0, 2.0, 3.0]), r=0.4)
    tensor([0.0394, 0.4803, 0.4803])
    """
    check_values(losses, "losses", ndim=(1, 2))
    check_choice(strategy, "strategy", _STRATEGIES)
    r, delta = check_positive(r, "r"), check_positive(delta, "delta")
    wide = losses.detach().double()
    low, high = wide.amin(-1, keepdim=True), wide.amax(-1, keepdim=True)
    h = delta * ((wide - low) - (high - wide)) / (high - low).clamp_min(1e-6)
    if strategy == "linear_upper":
        preference = (h + delta).clamp_max(delta)
    elif strategy == "upper":
        preference = (h + delta) / 2
    elif strategy == "quadratic":
        preference = 1 - (h / delta) ** 2
    else:
        preference = h.abs() if strategy == "extremes" else torch.zeros_like(h)
    return torch.softmax((preference - preference.amax(-1, keepdim=True)) / r, -1).to(losses.dtype)

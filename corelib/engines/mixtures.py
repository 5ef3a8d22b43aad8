"""The score of Gaussians of equal width on many points: a softmax-weighted mean of the points, never all weights."""

import torch

from corelib.engines import mixtures_torch
from corelib.engines.route import Operator, refuse, takes_torch
from corelib.kernels import mixture


def _forward(
    x: torch.Tensor, data: torch.Tensor, sigma: torch.Tensor, log_weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Score (B, d) and float64 log of the softmax's denominator (B,)."""
    return (mixtures_torch.forward if takes_torch(x) else _compiled)(x.detach(), data, sigma, log_weights)


def _vjp(
    x: torch.Tensor,
    data: torch.Tensor,
    sigma: torch.Tensor,
    log_weights: torch.Tensor,
    score: torch.Tensor,
    log_total: torch.Tensor,
    grad: torch.Tensor,
) -> torch.Tensor:
    """The Jacobian of the score times ``grad``; the Jacobian is symmetric."""
    function = mixtures_torch.vjp if takes_torch(x) else _compiled_vjp
    return function(x, data, sigma, log_weights, score, log_total, grad)


def _setup_context(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs, *output)
    ctx.set_materialize_grads(False)


def _backward(ctx, grad_score, grad_log_total):
    """Differentiable itself where only the log-density was used, whose gradient is the score."""
    x, data, sigma, log_weights, score, log_total = ctx.saved_tensors
    grad = None
    if grad_score is not None:
        grad = _score_vjp(x, data, sigma, log_weights, score, log_total, grad_score)
    if grad_log_total is not None:
        along_score = grad_log_total.to(x.dtype)[:, None] * score
        grad = along_score if grad is None else grad + along_score
    return grad, None, None, None


empirical_score = Operator(
    "corelib::empirical_score",
    _forward,
    fake=lambda x, data, sigma, _: (_like(x), torch.empty_like(sigma)),
    setup_context=_setup_context,
    backward=_backward,
)
_score_vjp = Operator(
    "corelib::empirical_score_vjp",
    _vjp,
    fake=lambda x, *_: _like(x),
    setup_context=lambda ctx, inputs, output: None,
    backward=refuse,
)


def _like(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _compiled(x, data, sigma, log_weights) -> tuple[torch.Tensor, torch.Tensor]:
    """Score (B, d) in the dtype of ``x``, and the float64 log of the softmax's denominator (B,)."""
    score = torch.empty_like(x, memory_format=torch.contiguous_format)
    log_total = torch.empty_like(sigma)
    mixture.empirical_score(*_arrays(x, data, sigma, log_weights), score.numpy(), log_total.numpy())
    return score, log_total


def _compiled_vjp(x, data, sigma, log_weights, score, log_total, grad) -> torch.Tensor:
    """The symmetric Jacobian ``(Cov_w(y) / sigma^2 - I) / sigma^2`` times ``grad``, (B, d)."""
    result = torch.empty_like(x, memory_format=torch.contiguous_format)
    rest = (t.contiguous().numpy() for t in (score, log_total, grad))
    mixture.empirical_score_vjp(*_arrays(x, data, sigma, log_weights), *rest, result.numpy())
    return result


def _arrays(x, data, sigma, log_weights) -> tuple:
    x, data = (t.detach().contiguous() for t in (x, data))
    centre = data.mean(0, dtype=torch.float64)
    radius = float(torch.linalg.vector_norm(data - centre, dim=1).max())
    return x.numpy(), data.numpy(), centre.numpy(), radius, sigma.numpy(), log_weights.numpy()

"""The empirical score by the compiled kernel, for CPU tensors."""

import torch

from corelib.kernels import mixture


def forward(x, data, sigma, log_weights) -> tuple[torch.Tensor, torch.Tensor]:
    """Score (B, d) in the dtype of ``x``, and the float64 log of the softmax's denominator (B,)."""
    score = torch.empty_like(x, memory_format=torch.contiguous_format)
    log_total = torch.empty_like(sigma)
    mixture.empirical_score(*_arrays(x, data, sigma, log_weights), score.numpy(), log_total.numpy())
    return score, log_total


def vjp(x, data, sigma, log_weights, score, log_total, grad) -> torch.Tensor:
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

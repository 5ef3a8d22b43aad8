"""The score of Gaussians of equal width on many points: a softmax-weighted mean of the points, never all weights."""

import torch
from torch import Tensor

from corelib.engines import gpu, mixtures_cuda, mixtures_torch
from corelib.engines.route import Operator, outside_autocast, refuse, takes_torch
from corelib.kernels import mixture

_SAMPLE = 1024  # points that decide where the middle of the data is


class Points:
    """Weighted points, prepared once for any number of evaluations; ``log_weights`` are float64."""

    def __init__(self, data: Tensor, log_weights: Tensor) -> None:
        self.data = data.detach().contiguous()
        self._tensors = (self.data, _centre(self.data), log_weights)
        self._prepared: dict[str, Tensor] = {}

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_prepared": {}}

    def score(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Score (B, d) and float64 log of the softmax's denominator (B,), by float64 ``sigma`` (B,)."""
        way = "cuda" if gpu.takes(x) else "torch" if takes_torch(x) else "compiled"
        return _empirical_score(x, sigma, *self._tensors, self._prepare(way))

    def _prepare(self, way: str) -> Tensor:
        """What an implementation reads besides the points, told apart by its dimensions."""
        if way not in self._prepared:
            prepare = {"cuda": mixtures_cuda.centred, "torch": _radius, "compiled": _pack}[way]
            if torch.compiler.is_compiling():
                return self.data.new_empty(0) if way == "compiled" else prepare(*self._tensors[:2])
            with torch.inference_mode(False):  # later calls may need it for a backward pass
                self._prepared[way] = prepare(*self._tensors[: 3 if way == "compiled" else 2])
        return self._prepared[way]


def _centre(data: Tensor) -> Tensor:
    """A point amid the data; the median, because an outlier would drag the mean away from all the others."""
    return data[:: max(1, len(data) // _SAMPLE)].median(0).values.to(torch.float64)


def _radius(data: Tensor, centre: Tensor) -> Tensor:
    return torch.linalg.vector_norm(data - centre, dim=1).max()


def _pack(data: Tensor, centre: Tensor, log_weights: Tensor) -> Tensor:
    return torch.from_numpy(mixture.pack(data.numpy(), centre.numpy(), log_weights.numpy()))


def _forward(
    x: Tensor, sigma: Tensor, data: Tensor, centre: Tensor, log_weights: Tensor, prepared: Tensor
) -> tuple[Tensor, Tensor]:
    """Score (B, d) and float64 log of the softmax's denominator (B,)."""
    function = (mixtures_torch.forward, _compiled, mixtures_cuda.forward)[prepared.ndim]
    return function(x.detach(), sigma, data, centre, log_weights, prepared)


def _vjp(
    x: Tensor,
    sigma: Tensor,
    data: Tensor,
    centre: Tensor,
    log_weights: Tensor,
    prepared: Tensor,
    score: Tensor,
    log_total: Tensor,
    grad: Tensor,
) -> Tensor:
    """The Jacobian ``(Cov_w(y) / sigma^2 - I) / sigma^2``, which is symmetric, times ``grad``, (B, d)."""
    function = (mixtures_torch.vjp, _compiled_vjp, mixtures_cuda.vjp)[prepared.ndim]
    with outside_autocast(x):
        return function(x.detach(), sigma, data, centre, log_weights, prepared, score, log_total, grad)


def _setup_context(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs, *output)
    ctx.set_materialize_grads(False)


def _backward(ctx, grad_score, grad_log_total):
    """Differentiable itself where only the log-density was used, whose gradient is the score."""
    *inputs, score, log_total = ctx.saved_tensors
    x = inputs[0]
    grad = None
    if grad_score is not None:
        grad = _score_vjp(*inputs, score, log_total, grad_score)
    if grad_log_total is not None:
        along_score = grad_log_total.to(x.dtype)[:, None] * score
        grad = along_score if grad is None else grad + along_score
    return grad, None, None, None, None, None


_empirical_score = Operator(
    "corelib::empirical_score",
    _forward,
    fake=lambda x, sigma, *_: (_like(x), torch.empty_like(sigma)),
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


def _like(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _compiled(x, sigma, *points) -> tuple[Tensor, Tensor]:
    score, log_total = _like(x), torch.empty_like(sigma)
    mixture.empirical_score(*_arrays(x, sigma, *points), score.numpy(), log_total.numpy())
    return score, log_total


def _compiled_vjp(x, sigma, data, centre, log_weights, packed, *rest) -> Tensor:
    result = _like(x)
    rest = (t.contiguous().numpy() for t in rest)
    mixture.empirical_score_vjp(*_arrays(x, sigma, data, centre, log_weights, packed), *rest, result.numpy())
    return result


def _arrays(x, sigma, data, centre, log_weights, packed) -> tuple:
    data = data.contiguous()
    packed = packed if packed.numel() else _pack(data, centre, log_weights)
    return tuple(t.numpy() for t in (x.contiguous(), data, centre, log_weights, packed, sigma))

"""The spherical family: losses whose exact output layer costs the same for a thousand classes as for a million.

A loss of this family sees the outputs o of a layer only through three numbers: the target's output o_c, the sum
s = sum_k o_k and the squared norm q = sum_k o_k^2. All that follows needs nothing else from it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from corelib._checks import check_int, check_positive, check_real
from corelib._front_end import front_end
from corelib._tensors import (
    FLOATS,
    HALF,
    check_finite,
    check_integers,
    check_range,
    check_same,
    check_tensor,
    dtype_name,
    unseen,
)
from corelib._types import TensorOrArray
from corelib.engines.route import first_derivative_only, outside_autocast
from corelib.losses._reduction import check_reduction, reduce

_SINGULAR_VALUES = (0.5, 2.0)


class SphericalLoss(ABC):
    """A member of the family: what it makes of the three numbers, one loss per example.

    A new member is a subclass with one method; ``spherical_loss`` and ``SphericalLinear`` then work with it.
    """

    shift_invariant = False

    @abstractmethod
    def __call__(
        self, target: torch.Tensor, total: torch.Tensor, square: torch.Tensor, classes: int
    ) -> torch.Tensor:
        """The losses, shape (n,), from o_c, s and q, each of shape (n,)."""


@dataclass(frozen=True)
class ZLoss(SphericalLoss):
    """softplus(a (b - z_c)) / a of the target's z-score z_c = (o_c - mean) / standard deviation.

    ``a`` is the sharpness (a hinge as it grows) and ``b`` the z-score beyond which the pull on the target fades;
    ``epsilon`` is added to the standard deviation, so that the gradient at equal outputs is at most 1 / epsilon.
    Invariant to shift and (up to epsilon) scale of the outputs.
    Source: de Brebisson and Vincent, "The Z-loss" (arXiv 1604.08859).
    """

    a: float = 1.0
    b: float = 0.0
    epsilon: float = 1e-6
    shift_invariant = True

    def __post_init__(self) -> None:
        check_positive(self.a, "a"), check_real(self.b, "b")
        if check_real(self.epsilon, "epsilon") < 0:
            raise ValueError(f"epsilon must not be negative; got {self.epsilon}")

    def __call__(self, target, total, square, classes):
        mean = total / classes
        deviation = (square / classes - mean**2).clamp_min(torch.finfo(square.dtype).tiny).sqrt()
        z = (target - mean) / (deviation + self.epsilon)
        return F.softplus(self.a * (self.b - z), threshold=100) / self.a


@dataclass(frozen=True)
class TaylorSoftmaxLoss(SphericalLoss):
    """-log of (1 + o_c + o_c^2 / 2) / (D + s + q / 2): softmax with exp to second order.

    Source: de Brebisson and Vincent, "An Exploration of Softmax Alternatives Belonging to the Spherical Loss Family"
    (arXiv 1511.05042).
    """

    def __call__(self, target, total, square, classes):
        return (classes + total + square / 2).log() - (1 + target + target**2 / 2).log()


@dataclass(frozen=True)
class SphericalSoftmaxLoss(SphericalLoss):
    """-log of (o_c^2 + epsilon) / (q + D epsilon). Source: arXiv 1511.05042."""

    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        check_positive(self.epsilon, "epsilon")

    def __call__(self, target, total, square, classes):
        return (square + classes * self.epsilon).log() - (target**2 + self.epsilon).log()


@dataclass(frozen=True)
class SquaredErrorLoss(SphericalLoss):
    """q - 2 o_c + 1: the squared error to a one-hot target. Source: arXiv 1412.7091."""

    def __call__(self, target, total, square, classes):
        return square - 2 * target + 1


class _Statistics(torch.autograd.Function):
    """o_c, s and q of full outputs, centred if asked for; their gradient takes the memory of one copy of the outputs."""

    @staticmethod
    def forward(ctx, outputs, targets, centre):
        ctx.save_for_backward(outputs, targets)
        ctx.centre = centre
        outputs = _centred(outputs) if centre else outputs
        return outputs.gather(1, targets[:, None])[:, 0], outputs.sum(1), (outputs * outputs).sum(1)

    @staticmethod
    def backward(ctx, target, total, square):
        outputs, targets = ctx.saved_tensors
        if ctx.centre:  # s is 0 whatever the outputs are, and the gradient of the others has mean 0
            outputs, total = _centred(outputs), -target / outputs.shape[1]
        gradient = torch.addcmul(total[:, None], outputs, square[:, None], value=2)
        return gradient.scatter_add_(1, targets[:, None], target[:, None]), None, None


def _centred(outputs: torch.Tensor) -> torch.Tensor:
    return outputs - outputs.mean(1, keepdim=True)


def _differentiate(loss: SphericalLoss, target, total, square, classes: int) -> tuple[torch.Tensor, ...]:
    """The losses and their derivatives in o_c, s and q."""
    with torch.enable_grad():
        statistics = [value.detach().requires_grad_() for value in (target, total, square)]
        losses = loss(*statistics, classes)
        derivatives = torch.autograd.grad(losses.sum(), statistics, allow_unused=True)
    zero = torch.zeros_like(target)
    return losses.detach(), *(zero if value is None else value for value in derivatives)


@front_end("outputs", "targets")
def spherical_loss(
    outputs: TensorOrArray,
    targets: TensorOrArray,
    loss: SphericalLoss,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> TensorOrArray:
    """A loss of the spherical family, from all outputs of an ordinary layer.

    Parameters
    ----------
    outputs : Tensor of float32 or float64, shape (n, D)
        Finite; D at least 2.
    targets : Tensor of int64, shape (n,)
        Class of each example, in 0..D-1, or ``ignore_index``.
    loss : SphericalLoss
        ``ZLoss(a, b)``, ``TaylorSoftmaxLoss()``, ``SphericalSoftmaxLoss(epsilon)``, ``SquaredErrorLoss()`` or your own.
    ignore_index : int, optional
        Target of examples that do not count, such as -100: their loss is 0, and "mean" leaves them out.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        A scalar, or shape (n,) for "none". Twice differentiable in ``outputs``, if ``loss`` is.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range.

    Notes
    -----
    O(n D). For the layer that does not depend on D, see ``SphericalLinear``.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import ZLoss, spherical_loss
    >>> outputs, targets = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([0])
    >>> loss = spherical_loss(outputs, targets, ZLoss())
    >>> torch.allclose(loss, spherical_loss(5 * outputs + 3, targets, ZLoss()), atol=1e-5)
    True
    """
    check_tensor(outputs, "outputs", ndim=2)
    if outputs.shape[1] < 2:
        raise ValueError(f"outputs must have at least 2 classes; got shape {tuple(outputs.shape)}")
    _check_loss(loss)
    check_reduction(reduction)
    targets, ignored = _check_targets(targets, outputs, "outputs", outputs.shape[1], ignore_index)
    target, total, square = _Statistics.apply(outputs, targets, loss.shift_invariant)
    too_large = f"outputs are too large: their squares overflow {dtype_name(outputs)}"
    if not unseen(square, lambda: square.isfinite().all(), too_large) and not math.isfinite(
        square.detach().amax().item()
    ):
        check_finite(outputs, "outputs")
        raise ValueError(too_large)
    losses = loss(target, total, square, outputs.shape[1])
    if ignored is None:
        return reduce(losses, reduction)
    losses = losses.masked_fill(ignored, 0)
    if reduction == "mean":
        return reduce(losses, "sum") / (~ignored).sum().clamp_min(1)
    return reduce(losses, reduction)


class _FactoredLoss(torch.autograd.Function):
    """Mean loss of a ``SphericalLinear``; backward gives the hidden gradient and leaves the step to ``step``."""

    @staticmethod
    def forward(ctx, hidden, targets, layer):
        product = hidden @ layer.Q
        square = (hidden * product).sum(1)
        total = hidden @ layer.column_sum
        rows = layer.V[targets]
        target = (rows * (hidden @ layer.U.T)).sum(1) + hidden @ layer.omega
        if not ctx.needs_input_grad[0]:
            return layer.loss(target, total, square, layer.out_features).mean()
        losses, *derivatives = _differentiate(layer.loss, target, total, square, layer.out_features)
        ctx.save_for_backward(hidden, targets, product, rows, *derivatives)
        ctx.layer = layer
        return losses.mean()

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        hidden, targets, product, rows, *derivatives = ctx.saved_tensors
        layer = ctx.layer
        y, gamma, kappa = (value * (upstream / len(hidden)) for value in derivatives)
        low_rank = (
            (rows * y[:, None]) @ layer.U + y[:, None] * layer.omega + gamma[:, None] * layer.column_sum
        )
        gradient = product * (2 * kappa)[:, None] + low_rank
        layer._pending = (hidden.detach(), targets, y, gamma, kappa, low_rank, gradient)
        return gradient, None, None


class SphericalLinear(nn.Module):
    """An output layer W with D classes, trained by exact SGD at a cost that does not depend on D.

    The layer keeps W = V U + 1 omega^T and the statistics Q = W^T W and W^T 1. A step changes every entry of W, yet
    touches U, omega, the statistics, and only the targets' rows of V.

    Parameters
    ----------
    in_features, out_features : int
        d and D.
    loss : SphericalLoss
        Default ``ZLoss()``.
    weight : Tensor, shape (D, d), optional
        Initial W; by default N(0, 1 / d).
    generator : torch.Generator, optional
        For the default initialisation.
    dtype : torch.dtype, default torch.float64
        float32 halves the memory; drift then needs ``stabilise_every`` more often.
    stabilise_every : int, default 100
        Steps between two looks at the singular values of U.
    device : optional

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range.

    Notes
    -----
    Per batch of m examples: O(m d^2 + m^2 d + m^3) time, against O(m D d) for ``nn.Linear``. Memory O(D d) for V.
    ``forward`` takes (hidden, targets) and returns the mean loss; ``backward`` on it sends the gradient to ``hidden``
    as usual; then ``step(lr)`` makes the exact SGD step on W. One ``backward`` per ``step``: of several, the last counts.
    A factor of the loss is one of the step: with a ``GradScaler``, call ``step(lr / scaler.get_scale())``.
    Source: Vincent, de Brebisson and Bouthillier, "Efficient Exact Gradient Update for training Deep Networks with
    Very Large Sparse Targets" (arXiv 1412.7091).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import SphericalLinear, ZLoss
    >>> generator = torch.Generator().manual_seed(0)
    >>> layer = SphericalLinear(4, 1000, ZLoss(a=1.0, b=5.0), generator=generator)
    >>> hidden = torch.rand(8, 4, dtype=torch.float64, generator=generator).requires_grad_()
    >>> targets = torch.arange(8)
    >>> before = layer(hidden, targets)
    >>> for _ in range(20):
    ...     layer(hidden, targets).backward()
    ...     layer.step(lr=1.0)
    >>> bool(layer(hidden, targets) < before)
    True
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        loss: SphericalLoss | None = None,
        *,
        weight: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        stabilise_every: int = 100,
        device=None,
    ) -> None:
        super().__init__()
        d = self.in_features = check_int(in_features, "in_features", minimum=1)
        self.out_features = check_int(out_features, "out_features", minimum=2)
        self.loss = _check_loss(ZLoss() if loss is None else loss)
        self.stabilise_every = check_int(stabilise_every, "stabilise_every", minimum=1)
        if dtype not in FLOATS:
            raise TypeError(f"dtype must be torch.float32 or torch.float64; got {dtype}")
        options = {"dtype": dtype, "device": device}
        if weight is None:
            V = torch.empty(self.out_features, d, **options).normal_(0, d**-0.5, generator=generator)
        else:
            check_finite(check_tensor(weight, "weight", ndim=2), "weight")
            if weight.shape != (self.out_features, d):
                raise ValueError(
                    f"weight must have shape {(self.out_features, d)}; got {tuple(weight.shape)}"
                )
            if weight.dtype != dtype:
                raise TypeError(f"weight must have the layer's dtype {dtype}; got {weight.dtype}")
            V = weight.detach().clone().to(device)
        self.register_buffer("V", V)
        self.register_buffer("U", torch.eye(d, **options))
        self.register_buffer("U_inverse", torch.eye(d, **options))
        self.register_buffer("omega", torch.zeros(d, **options))
        self.register_buffer("Q", V.T @ V)
        self.register_buffer("column_sum", V.sum(0))
        self._pending = None
        self._steps = 0

    def forward(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss over the batch; ``hidden`` (m, d) in the layer's dtype or half precision, ``targets`` (m,) int64."""
        if isinstance(hidden, torch.Tensor) and hidden.dtype in HALF:
            hidden = hidden.to(self.V.dtype)
        check_finite(check_tensor(hidden, "hidden", ndim=2), "hidden")
        check_same(hidden, "hidden", self.V, "the layer")
        if hidden.shape[1] != self.in_features:
            raise ValueError(f"hidden must have {self.in_features} columns; got shape {tuple(hidden.shape)}")
        targets, _ = _check_targets(targets, hidden, "hidden", self.out_features)
        with outside_autocast(hidden):
            return _FactoredLoss.apply(hidden, targets, self)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """W <- W - lr dL/dW, for the loss whose ``backward`` ran last.

        Raises
        ------
        RuntimeError
            If no ``backward`` ran since the last step, or the step is so large that W would lose rank.
        """
        lr = check_positive(lr, "lr")
        if self._pending is None:
            raise RuntimeError(
                "step needs a backward() of this layer's loss, with hidden.requires_grad, first"
            )
        with outside_autocast(self.V):
            self._step(lr, *self._pending)
        self._pending = None
        self._steps += 1
        if self._steps % self.stabilise_every == 0:
            self.stabilise()

    def _step(self, lr: float, H, targets, y, gamma, kappa, Z, gradient) -> None:
        D, m = self.out_features, len(H)
        A = H * (2 * kappa)[:, None]
        same = (targets[:, None] == targets).to(H.dtype)
        AZ, cross = A @ Z.T, gamma[:, None] * y
        # G G^T of the dense output gradient G = gamma 1^T + 2 diag(kappa) O + Y, from m x m and m x d pieces
        M = (
            A @ self.Q @ A.T
            + D * gamma[:, None] * gamma
            + same * y[:, None] * y
            + cross
            + cross.T
            + AZ
            + AZ.T
        )
        mixed = gradient.T @ H
        inner = torch.eye(m, dtype=H.dtype, device=H.device) - lr * (H @ A.T)
        solved, singular = torch.linalg.solve_ex(inner, H @ self.U_inverse)
        if bool(singular) or not bool(torch.isfinite(solved).all()):
            raise RuntimeError(f"lr is too large: a step of {lr} makes the weights lose rank")
        self.Q += lr**2 * (H.T @ M @ H) - lr * (mixed + mixed.T)
        self.column_sum -= lr * (H.T @ (A @ self.column_sum + D * gamma + y))
        self.omega -= lr * (H.T @ (A @ self.omega + gamma))
        self.U -= lr * ((self.U @ A.T) @ H)
        self.U_inverse += lr * (A.T @ solved)
        self.V.index_add_(0, targets, (y[:, None] * H) @ self.U_inverse, alpha=-lr)

    @torch.no_grad()
    def stabilise(self) -> int:
        """Bring the singular values of U back into 0.5..2 without changing W; how many were outside.

        O(d^3 + D d k) for k values outside; also renews the inverse of U, whose rounding errors grow with the steps.
        """
        left, values, right = torch.linalg.svd(self.U)
        low, high = _SINGULAR_VALUES
        outside = (values < low) | (values > high)
        moved = left[:, outside]
        with outside_autocast(self.V):
            self.V += (self.V @ moved) @ ((values[outside] - 1)[:, None] * moved.T)
            values = torch.where(outside, torch.ones_like(values), values)
            self.U.copy_(left * values @ right)
            self.U_inverse.copy_(right.T / values @ left.T)
        return int(outside.sum())

    @torch.no_grad()
    def weight(self) -> torch.Tensor:
        """W in full, shape (D, d). O(D d^2)."""
        with outside_autocast(self.V):
            return self.V @ self.U + self.omega

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, loss={self.loss}"


def _check_loss(loss: object) -> SphericalLoss:
    if not isinstance(loss, SphericalLoss):
        raise TypeError(f"loss must be a SphericalLoss such as ZLoss(); got {type(loss).__name__}")
    return loss


def _check_targets(
    targets: object, rows: torch.Tensor, rows_name: str, classes: int, ignore_index: int | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """``targets`` as int64, 0 where they are ignored, and where that is, if anywhere."""
    if not len(rows):
        raise ValueError(f"{rows_name} must have at least one row")
    targets = check_integers(targets, "targets", rows, rows_name, shape=tuple(rows.shape[:1]))
    ignored = None
    if ignore_index is not None:
        ignored = targets == check_int(ignore_index, "ignore_index")
        targets = targets.masked_fill(ignored, 0)
    return check_range(targets, "targets", classes), ignored

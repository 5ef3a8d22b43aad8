"""What gradient descent on a very wide network does: regression with the neural tangent kernel, step by step."""

import math

import torch
from torch import Tensor

from corelib._checks import check_positive
from corelib._tensors import accepts_numpy, check_same
from corelib.score._arguments import check_like, check_points


@accepts_numpy("a", "b")
def relu_ntk(a: Tensor, b: Tensor) -> Tensor:
    """Neural tangent kernel of a two-layer ReLU network of which only the first layer is trained.

    Parameters
    ----------
    a : Tensor or ndarray, shape (n, p), float32 or float64
    b : Tensor or ndarray, shape (m, p), same dtype

    Returns
    -------
    Tensor or ndarray, shape (n, m)
        <a, b> (pi - angle(a, b)) / (2 pi); 0 where a row is zero.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype or shape than stated.

    Notes
    -----
    O(n m p). The angle comes from atan2 of ``|u - v|`` and ``|u + v|`` of the unit vectors in place of arccos, which
    loses half of the digits for nearly parallel rows. Y. Han, M. Razaviyayn and R. Xu (arXiv 2401.15604), the kernel K.

    Examples
    --------
    >>> import numpy as np
    >>> relu_ntk(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    array([[1., 0.]])
    """
    a, b = check_points(a, "a"), check_points(b, "b")
    check_same(a, "a", b, "b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"b must have {a.shape[1]} columns, as a has; got shape {tuple(b.shape)}")
    unit_a, unit_b = (torch.nn.functional.normalize(value, dim=1) for value in (a, b))
    exact = "donot_use_mm_for_euclid_dist"
    angle = 2 * torch.atan2(
        torch.cdist(unit_a, unit_b, compute_mode=exact), torch.cdist(unit_a, -unit_b, compute_mode=exact)
    )
    return (a @ b.T) * (math.pi - angle) / (2 * math.pi)


@accepts_numpy("kernel", "targets", "cross_kernel")
def kernel_descent(kernel: Tensor, targets: Tensor, cross_kernel: Tensor, lr: float, steps: list[int]) -> Tensor:
    """Predictions of kernel gradient descent from zero after any numbers of steps, in closed form.

    Parameters
    ----------
    kernel : Tensor or ndarray, shape (n, n), float32 or float64
        K(Z, Z) of the training points, symmetric positive semi-definite.
    targets : Tensor or ndarray, shape (n, d), same dtype
    cross_kernel : Tensor or ndarray, shape (m, n), same dtype
        K(test, Z).
    lr : float
        Step size, above 0 and at most 2 / (largest eigenvalue), beyond which the descent diverges.
    steps : list of int
        Numbers of steps, each at least 0.

    Returns
    -------
    Tensor or ndarray, shape (len(steps), m, d)
        K(test, Z) V (1 - (1 - lr lambda)^k) / lambda V^T targets, with K = V diag(lambda) V^T.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape or range than stated.

    Notes
    -----
    One eigendecomposition, O(n^3), for all numbers of steps; then O(n (n + m) d) each. A step count is a spectral
    filter: 1 / (lr k) plays the part of a ridge. Y. Han, M. Razaviyayn and R. Xu (arXiv 2401.15604).

    Examples
    --------
    >>> import numpy as np
    >>> kernel, targets = np.diag([1.0, 0.1]), np.ones((2, 1))
    >>> kernel_descent(kernel, targets, kernel, lr=1.0, steps=[0, 1])[:, :, 0]
    array([[0. , 0. ],
           [1. , 0.1]])
    """
    kernel = check_points(kernel, "kernel")
    n = len(kernel)
    check_like(kernel, "kernel", kernel, (n, n), "kernel")
    targets = check_like(targets, "targets", kernel, (n, None), "kernel")
    cross_kernel = check_like(cross_kernel, "cross_kernel", kernel, (None, n), "kernel")
    lr = check_positive(lr, "lr")
    if not isinstance(steps, list | tuple) or not all(type(k) is int and k >= 0 for k in steps):
        raise ValueError(f"steps must be a list of integers of at least 0; got {steps!r}")
    if float((kernel - kernel.T).detach().abs().max()) > 1e-4 * float(kernel.detach().abs().max()):
        raise ValueError("kernel must be symmetric")
    values, vectors = torch.linalg.eigh(kernel)
    largest = float(values.detach()[-1])
    if lr * largest > 2 * (1 + 1e-6):
        raise ValueError(f"lr must be at most 2 / (largest eigenvalue) = {2 / largest:.3g}; got {lr}")
    rate = (lr * values).clamp_min(0)
    projected = vectors.T @ targets
    left = cross_kernel @ vectors
    return torch.stack([left @ (_filter(rate, k)[:, None] * projected) * lr for k in steps]) if steps else (
        kernel.new_empty((0, len(cross_kernel), targets.shape[1]))
    )


def _filter(rate: Tensor, k: int) -> Tensor:
    """(1 - (1 - rate)^k) / rate for 0 <= rate <= 2, and its limit k at 0."""
    small = rate < 0.5
    safe = torch.where(small & (rate > 0), rate, torch.full_like(rate, 0.25))
    slow = torch.where(rate > 0, -torch.expm1(k * torch.log1p(-safe)) / safe, torch.full_like(rate, float(k)))
    fast = (1 - (1 - rate) ** k) / torch.where(small, torch.ones_like(rate), rate)
    return torch.where(small, slow, fast)

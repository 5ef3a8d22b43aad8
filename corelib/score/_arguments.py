"""Argument checks that the score functions share. While ``torch.compile`` traces, none of them looks at a value."""

import math
import numbers

import torch
from torch import Tensor

from corelib._checks import check_positive, check_real
from corelib._tensors import check_finite, check_rows, check_shaped, check_tensor, dtype_name, unseen

_ORTHONORMAL = 2e-2  # rounding to bfloat16 leaves less


def check_queries(x: object) -> Tensor:
    """``x`` if it is a (B, d) tensor of at least one column; `check_result` looks at its values."""
    points = check_tensor(x, "x", ndim=2)
    if points.shape[1] == 0:
        raise ValueError(f"x must have at least one column; got shape {tuple(points.shape)}")
    return points


def check_points(value: object, name: str) -> Tensor:
    """``value`` if it is a finite (n, d) tensor of at least one row and column."""
    points = check_rows(value, name)
    if not len(points):
        raise ValueError(f"{name} must hold at least one point; got none")
    return points


def check_sigma(sigma: object, name: str, x: Tensor, *, zero: bool = False) -> Tensor:
    """``sigma``, a number or one number per row of ``x``, as a float64 column that broadcasts against ``x``."""
    if not isinstance(sigma, Tensor):
        if not isinstance(sigma, numbers.Real):
            raise TypeError(f"{name} must be a real number or one per row of x; got {type(sigma).__name__}")
        number = check_real(sigma, name) if zero else check_positive(sigma, name)
        if number < 0:
            raise ValueError(f"{name} must be at least 0; got {number}")
        return torch.full((x.shape[0], 1), number, dtype=torch.float64, device=x.device)
    tensor = check_shaped(sigma, name, x, (x.shape[0],))
    right = tensor.detach() >= 0 if zero else tensor.detach() > 0
    allowed = "at least 0" if zero else "greater than 0"
    if not unseen(right, right.all, f"{name} must be {allowed}") and not bool(right.all()):
        raise ValueError(
            f"{name} must be {allowed}; {int((~right).sum())} of {tensor.numel()} entries are not"
        )
    return tensor.to(torch.float64)[:, None]


def check_spectrum(
    eigenvalues: object, eigenvectors: object, x: Tensor, shape: tuple[int | None, ...]
) -> None:
    """Errors unless the eigenvalues, of ``shape`` (..., r), are >= 0 and the eigenvectors orthonormal columns (..., d, r).

    Orthonormality is tested on one fixed vector, so the check costs O(d r) and not O(d r^2).
    """
    values = check_shaped(eigenvalues, "eigenvalues", x, shape, finite=False)
    d, r = x.shape[1], values.shape[-1]
    vectors = check_shaped(eigenvectors, "eigenvectors", x, (*values.shape[:-1], d, r), finite=False)
    if r > d:
        raise ValueError(
            f"eigenvectors must have at most as many columns as rows; got {r} columns of length {d}"
        )
    if not values.numel() or unseen(
        values,
        lambda: (values.detach() >= 0).all() & vectors.detach().isfinite().all(),
        "eigenvalues must be at least 0, and eigenvectors finite",
    ):
        return
    lowest, highest = (float(value) for value in values.detach().aminmax())
    if lowest < 0:
        raise ValueError(
            f"eigenvalues must be at least 0; the smallest is {lowest} (clamp rounding errors to 0)"
        )
    if not highest < math.inf:
        check_finite(values, "eigenvalues")
    u = vectors.detach()
    v = torch.linspace(0.5, 1, r, dtype=u.dtype, device=u.device)[:, None]
    error = float((u.mT @ (u @ v) - v).abs().max())
    if not error <= _ORTHONORMAL:
        check_finite(vectors, "eigenvectors")
        raise ValueError(f"eigenvectors must be orthonormal columns; U^T U v differs from v by {error:.1e}")


def check_weights(weights: object, name: str, x: Tensor, count: int, x_name: str = "x") -> Tensor:
    """``weights`` if it holds ``count`` numbers >= 0 of which one is positive."""
    tensor = check_shaped(weights, name, x, (count,), x_name)
    if unseen(
        tensor,
        lambda: (tensor.detach() >= 0).all() & tensor.detach().any(),
        f"{name} must be at least 0, and one entry positive",
    ):
        return tensor
    negative = tensor.detach() < 0
    if bool(negative.any()):
        raise ValueError(f"{name} must be at least 0; {int(negative.sum())} of {count} entries are negative")
    if not bool(tensor.detach().any()):
        raise ValueError(f"{name} must have a positive entry; all {count} are 0")
    return tensor


def check_result(
    result: Tensor,
    what: str,
    why: str,
    **inputs: Tensor,
) -> Tensor:
    """``result`` if it is finite; if not, the error is about the first of ``inputs`` that is not, or about an overflow."""
    if unseen(
        result, lambda: result.detach().isfinite().all(), f"{what} overflows, or an input is not finite"
    ):
        return result
    if math.isfinite(result.detach().sum().item()):
        return result
    for name, value in inputs.items():
        check_finite(value, name)
    if not bool(torch.isfinite(result.detach()).all()):
        raise ValueError(f"{what} overflows {dtype_name(result)}: {why}")
    return result

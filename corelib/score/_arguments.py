"""Argument checks that the score functions share."""

import numbers

import torch

from corelib._checks import check_positive, check_real
from corelib._tensors import check_shaped, dtype_name, traced


def check_sigma(sigma: object, name: str, x: torch.Tensor, *, zero: bool = False) -> torch.Tensor:
    """``sigma``, a number or one number per row of ``x``, as a float64 column that broadcasts against ``x``."""
    if not isinstance(sigma, torch.Tensor):
        if not isinstance(sigma, numbers.Real):
            raise TypeError(f"{name} must be a real number or one per row of x; got {type(sigma).__name__}")
        number = check_real(sigma, name) if zero else check_positive(sigma, name)
        if number < 0:
            raise ValueError(f"{name} must be at least 0; got {number}")
        return torch.full((x.shape[0], 1), number, dtype=torch.float64, device=x.device)
    tensor = check_shaped(sigma, name, x, (x.shape[0],))
    wrong = tensor.detach() < 0 if zero else tensor.detach() <= 0
    allowed = "at least 0" if zero else "greater than 0"
    if not traced(lambda: ~wrong.any(), f"{name} must be {allowed}") and bool(wrong.any()):
        raise ValueError(f"{name} must be {allowed}; {int(wrong.sum())} of {tensor.numel()} entries are not")
    return tensor.to(torch.float64)[:, None]


def check_spectrum(eigenvalues: torch.Tensor, eigenvectors: torch.Tensor) -> None:
    """A ``ValueError`` unless the eigenvalues are >= 0 and the eigenvectors are orthonormal columns.

    Orthonormality is tested on one fixed vector, so the check costs O(d r) and not O(d r^2).
    """
    d, r = eigenvectors.shape[-2:]
    if r > d:
        raise ValueError(
            f"eigenvectors must have at most as many columns as rows; got {r} columns of length {d}"
        )
    u = eigenvectors.detach().to(torch.float64)
    v = torch.cos(torch.arange(1, r + 1, dtype=torch.float64, device=u.device))[:, None]
    if traced(
        lambda: (eigenvalues >= 0).all() & ((u.mT @ (u @ v) - v).abs() <= 1e-3).all(),
        "eigenvalues must be at least 0 and eigenvectors orthonormal columns",
    ):
        return
    lowest = float(eigenvalues.detach().min()) if eigenvalues.numel() else 0.0
    if lowest < 0:
        raise ValueError(
            f"eigenvalues must be at least 0; the smallest is {lowest} (clamp rounding errors to 0)"
        )
    error = float((u.mT @ (u @ v) - v).abs().max()) if r and u.numel() else 0.0
    if error > 1e-3:
        raise ValueError(f"eigenvectors must be orthonormal columns; U^T U v differs from v by {error:.1e}")


def check_weights(weights: object, name: str, x: torch.Tensor, count: int) -> torch.Tensor:
    """``weights`` if it holds ``count`` numbers >= 0 of which one is positive."""
    tensor = check_shaped(weights, name, x, (count,))
    negative = tensor.detach() < 0
    if traced(
        lambda: ~negative.any() & (tensor > 0).any(), f"{name} must be at least 0 and have a positive entry"
    ):
        return tensor
    if bool(negative.any()):
        raise ValueError(f"{name} must be at least 0; {int(negative.sum())} of {count} entries are negative")
    if not bool((tensor.detach() > 0).any()):
        raise ValueError(f"{name} must have a positive entry; all {count} are 0")
    return tensor


def check_no_overflow(
    result: torch.Tensor, what: str, why: str = "sigma is too small for the distance between x and the data"
) -> torch.Tensor:
    """``result`` if it is finite; finite arguments give anything else only by overflow."""
    message = f"{what} overflows {dtype_name(result)}: {why}"
    finite = torch.isfinite(result.detach()).all()
    if not traced(lambda: finite, message) and not bool(finite):
        raise ValueError(message)
    return result

"""Checks of arguments, and the reduction, that losses over vectors and lists share."""

import torch

from corelib._checks import check_choice
from corelib._tensors import check_finite, check_same, check_tensor

_BLOCK = 4096


def check_values(value: object, name: str, *, ndim: int | tuple[int, ...] = 1) -> torch.Tensor:
    """``value`` as a finite float tensor with ``ndim`` dimensions that is not empty."""
    check_finite(check_tensor(value, name, ndim=ndim), name)
    if value.numel() == 0:
        raise ValueError(f"{name} must not be empty; got shape {tuple(value.shape)}")
    return value


def check_like(value: object, name: str, other: torch.Tensor, other_name: str) -> torch.Tensor:
    """``value`` as a finite float tensor of the shape, dtype and device of ``other``."""
    check_finite(check_tensor(value, name, ndim=other.ndim), name)
    check_same(value, name, other, other_name)
    _check_shape(value, name, other, other_name)
    return value


def check_constant_like(value: object, name: str, other: torch.Tensor, other_name: str) -> torch.Tensor:
    """Like ``check_like``, for an argument that no gradient flows to."""
    check_like(value, name, other, other_name)
    if value.requires_grad:
        raise ValueError(f"{name} must not require a gradient (it is a constant); pass {name}.detach()")
    return value


def check_binary_like(value: object, name: str, other: torch.Tensor, other_name: str) -> torch.Tensor:
    """``value``, zeros and ones of any real dtype in the shape and on the device of ``other``, as booleans."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor or a numpy.ndarray; got {type(value).__name__}")
    if value.dtype.is_complex:
        raise TypeError(f"{name} must hold zeros and ones; got {_dtype(value)}")
    _check_device(value, name, other, other_name)
    _check_shape(value, name, other, other_name)
    if value.dtype == torch.bool:
        return value
    ones = value == 1
    wrong = ~(ones | (value == 0))
    if bool(wrong.any()):
        raise ValueError(f"{name} must hold zeros and ones; {int(wrong.sum())} of {value.numel()} entries are neither")
    return ones


def check_mask_like(value: object, name: str, other: torch.Tensor, other_name: str) -> torch.Tensor:
    """``value`` as a boolean tensor of the shape and device of ``other``."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor or a numpy.ndarray; got {type(value).__name__}")
    if value.dtype != torch.bool:
        raise TypeError(f"{name} must be bool; got {_dtype(value)}")
    _check_device(value, name, other, other_name)
    _check_shape(value, name, other, other_name)
    return value


def check_integers(
    value: object, name: str, other: torch.Tensor, other_name: str, *, shape: tuple[int, ...] | None = None
) -> torch.Tensor:
    """``value`` as an int64 tensor on the device of ``other``, of ``shape`` if given."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor or a numpy.ndarray; got {type(value).__name__}")
    if value.dtype != torch.int64:
        raise TypeError(f"{name} must be int64; got {_dtype(value)}")
    _check_device(value, name, other, other_name)
    if shape is not None and value.shape != shape:
        raise ValueError(f"{name} must have shape {shape}; got {tuple(value.shape)}")
    return value


def check_range(value: torch.Tensor, name: str, below: int) -> torch.Tensor:
    """``value`` if its integers lie in 0..below - 1."""
    if value.numel() and (int(value.min()) < 0 or int(value.max()) >= below):
        raise ValueError(f"{name} must lie in 0..{below - 1}; got {int(value.min())}..{int(value.max())}")
    return value


def check_indptr(value: object, name: str, other: torch.Tensor, other_name: str) -> torch.Tensor:
    """``value`` as the boundaries of consecutive groups of ``other``: 0, then never falling, to its length."""
    check_integers(value, name, other, other_name)
    if value.ndim != 1 or len(value) < 2:
        raise ValueError(f"{name} must be 1-dimensional with at least 2 entries; got shape {tuple(value.shape)}")
    if int(value[0]) != 0 or int(value[-1]) != len(other):
        raise ValueError(
            f"{name} must run from 0 to the length of {other_name}, {len(other)}; got {int(value[0])}..{int(value[-1])}"
        )
    if bool((value.diff() < 0).any()):
        raise ValueError(f"{name} must not fall; it does after entry {int((value.diff() < 0).int().argmax())}")
    return value


def check_reduction(reduction: object) -> str:
    """``reduction`` if it is "mean", "sum" or "none"."""
    return check_choice(reduction, "reduction", ("mean", "sum", "none"))


def reduce(losses: torch.Tensor, reduction: str) -> torch.Tensor:
    """The mean or the sum of ``losses``, or themselves for "none"; rounded alike on any number of threads."""
    if reduction == "none":
        return losses
    total = total_of(losses)
    return (total / losses.numel() if reduction == "mean" else total).to(losses.dtype)


def total_of(values: torch.Tensor) -> torch.Tensor:
    """The sum in float64, by blocks that torch adds up in one thread each."""
    flat = values.reshape(-1)
    whole = len(flat) - len(flat) % _BLOCK
    return flat[:whole].view(-1, _BLOCK).sum(1).double().sum() + flat[whole:].sum().double()


def _check_device(value: torch.Tensor, name: str, other: torch.Tensor, other_name: str) -> None:
    if value.device != other.device:
        raise ValueError(f"{name} and {other_name} must be on the same device; got {value.device} and {other.device}")


def _check_shape(value: torch.Tensor, name: str, other: torch.Tensor, other_name: str) -> None:
    if value.shape != other.shape:
        raise ValueError(f"{name} must have the shape of {other_name}, {tuple(other.shape)}; got {tuple(value.shape)}")


def _dtype(value: torch.Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")

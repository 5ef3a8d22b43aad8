"""Checks of the arrays that the rating models take; what is fit for a kernel already is not copied."""

import numpy as np

from corelib._arrays import as_numbers


def check_reals(value: object, name: str, *, like: tuple[str, int] | None = None) -> np.ndarray:
    """``value`` as a one-dimensional float64 array of finite numbers, as many as the array that ``like`` names has."""
    array = as_numbers(value, name)
    if array.dtype.kind == "b":
        raise TypeError(f"{name} must hold real numbers; got dtype bool")
    _check_length(array, name, like)
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite; {int((~np.isfinite(array)).sum())} entries are NaN or infinite"
        )
    return np.require(array, np.float64, ["C_CONTIGUOUS", "ALIGNED"])


def check_indices(value: object, name: str, *, below: int, like: tuple[str, int] | None = None) -> np.ndarray:
    """``value`` as a one-dimensional int64 array of indices in ``[0, below)``, as many as ``like`` says."""
    array = as_numbers(value, name)
    if array.size == 0 and array.dtype.kind == "f":  # the dtype of an empty list
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers; got dtype {array.dtype}")
    _check_length(array, name, like)
    if len(array) and (array.min() < 0 or array.max() >= below):
        raise ValueError(f"{name} must lie in 0..{below - 1}; got {array.min()}..{array.max()}")
    return np.require(array, np.int64, ["C_CONTIGUOUS", "ALIGNED"])


def _check_length(array: np.ndarray, name: str, like: tuple[str, int] | None) -> None:
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-dimensional; got shape {array.shape}")
    if like is not None and len(array) != like[1]:
        raise ValueError(f"{name} must have as many entries as {like[0]} ({like[1]}); got {len(array)}")


def check_range(array: np.ndarray, name: str, low: float, high: float) -> np.ndarray:
    """``array`` if all entries lie in ``[low, high]``."""
    if len(array) and (array.min() < low or array.max() > high):
        raise ValueError(f"{name} must lie in {low:g}..{high:g}; got {array.min():g}..{array.max():g}")
    return array

"""Checks of the arrays that the rating models take."""

import numpy as np


def check_reals(value: object, name: str, *, size: int | None = None) -> np.ndarray:
    """``value`` as a one-dimensional float64 array of finite numbers (of ``size`` entries)."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-dimensional; got shape {array.shape}")
    if size is not None and len(array) != size:
        raise ValueError(f"{name} must have {size} entries; got {len(array)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; {int((~np.isfinite(array)).sum())} entries are NaN or infinite")
    return array.astype(np.float64)


def check_indices(value: object, name: str, *, below: int, size: int | None = None) -> np.ndarray:
    """``value`` as a one-dimensional int64 array of indices in ``[0, below)`` (of ``size`` entries)."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers; got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-dimensional; got shape {array.shape}")
    if size is not None and len(array) != size:
        raise ValueError(f"{name} must have {size} entries; got {len(array)}")
    if len(array) and (array.min() < 0 or array.max() >= below):
        raise ValueError(f"{name} must lie in 0..{below - 1}; got {array.min()}..{array.max()}")
    return array.astype(np.int64)

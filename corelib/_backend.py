"""Which implementation runs, and on what: ``set_backend``, ``get_backend`` and ``info``."""

import importlib.util
import os
import platform
from pathlib import Path

from corelib._checks import check_choice

_BACKENDS = ("auto", "compiled", "torch")
_current = "auto"


def set_backend(name: str) -> None:
    """Choose the implementation of the losses and scores.

    Parameters
    ----------
    name : {"auto", "compiled", "torch"}
        "auto" (the default) runs the compiled kernels for CPU tensors and plain torch for all others;
        "compiled" does the same but refuses tensors that the kernels cannot take; "torch" runs plain torch
        everywhere, which is how the GPU path is tested on a machine without one.

    Raises
    ------
    ValueError
        If ``name`` is none of the three.
    """
    global _current
    _current = check_choice(name, "name", _BACKENDS)


def get_backend() -> str:
    """The name that the last ``set_backend`` chose."""
    return _current


def use_torch(device_type: str) -> bool:
    """Whether tensors on ``device_type`` ("cpu", "cuda", ...) go to the plain torch implementation."""
    if device_type == "cpu":
        return _current == "torch"
    if _current == "compiled":
        raise ValueError(f'backend "compiled" runs on CPU tensors only; got a tensor on {device_type}')
    return True

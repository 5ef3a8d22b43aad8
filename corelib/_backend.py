"""Which implementation runs: ``set_backend`` and ``get_backend``."""

import contextlib
import os
from collections.abc import Iterator

from corelib._checks import check_bool, check_choice

_BACKENDS = ("auto", "compiled", "torch")
_current = "auto"
_checks_gpu = os.environ.get("CORELIB_CHECK", "0") != "0"


def set_backend(name: str, *, check: bool | None = None) -> None:
    """Choose the implementation of the losses and scores.

    Parameters
    ----------
    name : {"auto", "compiled", "torch"}
        "auto" (the default) runs the compiled kernels for tensors on the CPU, the CUDA core for float32 (and 16-bit)
        tensors on a GPU where it was built, and plain torch for all others; "compiled" does the same but refuses
        tensors that neither takes; "torch" runs plain torch everywhere.
    check : bool, optional
        Whether values of arguments on a GPU are checked, as those on the CPU always are. The host then waits for the GPU
        in every call, and no step can be captured in a CUDA graph. Without checks NaN goes in and NaN comes out, and
        an index out of range makes the loss NaN, or stops the device as in torch. False at first, unless the environment
        variable CORELIB_CHECK is set to 1; left as it is if not given.

    Raises
    ------
    ValueError
        If ``name`` is none of the three.
    """
    global _current, _checks_gpu
    _current = check_choice(name, "name", _BACKENDS)
    if check is not None:
        _checks_gpu = check_bool(check, "check")


def checks_gpu() -> bool:
    """Whether values of arguments on a GPU are checked."""
    return _checks_gpu


def get_backend() -> str:
    """The name that the last ``set_backend`` chose."""
    return _current


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """``set_backend(name)`` within a ``with`` block, and what was chosen before after it.

    Examples
    --------
    >>> import corelib
    >>> with corelib.using("torch"):
    ...     print(corelib.get_backend())
    torch
    """
    before = _current
    set_backend(name)
    try:
        yield
    finally:
        set_backend(before)


def use_torch(device_type: str) -> bool:
    """Whether tensors on ``device_type`` ("cpu", "cuda", ...) go to the plain torch implementation."""
    if device_type == "cpu":
        return _current == "torch"
    if _current == "compiled":
        raise ValueError(
            f'backend "compiled" runs on CPU tensors, and on float32 ones on a GPU with the CUDA core; got one on {device_type}'
        )
    return True

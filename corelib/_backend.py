"""Which implementation runs, and on what: ``set_backend``, ``get_backend`` and ``info``."""

import contextlib
import os
import platform
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


class Info(dict):
    """What ``info`` found: a dictionary that prints as a two-column table."""

    def __repr__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{key:<{width}}  {value}" for key, value in self.items())


def info() -> Info:
    """What is in use on this machine, and why.

    Returns
    -------
    Info
        A dictionary of strings: versions; the backend and what it means; the instruction set of the compiled
        kernels; their threads (one in a forked child, whose parent's threads do not exist there), and whether they
        share torch's OpenMP runtime (two pools slow each other down);
        every BLAS and OpenMP thread pool of the process; the GPU, and whether the CUDA core runs on it and why not.

    Examples
    --------
    >>> import corelib
    >>> print(corelib.info()["backend"])
    auto: compiled kernels, plain torch where there are none
    """
    import numpy
    import torch

    from corelib._version import __version__
    from corelib.kernels import cpu

    meaning = {
        "auto": "compiled kernels, plain torch where there are none",
        "compiled": "compiled kernels, an error where there are none",
        "torch": "plain torch everywhere",
    }
    return Info(
        {
            "corelib": __version__,
            "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
            "numpy": numpy.__version__,
            "torch": torch.__version__,
            "backend": f"{_current}: {meaning[_current]}",
            "instruction set": cpu.instruction_set(),
            "kernel threads": _kernel_threads(),
            "thread pools": _thread_pools(),
            "GPU": _gpu(),
            "CUDA core": _cuda_core(),
        }
    )


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none that torch can use"


def _cuda_core() -> str:
    import torch

    from corelib.engines.gpu import why_not
    from corelib.kernels import cuda

    reason = why_not(torch.cuda.current_device()) if torch.cuda.is_available() else "there is no GPU"
    checks = "checks values" if _checks_gpu else "does not look at values"
    return f"not in use: {reason}" if reason else f"in use, built with CUDA {cuda.toolkit()}; {checks}"


def _kernel_threads() -> str:
    from corelib.kernels import OPENMP_RUNTIME, cpu

    threads = cpu.openmp_threads()
    if not threads:
        return "1 (built without OpenMP)"
    if cpu.in_forked_child():
        return "1 (forked child)"
    runtime = f"torch's {OPENMP_RUNTIME.name}" if OPENMP_RUNTIME else "the system's OpenMP"
    return f"{threads} (in {runtime})"


def _thread_pools() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "unknown (install threadpoolctl to see them)"
    return (
        ", ".join(f"{pool['internal_api']} x {pool['num_threads']}" for pool in threadpool_info()) or "none"
    )

"""Which implementation runs, and on what: ``set_backend``, ``get_backend`` and ``info``."""

import contextlib
import platform
from collections.abc import Iterator

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
        raise ValueError(f'backend "compiled" runs on CPU tensors only; got a tensor on {device_type}')
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
        every BLAS and OpenMP thread pool of the process; whether torch sees a GPU, and which implementation tensors on it get.

    Examples
    --------
    >>> import corelib
    >>> print(corelib.info()["backend"])
    auto: compiled kernels on the CPU, plain torch elsewhere
    """
    import numpy
    import torch

    from corelib._version import __version__
    from corelib.kernels import cpu

    meaning = {
        "auto": "compiled kernels on the CPU, plain torch elsewhere",
        "compiled": "compiled kernels on the CPU, an error elsewhere",
        "torch": "plain torch everywhere",
    }
    gpu = (
        f"{torch.cuda.get_device_name()}: plain torch (there are no CUDA kernels yet)"
        if torch.cuda.is_available()
        else "none that torch can use"
    )
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
            "GPU": gpu,
        }
    )


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

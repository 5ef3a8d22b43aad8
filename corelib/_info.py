"""What is in use on this machine, and why: ``info``."""

import platform

from corelib._backend import checks_gpu, get_backend


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
            "backend": f"{get_backend()}: {meaning[get_backend()]}",
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
    checks = "checks values" if checks_gpu() else "does not look at values"
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

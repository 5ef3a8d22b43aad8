"""The first line of every notebook: threads, warnings and figure style, in one place."""

import importlib.util
import os
import warnings

from corelib._checks import check_int
from corelib.lab.scale import check_unchanged
from corelib.lab.style import rc_params

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_limiter = None  # threadpoolctl takes its limits back when the object dies


def setup(threads: int = 1) -> None:
    """Make a notebook run the same everywhere; prints nothing.

    Threads: torch, BLAS and OpenMP use ``threads`` threads. Small models are many times slower when two kernels
    fight for the cores, so chapters run on one thread unless a cell is about speed.

    Warnings: ``DeprecationWarning``, ``PendingDeprecationWarning`` and ``FutureWarning`` are silenced, because they
    speak to the authors of libraries about tomorrow's versions and change with every release. All others stay
    visible: they say that something is wrong with *this* run, and a notebook that shows one fails its test.

    Figures: white background, light grid, and the colours of ``lab.COLORS`` (where matplotlib is installed).

    Parameters
    ----------
    threads : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If ``threads`` is no integer or less than 1.
    RuntimeError
        If the scale was changed after the import.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.setup(threads=1)  # doctest: +SKIP
    """
    check_unchanged()
    _limit_threads(check_int(threads, "threads", minimum=1))
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", category)
    if importlib.util.find_spec("matplotlib") is not None:
        import matplotlib

        matplotlib.rcParams.update(rc_params())


def _limit_threads(threads: int) -> None:
    global _limiter
    import torch

    torch.set_num_threads(threads)
    for variable in THREAD_VARIABLES:  # for libraries that are loaded later
        os.environ[variable] = str(threads)
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        warnings.warn(
            "threadpoolctl is not installed: NumPy's BLAS keeps its own number of threads", stacklevel=3
        )
        return
    _limiter = threadpool_limits(threads)

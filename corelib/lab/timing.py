"""How many times faster."""

import statistics
import time
from collections.abc import Callable

from corelib._checks import check_int


def time_ratio(slow: Callable[[], object], fast: Callable[[], object], repeat: int = 7) -> float:
    """How many times longer ``slow`` takes than ``fast``.

    Both run once to warm up, then alternately, so that a machine which is busy for a while slows both.

    Parameters
    ----------
    slow, fast : callable
        Called without arguments.
    repeat : int
        Number of timed pairs, at least 1.

    Returns
    -------
    float
        The median over the pairs of (time of ``slow``) / (time of ``fast``). It moves from machine to machine:
        print it through ``timed``.

    Raises
    ------
    TypeError, ValueError
        If ``slow`` or ``fast`` cannot be called, or ``repeat`` is no integer or less than 1.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.time_ratio(lambda: sum(range(100_000)), lambda: sum(range(100))) > 1
    True
    """
    for name, function in (("slow", slow), ("fast", fast)):
        if not callable(function):
            raise TypeError(f"{name} must be callable without arguments; got {type(function).__name__}")
    repeat = check_int(repeat, "repeat", minimum=1)
    slow(), fast()
    return statistics.median(_seconds(slow) / _seconds(fast) for _ in range(repeat))


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    function()
    return max(time.perf_counter_ns() - start, 1) * 1e-9

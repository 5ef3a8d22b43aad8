"""Numbers that may move between machines, the sentences that hold them, and how far each may move."""

import math
import numbers
import re

from corelib._checks import check_int, check_positive
from corelib.lab.display import show

SIGN = "≈"
TIMED = "◷"

_NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
MEASURED = re.compile(
    rf"{SIGN} (?P<value>{_NUMBER})(?: ± (?P<sd>{_NUMBER}))?(?: \(within (?P<within>{_NUMBER})\))?"
)
"""A measured number as ``approx`` writes it."""
TIMING = re.compile(rf"{TIMED} \S+|{TIMED}\([^)]*\)")
"""A time or a ratio of times as ``timed`` writes it, or an outcome that depends on one."""


def approx(value: float, digits: int = 3, *, sd: float | None = None, within: float | None = None) -> str:
    """A measured number behind the sign ``≈``: it may move a little with the machine, all other text may not.

    The test of the notebooks compares it with the number that it stored: it may move by two standard deviations where
    ``sd`` is given, by ``within`` where that is given, and by 5 % elsewhere. Say ``within`` for a small difference of
    two larger numbers that has no spread; for rounding errors use ``below``, for times ``timed``.

    Parameters
    ----------
    value : float or int
        A finite number; a 0-dimensional array or tensor counts as its element. Integers are printed in full.
    digits : int
        Significant digits, at least 1.
    sd : float, optional
        The standard deviation (for instance over seeds), printed behind the value with two digits; the value gets no
        decimals beyond these.
    within : float, optional
        How far the value may move, printed as it is; not together with ``sd``.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If a number is not a real number, or ``digits`` no integer.
    ValueError
        If ``value`` is NaN or infinite, ``sd`` is that or negative, ``within`` is not positive or stands beside ``sd``,
        or ``digits`` is less than 1.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.approx(0.93149)
    '≈ 0.931'
    >>> lab.approx(0.93149, sd=0.00412)
    '≈ 0.931 ± 0.0041'
    >>> lab.approx(0.0123, 2, within=0.005)
    '≈ 0.012 (within 0.005)'
    """
    digits = check_int(digits, "digits", minimum=1)
    text = f"{SIGN} {_format(_finite(value, 'value'), digits)}"
    if within is not None:
        if sd is not None:
            raise ValueError("within must not stand beside sd: the spread says how far the value may move")
        return f"{text} (within {check_positive(within, 'within'):g})"
    if sd is None:
        return text
    spread = _finite(sd, "sd")
    if spread < 0:
        raise ValueError(f"sd must not be negative; got {spread}")
    shown = _format(_finite(value, "value"), digits, decimals=_decimals(spread, 2))
    return f"{SIGN} {shown} ± {_format(spread, 2)}"


def timed(value: float, digits: int = 2) -> str:
    """A time, or a ratio of times, behind the sign ``◷``: it depends on the machine, and no test compares it.

    Parameters
    ----------
    value : float or int
        A finite number.
    digits : int
        Significant digits, at least 1.

    Raises
    ------
    TypeError, ValueError
        As for ``approx``.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.timed(12.34)
    '◷ 12'
    """
    return f"{TIMED} {_format(_finite(value, 'value'), check_int(digits, 'digits', minimum=1))}"


def below(error: float, bound: float) -> str:
    """A rounding error, told by its bound: the error itself is noise, and moves from machine to machine.

    Parameters
    ----------
    error : float
        The largest error that was measured.
    bound : float
        What it must not exceed, greater than 0.

    Raises
    ------
    AssertionError
        If the error is larger than the bound, or NaN.
    TypeError, ValueError
        If an argument is no real number, or ``bound`` not positive.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.below(3.1e-16, 1e-12)
    'below 1e-12'
    """
    bound = check_positive(bound, "bound")
    error = float(as_number(error, "error"))
    if not error <= bound:
        raise AssertionError(f"the error must be at most {bound:g}; it is {error:g}")
    return f"below {bound:g}"


def say(sentence: str) -> None:
    """Display one or more sentences of Markdown that state measured numbers.

    Parameters
    ----------
    sentence : str
        Markdown; measured numbers inside it come through ``approx``.

    Raises
    ------
    TypeError, ValueError
        If ``sentence`` is no string or empty.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.say(f"The gap is {lab.approx(0.0831)}.")
    The gap is ≈ 0.0831.
    """
    if not isinstance(sentence, str):
        raise TypeError(f"sentence must be a str; got {type(sentence).__name__}")
    if not sentence.strip():
        raise ValueError("sentence must not be empty")
    show({"text/markdown": sentence, "text/plain": sentence})


def as_number(value: object, name: str) -> float:
    """``value``, or the only element of a 0-dimensional array or tensor, as an int or a float."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number; got {type(value).__name__}")
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _finite(value: object, name: str) -> float:
    number = as_number(value, name)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite; got {number}")
    return number


def _format(value: float, digits: int, *, decimals: int | None = None) -> str:
    """``value`` with ``digits`` significant digits, without an exponent from 0.0001 to below 1,000,000.

    With ``decimals``, no more than these are printed: what lies below the spread is noise.
    """
    if isinstance(value, int):
        return str(value)
    if value == 0:
        return "0"
    mine = _decimals(value, digits)
    if decimals is not None and decimals < mine:
        return f"{round(value, max(decimals, 0)) + 0.0:.{max(decimals, 0)}f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if not -4 <= power < 6:
        return f"{mantissa}e{power}"
    return f"{float(f'{mantissa}e{power}'):.{max(mine, 0)}f}"


def _decimals(value: float, digits: int) -> int | None:
    """Decimals that show ``digits`` significant digits of ``value``; None for zero."""
    return digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2]) if value else None

"""Numbers that may move between machines, and the sentences that hold them."""

import math
import numbers

from corelib._checks import check_int
from corelib.lab.display import show

SIGN = "≈"


def approx(value: float, digits: int = 3, *, sd: float | None = None) -> str:
    """A measured number behind the sign ``≈``: it may move with the machine, all other text may not.

    The test of the notebooks masks exactly the number after the sign (see ``tests/nbval_sanitize.cfg``) and compares
    everything else to the letter.

    Parameters
    ----------
    value : float or int
        A finite number; a 0-dimensional array or tensor counts as its element. Integers are printed in full.
    digits : int
        Significant digits, at least 1.
    sd : float, optional
        The standard deviation (for instance over seeds), printed behind the value with two digits.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If ``value`` or ``sd`` is not a real number, or ``digits`` no integer.
    ValueError
        If ``value`` is NaN or infinite, ``sd`` is that or negative, or ``digits`` is less than 1.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.approx(0.93149)
    '≈ 0.931'
    >>> lab.approx(-3.14159e-16, digits=2)
    '≈ -3.1e-16'
    >>> lab.approx(0.93149, sd=0.00412)
    '≈ 0.931 (sd ≈ 0.0041)'
    """
    digits = check_int(digits, "digits", minimum=1)
    text = f"{SIGN} {_format(_finite(value, 'value'), digits)}"
    if sd is None:
        return text
    spread = _finite(sd, "sd")
    if spread < 0:
        raise ValueError(f"sd must not be negative; got {spread}")
    return f"{text} (sd {SIGN} {_format(spread, 2)})"


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


def _format(value: float, digits: int) -> str:
    """``value`` with ``digits`` significant digits, without an exponent from 0.001 to below 1,000,000."""
    if isinstance(value, int):
        return str(value)
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if not -3 <= power < 6:
        return f"{mantissa}e{power}"
    return f"{float(f'{mantissa}e{power}'):.{max(digits - 1 - power, 0)}f}"

"""Argument checks that every front end shares: each error names the argument, what it was and what is allowed."""

import math
import numbers
from collections.abc import Sequence


def check_choice(value: object, name: str, choices: Sequence[str]) -> str:
    """``value`` if it is one of ``choices``, else a ``ValueError``."""
    if not isinstance(value, str) or value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {allowed}; got {value!r}")
    return value


def check_real(value: object, name: str) -> float:
    """``value`` as a finite float; booleans, strings and arrays are a ``TypeError``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number; got {type(value).__name__}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite; got {number}")
    return number


def check_positive(value: object, name: str) -> float:
    """``value`` as a finite float above zero."""
    number = check_real(value, name)
    if number <= 0:
        raise ValueError(f"{name} must be greater than 0; got {number}")
    return number


def check_int(value: object, name: str, *, minimum: int | None = None) -> int:
    """``value`` as an int, of at least ``minimum`` if given; booleans and floats are a ``TypeError``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer; got {type(value).__name__}")
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}; got {value}")
    return int(value)


def check_bool(value: object, name: str) -> bool:
    """``value`` if it is a bool, else a ``TypeError``."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False; got {type(value).__name__}")
    return value

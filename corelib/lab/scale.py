"""How large the experiments run."""

import os

from corelib._checks import check_choice

VARIABLE = "KEEPING_SCORE_SCALE"
SCALES = ("small", "wide", "full")


def _from_environment() -> str:
    return check_choice(os.environ.get(VARIABLE, "small"), f"the environment variable {VARIABLE}", SCALES)


SCALE: str = _from_environment()
"""``"small"`` in a minute on one processor core, ``"wide"`` with more draws, splits and steps, ``"full"`` on a GPU."""


def at_scale(small, wide=None, full=None):
    """The value for the scale at which the notebook runs.

    Parameters
    ----------
    small : object
        What every test runs.
    wide : object, optional
        More draws, another split, three times the budget: ``small`` if it is left out.
    full : object, optional
        On a GPU with public data: ``wide`` if it is left out.

    Raises
    ------
    RuntimeError
        If the environment variable was changed after the import, when it is too late.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.at_scale(small=5, wide=15)
    5
    """
    check_unchanged()
    wide = small if wide is None else wide
    return {"small": small, "wide": wide, "full": wide if full is None else full}[SCALE]


def check_unchanged() -> None:
    """Raise a ``RuntimeError`` if the environment asks for another scale than at the import."""
    if _from_environment() != SCALE:
        raise RuntimeError(
            f"{VARIABLE} was set to {os.environ[VARIABLE]!r} after corelib.lab was imported at scale {SCALE!r}: "
            "set it first, then restart the kernel"
        )

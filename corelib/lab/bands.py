"""The condition of a claim: a band around what was measured, that can be left on both sides."""

import math
import os

from corelib._checks import check_real
from corelib.lab.evidence import Evidence, Exact, Expectation, Gain, Level, Untestable
from corelib.lab.scale import SCALE

STORING = "KEEPING_SCORE_STORING"
"""The environment variable under which a notebook is stored: only then must its bands be able to fail.

On other machines the draws, and so the spread that a band is measured by, are others.
"""
SDS = 4  # standard deviations that a side of a band may have
SHARE = 0.05  # of the value, where there is no spread
ROUNDING = 0.01  # of the value, where the spread is next to nothing


def band_problem(
    name: str, found: Evidence, expect: Expectation | None, band: tuple[float, float] | None
) -> tuple[str, str]:
    """The condition in words, and what is wrong with it: empty if it is met, and can fail where a notebook is stored.

    Raises
    ------
    TypeError, ValueError
        If the band is missing, malformed, or there is nothing that it could be a band for.
    """
    if isinstance(found, Exact):
        _no_band(band, found)
        problem = "" if found.meets() else f"the error must be at most {found.tolerance:g}"
        return f"error at most {found.tolerance:g}", problem
    if isinstance(found, Untestable):
        _no_band(band, found)
        return "none: " + found.reason, ""
    if found.timing:
        _no_band(band, found)
        return f"{_expected(expect, found)} (a matter of timing: reported, not enforced)", ""
    if band is None:
        sd = found.sd or abs(found.mean) * SHARE / 2 or 0.01
        raise ValueError(
            f'band is required for "{name}": measured {found.mean:.4g}; try band=({found.mean - 2 * sd:.3g}, '
            f"{found.mean + 2 * sd:.3g})"
        )
    low, high = _ends(band)
    condition = f"{_expected(expect, found)}; the mean from {low:g} to {high:g}"
    return condition, _problem(found, expect, low, high) if SCALE == "small" else ""


def _problem(found: Level, expect: Expectation | None, low: float, high: float) -> str:
    if not low <= found.mean <= high:
        return f"the mean must lie from {low:g} to {high:g}; it is {found.mean:.6g}"
    if STORING not in os.environ:
        return ""
    limit = SHARE * abs(found.mean) if found.sd is None else max(SDS * found.sd, ROUNDING * abs(found.mean))
    if max(found.mean - low, high - found.mean) > limit * (1 + 1e-9):
        spread = "5 % of the value" if found.sd is None else f"{SDS} standard deviations"
        return f"the band from {low:g} to {high:g} is wider than {spread} to each side ({limit:.2g}): it cannot fail"
    for border in _borders(found, expect):
        if low < border < high:
            return f"the band from {low:g} to {high:g} contains {border:g}, where the outcome would be another one"
    return ""


def _borders(found: Level, expect: Expectation | None) -> list[float]:
    """Values that the band must not contain, because what is said on one side of them is not said on the other."""
    if isinstance(expect, tuple):
        return [end for end in expect if end is not None] if found.meets(expect) is not None else []
    assert isinstance(found, Gain)
    if found.relation in ("wins", "loses"):
        return [0.0]
    return [-found.margin, found.margin] if found.relation == "ties" else []


def _expected(expect: Expectation | None, found: Level) -> str:
    match expect:
        case str():
            margin = f"{found.margin:g}" if isinstance(found, Gain) else ""
            return {
                "wins": f"wins: at least {margin}, interval above 0",
                "loses": f"loses: at least {margin}, interval below 0",
                "ties": f"ties: interval inside ±{margin}",
            }.get(expect, expect)
        case (None, high):
            return f"at most {high:g}"
        case (low, None):
            return f"at least {low:g}"
        case (low, high):
            return f"from {low:g} to {high:g}"
    return ""


def _ends(band: tuple[float, float]) -> tuple[float, float]:
    if not isinstance(band, tuple) or len(band) != 2:
        raise ValueError(f"band must be a pair (low, high); got {band!r}")
    low, high = (check_real(end, f"band[{i}]") for i, end in enumerate(band))
    if not low < high or math.isinf(high - low):
        raise ValueError(f"band must have low < high; got {band!r}")
    return low, high


def _no_band(band: object, found: Evidence) -> None:
    if band is not None:
        raise ValueError(f"band is for what was measured on draws; {type(found).__name__} takes none")

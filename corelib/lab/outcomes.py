"""What was measured, as an outcome and in words. Both are computed; nobody types them."""

from collections.abc import Mapping

from corelib.lab.evidence import Evidence, Exact, Expectation, Gain, Untestable
from corelib.lab.numbers import TIMED

HOLDS = "holds"
CONDITION = "holds with a condition"
RIVAL = "a simpler rival ties"
FAILS = "fails here"
UNTESTABLE = "untestable here"
OF_PAPERS = (HOLDS, CONDITION, RIVAL, FAILS, UNTESTABLE)
"""Outcomes of what a paper says, best first."""

OF_CONTROLS = {True: HOLDS, False: "does not hold", None: "undecided"}
"""Outcomes of a control, by whether its expectation is met."""

SYMBOLS = dict(zip((*OF_PAPERS, *list(OF_CONTROLS.values())[1:]), "✓◐≃✗?✗?", strict=True))


def of_paper(
    found: Evidence,
    expect: Expectation | None,
    rival: Mapping[str, Gain],
    elsewhere: Mapping[str, Evidence],
) -> str:
    """The outcome of a statement of the paper.

    It fails if what was found does not meet it, and is untestable if that is unclear; else a rival ties if the method ties
    with it or loses to it; else it holds, with a condition if it is not met everywhere.
    """
    met = _meets(found, expect)
    if not met:
        outcome = UNTESTABLE if met is None else FAILS
    elif any(gain.relation in ("ties", "loses") for gain in rival.values()):
        outcome = RIVAL
    else:
        outcome = HOLDS if all(_meets(other, expect) for other in elsewhere.values()) else CONDITION
    timed = found.timing or any(other.timing for other in elsewhere.values())
    return f"{TIMED}({outcome})" if timed else outcome


def of_control(found: Evidence, expect: Expectation | None) -> str:
    """The outcome of a control: it holds, does not hold, or is undecided."""
    outcome = OF_CONTROLS[_meets(found, expect)]
    return f"{TIMED}({outcome})" if found.timing else outcome


def plain(outcome: str) -> str:
    """An outcome without the sign of a timing."""
    return outcome.removeprefix(f"{TIMED}(").removesuffix(")") if outcome.startswith(TIMED) else outcome


def describe(
    found: Evidence,
    expect: Expectation | None,
    rival: Mapping[str, Gain],
    elsewhere: Mapping[str, Evidence],
) -> str:
    """What was measured, in words: ``≈ 0.06 ± 0.01, wins on 5 of 5 draws; over centring: ≈ ...``.

    A difference that must lie in a region is told by its number alone: which relation it has decides nothing.
    """
    judged = isinstance(expect, str)
    parts = [
        _part(found, judged),
        *(f"over {label}: {_part(gain, True)}" for label, gain in rival.items()),
        *(f"{label}: {_part(other, judged)}" for label, other in elsewhere.items()),
    ]
    return "; ".join(parts)


def _part(found: Evidence, in_words: bool) -> str:
    return f"{found}, {found.words}" if in_words and found.words else str(found)


def _meets(found: Evidence, expect: Expectation | None) -> bool | None:
    if isinstance(found, Exact | Untestable):
        if expect is not None:
            raise ValueError(f"expect is for what was measured on draws; {type(found).__name__} needs none")
        return found.meets()
    if expect is None:
        raise ValueError('expect is required: "wins", "ties", "loses" or a region (low, high)')
    return found.meets(expect)

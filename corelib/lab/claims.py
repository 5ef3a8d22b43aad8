"""Claims: what the paper says, what was measured here, and the condition that must hold."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from corelib._checks import check_choice, check_real
from corelib.lab.card import VERDICTS, Card, Distance
from corelib.lab.display import show
from corelib.lab.numbers import approx, as_number
from corelib.lab.table import html_table, to_html
from corelib.lab.text import check_line

MIME = "application/vnd.keeping-score.claims"
STATUSES = ("exact", "reproduced", "in part", "not reproduced")

_SYMBOLS = {"exact": "=", "reproduced": "✓", "in part": "◐", "not reproduced": "✗"}


class ClaimError(AssertionError):
    """A claim whose condition does not hold."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One line of the report; ``paper`` is empty for an exact claim, ``reason`` unless something is missing."""

    name: str
    statement: str
    status: str
    paper: str
    measured: str
    condition: str
    holds: bool
    reason: str


class Claims:
    """The claims of one chapter: recorded as they are measured, reported and checked at the end.

    Parameters
    ----------
    card : Card
        The chapter's card; its verdict and distances are filled in by ``report``.

    Examples
    --------
    >>> from corelib.lab.claims import Claims
    >>> from corelib.lab.card import Card
    >>> text = dict.fromkeys("slug title paper authors url level data claimed reproduced easy hard".split(), "-")
    >>> claims = Claims(Card(**text, year=2025, minutes=10))
    >>> claims.exact("halves", "Two halves make a whole", error=abs(0.5 + 0.5 - 1), tolerance=1e-15)
    >>> claims.verdict
    'held'
    """

    def __init__(self, card: Card) -> None:
        if not isinstance(card, Card):
            raise TypeError(f"card must be a Card; got {type(card).__name__}")
        self._card = card
        self._claims: list[Claim] = []
        self._distances: list[Distance] = []

    def exact(self, name: str, statement: str, *, error: float, tolerance: float) -> None:
        """Record an identity or a bound that holds up to rounding.

        Parameters
        ----------
        name : str
            Short, lower case, unique within the chapter: ``lemma-1``.
        statement : str
            What holds, in one line of plain text.
        error : float
            The largest error that was measured, not negative. NaN or infinity fail the claim.
        tolerance : float
            The largest error that is allowed.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, the name is taken or malformed, or a number is negative.
        """
        tolerance = check_real(tolerance, "tolerance")
        if tolerance < 0:
            raise ValueError(f"tolerance must not be negative; got {tolerance}")
        error = float(as_number(error, "error"))
        if error < 0:
            raise ValueError(f"error must not be negative; got {error}")
        shown = f"error {approx(error, 2)}" if math.isfinite(error) else f"error is {error}"
        self._add(
            name=name,
            statement=statement,
            status="exact",
            paper="",
            measured=shown,
            condition=f"error <= {tolerance:g}",
            holds=error <= tolerance,
            reason="",
        )

    def check(
        self,
        name: str,
        statement: str,
        *,
        paper: str,
        measured: str,
        holds: bool,
        condition: str,
        status: str,
        reason: str | None = None,
    ) -> None:
        """Record a claim of the paper and what was measured here.

        Parameters
        ----------
        name : str
            Short, lower case, unique within the chapter: ``mw-beats-cl``.
        statement : str
            The claim, in one line of plain text.
        paper : str
            The paper's number and where it stands: ``0.85 -> 0.91 (table 1)``.
        measured : str
            What was measured here; numbers that may move between machines through ``approx``.
        holds : bool
            Whether ``condition`` is met. ``report`` raises if it is not, whatever the status: the condition of a claim
            that did not reproduce states that finding.
        condition : str
            The condition in words: ``gap >= 0.05 on every seed``.
        status : {"reproduced", "in part", "not reproduced"}
        reason : str, optional
            Why not, or why only in part; required unless the status is "reproduced".

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type or value, the name is taken or malformed, or the reason is missing.
        """
        check_choice(status, "status", STATUSES[1:])
        if status == "reproduced":
            if reason is not None:
                raise ValueError(
                    f'reason is for claims that did not fully reproduce; "{name}" is "reproduced"'
                )
        elif reason is None:
            raise ValueError(f'reason is required: why is "{name}" {status}?')
        if not isinstance(holds, bool | np.bool_):
            raise TypeError(f"holds must be True or False; got {type(holds).__name__} (wrap it in bool(...))")
        self._add(
            name=name,
            statement=statement,
            status=status,
            paper=check_line(paper, "paper"),
            measured=check_line(measured, "measured"),
            condition=check_line(condition, "condition"),
            holds=bool(holds),
            reason="" if reason is None else check_line(reason, "reason"),
        )

    def distance(self, what: str, *, paper: str, here: str) -> None:
        """Record how far a number measured here is from the paper's; the card shows it.

        Parameters
        ----------
        what : str
            The quantity: ``pooled AUC gain``.
        paper, here : str
            Its two values; the one measured here through ``approx``.

        Raises
        ------
        TypeError, ValueError
            If an argument is no string, empty or of several lines.
        """
        self._distances.append(
            Distance(
                what=check_line(what, "what"), paper=check_line(paper, "paper"), here=check_line(here, "here")
            )
        )

    @property
    def verdict(self) -> str:
        """What the claims recorded so far amount to, ``"held"``, ``"in part"`` or ``"not"``."""
        return verdict(claim.status for claim in self._claims)

    def report(self) -> None:
        """Display the table of claims, store it as JSON, fill the card, and raise if a condition does not hold.

        Raises
        ------
        ClaimError
            If no claim was recorded, or naming every claim whose condition does not hold.
        """
        if not self._claims:
            raise ClaimError("no claim was recorded")
        self._card.fill(self.verdict, self._distances)
        show(render(self._as_dict()))
        broken = [claim for claim in self._claims if not claim.holds]
        if broken:
            lines = (
                f"  {claim.name}: not ({claim.condition}); measured: {claim.measured}" for claim in broken
            )
            raise ClaimError(f"{len(broken)} of {len(self._claims)} claims do not hold:\n" + "\n".join(lines))

    def _as_dict(self) -> dict[str, object]:
        return {
            "card": self._card.as_dict(),
            "claims": [asdict(claim) for claim in self._claims],
        }

    def _add(self, **entries) -> None:
        name = check_line(entries["name"], "name")
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            raise ValueError(f"name must be lower-case words joined by hyphens; got {name!r}")
        if any(claim.name == name for claim in self._claims):
            raise ValueError(f'name must be unique; there is a claim "{name}" already')
        check_line(entries["statement"], "statement")
        self._claims.append(Claim(**entries))


def verdict(statuses: Iterable[str]) -> str:
    """``"held"`` if all that is not exact was reproduced, ``"not"`` if nothing was even in part, else ``"in part"``."""
    found = set(statuses) - {"exact"}
    if found <= {"reproduced"}:
        return "held"
    return "not" if found == {"not reproduced"} else "in part"


def render(report: dict) -> dict[str, object]:
    """The MIME bundle of a report: a table, the same as text, and the JSON.

    The JSON is stored as text under a MIME type that does not end in ``+json``, because nbval masks the numbers
    behind ``≈`` in strings only.
    """
    claims, card = report["claims"], report["card"]
    counts = Counter(claim["status"] for claim in claims)
    totals = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    summary = [f"Verdict: {VERDICTS[card['verdict']]} ({totals})"]
    summary += [str(Distance(**distance)) for distance in card["distances"]]
    rows = [
        (
            claim["name"],
            claim["statement"],
            claim["paper"] or "-",
            claim["measured"],
            claim["condition"] + ("" if claim["holds"] else " (does not hold)"),
            f"{_SYMBOLS[claim['status']]} {claim['status']}"
            + (f": {claim['reason']}" if claim["reason"] else ""),
        )
        for claim in claims
    ]
    head = ("Claim", "The paper", "Measured here", "Condition", "Status")
    caption = f"What the paper says, what we measured: {card['title']}"
    html = html_table(caption, head, [row[1:] for row in rows], min_width="40em")
    html += "".join(f'\n<p style="margin: 0.5em 0">{to_html(line)}</p>' for line in summary)
    text = [caption, *(" | ".join(row) for row in rows), *summary]
    return {
        "text/html": html,
        "text/plain": "\n".join(text),
        MIME: json.dumps(report, ensure_ascii=False, indent=1),
    }

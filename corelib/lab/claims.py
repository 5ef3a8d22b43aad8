"""Claims: what was said, by whom, what was measured here, and what that amounts to."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from corelib.lab import record
from corelib.lab.bands import band_problem
from corelib.lab.card import Card, Distance
from corelib.lab.display import show
from corelib.lab.evidence import Evidence, Expectation, Gain, exact
from corelib.lab.outcomes import describe, of_control, of_paper
from corelib.lab.protocol import Protocol
from corelib.lab.report import line, render, verdict
from corelib.lab.scale import SCALE, check_unchanged
from corelib.lab.text import check_line


class ClaimError(AssertionError):
    """A claim whose condition is not met."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One line of the report.

    ``outcome`` is that of the wide run where there is one and it differs; ``problem`` says why the condition is not
    met, and is empty if it is.
    """

    name: str
    origin: str
    main: bool
    statement: str
    paper: str
    measured: str
    condition: str
    outcome: str
    reason: str
    draws: int
    band: tuple[float, float] | None
    wide: dict | None
    problem: str


class Claims:
    """The claims of one chapter: recorded and shown where they are measured, reported and checked at the end.

    A claim has an *origin*. ``paper``: the paper says so. ``ours``: a control or an extension of this book. ``library``:
    an equality between the code of the page and the library, or another test of ourselves, outside the ledger. Its
    outcome and the words for it are computed from what was measured.

    Parameters
    ----------
    card : Card, optional
        The chapter's card; ``report`` fills in its verdict, which is that of the main claim, and its distances. A notebook
        that is about no paper has none.
    protocol : Protocol, optional
        The rules of the experiment, if there is one.

    Examples
    --------
    >>> from corelib import lab
    >>> texts = "slug title paper authors url claimed found level data".split()
    >>> claims = lab.Claims(lab.Card(**dict.fromkeys(texts, "-"), year=2025))
    >>> claims.library("halves", "Two halves make a whole", error=abs(0.5 + 0.5 - 1), tolerance=1e-15)
    Self-test: holds. Two halves make a whole: error below 1e-15
    """

    def __init__(self, card: Card | None = None, protocol: Protocol | None = None) -> None:
        if card is not None and not isinstance(card, Card):
            raise TypeError(f"card must be a Card; got {type(card).__name__}")
        if protocol is not None and not isinstance(protocol, Protocol):
            raise TypeError(f"protocol must be a Protocol; got {type(protocol).__name__}")
        check_unchanged()
        self._card = card
        self._claims: list[Claim] = []
        self._distances: list[Distance] = []
        self._wide = {}
        if card is not None and SCALE == "small":
            wide = record.load(Path(f"{card.slug}.ipynb")).get("wide", {})
            self._wide = {claim["name"]: claim for claim in wide.get("claims", [])}

    def paper(
        self,
        name: str,
        statement: str,
        *,
        paper: str,
        found: Evidence,
        expect: Expectation | None = None,
        band: tuple[float, float] | None = None,
        main: bool = False,
        rival: Mapping[str, Gain] | None = None,
        elsewhere: Mapping[str, Evidence] | None = None,
        why: str | None = None,
    ) -> None:
        """Record a statement of the paper and what was measured here.

        Parameters
        ----------
        name : str
            Short, lower case, unique within the chapter: ``mw-beats-cl``.
        statement : str
            What the paper says, in one line of plain text.
        paper : str
            Its number and where it stands: ``0.85 -> 0.91 (table 1)``.
        found : Level, Gain, Exact or Untestable
            From ``lab.measure``, ``Protocol.compare``, ``lab.exact`` or ``lab.untestable``.
        expect : {"wins", "ties", "loses"} or (low, high)
            What the paper's statement means for ``found``: a relation, or a region whose ends may be None.
        band : (float, float)
            Two-sided, around the mean that the small run measured; a mean outside of it stops the notebook.
        main : bool
            Whether this is the paper's central claim, which makes the verdict; one of a chapter's claims is.
        rival : mapping of str to Gain, optional
            Simpler rivals by name, and what the method gains over them: if that is a tie or a loss, "a simpler rival
            ties".
        elsewhere : mapping of str to evidence, optional
            The same under other conditions; where it does not hold, the outcome is "holds with a condition".
        why : str, optional
            The reason, required unless the outcome is "holds" (or a matter of timing).

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type or value, the name is taken or malformed, or something is missing.
        """
        rival, elsewhere = dict(rival or {}), dict(elsewhere or {})
        outcome = of_paper(found, expect, rival, elsewhere)
        self._add(
            name, "paper", statement, found, expect, band, outcome, why,
            main=bool(main), paper=check_line(paper, "paper"), measured=describe(found, expect, rival, elsewhere),
        )  # fmt: skip

    def ours(
        self,
        name: str,
        statement: str,
        *,
        found: Evidence,
        expect: Expectation | None = None,
        band: tuple[float, float] | None = None,
        why: str | None = None,
    ) -> None:
        """Record a control or an extension of this book: it holds or not, and is nothing that the paper said.

        The arguments are those of ``paper``.
        """
        self._add(name, "ours", statement, found, expect, band, of_control(found, expect), why)

    def library(self, name: str, statement: str, *, error: float, tolerance: float) -> None:
        """Record an equality between the code of the page and the library, or another test of ourselves.

        Parameters
        ----------
        name, statement : str
            As for ``paper``.
        error, tolerance : float
            The largest error that was measured, and the largest that is allowed.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, the name is taken or malformed, or a number is negative.
        """
        found = exact(error, tolerance)
        self._add(name, "library", statement, found, None, None, of_control(found, None), None)

    def distance(self, what: str, *, paper: str, here: str) -> None:
        """Record the same quantity in the paper and here (same split, same unit); the card shows it.

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
        texts = {
            name: check_line(text, name) for name, text in (("what", what), ("paper", paper), ("here", here))
        }
        self._distances.append(Distance(**texts))

    def report(self) -> None:
        """Display the table of claims, store it as JSON, fill the card, and raise if a condition is not met.

        At the wide and the full scale a condition that is not met is reported and does not stop the notebook.

        Raises
        ------
        ClaimError
            If no claim was recorded, or more than one is the main claim, or a condition is not met.
        """
        if not self._claims:
            raise ClaimError("no claim was recorded")
        main = [claim for claim in self._claims if claim.main]
        if len(main) > 1:
            raise ClaimError(f"one claim is the main one; here are {', '.join(claim.name for claim in main)}")
        if main and self._card:
            self._card.fill(verdict(asdict(main[0])), self._distances)
        card = self._card and self._card.as_dict()
        show(render({"card": card, "claims": [asdict(claim) for claim in self._claims]}))
        broken = [claim for claim in self._claims if claim.problem]
        if broken and SCALE == "small":
            lines = (f"  {claim.name}: {claim.problem}; measured: {claim.measured}" for claim in broken)
            raise ClaimError(f"{len(broken)} of {len(self._claims)} claims do not hold:\n" + "\n".join(lines))

    def _add(
        self,
        name: str,
        origin: str,
        statement: str,
        found: Evidence,
        expect: Expectation | None,
        band: tuple[float, float] | None,
        outcome: str,
        why: str | None,
        *,
        main: bool = False,
        paper: str = "",
        measured: str | None = None,
    ) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", check_line(name, "name")):
            raise ValueError(f"name must be lower-case words joined by hyphens; got {name!r}")
        if any(claim.name == name for claim in self._claims):
            raise ValueError(f'name must be unique; there is a claim "{name}" already')
        check_line(statement, "statement")
        condition, problem = band_problem(name, found, expect, band)
        wide = self._wide.get(name) if origin != "library" else None
        final = wide["outcome"] if wide else outcome
        if why is None and origin == "paper" and final != "holds" and not found.timing and SCALE == "small":
            raise ValueError(f'why is required: the outcome of "{name}" is "{final}"')
        claim = Claim(
            name=name,
            origin=origin,
            main=main,
            statement=statement,
            paper=paper,
            measured=describe(found, expect, {}, {}) if measured is None else measured,
            condition=condition,
            outcome=final,
            reason="" if why is None else check_line(why, "why"),
            draws=found.n,
            band=None if band is None else (float(band[0]), float(band[1])),
            wide=wide and {key: wide[key] for key in ("measured", "outcome", "draws")},
            problem=problem,
        )
        self._claims.append(claim)
        show(line(asdict(claim)))

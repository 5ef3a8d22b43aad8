"""The card at the top of every chapter."""

from dataclasses import asdict, dataclass, field, fields
from html import escape
from pathlib import Path

from corelib._checks import check_int
from corelib.lab import reading
from corelib.lab.display import replace, show
from corelib.lab.table import folded, html_table, link, with_break
from corelib.lab.text import check_line

_PENDING = "(filled in when the notebook has run to its claims)"


@dataclass(frozen=True, kw_only=True)
class Distance:
    """The same quantity in the paper and here."""

    what: str
    paper: str
    here: str

    def __str__(self) -> str:
        return f"{self.what}: paper {self.paper}, here {self.here}"


@dataclass(kw_only=True)
class Card:
    """What a chapter is about, in three rows: the paper and its claim, what was found, the verdict. The rest is folded.

    ``show`` displays the card; ``Claims.report`` fills in its verdict and its distances to the paper's numbers when
    the notebook has come that far. The card's cell carries the tag ``nbval-ignore-output``, because what it shows first
    is not what it shows last; the report stores the same again, and that is compared.

    Parameters
    ----------
    slug : str
        The chapter's file name without its ending.
    title, paper, authors : str
        Title of the chapter; title and authors of the paper.
    year : int
    url : str
        Where the paper can be read.
    claimed, found : str
        What the paper claims, and what was found here, in a line each and without measured numbers.
    level : str
        What a reader should know.
    data : str
        The data, and which public set they stand for.

    Raises
    ------
    TypeError, ValueError
        If a text is no string, empty or of several lines, or ``year`` is no integer from 1900 on.

    Examples
    --------
    >>> from corelib import lab
    >>> card = lab.Card(
    ...     slug="means",
    ...     title="How far off is a mean?",
    ...     paper="On means",
    ...     authors="A. Author",
    ...     year=2025,
    ...     url="https://example.org",
    ...     claimed="the error falls like one over the root of n",
    ...     found="so it does, until the numbers have no variance",
    ...     level="first year",
    ...     data="normal numbers from a seed",
    ... )
    >>> card.show()  # doctest: +ELLIPSIS
    Card: How far off is a mean?
    The paper: On means (A. Author, 2025): the error falls like one over the root of n
    ...
    """

    slug: str
    title: str
    paper: str
    authors: str
    year: int
    url: str
    claimed: str
    found: str
    level: str
    data: str
    minutes: int | None = field(default=None, init=False)
    verdict: str | None = field(default=None, init=False)
    distances: list[Distance] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for entry in fields(self):
            if entry.init and entry.type is str:
                check_line(getattr(self, entry.name), entry.name)
        check_int(self.year, "year", minimum=1900)
        self.minutes = reading.minutes(Path(f"{self.slug}.ipynb"))

    def show(self) -> None:
        """Display the card."""
        show(self.render(), display_id=self._display_id)

    def fill(self, verdict: str, distances: list[Distance]) -> None:
        """Set the verdict and the distances, and refresh the card where it stands."""
        self.verdict, self.distances = verdict, list(distances)
        replace(self.render(), display_id=self._display_id)

    def as_dict(self) -> dict[str, object]:
        """The card as plain data, for the JSON of the claims; ``Card.from_dict`` takes it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> "Card":
        """The card that ``as_dict`` wrote down."""
        given = dict(data)
        minutes, verdict, distances = given.pop("minutes"), given.pop("verdict"), given.pop("distances")
        card = cls(**given)
        card.minutes, card.verdict = minutes, verdict
        card.distances = [Distance(**distance) for distance in distances]
        return card

    def render(self) -> dict[str, object]:
        """The MIME bundle of the card: a table and the same as text."""
        source = f"{self.paper} ({self.authors}, {self.year})"
        verdict = self.verdict or _PENDING
        rows = [
            ("The paper", f"{source}: {self.claimed}"),
            ("We found", self.found),
            ("Verdict", verdict),
        ]
        shown = [
            ("The paper", with_break(link(source, self.url), escape(self.claimed, quote=False))),
            *rows[1:],
        ]
        rest = [
            *((str(distance.what), str(distance).partition(": ")[2]) for distance in self.distances),
            ("Data", self.data),
            ("You should know", self.level),
            ("To read", f"about {self.minutes} minutes" if self.minutes else "not counted here"),
            ("To run", "about a minute on one processor core"),
        ]
        caption = f"Card: {self.title}"
        return {
            "text/html": html_table(caption, [], shown) + folded("More", html_table("", [], rest)),
            "text/plain": "\n".join([caption, *(f"{name}: {text}" for name, text in [*rows, *rest])]),
        }

    @property
    def _display_id(self) -> str:
        return f"card-{self.slug}"

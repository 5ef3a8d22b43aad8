"""The claim card at the top of every chapter."""

from dataclasses import asdict, dataclass, field, fields

from corelib._checks import check_int
from corelib.lab.display import replace, show
from corelib.lab.table import html_table, link
from corelib.lab.text import check_line

VERDICTS = {
    "held": "held",
    "in part": "held in part",
    "not": "did not hold here",
}
_PENDING = "(filled in when the notebook has run to its claims)"


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far a number measured here is from the paper's."""

    what: str
    paper: str
    here: str

    def __str__(self) -> str:
        return f"{self.what}: paper {self.paper}, here {self.here}"


@dataclass(kw_only=True)
class Card:
    """What a chapter is about, in a dozen lines that look the same in every chapter.

    ``show`` displays the card; ``Claims.report`` fills in its verdict and its distance to the paper's numbers when
    the notebook has come that far. The card's cell carries the tag ``nbval-ignore-output``, because what it shows
    first is not what it shows last; the same two lines are displayed again, and compared, by ``Claims.report``.

    Parameters
    ----------
    slug : str
        The chapter's file name without its ending.
    title, paper, authors : str
        Title of the chapter; title and authors of the paper.
    year : int
    url : str
        Where the paper can be read.
    level : str
        What a reader should know.
    minutes : int
        Time to read.
    data : str
        The data, and which public set they stand for.
    claimed, reproduced : str
        What the paper claims; what is reproduced here, and at which scale.
    easy, hard : str
        What was easy, and what was hard.

    Raises
    ------
    TypeError, ValueError
        If a text is no string, empty or of several lines, or ``year`` or ``minutes`` is no positive integer.

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
    ...     level="first year",
    ...     minutes=10,
    ...     data="normal numbers from a seed",
    ...     claimed="the error falls like one over the root of n",
    ...     reproduced="the same, up to n = 10,000",
    ...     easy="everything",
    ...     hard="nothing",
    ... )
    >>> card.show()  # doctest: +ELLIPSIS
    Claim card: How far off is a mean?
    Paper: On means (A. Author, 2025)
    ...
    """

    slug: str
    title: str
    paper: str
    authors: str
    year: int
    url: str
    level: str
    minutes: int
    data: str
    claimed: str
    reproduced: str
    easy: str
    hard: str
    verdict: str | None = field(default=None, init=False)
    distances: list[Distance] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for entry in fields(self):
            if entry.init and entry.type is str:
                check_line(getattr(self, entry.name), entry.name)
        check_int(self.year, "year", minimum=1900)
        check_int(self.minutes, "minutes", minimum=1)

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
        verdict, distances = given.pop("verdict"), given.pop("distances")
        card = cls(**given)
        card.verdict, card.distances = verdict, [Distance(**distance) for distance in distances]
        return card

    def render(self) -> dict[str, object]:
        """The MIME bundle of the card: a table and the same as text."""
        rows = self._rows()
        linked = [("Paper", link(rows[0][1], self.url)), *rows[1:]]
        caption = f"Claim card: {self.title}"
        return {
            "text/html": html_table(caption, [], linked),
            "text/plain": "\n".join([caption, *(f"{name}: {text}" for name, text in rows)]),
        }

    @property
    def _display_id(self) -> str:
        return f"card-{self.slug}"

    def _rows(self) -> list[tuple[str, str]]:
        rows = [
            ("Paper", f"{self.paper} ({self.authors}, {self.year})"),
            ("Level", self.level),
            ("Run time", "under a minute on one processor core"),
            ("Reading time", f"{self.minutes} min"),
            ("Data", self.data),
            ("The paper claims", self.claimed),
            ("Reproduced here", self.reproduced),
            ("Verdict", VERDICTS[self.verdict] if self.verdict else _PENDING),
        ]
        distances = [str(distance) for distance in self.distances] or ([] if self.verdict else [_PENDING])
        rows += [("Distance to the paper's number", distance) for distance in distances]
        return [*rows, ("What was easy", self.easy), ("What was hard", self.hard)]

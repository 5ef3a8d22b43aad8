"""The chapters of the book as their notebooks store them: what the pages that ``tools.pages`` writes are made from."""

import base64
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from corelib.lab import record
from corelib.lab.outcomes import plain
from tools.cells import code
from tools.guard import stored_reports

SURPRISE = "surprise"
"""The tag of the first cell of the ten chapters that the front page shows first."""


@dataclass(frozen=True)
class Picture:
    """A figure as its notebook stores it."""

    png: bytes
    finding: str
    alternative: str


@dataclass(frozen=True)
class Entry:
    """The report and the record of one notebook, its opening, and where it stands in the book."""

    part: str
    page: str
    title: str
    report: dict
    record: dict = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    words: str = ""
    teaser: str = ""
    surprise: bool = False
    picture: Picture | None = None

    @property
    def slug(self) -> str:
        return Path(self.page).stem

    @property
    def folder(self) -> str:
        """The folder of the chapter's part."""
        return Path(self.page).parent.name

    @property
    def document(self) -> str:
        """The page as Sphinx names it."""
        return f"book/{self.page.removesuffix('.ipynb')}"

    @property
    def html(self) -> str:
        """The address of the page in the built book, beside the ledger."""
        return self.page.removesuffix(".ipynb") + ".html"

    def claims(self, origin: str) -> list[dict]:
        """The claims of one origin."""
        return [claim for claim in self.report["claims"] if claim["origin"] == origin]

    @property
    def main(self) -> dict | None:
        """The central claim of the paper."""
        return next((claim for claim in self.report["claims"] if claim["main"]), None)

    @property
    def counts(self) -> Counter:
        """How many of the paper's claims have each outcome."""
        return Counter(plain(claim["outcome"]) for claim in self.claims("paper"))


def collect(book: Path) -> list[Entry]:
    """The reports of all chapters ``book/<part>/<slug>.ipynb``, in the order of the book's table of contents.

    Raises
    ------
    ValueError
        If a chapter does not store exactly one report.
    """
    return [_entry(path, book) for path in sorted(book.glob("*/*.ipynb"), key=_position(book))]


def guides(book: Path) -> list[Entry]:
    """The same of the notebooks that are no chapters."""
    return [_entry(path, book) for path in sorted(book.glob("*.ipynb"))]


def _entry(path: Path, book: Path) -> Entry:
    notebook = nbformat.read(path, as_version=4)
    reports = stored_reports(notebook)
    if len(reports) != 1:
        raise ValueError(f"{path} must store one claims report; found {len(reports)}")
    first = notebook.cells[0]
    title, _, rest = first.source.partition("\n")
    return Entry(
        part=_part_title(path.parent),
        page=path.relative_to(book).as_posix(),
        title=title.removeprefix("# ").strip(),
        report=reports[0],
        record=record.load(path),
        sources=tuple(code(notebook)),
        words="\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"),
        teaser=_teaser(rest),
        surprise=SURPRISE in first.metadata.get("tags", ()),
        picture=next((picture for cell in notebook.cells for picture in pictures(cell)), None),
    )


def _teaser(text: str) -> str:
    """The paragraph in italics that follows the title, as one line of Markdown without the stars."""
    match = re.match(r"\s*\*(.+?)\*(?=\s*(?:\n\n|\Z))", text, re.DOTALL)
    return " ".join(match[1].split()) if match else ""


def pictures(cell: NotebookNode) -> list[Picture]:
    """The figures that a cell of a notebook stores."""
    alternative = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    stored = (output.get("data", {}) for output in cell.get("outputs", ()))
    return [
        Picture(base64.b64decode(data["image/png"]), data["text/plain"], alternative)
        for data in stored
        if "image/png" in data
    ]


def _part_title(folder: Path) -> str:
    """The heading of the part's page, or else the name of its folder."""
    index = folder / "index.md"
    heading = (
        re.search(r"^# (.+)$", index.read_text(encoding="utf-8"), re.MULTILINE) if index.exists() else None
    )
    return heading[1].strip() if heading else folder.name.replace("-", " ").capitalize()


def contents(book: Path) -> list[str]:
    """The pages of the book's table of contents, in its order, without their endings."""
    path = book.parent / "_toc.yml"
    names = re.findall(r"(?:file|root):\s*(\S+)", path.read_text(encoding="utf-8")) if path.exists() else []
    return [Path(name).with_suffix("").as_posix() for name in names]


def _position(book: Path):
    """A sort key: where the table of contents names the page; pages that it does not name come last."""
    order = {name: index for index, name in enumerate(contents(book))}

    def key(path: Path) -> tuple[int, str]:
        name = path.relative_to(book.parent).with_suffix("").as_posix()
        return order.get(name, len(order)), name

    return key

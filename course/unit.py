"""A unit of the course: one notebook in nbgrader's format, and what is made from it."""

import ast
import re
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode

UNITS = Path(__file__).resolve().parent / "units"
SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION\n?", re.MULTILINE | re.DOTALL
)
HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS\n(.*?)^[ \t]*### END HIDDEN TESTS\n?", re.MULTILINE | re.DOTALL
)
HEADING = re.compile(r"## (.*?)(?: \(\d+ points?\))?$", re.MULTILINE)
STUB = "# YOUR CODE HERE\nraise NotImplementedError()\n"
YOUR_WORDS = "YOUR ANSWER HERE"


ONE_AT_A_TIME = threading.Lock()
"""Held while syntax trees are made or compiled: in Python 3.11 two threads that do so at once may get a SystemError."""


def parse(source: str) -> ast.Module:
    """The syntax tree of a cell, safe among threads."""
    with ONE_AT_A_TIME:
        return ast.parse(source)


@dataclass(frozen=True)
class Cell:
    """A cell of a unit with its part in the grading."""

    id: str
    kind: str
    source: str
    solution: bool
    grade: bool
    points: float

    @property
    def tests(self) -> bool:
        """Whether it decides about points by running."""
        return self.kind == "code" and self.grade and not self.solution

    @property
    def manual(self) -> bool:
        """Whether a person gives the points."""
        return self.grade and self.solution

    @property
    def given(self) -> bool:
        """Whether it is code that the unit hands out as it is: imports, data, helpers."""
        return self.kind == "code" and not self.grade and not self.solution

    @property
    def stub(self) -> str:
        """What a student gets."""
        if self.solution and self.kind == "markdown":
            return YOUR_WORDS
        text = SOLUTION.sub(
            lambda match: re.sub("^", match["indent"], STUB.rstrip(), flags=re.MULTILINE) + "\n", self.source
        )
        return HIDDEN.sub("", text).rstrip("\n")

    @cached_property
    def names(self) -> set[str]:
        """What the solution binds, and so what the tests may ask of a submission."""
        bound = set()
        for node in parse(self.source).body if self.solution and self.kind == "code" else ():
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.Assign):
                bound |= {
                    name.id
                    for target in node.targets
                    for name in ast.walk(target)
                    if isinstance(name, ast.Name)
                }
        return bound


@dataclass(frozen=True)
class Unit:
    """All cells of a unit, in order."""

    name: str
    notebook: NotebookNode
    folder: Path

    @cached_property
    def cells(self) -> list[Cell]:
        return [_cell(cell, place) for place, cell in enumerate(self.notebook.cells)]

    @property
    def points(self) -> float:
        return sum(cell.points for cell in self.cells)

    @property
    def title(self) -> str:
        """The heading of the notebook."""
        return self.cells[0].source.partition("\n")[0].removeprefix("# ")

    @cached_property
    def headings(self) -> dict[str, str]:
        """The heading under which each cell stands, without the points."""
        found, heading = {}, self.title
        for cell in self.cells:
            if cell.kind == "markdown" and (match := HEADING.match(cell.source)):
                heading = match[1]
            found[cell.id] = heading
        return found

    @property
    def chapter(self) -> str:
        """The chapter to read before, as ``pairs/mw-loss``."""
        return self._about["chapter"]

    @property
    def minutes(self) -> int:
        """How long a student works on it."""
        return self._about["minutes"]

    @property
    def teaches(self) -> str:
        """What a student can do afterwards, as half a sentence."""
        return self._about["teaches"]

    @property
    def library(self) -> bool:
        """Whether submissions may import ``corelib`` while they are graded."""
        return bool(self.notebook.metadata.get("keeping_score", {}).get("library"))

    @property
    def _about(self) -> NotebookNode:
        return self.notebook.metadata["keeping_score"]

    def student(self) -> NotebookNode:
        """The notebook without solutions, hidden tests and outputs."""
        return self._rendered(lambda cell: cell.stub)

    def solved(self) -> NotebookNode:
        """The notebook with solutions and all tests, for teachers."""
        return self._rendered(lambda cell: cell.source)

    def _rendered(self, text) -> NotebookNode:
        made = nbformat.from_dict(self.notebook)
        for shown, cell in zip(made.cells, self.cells, strict=True):
            shown.source = text(cell)
            if cell.kind == "code":
                shown.outputs, shown.execution_count = [], None
        return made


def _cell(cell: NotebookNode, place: int) -> Cell:
    marks = cell.metadata.get("nbgrader", {})
    return Cell(
        id=marks.get("grade_id", f"plain-{place}"),
        kind=cell.cell_type,
        source=cell.source,
        solution=marks.get("solution", False),
        grade=marks.get("grade", False),
        points=float(marks.get("points", 0)) if marks.get("grade") else 0.0,
    )


def every(units: Path = UNITS) -> list[str]:
    """The names of all units in a folder."""
    return sorted(path.parent.name for path in units.glob("*/*.ipynb") if path.stem == path.parent.name)


def load(name: str, units: Path = UNITS) -> Unit:
    """A unit by the name of its folder.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    if name not in every(units):
        raise FileNotFoundError(f"there is no unit {name!r}; there are: {', '.join(every(units))}")
    folder = (units / name).resolve()
    return Unit(name, nbformat.read(folder / f"{name}.ipynb", as_version=4), folder)

"""What somebody handed in: the code that counts, whatever happened to the notebook on its way."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from course.magics import python
from course.unit import YOUR_WORDS, Unit

LARGEST = 20 * 2**20  # bytes


class UnreadableError(Exception):
    """What was handed in is no notebook."""


@dataclass(frozen=True)
class Submission:
    """The code cells to run, the answers in words by the id of their cell, and what had to be repaired."""

    code: list[str]
    words: dict[str, str]
    notes: list[str]


def read(path: Path, unit: Unit) -> Submission:
    """The submission in a file.

    Cells that the unit locks come from the unit, so that nobody can change them. All other code counts, in its order, also
    cells that were added; cells are known by their nbgrader id or, where that was lost, by what they say.

    Raises
    ------
    UnreadableError
        If the file is too large, or no notebook with cells.
    """
    cells, notes = _cells(path), []
    by_id = {cell.id: cell for cell in unit.cells}
    locked = {_plain(cell.stub) for cell in unit.cells if not cell.solution}
    code = [python(cell.source) for cell in unit.cells if cell.given]
    words, strays, seen, twice = {}, [], set(), set()
    for cell in cells:
        source = cell["source"]
        known = by_id.get(cell["id"])
        if known is not None and cell["id"] in seen:
            twice.add(known.id)
        seen.add(cell["id"])
        if cell["kind"] == "markdown":
            if known is not None and known.manual:
                words[known.id] = source
            elif known is None and _plain(source) not in locked:
                strays.append(source)
        elif (
            not (known is not None and not known.solution) and _plain(source) not in locked and source.strip()
        ):
            code.append(source)
    notes += [f"cell {name} stands there twice" for name in sorted(twice)]
    missing = [
        cell.id for cell in unit.cells if cell.solution and cell.kind == "code" and cell.id not in seen
    ]
    for lost in missing:
        if any(_binds(source, by_id[lost].names) for source in code):
            notes.append(f"cell {lost} lost its id and was found by what it defines")
        else:
            notes.append(f"cell {lost} is missing")
    for cell in unit.cells:
        if cell.manual and cell.id not in words and strays:
            words[cell.id] = strays.pop(0)
            notes.append(f"cell {cell.id} lost its id; the next text that is not the unit's was taken for it")
    words = {name: said for name, said in words.items() if _plain(said) not in ("", _plain(YOUR_WORDS))}
    return Submission(code, words, notes)


def content(path: Path) -> bytes:
    """What a file holds.

    Raises
    ------
    UnreadableError
        If it is no file, may not be read, or is too large.
    """
    if path.is_symlink() or not path.is_file():
        raise UnreadableError("it is no file")
    if path.stat().st_size > LARGEST:
        raise UnreadableError(f"it is larger than {LARGEST // 2**20} MB")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError("it cannot be read") from error


def _cells(path: Path) -> list[dict[str, str]]:
    raw = content(path)
    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        try:
            data = json.loads(raw.decode(encoding))
            break
        except (UnicodeError, ValueError, RecursionError):
            continue
    else:
        raise UnreadableError("it is no notebook")
    found = data.get("cells") if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise UnreadableError("it is no notebook")
    return [_cell(cell) for cell in found if isinstance(cell, dict)]


def _cell(cell: dict) -> dict[str, str]:
    source = cell.get("source", "")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    mark = marks.get("grade_id", "") if isinstance(marks, dict) else ""
    kind = "markdown" if cell.get("cell_type") != "code" else "code"
    return {"id": str(mark), "kind": kind, "source": text.replace("\r\n", "\n").replace("\r", "\n")}


def _plain(source: str) -> str:
    return "".join(source.split())


def _binds(source: str, names: set[str]) -> bool:
    """Whether the source seems to define one of the names; what students wrote is not parsed here."""
    bound = "|".join(map(re.escape, names))
    return bool(re.search(rf"^(?:(?:def|class)\s+(?:{bound})\b|(?:{bound})\s*=)", source, re.MULTILINE))

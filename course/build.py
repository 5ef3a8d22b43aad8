"""Write what a course needs: ``python -m course.build OUT``.

``OUT/student`` holds the notebooks without answers, ``OUT/teacher`` the same with solutions, hidden tests and a list of points,
``OUT/slides`` slides of every chapter, and ``OUT/figures.zip`` all figures with a list of what they show.
"""

import argparse
import csv
import io
import sys
import zipfile
from pathlib import Path

from course.assignments import students, teachers
from course.slides import LICENCE, Figure, figures, slides
from tools.entries import Entry, collect
from tools.settings import address

ROOT = Path(__file__).resolve().parent.parent


def lectures(out: Path, book: Path) -> None:
    """Slides of every chapter, and the figures of all."""
    (out / "slides").mkdir(parents=True, exist_ok=True)
    published = address(book.parent)
    shown = [(entry, figures(book / entry.page)) for entry in collect(book)]
    for number, (entry, found) in enumerate(shown, 1):
        name = f"{number:02}-{entry.slug}.pptx"
        (out / "slides" / name).write_bytes(slides(entry, found, published))
    with zipfile.ZipFile(out / "figures.zip", "w") as file:
        _collect(shown, file)


def _collect(shown: list[tuple[Entry, list[Figure]]], file: zipfile.ZipFile) -> None:
    """The figures as ``<chapter>/<number>.png``, and a table of what they show."""
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["file", "chapter", "finding", "alternative text", "licence"])
    for entry, found in shown:
        for number, figure in enumerate(found, 1):
            name = f"{entry.slug}/{number}.png"
            rows.writerow([name, entry.title, figure.picture.finding, figure.picture.alternative, LICENCE])
            file.writestr(name, figure.picture.png)
    file.writestr("figures.csv", table.getvalue())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m course.build", description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args(arguments).out
    students(out / "student")
    teachers(out / "teacher")
    lectures(out, ROOT / "book")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write what a course hands out: ``python -m course.build OUT``.

``OUT/student`` holds the notebooks without answers, ``OUT/teacher`` the same with solutions, hidden tests and a list of points.
"""

import argparse
import sys
from pathlib import Path

import nbformat

from course.unit import UNITS, Unit, load


def checklist(unit: Unit) -> str:
    """The points of a unit, one line for each part."""
    lines = [f"# {unit.name}: {unit.points:g} points", ""]
    for cell in unit.cells:
        if cell.grade:
            lines.append(f"- [ ] {cell.id}: {cell.points:g}{' (by a person)' if cell.manual else ''}")
    return "\n".join([*lines, ""])


def build(out: Path) -> None:
    """Render every unit."""
    for folder in ("student", "teacher"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for name in sorted(path.name for path in UNITS.iterdir() if path.is_dir()):
        unit = load(name)
        nbformat.write(unit.student(), out / "student" / f"{name}.ipynb")
        nbformat.write(unit.solved(), out / "teacher" / f"{name}.ipynb")
        (out / "teacher" / f"{name}.md").write_text(checklist(unit), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m course.build", description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    build(parser.parse_args(arguments).out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

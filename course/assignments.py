"""The notebooks of the course: ``python -m course.assignments OUT`` writes those for students, and nothing else."""

import argparse
import sys
from pathlib import Path

import nbformat

from course.unit import Unit, every, load


def students(out: Path) -> None:
    """Every unit without answers, hidden tests and outputs."""
    out.mkdir(parents=True, exist_ok=True)
    for name in every():
        nbformat.write(load(name).student(), out / f"{name}.ipynb")


def teachers(out: Path) -> None:
    """Every unit with answers and all tests, and a list of its points."""
    out.mkdir(parents=True, exist_ok=True)
    for name in every():
        unit = load(name)
        nbformat.write(unit.solved(), out / f"{name}.ipynb")
        (out / f"{name}.md").write_text(_checklist(unit), encoding="utf-8")


def _checklist(unit: Unit) -> str:
    lines = [f"# {unit.title}: {unit.points:g} points", ""]
    for cell in unit.cells:
        if cell.grade:
            lines.append(f"- [ ] {cell.id}: {cell.points:g}{' (by a person)' if cell.manual else ''}")
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m course.assignments", description="Write the students' notebooks."
    )
    parser.add_argument("out", type=Path)
    students(parser.parse_args(arguments).out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

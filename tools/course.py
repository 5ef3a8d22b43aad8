"""What the teacher's page shows of the course: its units, and twelve weeks with what to read for each."""

from pathlib import Path

import yaml

from course.unit import Unit, load
from tools.entries import Entry
from tools.ledger import markdown

SYLLABUS = Path(__file__).resolve().parent.parent / "course" / "syllabus.yml"


def units() -> str:
    """A table of all units, in the order of the syllabus."""
    lines = ["| A student learns to | Minutes | Points, by a person |", "| --- | ---: | ---: |"]
    for unit in _all():
        by_person = sum(cell.points for cell in unit.cells if cell.manual)
        lines.append(f"| {unit.teaches} (`{unit.name}`) | {unit.minutes} | {unit.points:g}, {by_person:g} |")
    return "\n".join([*lines, ""])


def syllabus(entries: list[Entry]) -> str:
    """A section per week: what to read, how long that takes, the unit, a question for the seminar."""
    chapters = {entry.document.removeprefix("book/"): entry for entry in entries}
    lines = []
    for number, week in enumerate(weeks(), 1):
        read = [chapters[name] for name in week["read"] if name in chapters]
        minutes = sum(entry.report["card"]["minutes"] for entry in read)
        links = ", ".join(f"[{markdown(entry.title)}](/book/{entry.page})" for entry in read)
        lines += [
            f"{number}. **{week['week']}.** Read {links} ({minutes} minutes); do {', or '.join(map(_named, _units(week)))}.",
            "",
            f"{' ' * len(f'{number}. ')}*{week['ask']}*",
            "",
        ]
    return "\n".join([*lines, ""])


def downloads(address: str) -> str:
    """A line per unit with its title and a link that opens it on Colab."""
    lines = [
        f"{number}. {unit.title}: [open on Colab]({address}/{unit.name}.ipynb)"
        for number, unit in enumerate(_all(), 1)
    ]
    return "\n".join([*lines, ""])


def weeks() -> list[dict]:
    """The weeks of the syllabus."""
    return yaml.safe_load(SYLLABUS.read_text(encoding="utf-8"))


def _units(week: dict) -> list[Unit]:
    """The week's unit, and the one to choose instead, if there is one."""
    return [load(week[which]) for which in ("unit", "or") if which in week]


def _all() -> list[Unit]:
    return [unit for week in weeks() for unit in _units(week)]


def _named(unit: Unit) -> str:
    return f"`{unit.name}`, *{markdown(unit.title)}* ({unit.minutes} minutes)"

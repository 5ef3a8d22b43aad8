"""What the teacher's page shows of the course: its units, and twelve weeks with what to read for each."""

from pathlib import Path

import yaml

from course.unit import Unit, every, load
from tools.entries import Entry
from tools.ledger import markdown

SYLLABUS = Path(__file__).resolve().parent.parent / "course" / "syllabus.yml"


def units() -> str:
    """A table of all units, in the order of the syllabus."""
    lines = ["| A student learns to | Minutes | Points, by a person |", "| --- | ---: | ---: |"]
    for week in weeks():
        unit = load(week["unit"])
        by_person = sum(cell.points for cell in unit.cells if cell.manual)
        lines.append(f"| {unit.teaches} (`{unit.name}`) | {unit.minutes} | {unit.points:g}, {by_person:g} |")
    return "\n".join([*lines, ""])


def syllabus(entries: list[Entry]) -> str:
    """A section per week: what to read, how long that takes, the unit, a question for the seminar."""
    chapters = {entry.document.removeprefix("book/"): entry for entry in entries}
    lines = []
    for number, week in enumerate(weeks(), 1):
        unit, read = load(week["unit"]), [chapters[name] for name in week["read"] if name in chapters]
        minutes = sum(entry.report["card"]["minutes"] for entry in read)
        links = ", ".join(f"[{markdown(entry.title)}](/book/{entry.page})" for entry in read)
        lines += [
            f"{number}. **{week['week']}.** Read {links} ({minutes} minutes); do `{unit.name}`, {_called(unit)} ({unit.minutes} minutes).",
            "",
            f"{' ' * len(f'{number}. ')}*{week['ask']}*",
            "",
        ]
    return "\n".join([*lines, ""])


def downloads(address: str) -> str:
    """A line per unit with its title and a link that opens it on Colab."""
    lines = [
        f"{number}. {load(week['unit']).title}: [open on Colab]({address}/{week['unit']}.ipynb)"
        for number, week in enumerate(weeks(), 1)
    ]
    return "\n".join([*lines, ""])


def weeks() -> list[dict]:
    """The weeks of the syllabus whose units are there."""
    there = set(every())
    return [week for week in yaml.safe_load(SYLLABUS.read_text(encoding="utf-8")) if week["unit"] in there]


def _called(unit: Unit) -> str:
    return f"*{markdown(unit.title)}*"

"""Grades as files: tables for teachers and for learning platforms, a page and Gradescope's JSON for each student."""

import csv
import html
import json
from pathlib import Path

from course.result import Grade, Part
from course.unit import Unit

STYLE = (
    "<meta name=viewport content='width=device-width'><style>body{font:1rem/1.5 sans-serif;max-width:45rem;margin:2rem auto;"
    "padding:0 1rem}td{padding:.3rem 1rem .3rem 0;vertical-align:top;overflow-wrap:anywhere}td:nth-child(2){white-space:nowrap}</style>"
)


def write(grades: list[Grade], unit: Unit, out: Path) -> None:
    """The tables of all, and for each student a page and Gradescope's JSON."""
    for name, rows in tables(grades, unit).items():
        with (out / name).open("w", newline="", encoding="utf-8", errors="replace") as file:
            csv.writer(file).writerows([[_cell_text(value) for value in row] for row in rows])
    (out / "answers.html").write_text(_answers(grades, unit), encoding="utf-8", errors="replace")
    for folder in ("feedback", "gradescope"):
        (out / folder).mkdir(exist_ok=True)
    for made in grades:
        rows = "".join(
            f"<tr><td>{html.escape(unit.headings[part.id])}</td><td>{part.points:g} of {part.most:g}</td>"
            f"<td>{html.escape(_said(part))}</td></tr>"
            for part in made.parts
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in made.notes)
        words = sum(cell.points for cell in unit.cells if cell.manual)
        more = (
            f" {words:g} of the {unit.points:g} are for answers in words, which a person reads."
            if words
            else ""
        )
        page = (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(unit.title)}</title>{STYLE}"
            f"<h1>{html.escape(unit.title)}</h1><p>{html.escape(made.student)}</p>"
            f"<p>{made.total:g} of {unit.points:g} points.{more}</p><table>{rows}</table><ul>{notes}</ul>"
        )
        (out / "feedback" / f"{made.student}.html").write_text(page, encoding="utf-8", errors="replace")
        tests_json = [
            {
                "name": unit.headings[part.id],
                "score": part.points,
                "max_score": part.most,
                "output": _said(part),
            }
            for part in made.parts
        ]
        scope = {"score": made.total, "tests": tests_json, "output": "\n".join(made.notes)}
        (out / "gradescope" / f"{made.student}.json").write_text(json.dumps(scope), encoding="utf-8")


def _answers(grades: list[Grade], unit: Unit) -> str:
    """The answers in words of everybody, for whoever reads them, with what the unit says to each question."""
    asked = [cell for cell in unit.cells if cell.manual and cell.kind == "markdown"]
    shown = "".join(
        f"<h2>{html.escape(unit.headings[cell.id])}</h2><pre>{html.escape(cell.source)}</pre>"
        + "".join(
            f"<h3>{html.escape(made.student)}</h3><pre>{html.escape(made.manual[cell.id])}</pre>"
            for made in grades
            if cell.id in made.manual
        )
        for cell in asked
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(unit.title)}: answers in words</title>{STYLE}"
        f"<style>pre{{white-space:pre-wrap;font:inherit}}</style><h1>{html.escape(unit.title)}: answers in words</h1>{shown}"
    )


def _said(part: Part) -> str:
    """What a student reads about a part."""
    if part.message.startswith("NotImplementedError"):
        return "not answered"
    if part.message or part.points == 0:
        return part.message or "no hidden check passes"
    return "all checks pass" if part.points == part.most else "some hidden checks fail"


def tables(grades: list[Grade], unit: Unit) -> dict[str, list[list]]:
    """Rows by the name of their file: every part, and what Canvas and Moodle import; a student is the name of the file."""
    tests = [cell.id for cell in unit.cells if cell.tests]
    parts = [["student", *tests, "total", "most", "to be read by a person", "notes"]]
    canvas = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", unit.title]]
    canvas.append(["    Points Possible", "", "", "", "", unit.points])
    moodle = [["username", unit.title, f"{unit.title} (feedback)"]]
    for made in grades:
        points = {part.id: part.points for part in made.parts}
        parts.append(
            [
                made.student,
                *(points[name] for name in tests),
                made.total,
                unit.points,
                len(made.manual),
                "; ".join(made.notes),
            ]
        )
        canvas.append([made.student, "", "", made.student, "", made.total])
        said = [f"{unit.headings[part.id]}: {part.points:g} of {part.most:g}" for part in made.parts]
        moodle.append([made.student, made.total, "; ".join(said)])
    return {"grades.csv": parts, "canvas.csv": canvas, "moodle.csv": moodle}


def _cell_text(value: object) -> object:
    """The value as a spreadsheet shows it and does not compute it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r\n") else value

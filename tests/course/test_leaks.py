"""Protects the marks: no line of a solution or of a hidden test stands in anything that is handed out or published."""

import html
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from course.assignments import students
from course.unit import every, load

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
LONG = 32  # characters without spaces; shorter lines are everybody's


def bare(text: str) -> str:
    """Without spaces, and with quotes as they stand before JSON escapes them."""
    return re.sub(r"\s", "", text.replace('\\"', '"'))


GIVEN = {bare(line) for name in every() for cell in load(name).cells for line in cell.stub.split("\n")}


def secrets(name: str) -> set[str]:
    """The lines that only a teacher has, of this unit or another."""
    lines = {bare(line) for cell in load(name).cells for line in cell.source.split("\n")}
    return {line for line in lines - GIVEN if len(line) >= LONG}


SECRETS = set().union(*map(secrets, every()))


def found(text: str) -> set[str]:
    text = bare(text)
    return {secret for secret in SECRETS if secret in text}


def published() -> Iterator[tuple[str, str]]:
    """What git holds but for the units, and the built book as one reads it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        path = ROOT / name
        if name and not name.startswith("course/units/") and path.is_file():
            yield name, path.read_bytes().decode("utf-8", "replace")
    for path in sorted(SITE.rglob("*")):
        if path.suffix in {".html", ".ipynb", ".md", ".js", ".json", ".txt", ".xml"}:
            text = path.read_text(encoding="utf-8", errors="replace")
            yield (
                str(path.relative_to(ROOT)),
                html.unescape(re.sub(r"<[^>]*>", "", text)) if path.suffix == ".html" else text,
            )


def test_there_are_secrets_and_they_would_be_found():
    assert len(SECRETS) > 10 * len(every())
    for name in every():
        solved = load(name).solved()
        assert found("\n".join(cell.source for cell in solved.cells)) >= secrets(name)


def test_nothing_that_is_published_holds_one():
    required = os.environ.get("KEEPING_SCORE_REQUIRE_BROWSER") == "1"
    if not SITE.exists() and not required:
        pytest.skip("the book is not built (make book)")
    assert (SITE / "book" / "teach.html").exists()
    assert {name: lines for name, text in published() if (lines := found(text))} == {}


def test_nothing_that_students_get_holds_one(tmp_path):
    students(tmp_path)
    given = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert {name: lines for name, text in given.items() if (lines := found(text))} == {}
    for path in tmp_path.iterdir():
        source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
        assert found(source) == set()
        assert all(not cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells)

"""Protects the promise that a chapter notices when the method it teaches is broken."""

import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation, apply, copy_package
from nbval_runner import ROOT, environment, run

GREEN = Path(__file__).parent / "fixtures" / "book" / "pairs" / "green.ipynb"

WRONG_CLAIM = Mutation(
    name="claims that hold only if the error is too large",
    file="corelib/lab/claims.py",
    old="holds=error <= tolerance",
    new="holds=error > tolerance",
    chapter=str(GREEN.relative_to(ROOT)),
)

EVERY_DAY = 6  # mutations; the others have their turn on other days, and make test-mutations runs all


def whose_turn(mutations: tuple[Mutation, ...], day: int) -> tuple[Mutation, ...]:
    """Some of the mutations, others the next day, all of them within a few days."""
    turns = -(-len(mutations) // EVERY_DAY)
    return mutations[day % turns :: turns]


ALL = os.environ.get("KEEPING_SCORE_ALL_MUTATIONS") == "1"
TODAY = MUTATIONS if ALL else whose_turn(MUTATIONS, datetime.date.today().toordinal())

NOTICED = re.compile(r"Cell outputs differ|ClaimError|AssertionError")
ACCIDENT = re.compile(
    r"ImportError|ModuleNotFoundError|SyntaxError|NameError|Timeout of|Kernel died|Kernel dead"
)


@pytest.fixture
def copy(tmp_path):
    """A copy of the package that notebooks import in place of the original."""
    folder = copy_package(tmp_path / "copy")
    code = "import corelib; print(corelib.__file__)"
    line = [sys.executable, "-c", code]
    found = subprocess.run(
        line,
        check=False,
        capture_output=True,
        text=True,
        env=environment({"PYTHONPATH": str(folder)}),
        cwd="/",
    )
    assert found.stdout.startswith(str(folder)), found.stdout + found.stderr
    return folder


def chapter_of(mutation_or_path):
    path = ROOT / getattr(mutation_or_path, "chapter", mutation_or_path)
    assert path.exists(), f"there is no chapter {path.relative_to(ROOT)}"
    return path


def assert_red(result):
    assert result.returncode == 1, (
        f"the chapter did not notice:\n{result.stdout[-3000:]}{result.stderr[-1000:]}"
    )
    assert not ACCIDENT.search(result.stdout), f"red, but by accident:\n{result.stdout[-3000:]}"
    assert NOTICED.search(result.stdout), f"red, but not for a wrong result:\n{result.stdout[-3000:]}"


@pytest.mark.mutation
@pytest.mark.parametrize("mutation", [WRONG_CLAIM, *TODAY], ids=lambda mutation: mutation.name)
def test_breaking_the_method_turns_its_chapter_red(mutation, copy):
    chapter = chapter_of(mutation)
    apply(mutation, copy)
    assert_red(run(chapter, python_path=copy))


@pytest.mark.mutation
@pytest.mark.parametrize("chapter", [WRONG_CLAIM.chapter, TODAY[0].chapter])
def test_the_unbroken_copy_is_green(chapter, copy):
    result = run(chapter_of(chapter), python_path=copy)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]


def test_every_mutation_has_its_turn_within_a_few_days():
    days = [whose_turn(MUTATIONS, day) for day in range(7, 7 + len(MUTATIONS))]
    assert set().union(*days) == set(MUTATIONS)
    assert all(0 < len(day) <= EVERY_DAY for day in days)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_text_to_replace_stands_exactly_once(mutation):
    assert (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.old) == 1
    assert mutation.old != mutation.new


@pytest.mark.parametrize("old", ["no such text", "return"])
def test_a_mutation_that_no_longer_fits_is_an_error(old, copy):
    stale = Mutation(name="stale", file="corelib/lab/claims.py", old=old, new="", chapter="")
    with pytest.raises(ValueError, match="not once"):
        apply(stale, copy)

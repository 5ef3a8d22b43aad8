"""Protects the promise that a chapter notices when its method or its protocol is broken."""

import subprocess
import sys
from pathlib import Path

import pytest

from corelib.lab import record
from tools import mutations
from tools.compare import ROOT, environment, run
from tools.guard import is_chapter
from tools.mutations import (
    FOLDER,
    IN_EVERY_RUN,
    KINDS,
    Mutation,
    Stale,
    all_mutations,
    break_library,
    break_notebook,
    broken,
    copy_package,
    find_function,
    notebook_of,
    noticed,
    whose_turn,
)

GREEN = ROOT / "tests" / "fixtures" / "book" / "pairs" / "green.ipynb"
CHAPTERS = sorted(
    path.stem
    for path in (ROOT / "book").rglob("*.ipynb")
    if is_chapter(path) and ".ipynb_checkpoints" not in path.parts
)

IN_THE_LAB = Mutation(
    chapter="green",
    kind="library",
    name="a comparison that loses when it wins",
    function="Gain.relation",
    old='return "wins"',
    new='return "loses"',
)
IN_THE_NOTEBOOK = Mutation(
    chapter="green",
    kind="trivial",
    name="a constant",
    cell="mean",
    old="samples.mean(",
    new="0.0 * samples.mean(",
)


def pytest_generate_tests(metafunc):
    if "in_turn" in metafunc.fixturenames:
        everything = metafunc.config.getoption("--all-mutations")
        chosen = all_mutations() if everything else whose_turn(all_mutations(), mutations.commit())
        metafunc.parametrize("in_turn", chosen, ids=str)


@pytest.mark.mutation
def test_a_chapter_turns_red(in_turn, tmp_path):
    result = broken(in_turn, tmp_path)
    complaint = noticed(result)
    assert not complaint, f"{complaint}:\n{result.stdout[-3000:]}{result.stderr[-1000:]}"


@pytest.fixture
def green(monkeypatch):
    monkeypatch.setattr(mutations, "notebook_of", lambda chapter: GREEN)


@pytest.mark.mutation
@pytest.mark.parametrize("mutation_of_the_example", [IN_THE_LAB, IN_THE_NOTEBOOK], ids=str)
def test_the_example_turns_red(mutation_of_the_example, green, tmp_path):
    result = broken(mutation_of_the_example, tmp_path)
    assert noticed(result) == "", result.stdout[-3000:]


@pytest.mark.mutation
def test_the_unbroken_copy_is_green_and_is_what_the_notebook_imports(tmp_path):
    package = copy_package(tmp_path / "copy")
    line = [sys.executable, "-c", "import corelib; print(corelib.__file__)"]
    settings = environment({"PYTHONPATH": str(package)})
    found = subprocess.run(line, check=False, capture_output=True, text=True, env=settings, cwd="/")
    assert found.stdout.startswith(str(package)), found.stdout + found.stderr
    result = run(GREEN, python_path=package)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]


def test_a_green_run_and_an_accident_are_not_taken_for_an_alarm():
    def finished(code, text):
        return subprocess.CompletedProcess([], code, stdout=text, stderr="")

    assert noticed(finished(0, "5 passed")) == "the chapter did not notice"
    assert noticed(finished(1, "ImportError: no module")) == "red, but by accident"
    assert noticed(finished(1, "ValueError: shape")) == "red, but not for a wrong result"
    assert noticed(finished(1, "ClaimError: 1 of 3 claims do not hold")) == ""


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_chapter_has_a_mutation_of_each_kind(chapter):
    kinds = {mutation.kind for mutation in all_mutations() if mutation.chapter == chapter}
    assert kinds == set(KINDS)


@pytest.mark.parametrize("mutation", all_mutations(), ids=str)
def test_a_mutation_still_fits(mutation, tmp_path):
    assert mutation.kind in KINDS
    assert bool(mutation.function) != bool(mutation.cell)
    assert (mutation.kind == "library") == bool(mutation.function)
    if mutation.cell:
        break_notebook(mutation, notebook_of(mutation.chapter), tmp_path / "copy.ipynb")
        return
    file, start, end = find_function(mutation.function, ROOT / "corelib")
    assert file.read_text(encoding="utf-8")[start:end].count(mutation.old) == 1
    assert bool(mutation.kernel) == (file.suffix in (".h", ".pyx"))


def test_mutations_belong_to_notebooks():
    for path in FOLDER.glob("*.toml"):
        assert notebook_of(path.stem).exists()


def test_the_commit_decides_whose_turn_it_is():
    every = tuple(
        Mutation(chapter="a", kind="leak", name=str(i), cell="x", old="a", new="b") for i in range(20)
    )
    turns = [whose_turn(every, f"commit {i}") for i in range(40)]
    assert all(len(turn) == IN_EVERY_RUN for turn in turns)
    assert turns[0] == whose_turn(every[::-1], "commit 0")
    assert set().union(*turns) == set(every)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_record_says_what_a_chapter_noticed(chapter):
    tried = record.load(notebook_of(chapter)).get("mutations", {}).get("tried", [])
    expected = [mutation.name for mutation in all_mutations() if mutation.chapter == chapter]
    assert [entry["name"] for entry in tried] == expected, f"run python -m tools.mutations {chapter}"


LIBRARY = {
    "a.py": "class Loss:\n    def value(self):\n        return 1\n\n\ndef slope(x):\n    return x\n",
    "b.h": "static double ks_row(double x) {\n    if (x > 0) { return 1; }\n    return x;\n}\nint other(void);\n",
    "c.pyx": "def rows(x):\n    return x\n\ndef columns(x):\n    return x\n",
}


@pytest.fixture
def package(tmp_path):
    (tmp_path / "corelib").mkdir()
    for name, text in LIBRARY.items():
        (tmp_path / "corelib" / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("function", "old", "file"),
    [
        ("Loss.value", "return 1", "a.py"),
        ("slope", "return x", "a.py"),
        ("ks_row", "return x", "b.h"),
        ("rows", "return x", "c.pyx"),
    ],
)
def test_a_function_is_found_by_its_name(function, old, file, package):
    mutation = Mutation(chapter="a", kind="library", name="a", function=function, old=old, new="return 2")
    break_library(mutation, package)
    changed = (package / "corelib" / file).read_text(encoding="utf-8")
    assert changed == LIBRARY[file].replace(old, "return 2", 1)


@pytest.mark.parametrize(
    ("function", "old"), [("gone", "return 1"), ("slope", "return 7"), ("ks_row", "return")], ids=str
)
def test_a_mutation_that_no_longer_fits_is_an_error(function, old, package):
    with pytest.raises(Stale):
        break_library(
            Mutation(chapter="a", kind="library", name="stale", function=function, old=old, new=""), package
        )


def test_a_cell_that_is_not_there_is_an_error(tmp_path):
    stale = Mutation(chapter="green", kind="leak", name="stale", cell="no_such_name", old="a", new="b")
    with pytest.raises(Stale, match="0 cells"):
        break_notebook(stale, GREEN, Path(tmp_path / "copy.ipynb"))

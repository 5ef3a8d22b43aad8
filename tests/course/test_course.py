"""Protects the course: what students get holds no answer, what comes back are plain values, grades are the same twice."""

import ast
import csv
import html
import io
import json
import math
import shutil
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import yaml
from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE_TYPE

from course import wire
from course.assignments import students, teachers
from course.build import lectures
from course.grade import grade, grade_all, main
from course.magics import python
from course.sandbox import Sandbox, SubmissionError, isolates
from course.slides import speech
from course.submission import read
from course.unit import Unit, every, load, parse

NAMES = every()
PICTURE = MSO_SHAPE_TYPE.PICTURE
BOOK = Path(__file__).resolve().parents[2] / "book"
needs_isolation = pytest.mark.skipif(not isolates(), reason="this machine cannot make namespaces")


def installs() -> str:
    """The cell that installs the library, as chapters have it."""
    chapter = nbformat.read(BOOK / "metric-learning" / "susana.ipynb", as_version=4)
    return next(cell.source for cell in chapter.cells if cell.cell_type == "code")


@pytest.mark.parametrize("name", NAMES)
def test_a_students_notebook_holds_no_solution_and_no_hidden_test(name):
    unit = load(name)
    given = "\n".join(cell.source for cell in unit.student().cells)
    for mark in ("BEGIN", "END", "SOLUTION", "HIDDEN", "SEED"):
        assert f"### {mark}" not in given and f" {mark}" not in given
    shown = {line.strip() for line in given.split("\n")}
    secret = [
        line.strip()
        for cell in unit.cells
        for line in cell.source.split("\n")
        if cell.source != cell.stub and line not in cell.stub.split("\n") and len(line.strip()) > 12
    ]
    assert len(secret) > 30
    assert [line for line in secret if line in shown] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_whole(name):
    unit = load(name)
    nbformat.validate(unit.notebook)
    ids = [cell.id for cell in unit.cells]
    assert len(set(ids)) == len(ids) and not any(mark.startswith("plain") for mark in ids)
    assert unit.points == 20
    assert all(cell.names for cell in unit.cells if cell.solution and cell.kind == "code")
    assert all("### BEGIN HIDDEN TESTS" in cell.source for cell in unit.cells if cell.tests)
    for cell in unit.cells:
        if cell.kind == "code":
            compile(python(cell.stub), cell.id, "exec")
    assert (BOOK / f"{unit.chapter}.ipynb").exists() and 60 <= unit.minutes <= 120
    assert f"{unit.minutes} minutes, 20 points" in unit.cells[0].source
    assert f"book/{unit.chapter}.html" in unit.cells[0].source
    assert unit.teaches and not unit.teaches.endswith(".")
    given = [cell.source for cell in unit.cells if cell.given]
    assert any("\nSEED = 1  #" in source for source in given), "nbgrader draws none"
    assert ("`corelib` is not there" in unit.cells[0].source) != unit.library
    assert (given[0] == installs()) == unit.library, "as in the chapters"
    shown = [parse(cell.stub).body for cell in unit.cells if cell.tests]
    assert not any(isinstance(body[-1], ast.Expr) for body in shown), "students would see a number"


def test_the_syllabus_has_every_unit_once_beside_the_chapter_that_it_needs():
    weeks = yaml.safe_load((BOOK.parent / "course" / "syllabus.yml").read_text(encoding="utf-8"))
    chosen = [[week[which] for which in ("unit", "or") if which in week] for week in weeks]
    assert sorted(name for names in chosen for name in names) == NAMES and len(weeks) == 12
    for week, names in zip(weeks, chosen, strict=True):
        assert {load(name).chapter for name in names} <= set(week["read"])
        assert week["ask"].endswith((".", "?"))
        assert all((BOOK / f"{name}.ipynb").exists() for name in week["read"])
    assert len({load(name).chapter.partition("/")[0] for name in NAMES}) == 7, "every part has a unit"


def test_students_get_one_folder_and_teachers_the_other(tmp_path):
    students(tmp_path / "student")
    teachers(tmp_path / "teacher")
    for name in NAMES:
        given = (tmp_path / "student" / f"{name}.ipynb").read_text()
        kept = (tmp_path / "teacher" / f"{name}.ipynb").read_text()
        assert "BEGIN SOLUTION" in kept and "BEGIN HIDDEN TESTS" in kept
        assert "BEGIN SOLUTION" not in given and "BEGIN HIDDEN TESTS" not in given
        assert (
            (tmp_path / "teacher" / f"{name}.md").read_text().startswith(f"# {load(name).title}: 20 points")
        )
    assert sorted(path.stem for path in (tmp_path / "student").iterdir()) == NAMES


def test_slides_and_figures_are_those_of_the_chapters(tmp_path):
    lectures(tmp_path, BOOK)
    decks = sorted((tmp_path / "slides").iterdir())
    assert len(decks) == len(list(BOOK.glob("*/*.ipynb")))
    with zipfile.ZipFile(tmp_path / "figures.zip") as file:
        listed = list(csv.DictReader(io.StringIO(file.read("figures.csv").decode())))
        assert [row["file"] for row in listed] == file.namelist()[:-1]
    assert all(row["finding"] and row["alternative text"].endswith(".") for row in listed)
    for path in decks:
        deck, slug = Presentation(path), path.stem[3:]
        shown = [shape for slide in deck.slides for shape in slide.shapes if shape.shape_type == PICTURE]
        alternatives = [row["alternative text"] for row in listed if row["file"].startswith(f"{slug}/")]
        assert [shape._element._nvXxPr.cNvPr.get("descr") for shape in shown] == alternatives
        assert all(
            slide.shapes.title.text and slide.notes_slide.notes_text_frame.text for slide in deck.slides
        )
        assert all(
            0 <= shape.left
            and shape.left + shape.width <= deck.slide_width
            and shape.top + shape.height <= deck.slide_height
            for shape in shown
        )


def test_what_is_said_on_a_slide_has_no_marks():
    said = "A [chapter](a.ipynb#b) of *two* `names` {cite:p}`a, b`, and $x_1*x_2*x_3$ and a_b_c."
    assert speech(said) == "A chapter of two names, and $x_1*x_2*x_3$ and a_b_c."


@needs_isolation
@pytest.mark.parametrize("name", NAMES)
def test_the_whole_solution_the_half_and_nothing_get_what_they_deserve(name, tmp_path):
    unit = load(name)
    half = unit.solved()
    tests = [cell for cell in unit.cells if cell.tests]
    solutions = [cell for cell in half.cells if cell.metadata.nbgrader.solution and cell.cell_type == "code"]
    for cell in solutions[len(solutions) // 2 :]:
        cell.source = "raise NotImplementedError"
    for student, made in {"whole": unit.solved(), "half": half, "nothing": unit.student()}.items():
        nbformat.write(made, tmp_path / f"{student}.ipynb")
    totals = {}
    for seed in (1, 2, 3):
        grades = grade_all(tmp_path, unit, tmp_path / f"out{seed}", seed=seed, jobs=2, weak=False)
        totals[seed] = {made.student: made.total for made in grades}
    by_machine = sum(cell.points for cell in tests)
    first = sum(cell.points for cell in tests[: len(solutions) // 2])
    assert all(totals[seed] == {"whole": by_machine, "half": first, "nothing": 0.0} for seed in totals), (
        totals
    )


@needs_isolation
def test_a_second_run_gives_the_same_grades_and_an_interrupted_one_goes_on(tmp_path, monkeypatch):
    unit, folder, out = load("auc"), tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for student in ("a", "=b"):
        nbformat.write(unit.solved(), folder / f"{student}.ipynb")
    arguments = [str(folder), "--unit", "auc", "--out", str(out)]
    main(arguments)
    first = (out / "grades.csv").read_bytes()
    seed = json.loads((out / "run.json").read_text())["seed"]
    monkeypatch.setattr("course.grade.grade", lambda *_, **__: pytest.fail("graded again"))
    main(arguments)
    assert (out / "grades.csv").read_bytes() == first
    assert json.loads((out / "run.json").read_text())["seed"] == seed
    rows = list(csv.reader((out / "grades.csv").open()))
    assert [row[0] for row in rows] == ["student", "'=b", "a"], "a name is no formula"
    assert {row[-4] for row in rows[1:]} == {"18.0"} and {row[-2] for row in rows[1:]} == {"1"}
    scope = json.loads((out / "gradescope" / "a.json").read_text())
    assert scope["score"] == 18 and sum(test["max_score"] for test in scope["tests"]) == 18
    assert "18 of 20 points" in (out / "feedback" / "a.html").read_text()
    canvas, moodle = (list(csv.reader((out / f"{name}.csv").open())) for name in ("canvas", "moodle"))
    assert canvas[0] == [
        "Student",
        "ID",
        "SIS User ID",
        "SIS Login ID",
        "Section",
        "One number for all pairs",
    ]
    assert [row[-1] for row in canvas[1:]] == ["20.0", "18.0", "18.0"] and canvas[3][3] == "a"
    assert moodle[2][:2] == ["a", "18.0"] and f"{unit.headings['auc-checks']}: 4 of 4" in moodle[2][2]
    model = next(cell.source for cell in unit.cells if cell.manual)
    assert (out / "answers.html").read_text().count(html.escape(model)) == 3, "the model and what both said"


@needs_isolation
def test_a_cell_that_never_ends_costs_itself(tmp_path):
    unit = load("auc")
    made = unit.solved()
    made.cells.append(nbformat.v4.new_code_cell("while True:\n    pass"))
    nbformat.write(made, tmp_path / "endless.ipynb")
    graded = grade(tmp_path / "endless.ipynb", unit, 1, seconds=9)
    assert graded.total == 18 and any("did not end in time" in note for note in graded.notes)


def test_answers_in_words_are_found_without_their_ids_and_an_empty_one_is_none(tmp_path):
    unit = load("auc")
    solved, untouched = unit.solved(), unit.student()
    for cell in solved.cells:
        cell.metadata.pop("nbgrader", None)
    for name, notebook, count in (("solved", solved, 1), ("untouched", untouched, 0)):
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
        assert len(read(tmp_path / f"{name}.ipynb", unit).words) == count


def test_a_unit_of_ones_own_needs_no_metadata_of_ours():
    unit = load("auc")
    bare = nbformat.from_dict(unit.notebook)
    del bare.metadata["keeping_score"]
    assert not Unit("mine", bare, unit.folder).library


@needs_isolation
def test_a_name_may_end_in_capitals_but_two_may_not_be_one_student(tmp_path):
    unit, folder = load("auc"), tmp_path / "in"
    folder.mkdir()
    nbformat.write(unit.solved(), folder / "a.IPYNB")
    (grades,) = grade_all(folder, unit, tmp_path / "out", seed=5, jobs=1, weak=False)
    assert (grades.student, grades.total) == ("a", 18)
    shutil.copy(folder / "a.IPYNB", folder / "a.ipynb")
    if len(list(folder.iterdir())) == 2:
        with pytest.raises(RuntimeError, match="two notebooks of one name: a"):
            grade_all(folder, unit, tmp_path / "out", seed=5, jobs=1, weak=False)


@pytest.mark.parametrize(
    "source",
    ["%pip install x", "if True:\n    %pip install x", "%%time\n!ls", "try:\n    1\nexcept KeyError:\n\t!ls"],
)
def test_lines_for_a_notebook_only_leave_python(source):
    assert not {"%", "!"} & set(ast.unparse(parse(python(source))))


@needs_isolation
def test_a_teachers_own_units_are_hidden_from_submissions(tmp_path):
    folder, own = tmp_path / "in", tmp_path / "units" / "mine"
    folder.mkdir()
    own.mkdir(parents=True)
    unit = load("auc")
    nbformat.write(unit.notebook, own / "mine.ipynb")
    spy = unit.student()
    spy.cells[1].source = ""
    spy.cells.append(nbformat.v4.new_code_cell(f"exec(open({str(own / 'mine.ipynb')!r}).read())"))
    nbformat.write(spy, folder / "spy.ipynb")
    nbformat.write(unit.solved(), folder / "a.ipynb")
    main([str(folder), "--unit", "mine", "--units", str(own.parent), "--out", str(tmp_path / "out")])
    grades = {
        row["student"]: row["total"] for row in csv.DictReader((tmp_path / "out" / "grades.csv").open())
    }
    assert grades == {"a": "18.0", "spy": "0.0"}
    assert "FileNotFoundError" in (tmp_path / "out" / "feedback" / "spy.html").read_text()


@needs_isolation
def test_feedback_does_not_tell_hidden_inputs(tmp_path):
    unit = load("auc")
    made = unit.student()
    for cell in made.cells:
        if cell.metadata.nbgrader.grade_id == "auc":
            cell.source = "def auc(s, l):\n    if len(s) > 3: raise ValueError(repr((s, l)))\n    return {2: 1, 3: 0.75}[len(s)]"
        if cell.metadata.nbgrader.grade_id == "loss":
            cell.source = "def mw_loss(pos, neg, tau): return 0.0"
    nbformat.write(made, tmp_path / "a.ipynb")
    (grades,) = grade_all(tmp_path, unit, tmp_path / "out", seed=5, jobs=1, weak=False)
    said = {part.id: part.message for part in grades.parts}
    assert said["loss-checks"] == "a pair of equals costs log 2", "a visible check says what it wants"
    assert said["fast-checks"] == "NotImplementedError"
    assert said["auc-checks"] == "a hidden check of this part got no answer", "an error could tell the input"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        -0.0,
        "text",
        [1, [2.5, None]],
        (1, "a"),
        {"a": (1, 2), "tuple": [3]},
        math.inf,
        10**40,
    ],
)
def test_plain_values_pass_as_they_are(value):
    back = wire.unpack(json.loads(json.dumps(wire.pack(value))))
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)])
def test_arrays_and_tensors_pass_as_they_are(dtype, shape):
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    for value in (array, torch.from_numpy(array), array.T):
        back = wire.unpack(json.loads(json.dumps(wire.pack(value))))
        assert type(back) is type(value) and back.dtype == value.dtype and back.shape == value.shape
        assert (back == value).all()


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, {1, 2}, b"bytes", 1j, np.array([object()]), np.array(["a"]), lambda: 0]
)
def test_nothing_else_passes(value):
    with pytest.raises(wire.WireError, match="cannot be handed over"):
        wire.pack(value)


@pytest.mark.parametrize(
    "plain",
    [
        {"array": ["<f8", [2], "AAAA"]},
        {"array": ["O", [1], "AAAAAAAAAAA="]},
        {"array": ["<f8", [-1], ""]},
        {"array": 3},
        {"tuple": 3},
        {"other": 1},
        {"a": 1, "b": 2},
        {"array": ["<f8", ["x"], ""]},
    ],
)
def test_what_nobody_packed_is_refused(plain):
    with pytest.raises(wire.WireError):
        wire.unpack(plain)


def test_what_nobody_would_read_is_not_sent():
    with pytest.raises(wire.WireError, match="more than 32 MB"):
        wire.send(1, {"x": "x" * wire.LONGEST})


@needs_isolation
def test_a_sandbox_calls_functions_and_says_what_is_wrong():
    cells = ["def double(x, *, times=1): return x * 2 * times", "1 / 0", "constant = 3"]
    with Sandbox(cells, seconds=30) as sandbox:
        assert sandbox.problems == ["", "ZeroDivisionError: division by zero", ""]
        assert sandbox.call("double", 2, times=3) == 12 and sandbox.get("constant") == 3
        np.testing.assert_array_equal(sandbox.call("double", np.arange(3.0)), [0, 2, 4])
        with pytest.raises(SubmissionError, match="half is not defined"):
            sandbox.call("half", 1)
        with pytest.raises(SubmissionError, match="TypeError"):
            sandbox.call("double")


@needs_isolation
@pytest.mark.parametrize("allowed", [True, False])
def test_a_unit_decides_whether_the_library_is_there(allowed):
    cells = ["def auc(s, l):\n    from corelib.metrics import roc_auc\n    return float(roc_auc(s, l))"]
    with Sandbox(cells, library=allowed, seconds=60) as sandbox:
        asked = np.array([0.5, 0.5, 0.1]), np.array([1, 0, 0])
        if allowed:
            assert sandbox.call("auc", *asked) == 0.75
        else:
            with pytest.raises(SubmissionError, match="ModuleNotFoundError"):
                sandbox.call("auc", *asked)


@needs_isolation
def test_a_late_answer_is_not_taken_for_the_next_one():
    cells = [
        "import os, time\ndef slow(x): time.sleep(2); return 'late'\ndef end(): os._exit(0)\ndef same(x): return x"
    ]
    with Sandbox(cells, seconds=6) as sandbox:
        with pytest.raises(SubmissionError, match="no answer in time"):
            sandbox.call("slow", 1)
        assert [sandbox.call("same", number) for number in range(3)] == [0, 1, 2]
        with pytest.raises(SubmissionError, match="ended"):
            sandbox.call("end")
        assert sandbox.call("same", 3) == 3


def test_where_nothing_can_be_isolated_the_grader_refuses(monkeypatch):
    monkeypatch.setattr("course.sandbox.isolates", lambda: False)
    with pytest.raises(RuntimeError, match="cannot isolate"):
        Sandbox(["x = 1"])
    with Sandbox(["x = 1"], weak=True, seconds=30) as sandbox:
        assert sandbox.get("x") == 1


def test_an_unknown_unit_is_named():
    with pytest.raises(FileNotFoundError, match="no unit 'nowhere'; there are: auc"):
        load("nowhere")

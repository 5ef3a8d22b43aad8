"""Protects the promise that a course which uses nbgrader can take the units as they are: ``make test-nbgrader``."""

import subprocess
import sys

import nbformat
import pytest

pytest.importorskip("nbgrader", reason="nbgrader has an environment of its own: make test-nbgrader")

from nbgrader.api import Gradebook

from course.unit import every, load


@pytest.fixture(scope="module")
def class_(tmp_path_factory):
    """A course folder of nbgrader with all units generated, and graded for one who solved all and one who did nothing."""
    folder = tmp_path_factory.mktemp("class")
    for name in every():
        unit = load(name)
        for place, made in (
            (f"source/{name}", unit.notebook),
            (f"submitted/solved/{name}", unit.solved()),
            (f"submitted/nothing/{name}", unit.student()),
        ):
            (folder / place).mkdir(parents=True)
            nbformat.write(made, folder / place / f"{name}.ipynb")
        for command in ("generate_assignment", "autograde"):
            line = [sys.executable, "-m", "nbgrader", command, name, "--CourseDirectory.root=."]
            done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("name", every())
def test_its_converter_gives_our_students_notebook(name, class_):
    made = nbformat.read(class_ / "release" / name / f"{name}.ipynb", as_version=4)
    ours = load(name).student()
    assert [cell.source.rstrip() for cell in made.cells] == [cell.source.rstrip() for cell in ours.cells]
    marks = [[cell.metadata.nbgrader.grade_id for cell in notebook.cells] for notebook in (made, ours)]
    assert marks[0] == marks[1]


@pytest.mark.parametrize("name", every())
def test_its_grader_gives_all_points_to_the_solution_and_none_to_an_empty_notebook(name, class_):
    by_machine = sum(cell.points for cell in load(name).cells if cell.tests)
    with Gradebook(f"sqlite:///{class_}/gradebook.db") as book:
        assert book.find_submission(name, "solved").score == by_machine
        assert book.find_submission(name, "nothing").score == 0

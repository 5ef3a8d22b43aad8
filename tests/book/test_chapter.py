"""Protects the committed form of notebooks: running one again changes nothing, and a failure changes nothing."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from corelib.lab import record
from tools.chapter import execute, main
from tools.compare import ROOT
from tools.normalise import normalise

GREEN = ROOT / "tests" / "fixtures" / "book" / "pairs" / "green.ipynb"


@pytest.fixture
def chapter(tmp_path):
    (tmp_path / "pairs").mkdir()
    shutil.copy(record.path_of(GREEN), tmp_path / "pairs")
    return Path(shutil.copy(GREEN, tmp_path / "pairs"))


def test_running_a_chapter_again_changes_no_byte(chapter, capsys):
    assert main([str(chapter)]) == 0
    assert chapter.read_bytes() == GREEN.read_bytes()
    assert capsys.readouterr().out == f"{chapter}: executed\n"


def test_running_says_when_and_where(chapter):
    record.path_of(chapter).unlink()
    execute(chapter)
    small = record.load(chapter)["small"]
    assert small["seconds"] < 60
    assert "torch" in small["machine"]
    assert len(small["date"]) == 10


def test_a_wide_run_keeps_the_claims_and_leaves_the_notebook(chapter, capsys):
    record.path_of(chapter).unlink()
    assert main(["--wide", str(chapter)]) == 0
    assert chapter.read_bytes() == GREEN.read_bytes()
    kept, expected = record.load(chapter)["wide"], record.load(GREEN)["wide"]
    assert [claim["name"] for claim in kept["claims"]] == ["shrinks", "centre"]
    assert (kept["claims"], kept["code"]) == (expected["claims"], expected["code"])


def test_running_restores_what_is_missing_and_removes_what_is_not_wanted(chapter):
    notebook = nbformat.read(chapter, as_version=4)
    notebook.metadata["kernelspec"] = {"display_name": "mine", "language": "python", "name": "mine"}
    notebook.metadata["language_info"] = {"name": "python", "version": "3.12.1"}
    for index, cell in enumerate(notebook.cells):
        cell.id = f"random-{index}"
        cell.metadata["execution"] = {"iopub.status.busy": "2025-01-01T00:00:00Z"}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, chapter)
    execute(chapter)
    assert chapter.read_bytes() == GREEN.read_bytes()


def test_a_chapter_that_fails_is_left_alone(chapter):
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("1 / 0"))
    nbformat.write(notebook, chapter)
    before = chapter.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(chapter)
    assert chapter.read_bytes() == before


def test_the_tool_says_what_the_guard_says(chapter, capsys):
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("print('/home/anna/data')"))
    nbformat.write(notebook, chapter)
    assert main([str(chapter)]) == 1
    assert "code cell 15 shows an absolute path: '/home/anna/data" in capsys.readouterr().out


def test_the_same_text_twice_gets_two_ids():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Text") for _ in range(3)])
    first, second, third = (cell.id for cell in normalise(notebook).cells)
    assert (second, third) == (f"{first}-2", f"{first}-3")
    nbformat.validate(notebook)


def test_neighbouring_messages_of_one_stream_are_joined():
    def stream(name, text):
        return nbformat.v4.new_output("stream", name=name, text=text)

    display = nbformat.v4.new_output("display_data", {"text/plain": "x"})
    outputs = [
        stream("stdout", "a"),
        stream("stdout", "b"),
        display,
        stream("stdout", "c"),
        stream("stderr", "d"),
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("f()", outputs=outputs)])
    stored = [output.get("text", "x") for output in normalise(notebook).cells[0].outputs]
    assert stored == ["ab", "x", "c", "d"]

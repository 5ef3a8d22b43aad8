"""Protects readers from chapters whose stored output is missing, stale, unlabelled or not what the claims say.

nbval compares outputs (see the Makefile); this guards what nbval lets pass, and proves on broken copies of a small
notebook that both notice.
"""

import copy
import json
from pathlib import Path

import nbformat
import pytest
from corelib.lab.guard import MAX_BYTES, problems
from nbval_runner import ROOT, run

from corelib.lab.claims import MIME

BOOK = ROOT / "book"
CHAPTERS = sorted(path for path in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
GREEN = Path(__file__).parent / "fixtures" / "book" / "pairs" / "green.ipynb"
INSTALL, SETUP, CARD, PRINT, SAY, FIGURE, REPORT = range(7)


def test_the_book_has_chapters():
    assert CHAPTERS, f"no notebook under {BOOK}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.relative_to(BOOK).as_posix())
def test_a_chapter_is_stored_as_it_should_be(chapter):
    assert problems(chapter) == []


def test_the_example_is_stored_as_it_should_be():
    assert problems(GREEN) == []


@pytest.fixture
def broken(tmp_path):
    """A function that applies a change to the code cells of the example and writes it to a file of the same name."""

    def write(change) -> Path:
        notebook = nbformat.read(GREEN, as_version=4)
        change([cell for cell in notebook.cells if cell.cell_type == "code"])
        path = tmp_path / GREEN.name
        nbformat.write(notebook, path)
        return path

    return write


def _unexecuted(cells):
    cells[PRINT].execution_count = None
    cells[PRINT].outputs = []


def _twice_executed(cells):
    cells[PRINT].execution_count = 9


def _unstored(cells):
    cells[PRINT].outputs = []


def _unstored_sentence(cells):
    cells[SAY].outputs = []


def _stderr(cells):
    cells[PRINT].outputs.append(nbformat.v4.new_output("stream", name="stderr", text="UserWarning: careful"))


def _raised(cells):
    cells[PRINT].outputs.append(nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[]))


def _claim_does_not_hold(cells):
    _edit_report(cells, lambda report: report["claims"][0].update(holds=False))


def _claim_edited(cells):
    _edit_report(cells, lambda report: report["claims"][1].update(measured="mean 0"))


def _verdict_edited(cells):
    _edit_report(cells, lambda report: report["card"].update(verdict="in part"))


def _slug_of_another(cells):
    _edit_report(cells, lambda report: report["card"].update(slug="red"))


def _edit_report(cells, edit):
    data = cells[REPORT].outputs[0].data
    report = json.loads(data[MIME])
    edit(report)
    data[MIME] = json.dumps(report)


def _table_edited(cells):
    data = cells[REPORT].outputs[0].data
    data["text/html"] = data["text/html"].replace("reproduced", "shown", 1)


def _card_edited(cells):
    data = cells[CARD].outputs[0].data
    data["text/plain"] = data["text/plain"].replace("Verdict: held", "Verdict: triumph")


def _report_missing(cells):
    cells[REPORT].outputs = []


def _report_twice(cells):
    cells[REPORT].outputs.append(copy.deepcopy(cells[REPORT].outputs[0]))


def _alt_missing(cells):
    del cells[FIGURE].metadata["mystnb"]


def _alt_no_sentence(cells):
    cells[FIGURE].metadata["mystnb"]["image"]["alt"] = "A line that settles at zero"


def _alt_too_short(cells):
    cells[FIGURE].metadata["mystnb"]["image"]["alt"] = "A line."


def _alt_without_figure(cells):
    cells[FIGURE].outputs = []


def _two_figures(cells):
    cells[FIGURE].outputs.append(copy.deepcopy(cells[FIGURE].outputs[0]))


def _svg(cells):
    cells[FIGURE].outputs[0].data["image/svg+xml"] = "<svg/>"


def _path(cells):
    cells[PRINT].outputs[0].text = "read /home/anna/data.csv\n"


def _address(cells):
    cells[PRINT].outputs[0].text = "<object at 0x7f3a5c2b1d90>\n"


def _clock(cells):
    cells[PRINT].outputs[0].text = "done at 12:03:59\n"


def _html_id(cells):
    cells[PRINT].outputs = [
        nbformat.v4.new_output(
            "display_data", {"text/html": '<table id="T_4f2a"></table>', "text/plain": "table"}
        )
    ]


def _exempt_by_tag(cells):
    cells[PRINT].metadata["tags"] = ["nbval-ignore-output"]


def _exempt_by_comment(cells):
    cells[PRINT].source = "# NBVAL_SKIP\n" + cells[PRINT].source


def _card_not_exempt(cells):
    cells[CARD].metadata["tags"] = ["hide-input"]


def _no_install(cells):
    cells[INSTALL].source = "import corelib"


def _empty_cell(cells):
    cells[SETUP].source = ""


def _timing_metadata(cells):
    cells[PRINT].metadata["execution"] = {"iopub.status.busy": "2025-01-01T00:00:00Z"}


def _random_id(cells):
    cells[PRINT].id = "0a1b2c3d"


def _typed_number(cells):
    cells[SAY].source = 'lab.say("The mean is ≈ 0.006.")'


def _typed_number_in_fstring(cells):
    cells[SAY].source = 'lab.say(f"The mean of {sample.size} is ≈ 0.006.")'


def _typed_outcome(cells):
    cells[REPORT].source = cells[REPORT].source.replace("holds=abs(mean) < 0.03", "holds=True")


def _typed_error(cells):
    cells[REPORT].source = cells[REPORT].source.replace("error=abs((sample - mean).mean())", "error=0.0")


def _typed_measurement(cells):
    cells[REPORT].source = cells[REPORT].source.replace(
        'measured=f"mean {lab.approx(mean)}"', 'measured="0.006"'
    )


def _too_large(cells):
    cells[FIGURE].outputs[0].data["image/png"] += "A" * MAX_BYTES


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_unexecuted, "code cell 4 was never executed"),
        (_twice_executed, "code cell 4 has execution count 9"),
        (_unstored, "code cell 4 calls print() but no output is stored"),
        (_unstored_sentence, "code cell 5 calls say() but no output is stored"),
        (_stderr, "code cell 4 wrote to stderr"),
        (_raised, "code cell 4 raised ValueError"),
        (_claim_does_not_hold, "claim centred does not hold"),
        (_claim_edited, "the stored table of claims is not what its JSON says"),
        (_verdict_edited, 'the verdict is "in part" but the claims amount to "held"'),
        (_slug_of_another, 'the card\'s slug is "red"'),
        (_table_edited, "the stored table of claims is not what its JSON says"),
        (_card_edited, "the stored card is not what the claims report says"),
        (_report_missing, "there must be one claims report; found 0"),
        (_report_twice, "there must be one claims report; found 2"),
        (_alt_missing, "code cell 6 needs alt text"),
        (_alt_no_sentence, "code cell 6 needs alt text"),
        (_alt_too_short, "code cell 6 needs alt text"),
        (_alt_without_figure, "code cell 6 has alt text but stores no figure"),
        (_two_figures, "code cell 6 shows 2 figures"),
        (_svg, "code cell 6 displays image/svg+xml"),
        (_path, "code cell 4 shows an absolute path"),
        (_address, "code cell 4 shows an object's address"),
        (_clock, "code cell 4 shows a clock"),
        (_html_id, "code cell 4 shows an id in HTML"),
        (_exempt_by_tag, "code cell 4 must not be exempt from nbval"),
        (_exempt_by_comment, "code cell 4 must not be exempt from nbval"),
        (_card_not_exempt, "one code cell must show the card"),
        (_no_install, "the first code cell must be the install cell"),
        (_empty_cell, "code cell 2 is empty"),
        (_timing_metadata, "ids or metadata are not normalised"),
        (_random_id, "ids or metadata are not normalised"),
        (_typed_number, "cell 6: '≈ 0.006.' is typed by hand"),
        (_typed_number_in_fstring, "cell 6: '≈ 0.006.' is typed by hand"),
        (_typed_outcome, "cell 8: holds=True is a constant"),
        (_typed_error, "cell 8: error=0.0 is a constant"),
        (_typed_measurement, "cell 8: measured='0.006' is typed by hand"),
        (_too_large, "the file has"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else None,
)
def test_the_guard_notices(change, complaint, broken):
    found = problems(broken(change))
    assert any(problem.startswith(complaint) for problem in found), found


def test_nbval_passes_the_example():
    result = run(GREEN)
    assert result.returncode == 0, result.stdout


def test_nbval_passes_a_cell_that_was_never_executed(broken):
    """If this fails, nbval has learnt to notice by itself."""
    assert run(broken(_unexecuted)).returncode == 0


def _number_behind_the_sign(cells):
    for kind in ("text/markdown", "text/plain"):
        cells[SAY].outputs[0].data[kind] = "The mean is ≈ -7.5e-12."


def _number_in_plain_text(cells):
    cells[PRINT].outputs[0].text = "drawn: 10001\n"


def _wrong_claim(cells):
    cells[REPORT].source = cells[REPORT].source.replace("holds=abs(mean) < 0.03", "holds=abs(mean) < 0.0")


def test_nbval_lets_the_number_behind_the_sign_move(broken):
    result = run(broken(_number_behind_the_sign))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_number_in_plain_text, "Cell outputs differ"),
        (_unstored, "Cell outputs differ"),
        (_table_edited, "Cell outputs differ"),
        (_wrong_claim, "1 of 2 claims do not hold:"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else None,
)
def test_nbval_notices(change, reason, broken):
    result = run(broken(change))
    assert result.returncode == 1
    assert reason in result.stdout

"""Protects readers from chapters whose stored output is missing, stale, unlabelled or not what the claims say.

nbval compares outputs (see the Makefile); this guards what nbval lets pass, and proves on broken copies of a small
notebook that both notice.
"""

import copy
import json
from pathlib import Path

import nbformat
import pytest

from corelib.lab import record
from corelib.lab.report import MIME
from tools.compare import ROOT, run
from tools.guard import MAX_BYTES, problems

BOOK = ROOT / "book"
CHAPTERS = sorted(path for path in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
GREEN = ROOT / "tests" / "fixtures" / "book" / "pairs" / "green.ipynb"
INSTALL, SETUP, PRINT, FIGURE, CARD, SAY, PROTOCOL, CLAIMS, FIGURE_2, REPORT, FULL, *ANSWERS = range(14)


def test_the_book_has_chapters():
    assert CHAPTERS, f"no notebook under {BOOK}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.relative_to(BOOK).as_posix())
def test_a_chapter_is_stored_as_it_should_be(chapter):
    assert problems(chapter) == []


def test_the_example_is_stored_as_it_should_be():
    assert problems(GREEN) == []


class Cells(list):
    """The code cells of the example; with all its cells as ``page``, and its record as ``kept``."""


@pytest.fixture
def broken(tmp_path):
    """A function that applies a change to a copy of the example and of its record."""

    def write(change) -> Path:
        notebook = nbformat.read(GREEN, as_version=4)
        cells = Cells(cell for cell in notebook.cells if cell.cell_type == "code")
        cells.page, cells.kept = notebook.cells, record.load(GREEN)
        change(cells)
        folder = tmp_path / "pairs"
        folder.mkdir(exist_ok=True)
        path = folder / GREEN.name
        record.path_of(path).write_text(json.dumps(cells.kept), encoding="utf-8")
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
    _edit_report(cells, lambda report: report["claims"][0].update(problem="the mean is gone"))


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
    data["text/html"] = data["text/html"].replace("holds", "shines", 1)


def _card_edited(cells):
    data = cells[CARD].outputs[0].data
    data["text/plain"] = data["text/plain"].replace("Verdict: holds", "Verdict: triumph")


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


def _typed_error(cells):
    cells[CLAIMS].source = cells[CLAIMS].source.replace(
        "error=abs((samples[0] - mean[0]).mean())", "error=0.0"
    )


def _typed_measurement(cells):
    cells[CLAIMS].source = cells[CLAIMS].source.replace("lab.measure(mean)", "lab.measure(0.001)")


def _typed_distance(cells):
    cells[CLAIMS].source += '\nclaims.distance("mean", paper="0", here="0.006")'


def _typed_finding(cells):
    cells[CARD].source = cells[CARD].source.replace("for ten thousand numbers", "with an error of 0.01")


def _no_main_claim(cells):
    _edit_report(cells, lambda report: report["claims"][1].update(main=False))


def _too_many_claims(cells):
    _edit_report(cells, lambda report: report["claims"].extend(13 * report["claims"][2:]))


def _section_missing(cells):
    del cells.page[next(i for i, cell in enumerate(cells.page) if cell.source == "## Fast")]


def _sections_exchanged(cells):
    scratch, fast = (cell for cell in cells.page if cell.source in ("## From scratch", "## Fast"))
    scratch.source, fast.source = fast.source, scratch.source


def _imports_in_sight(cells):
    cells[SETUP].metadata["tags"] = []


def _claims_out_of_sight(cells):
    cells[CLAIMS].metadata["tags"] = ["remove-input"]


def _code_out_of_sight(cells):
    cells[PRINT].source = "mean = 0"
    cells[PRINT].metadata["tags"] = ["remove-input"]


def _answer_in_sight(cells):
    cells[ANSWERS[0]].metadata["tags"] = []


def _answer_unchecked(cells):
    cells[ANSWERS[1]].source = "samples.std()"


def _exercise_without_a_check(cells):
    cells.page[-2].source = "**3.** How large is it?"


def _too_few_words(cells):
    for cell in cells.page:
        if cell.source.startswith("## The idea"):
            cell.source = "## The idea"


def _too_many_words(cells):
    for cell in cells.page:
        if cell.source.startswith("## The idea"):
            cell.source += " word" * 2000


def _cell_too_long(cells):
    cells[PRINT].source += "\nmean" * 26


def _code_too_long(cells):
    for _ in range(15):
        cells.page.insert(-8, nbformat.v4.new_code_cell("\n".join(["mean"] * 25)))


def _code_before_the_idea(cells):
    cells[PRINT].source += "\nmean" * 20
    cells.page.insert(3, nbformat.v4.new_code_cell("\n".join(["mean"] * 20)))


def _figure_too_wide(cells):
    cells[FIGURE].outputs[0].metadata["image/png"]["width"] = 560


def _text_too_small(cells):
    cells[FIGURE].source += '\n    ax.text(0, 0, "n", fontsize=9)'


def _too_few_figures(cells):
    for index in (FIGURE, FIGURE_2):
        cells[index].outputs = []


def _no_wide_run(cells):
    del cells.kept["wide"]


def _stale_wide_run(cells):
    cells.kept["wide"]["code"] = "0123456789abcdef"


def _stale_small_run(cells):
    cells[PRINT].source = cells[PRINT].source.replace("10_000", "20_000")


def _other_wide_run(cells):
    cells.kept["wide"]["claims"][0]["measured"] = "≈ 0.5"


def _too_large(cells):
    cells[FIGURE].outputs[0].data["image/png"] += "A" * MAX_BYTES


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_unexecuted, "code cell 3 was never executed"),
        (_twice_executed, "code cell 3 has execution count 9"),
        (_unstored, "code cell 3 calls print() but no output is stored"),
        (_unstored_sentence, "code cell 6 calls say() but no output is stored"),
        (_stderr, "code cell 3 wrote to stderr"),
        (_raised, "code cell 3 raised ValueError"),
        (_claim_does_not_hold, "claim centred: the mean is gone"),
        (_claim_edited, "the stored table of claims is not what its JSON says"),
        (_verdict_edited, 'the verdict is "in part" but the main claim says "holds: ≈ '),
        (_slug_of_another, 'the card\'s slug is "red"'),
        (_table_edited, "the stored table of claims is not what its JSON says"),
        (_card_edited, "the stored card is not what the claims report says"),
        (_report_missing, "there must be one claims report; found 0"),
        (_report_twice, "there must be one claims report; found 2"),
        (_alt_missing, "code cell 4 needs alt text"),
        (_alt_no_sentence, "code cell 4 needs alt text"),
        (_alt_too_short, "code cell 4 needs alt text"),
        (_alt_without_figure, "code cell 4 has alt text but stores no figure"),
        (_two_figures, "code cell 4 shows 2 figures"),
        (_svg, "code cell 4 displays image/svg+xml"),
        (_path, "code cell 3 shows an absolute path"),
        (_address, "code cell 3 shows an object's address"),
        (_clock, "code cell 3 shows a clock"),
        (_html_id, "code cell 3 shows an id in HTML"),
        (_exempt_by_tag, "code cell 3 must not be exempt from nbval"),
        (_exempt_by_comment, "code cell 3 must not be exempt from nbval"),
        (_card_not_exempt, "1 code cell must show the card"),
        (_no_install, "the first code cell must be the install cell"),
        (_empty_cell, "code cell 2 is empty"),
        (_timing_metadata, "ids or metadata are not normalised"),
        (_random_id, "ids or metadata are not normalised"),
        (_typed_number, "cell 8: '≈ 0.006.' is typed by hand"),
        (_typed_number_in_fstring, "cell 8: '≈ 0.006.' is typed by hand"),
        (_typed_error, "cell 15: error=0.0 is a constant"),
        (_typed_measurement, "cell 15: measure() of constants"),
        (_typed_distance, "cell 15: here='0.006' is typed by hand"),
        (_typed_finding, "cell 6: the card's found holds a measured number"),
        (_no_main_claim, "one claim of the paper must be the main one; found 0"),
        (_too_many_claims, "15 claims of the paper and of ours; at most 12"),
        (_section_missing, "the sections must be The question"),
        (_sections_exchanged, "the sections must be The question"),
        (_imports_in_sight, "the second code cell must hold the imports"),
        (_claims_out_of_sight, "code cell 8 hides the code of a claim for good"),
        (_code_out_of_sight, "code cell 3 hides its code for good"),
        (_answer_in_sight, "answer 1 must be folded"),
        (_answer_unchecked, "answer 2 must be folded (hide-cell) and check itself"),
        (_exercise_without_a_check, "at least 3 exercises, each with a **Check:**"),
        (_too_few_words, "103 words of prose"),
        (_too_many_words, "3,728 words of prose"),
        (_cell_too_long, "a visible cell of 29 lines"),
        (_code_too_long, "378 visible lines of code"),
        (_code_before_the_idea, "43 visible lines of code before the idea"),
        (_figure_too_wide, "code cell 4 shows a figure of 560 pixels"),
        (_text_too_small, "code cell 4 writes text of 9 points"),
        (_too_few_figures, "0 figures; from 2 to 5"),
        (_no_wide_run, "no wide run is kept in green.record.json"),
        (_stale_wide_run, "the wide run in green.record.json was made by other code"),
        (_stale_small_run, "the small run in green.record.json was made by other code"),
        (_other_wide_run, "claim shrinks does not show the wide run of the record"),
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


def _number_that_moved(cells):
    for kind in ("text/markdown", "text/plain"):
        cells[SAY].outputs[0].data[kind] = "The mean is ≈ 0.0209 ± 0.0046."


def _number_that_moved_a_little(cells):
    for kind in ("text/markdown", "text/plain"):
        cells[SAY].outputs[0].data[kind] = "The mean is ≈ 0.0048 ± 0.0050."


def _number_in_plain_text(cells):
    cells[PRINT].outputs[0].text = "drawn: 50001\n"


def _wrong_claim(cells):
    cells[CLAIMS].source = cells[CLAIMS].source.replace("band=(0.01, 0.16)", "band=(0.01, 0.02)")


def _wide_run_edited(cells):
    cells.kept["wide"]["claims"][0]["outcome"] = "fails here"


def test_numbers_may_move_a_little(broken):
    result = run(broken(_number_that_moved_a_little))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            _number_that_moved,
            "Numbers moved: green.ipynb, cell 5: stored ≈ 0.0209 ± 0.0046, computed ≈ 0.0008 ± ",
        ),
        (_number_in_plain_text, "Cell outputs differ"),
        (_unstored, "Cell outputs differ"),
        (_table_edited, "Cell outputs differ"),
        (_wrong_claim, "1 of 3 claims do not hold:"),
        (_wide_run_edited, "why is required"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else None,
)
def test_comparing_notices(change, reason, broken):
    result = run(broken(change))
    assert result.returncode == 1
    assert reason in result.stdout

"""What must be true of a stored chapter and nbval does not look at.

nbval passes a cell that was never executed, does not look at pictures, and knows nothing of claims, of the order of a
chapter or of its budget.
"""

import ast
import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from corelib._version import __version__
from corelib.lab import record, sliders
from corelib.lab.card import Card
from corelib.lab.plot import MAX_WIDTH
from corelib.lab.reading import minutes, prose_words, visible_lines
from corelib.lab.report import MIME, render, verdict
from corelib.lab.style import PIXELS_PER_INCH
from tools.cells import claims_hash, parse
from tools.normalise import normalise

INSTALL_CELL = f"""\
# On Colab, or wherever corelib is missing: install the book's library first.
try:
    import corelib
except ImportError:
    %pip install -q "keeping-score[notebooks] @ git+https://github.com/keeping-score/keeping-score@v{__version__}\""""

MAX_BYTES = 1_500_000
CARD_TAG = "nbval-ignore-output"

SECTIONS = (
    "The question",
    "The idea",
    "From scratch",
    "Fast",
    "The protocol",
    "The experiment",
    "What the paper says, what we measured",
    "What does not carry over",
    "Full scale",
    "Exercises",
)
WORDS = (1_500, 3_000)  # of prose
LINES = 350  # of visible code
LINES_OF_A_CELL = 25
LINES_BEFORE_THE_IDEA = 40
CLAIMS = 12  # of the paper and ours
FIGURES = (2, 5)
EXERCISES = 3
SMALLEST_TEXT = 12  # points

_TEXT_TYPES = ("text/plain", "text/html", "text/markdown", MIME, sliders.MIME)
_ALLOWED_TYPES = (*_TEXT_TYPES, "image/png")
_DISPLAYING = ("display", "figure", "print", "report", "say", "show", "slider", "table")
_TYPED = re.compile(r"≈\s*[-+]?\d\S*")
_TRACES = {
    "an absolute path": re.compile(
        r"(?<![\w/.:])/(?:content|data|etc|home|mnt|opt|private|root|tmp|Users|usr|var|work)/|\b[A-Za-z]:\\\w"
    ),
    "an object's address": re.compile(r"\b0x[0-9a-fA-F]{6,}\b"),
    "a clock": re.compile(r"\b\d{1,2}:\d{2}:\d{2}\b|\b\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}"),
    "an id in HTML": re.compile(r"<[a-z]+[^>]*\sid=(?!\"claim-)"),
}


def problems(path: Path) -> list[str]:
    """Everything that is wrong with the stored chapter at ``path``, one sentence each; empty if nothing is."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = [
        *_file_problems(path, notebook),
        *_install_problems(cells),
        *_execution_problems(cells),
        *_tag_problems(cells, cards=int(is_chapter(path))),
        *_output_problems(cells),
        *_figure_problems(cells),
        *_typed_number_problems(notebook.cells),
    ]
    reports = stored_reports(notebook)
    if len(reports) != 1:
        return [*found, f"there must be one claims report; found {len(reports)}"]
    found += _claim_problems(path, cells, *reports)
    if is_chapter(path):
        found += [*_anatomy_problems(notebook.cells), *_exercise_problems(notebook.cells)]
        found += [*_budget_problems(notebook.cells), *_record_problems(path, notebook, *reports)]
    return found


def is_chapter(path: Path) -> bool:
    """Whether a notebook is a chapter about a paper: those lie in the folder of a part, other notebooks in ``book``."""
    return path.parent.name != "book"


def stored_reports(notebook: NotebookNode) -> list[dict]:
    """The outputs of ``Claims.report`` that are stored in a notebook: their JSON, parsed."""
    return [json.loads(data[MIME]) for cell in notebook.cells for data in _bundles(cell) if MIME in data]


def _file_problems(path: Path, notebook: NotebookNode) -> Iterator[str]:
    size = path.stat().st_size
    if size > MAX_BYTES:
        yield f"the file has {size:,} bytes; at most {MAX_BYTES:,} are allowed"
    if normalise(copy.deepcopy(notebook)) != notebook:
        yield "ids or metadata are not normalised: execute it with python -m tools.chapter"


def _install_problems(cells: list[NotebookNode]) -> Iterator[str]:
    if not cells or cells[0].source.strip() != INSTALL_CELL:
        yield "the first code cell must be the install cell (tools.guard.INSTALL_CELL), to the letter"


def _execution_problems(cells: list[NotebookNode]) -> Iterator[str]:
    for number, cell in enumerate(cells, 1):
        if not cell.source.strip():
            yield f"code cell {number} is empty"
        if cell.execution_count is None:
            yield f"code cell {number} was never executed"
        elif cell.execution_count != number:
            yield f"code cell {number} has execution count {cell.execution_count}: run all cells in a fresh kernel"
        if not cell.outputs and (name := _displaying_call(cell.source)):
            yield f"code cell {number} calls {name}() but no output is stored"
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"code cell {number} raised {output.ename}"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"code cell {number} wrote to stderr: {output.text.strip()[:80]!r}"


def _tag_problems(cells: list[NotebookNode], *, cards: int) -> Iterator[str]:
    tagged = 0
    for number, cell in enumerate(cells, 1):
        tags = [
            tag
            for tag in cell.metadata.get("tags", [])
            if tag.startswith("nbval-") or tag == "raises-exception"
        ]
        comments = re.findall(
            r"^\s*#+\s*(\w*NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)", cell.source, re.MULTILINE
        )
        is_card = any("Card: " in data.get("text/plain", "") for data in _bundles(cell))
        if is_card and tags == [CARD_TAG] and not comments:
            tagged += 1
        elif tags or comments:
            yield f"code cell {number} must not be exempt from nbval; found {', '.join(tags + comments)}"
    if tagged != cards:
        yield f'{cards or "no"} code cell must show the card and carry the tag "{CARD_TAG}"; found {tagged}'


def _output_problems(cells: list[NotebookNode]) -> Iterator[str]:
    for number, cell in enumerate(cells, 1):
        for data in _bundles(cell):
            for kind in data.keys() - set(_ALLOWED_TYPES):
                yield f"code cell {number} displays {kind}; allowed are {', '.join(_ALLOWED_TYPES)}"
        for text in _texts(cell):
            for trace, pattern in _TRACES.items():
                if match := pattern.search(text):
                    yield f"code cell {number} shows {trace}: {text[max(match.start() - 20, 0) : match.end() + 20]!r}"


def _figure_problems(cells: list[NotebookNode]) -> Iterator[str]:
    for number, cell in enumerate(cells, 1):
        figures = sum("image/png" in data for data in _bundles(cell))
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        if figures > 1:
            yield f"code cell {number} shows {figures} figures, but alt text is per cell: one figure a cell"
        if figures and (not isinstance(alt, str) or len(alt) < 20 or not alt.endswith(".")):
            yield (
                f"code cell {number} needs alt text (mystnb: image: alt), a sentence of at least 20 characters with a "
                f"full stop; got {alt!r}"
            )
        if alt is not None and not figures:
            yield f"code cell {number} has alt text but stores no figure"
        for width in (
            output["metadata"]["image/png"]["width"]
            for output in cell.outputs
            if "image/png" in output.get("data", {}) and "image/png" in output.get("metadata", {})
        ):
            if width > MAX_WIDTH * PIXELS_PER_INCH / 2:
                yield f"code cell {number} shows a figure of {width} pixels; at most {MAX_WIDTH * PIXELS_PER_INCH / 2:g}"
        for size in re.findall(r"font_?size=([\d.]+)", cell.source):
            if float(size) < SMALLEST_TEXT:
                yield f"code cell {number} writes text of {size} points; at least {SMALLEST_TEXT} can be read on a phone"


def _typed_number_problems(cells: list[NotebookNode]) -> Iterator[str]:
    """Numbers that pretend to be measured: the sign in a text, or a claim whose outcome is a constant."""
    for number, cell in enumerate(cells, 1):
        if cell.cell_type == "markdown":
            texts = [cell.source]
        elif cell.cell_type == "code" and (tree := parse(cell.source)):
            constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
            texts = [value for value in constants if isinstance(value, str)]
            yield from (f"cell {number}: {complaint}" for complaint in _constant_outcomes(tree))
        else:
            continue
        for text in texts:
            if match := _TYPED.search(text):
                yield f"cell {number}: {match[0]!r} is typed by hand; a measured number comes from lab.approx"


def _constant_outcomes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        for keyword in node.keywords:
            value = keyword.value
            if node.func.attr == "library" and keyword.arg == "error" and isinstance(value, ast.Constant):
                yield f"error={value.value!r} is a constant; it must be computed"
            if node.func.attr == "distance" and keyword.arg == "here" and isinstance(value, ast.Constant):
                yield f"here={value.value!r} is typed by hand; it must come from the run"
            if (
                node.func.attr == "Card"
                and keyword.arg == "found"
                and re.search(r"\d[.,]\d|\d ?%", ast.unparse(value))
            ):
                yield "the card's found holds a measured number; the verdict and the distances show them"
        evidence = node.func.attr in ("measure", "exact", "compare")
        if evidence and node.args and all(isinstance(value, ast.Constant) for value in node.args):
            yield f"{node.func.attr}() of constants: what a claim rests on must be computed"


def _claim_problems(path: Path, cells: list[NotebookNode], report: dict) -> Iterator[str]:
    for claim in report["claims"]:
        if claim["problem"]:
            yield f"claim {claim['name']}: {claim['problem']}"
    bundles = [data for cell in cells for data in _bundles(cell)]
    if not any(render(report) == data for data in bundles):
        yield "the stored table of claims is not what its JSON says"
    if not is_chapter(path):
        return
    main = [claim for claim in report["claims"] if claim["main"]]
    if len(main) != 1:
        yield f"one claim of the paper must be the main one; found {len(main)}"
    expected = verdict(main[0]) if main else None
    if report["card"]["verdict"] != expected:
        yield f'the verdict is "{report["card"]["verdict"]}" but the main claim says "{expected}"'
    if report["card"]["slug"] != path.stem:
        yield f'the card\'s slug is "{report["card"]["slug"]}" but the file is "{path.stem}.ipynb"'
    if report["card"]["minutes"] != minutes(path):
        yield f"the card says {report['card']['minutes']} minutes to read, the words {minutes(path)}: execute it again"
    if not any(Card.from_dict(report["card"]).render() == data for data in bundles):
        yield "the stored card is not what the claims report says"
    counted = [claim for claim in report["claims"] if claim["origin"] != "library"]
    if len(counted) > CLAIMS:
        yield f"{len(counted)} claims of the paper and of ours; at most {CLAIMS} are read"


def _anatomy_problems(cells: list[NotebookNode]) -> Iterator[str]:
    found = [heading for cell in cells if cell.cell_type == "markdown" for heading in _headings(cell.source)]
    if found != list(SECTIONS):
        yield f"the sections must be {', '.join(SECTIONS)}; found {', '.join(found)}"
    code = [cell for cell in cells if cell.cell_type == "code"]
    if not cells[0].source.startswith("# "):
        yield "the first cell must begin with the title, '# ...'"
    if len(code) < 2 or not code[1].source.startswith("# @title ") or "hide-input" not in _tags(code[1]):
        yield "the second code cell must hold the imports, under a line '# @title Imports', and be folded (hide-input)"
    for number, cell in enumerate(code, 1):
        if number > 1 and "remove-input" in _tags(cell) and not cell.source.strip().endswith(")"):
            yield f"code cell {number} hides its code for good (remove-input); only sentences may: use hide-input"
        if "claims." in cell.source and "remove-input" in _tags(cell):
            yield f"code cell {number} hides the code of a claim for good (remove-input): use hide-input"


def _exercise_problems(cells: list[NotebookNode]) -> Iterator[str]:
    start = next((i for i, cell in enumerate(cells) if "Exercises" in _headings(cell.source)), len(cells))
    prose = "\n".join(cell.source for cell in cells[start:] if cell.cell_type == "markdown")
    answers = [cell for cell in cells[start:] if cell.cell_type == "code"]
    checks = prose.count("**Check:**")
    if len(answers) < EXERCISES or checks != len(answers):
        yield f"at least {EXERCISES} exercises, each with a **Check:** and an answer; found {checks} and {len(answers)}"
    for number, answer in enumerate(answers, 1):
        if "hide-cell" not in _tags(answer) or "assert" not in answer.source:
            yield f"answer {number} must be folded (hide-cell) and check itself by an assertion"


def _budget_problems(cells: list[NotebookNode]) -> Iterator[str]:
    words = prose_words(cells)
    if not WORDS[0] <= words <= WORDS[1]:
        yield f"{words:,} words of prose; from {WORDS[0]:,} to {WORDS[1]:,} are read"
    lines = [visible_lines(cell) for cell in cells]
    idea = next((i for i, cell in enumerate(cells) if "The idea" in _headings(cell.source)), 0)
    if sum(lines) > LINES:
        yield f"{sum(lines)} visible lines of code; at most {LINES} are read"
    if sum(lines[:idea]) > LINES_BEFORE_THE_IDEA:
        yield f"{sum(lines[:idea])} visible lines of code before the idea; at most {LINES_BEFORE_THE_IDEA}"
    for cell, count in zip(cells, lines, strict=True):
        if count > LINES_OF_A_CELL:
            yield f"a visible cell of {count} lines; at most {LINES_OF_A_CELL}: {cell.source[:40]!r}"
    figures = sum(any("image/png" in data for data in _bundles(cell)) for cell in cells)
    if not FIGURES[0] <= figures <= FIGURES[1]:
        yield f"{figures} figures; from {FIGURES[0]} to {FIGURES[1]}"


def _record_problems(path: Path, notebook: NotebookNode, report: dict) -> Iterator[str]:
    """The record beside the notebook must be there, and made by this code."""
    kept, now = record.load(path), claims_hash(notebook)
    for section in ("small", "wide"):
        if section not in kept:
            yield f"no {section} run is kept in {record.path_of(path).name}"
        elif kept[section]["code"] != now:
            yield f"the {section} run in {record.path_of(path).name} was made by other code: run it again"
    wide = {claim["name"]: claim for claim in kept.get("wide", {}).get("claims", [])}
    for claim in report["claims"]:
        if claim["origin"] == "library":
            continue
        keys = ("measured", "outcome", "draws")
        expected = {key: wide[claim["name"]][key] for key in keys} if claim["name"] in wide else None
        if claim["wide"] != expected:
            yield f"claim {claim['name']} does not show the wide run of the record: execute the chapter again"


def _headings(source: str) -> list[str]:
    return [heading.strip() for heading in re.findall(r"^## (.+)$", source, re.MULTILINE)]


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _bundles(cell: NotebookNode) -> Iterator[dict]:
    for output in cell.get("outputs", []):
        if "data" in output:
            yield output["data"]


def _texts(cell: NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
    for data in _bundles(cell):
        yield from (data[kind] for kind in _TEXT_TYPES if kind in data)


def _displaying_call(source: str) -> str | None:
    """A call that surely displays something when the cell runs, if there is one: not inside a function or a branch."""
    tree = parse(source)
    queue = list(tree.body) if tree else []
    while queue:
        node = queue.pop(0)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.If | ast.IfExp | ast.Try):
            continue
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in _DISPLAYING and (isinstance(node.func, ast.Name) or _is_ours(node.func.value)):
                return name
        queue.extend(ast.iter_child_nodes(node))
    return None


def _is_ours(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name) and owner.id in ("lab", "card", "claims")

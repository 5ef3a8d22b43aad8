"""What must be true of a stored chapter and nbval does not look at.

nbval passes a cell that was never executed, does not look at pictures, and knows nothing of claims.
"""

import ast
import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from corelib.lab.card import Card
from corelib.lab.claims import MIME, render, verdict
from corelib.lab.normalise import normalise

INSTALL_CELL = """\
# On Colab, or wherever corelib is missing: install the book's library first.
try:
    import corelib
except ImportError:
    %pip install -q "corelib[book] @ git+https://github.com/keeping-score/keeping-score\""""

MAX_BYTES = 1_500_000
CARD_TAG = "nbval-ignore-output"

_TEXT_TYPES = ("text/plain", "text/html", "text/markdown", MIME)
_ALLOWED_TYPES = (*_TEXT_TYPES, "image/png")
_DISPLAYING = ("display", "figure", "print", "report", "say", "show", "table")
_TYPED = re.compile(r"≈\s*[-+]?\d\S*")
_TRACES = {
    "an absolute path": re.compile(
        r"(?<![\w/.:])/(?:content|data|etc|home|mnt|opt|private|root|tmp|Users|usr|var|work)/|\b[A-Za-z]:\\\w"
    ),
    "an object's address": re.compile(r"\b0x[0-9a-fA-F]{6,}\b"),
    "a clock": re.compile(r"\b\d{1,2}:\d{2}:\d{2}\b|\b\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}"),
    "an id in HTML": re.compile(r"<[a-z]+[^>]*\sid="),
}


def problems(path: Path) -> list[str]:
    """Everything that is wrong with the stored chapter at ``path``, one sentence each; empty if nothing is."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = [
        *_file_problems(path, notebook),
        *_install_problems(cells),
        *_execution_problems(cells),
        *_tag_problems(cells),
        *_output_problems(cells),
        *_figure_problems(cells),
        *_typed_number_problems(notebook.cells),
    ]
    reports = stored_reports(notebook)
    if len(reports) != 1:
        return [*found, f"there must be one claims report; found {len(reports)}"]
    return [*found, *_claim_problems(path, cells, *reports)]


def stored_reports(notebook: NotebookNode) -> list[dict]:
    """The outputs of ``Claims.report`` that are stored in a notebook: their JSON, parsed."""
    return [json.loads(data[MIME]) for cell in notebook.cells for data in _bundles(cell) if MIME in data]


def _file_problems(path: Path, notebook: NotebookNode) -> Iterator[str]:
    size = path.stat().st_size
    if size > MAX_BYTES:
        yield f"the file has {size:,} bytes; at most {MAX_BYTES:,} are allowed"
    if normalise(copy.deepcopy(notebook)) != notebook:
        yield "ids or metadata are not normalised: execute it with python -m corelib.lab.chapter"


def _install_problems(cells: list[NotebookNode]) -> Iterator[str]:
    if not cells or cells[0].source.strip() != INSTALL_CELL:
        yield "the first code cell must be the install cell (corelib.lab.guard.INSTALL_CELL), to the letter"


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


def _tag_problems(cells: list[NotebookNode]) -> Iterator[str]:
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
        is_card = any("Claim card: " in data.get("text/plain", "") for data in _bundles(cell))
        if is_card and tags == [CARD_TAG] and not comments:
            tagged += 1
        elif tags or comments:
            yield f"code cell {number} must not be exempt from nbval; found {', '.join(tags + comments)}"
    if tagged != 1:
        yield f'one code cell must show the card and carry the tag "{CARD_TAG}"; found {tagged}'


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


def _typed_number_problems(cells: list[NotebookNode]) -> Iterator[str]:
    """Numbers that pretend to be measured: the sign in a text, or a claim whose outcome is a constant."""
    for number, cell in enumerate(cells, 1):
        if cell.cell_type == "markdown":
            texts = [cell.source]
        elif cell.cell_type == "code" and (tree := _parse(cell.source)):
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
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in (
            "check",
            "exact",
            "distance",
        ):
            continue
        for keyword in node.keywords:
            value = keyword.value
            if not isinstance(value, ast.Constant):
                continue
            if keyword.arg in ("holds", "error"):
                yield f"{keyword.arg}={value.value!r} is a constant; it must be computed"
            if keyword.arg in ("measured", "here") and re.search(r"\d", str(value.value)):
                yield f"{keyword.arg}={value.value!r} is typed by hand; it must come from the run"


def _claim_problems(path: Path, cells: list[NotebookNode], report: dict) -> Iterator[str]:
    for claim in report["claims"]:
        if claim["holds"] is not True:
            yield f"claim {claim['name']} does not hold: not ({claim['condition']})"
    expected = verdict(claim["status"] for claim in report["claims"])
    if report["card"]["verdict"] != expected:
        yield f'the verdict is "{report["card"]["verdict"]}" but the claims amount to "{expected}"'
    if report["card"]["slug"] != path.stem:
        yield f'the card\'s slug is "{report["card"]["slug"]}" but the file is "{path.stem}.ipynb"'
    bundles = [data for cell in cells for data in _bundles(cell)]
    if not any(render(report) == data for data in bundles):
        yield "the stored table of claims is not what its JSON says"
    if not any(Card.from_dict(report["card"]).render() == data for data in bundles):
        yield "the stored card is not what the claims report says"


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
    tree = _parse(source)
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


def _parse(source: str) -> ast.Module | None:
    """The syntax tree of a cell, its magics left out; None if it is no Python."""
    lines = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)
    try:
        return ast.parse(lines)
    except SyntaxError:
        return None

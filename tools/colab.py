"""Render the book's notebooks for Colab: ``python -m tools.colab OUT``.

The stored notebooks are the one source. On Colab nothing translates citations and relative links, so both become links to
the web and to the published book; code that the book folds is folded there; the scale is a field of a form; the answers
to exercises stay hidden behind an empty cell. Stored outputs stay.
"""

import argparse
import re
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath

import nbformat
from nbformat import NotebookNode
from pybtex.database import Entry as Source
from pybtex.database import parse_file

from tools.settings import address

ROOT = Path(__file__).resolve().parent.parent
CITATION = re.compile(r"\{cite(?::(\w))?\}`([^`]+)`")
LINK = re.compile(r"\]\((?!https?://|#)([^)\s]+)\)")
SCALE = """\
# @title Scale of the experiments
scale = "small"  # @param ["small", "wide", "full"]
%env KEEPING_SCORE_SCALE=$scale"""
YOURS = "# Your answer\n"


def render(notebook: NotebookNode, page: str, address: str, sources: dict[str, Source]) -> NotebookNode:
    """A new notebook for Colab.

    Parameters
    ----------
    notebook : NotebookNode
        As the book stores it; it is not changed.
    page : str
        Its place in the repository, as ``book/pairs/mw-loss.ipynb``.
    address : str
        Where the book is published, with a slash at the end.
    sources : dict
        The bibliography, by key.

    Raises
    ------
    KeyError
        If a citation has no entry in ``sources``.
    """
    cells: list[NotebookNode] = []
    for cell in notebook.cells:
        first = cell.cell_type == "code" and all(made.cell_type == "markdown" for made in cells)
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            cells.append(nbformat.v4.new_markdown_cell(_words(cell.source, page, address, sources)))
            continue
        if first:
            cells.append(_form(nbformat.v4.new_code_cell(SCALE)))
        if "hide-cell" in tags:
            cells.append(nbformat.v4.new_code_cell(YOURS))
        made = nbformat.v4.new_code_cell(cell.source, outputs=list(map(_shown, cell.outputs)))
        made.execution_count = cell.execution_count
        title = "Library" if first else "An answer" if "hide-cell" in tags else "Code"
        cells.append(_form(made, title) if {"hide-input", "hide-cell", "remove-input"} & set(tags) else made)
    for place, cell in enumerate(cells):
        cell.id = f"cell-{place}"
    return nbformat.v4.new_notebook(cells=cells, metadata=dict(notebook.metadata))


def _form(cell: NotebookNode, title: str = "") -> NotebookNode:
    """The cell as Colab folds it: by a title in its first line and its metadata."""
    if not cell.source.startswith("# @title"):
        cell.source = f"# @title {title}\n{cell.source}"
    cell.metadata["cellView"] = "form"
    return cell


def _shown(output: NotebookNode) -> NotebookNode:
    """The output without what only the book's own tools read."""
    output = nbformat.from_dict(output)
    if "data" in output:
        output.data = {kind: data for kind, data in output.data.items() if "keeping-score" not in kind}
    return output


def _words(text: str, page: str, address: str, sources: dict[str, Source]) -> str:
    def citation(match: re.Match) -> str:
        style, keys = match[1] or "p", [key.strip() for key in match[2].split(",")]
        if style == "t":
            return " and ".join(_link(sources[key], "{name} ({year})", address) for key in keys)
        return f"({'; '.join(_link(sources[key], '{name}, {year}', address) for key in keys)})"

    def link(match: re.Match) -> str:
        path, hash_, anchor = match[1].partition("#")
        there = PurePosixPath(normpath(PurePosixPath(page).parent / path)).with_suffix(".html")
        return f"]({address}{there}{hash_}{anchor})"

    return LINK.sub(link, CITATION.sub(citation, text))


def _link(source: Source, form: str, address: str) -> str:
    people = [
        " ".join(person.prelast_names + person.last_names) for person in source.persons.get("author", ())
    ]
    name = (
        people[0]
        if len(people) == 1
        else f"{people[0]} and {people[1]}"
        if len(people) == 2
        else f"{people[0]} et al."
    )
    fields = source.fields
    url = (
        fields.get("url")
        or ("doi" in fields and f"https://doi.org/{fields['doi']}")
        or ("eprint" in fields and f"https://arxiv.org/abs/{fields['eprint']}")
        or f"{address}book/bibliography.html"
    )
    return f"[{form.format(name=re.sub(r'[{}]', '', name), year=fields['year'])}]({url})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.colab", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "out", type=Path, help="folder in which the renderings are written, as book/<part>/<name>.ipynb"
    )
    out = parser.parse_args(arguments).out
    published = address(ROOT)
    sources = parse_file(ROOT / "book" / "references.bib").entries
    for path in sorted((ROOT / "book").rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        page = path.relative_to(ROOT).as_posix()
        made = render(nbformat.read(path, as_version=4), page, published, sources)
        (out / page).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(made, out / page)
    return 0


if __name__ == "__main__":
    sys.exit(main())

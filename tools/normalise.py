"""The stored form of a notebook: a function of its sources and of what they compute, and of nothing else."""

import hashlib

import nbformat
from nbformat import NotebookNode

_NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"},
}
_CELL_METADATA = ("mystnb", "tags")
_FORM = "# @title "  # Colab shows a cell with this first line as a form, and hides its code if told to


def normalise(notebook: NotebookNode) -> NotebookNode:
    """``notebook``, changed in place: ids from the text, only the metadata that the book needs, merged streams."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(_NOTEBOOK_METADATA)
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        cell.source = cell.source.strip("\n")
        digest = hashlib.sha1(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in _CELL_METADATA if key in cell.metadata}
        )
        if cell.cell_type == "code":
            if cell.source.startswith(_FORM):
                cell.metadata["cellView"] = "form"
            cell.outputs = _merge_streams(cell.outputs)
    return notebook


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring messages of one stream joined: where a stream is cut into messages depends on the clock."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged

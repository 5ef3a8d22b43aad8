"""Execute a chapter in place: ``python -m corelib.lab.chapter book/pairs/mw-loss.ipynb``.

The notebook runs in a fresh kernel with one thread, in its own folder, and is written back with its outputs, in a form
that depends on nothing but its sources and what they compute: the cells' ids come from their text, and no time, path or
version is kept.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"},
}
_CELL_METADATA = ("mystnb", "tags")


def execute(path: Path, *, cell_timeout: float = 600) -> None:
    """Run the notebook at ``path`` and write it back, normalised; on an error the file stays as it was.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    """
    notebook = normalise(nbformat.read(path, as_version=4))
    os.environ |= ONE_THREAD
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=cell_timeout,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    nbformat.write(normalise(notebook), path)


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
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in _CELL_METADATA if key in cell.metadata})
        if cell.cell_type == "code":
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


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m corelib.lab.chapter", description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK.ipynb")
    for path in parser.parse_args(arguments).notebooks:
        execute(path)
        print(f"{path}: executed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

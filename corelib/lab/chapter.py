"""Execute a chapter in place: ``python -m corelib.lab.chapter book/pairs/mw-loss.ipynb``.

The notebook runs in a fresh kernel with one thread, in its own folder, and is written back with its outputs, in a form
that depends on nothing but its sources and what they compute: the cells' ids come from their text, and no time, path or
version is kept.
"""

import argparse
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from corelib.lab.normalise import normalise

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def execute(path: Path, *, cell_timeout: float = 600) -> None:
    """Run the notebook at ``path`` and write it back, normalised; on an error the file stays as it was.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    """
    notebook = normalise(nbformat.read(path, as_version=4))
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=cell_timeout,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute(env=os.environ | ONE_THREAD)
    nbformat.write(normalise(notebook), path)


def main(arguments: list[str] | None = None) -> int:
    from corelib.lab.guard import problems

    parser = argparse.ArgumentParser(
        prog="python -m corelib.lab.chapter", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK.ipynb")
    failed = False
    for path in parser.parse_args(arguments).notebooks:
        execute(path)
        found = problems(path)
        failed = failed or bool(found)
        print(f"{path}: executed")
        for problem in found:
            print(f"  {problem}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Execute chapters: ``python -m tools.chapter [--wide] book/pairs/mw-loss.ipynb ...``.

A notebook runs in a fresh kernel with one thread, in its own folder, and is written back with its outputs, in a form
that depends on nothing but its sources and what they compute: the cells' ids come from their text, and no time, path or
version is kept. When and where it ran is kept beside it, in ``<slug>.record.json``.

With ``--wide`` the same cells run with more draws, other splits and three times the budget. The notebook stays as it
is; its claims go into the record, with a hash of the code that made them.
"""

import argparse
import os
import platform
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from corelib.lab import record
from corelib.lab.bands import STORING
from corelib.lab.scale import VARIABLE
from tools import records
from tools.cells import claims_hash
from tools.guard import problems, stored_reports
from tools.normalise import normalise

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def execute(path: Path, *, cell_timeout: float = 1200) -> None:
    """Run the notebook at ``path`` and write it back, normalised; on an error the file stays as it was.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    """
    notebook, seconds = _run(path, "small", cell_timeout)
    nbformat.write(notebook, path)
    records.update(path, "small", _when_and_where(seconds) | {"code": claims_hash(notebook)})


def execute_wide(path: Path, *, cell_timeout: float = 1800) -> None:
    """Run the notebook at the wide scale, and keep its claims beside it."""
    notebook, seconds = _run(path, "wide", cell_timeout)
    (report,) = stored_reports(notebook)
    keys = ("name", "measured", "outcome", "draws")
    claims = [{key: claim[key] for key in keys} for claim in report["claims"] if claim["origin"] != "library"]
    entry = _when_and_where(seconds) | {"code": claims_hash(notebook), "claims": claims}
    records.update(path, "wide", entry)


def _run(path: Path, scale: str, cell_timeout: float) -> tuple[NotebookNode, float]:
    notebook = normalise(nbformat.read(path, as_version=4))
    start = time.monotonic()
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=cell_timeout,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute(env=os.environ | ONE_THREAD | {VARIABLE: scale, STORING: "1"})
    return normalise(notebook), time.monotonic() - start


def _when_and_where(seconds: float) -> dict:
    import torch

    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{_processor()}, torch {torch.__version__.partition('+')[0]}",
        "seconds": round(seconds),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.chapter", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--wide", action="store_true", help="more draws, other splits, three times the budget"
    )
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK.ipynb")
    options = parser.parse_args(arguments)
    failed = False
    for path in options.notebooks:
        if options.wide:
            execute_wide(path)
            print(f"{path}: wide run kept in {record.path_of(path).name}")
            continue
        execute(path)
        found = problems(path)
        failed = failed or bool(found)
        print(f"{path}: executed")
        for problem in found:
            print(f"  {problem}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Runs nbval on notebooks in a process of its own, as ``make test`` does: one thread, numbers behind ≈ masked."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
SANITIZE = TESTS / "nbval_sanitize.cfg"
CELL_TIMEOUT = 120
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def environment(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """This process's environment, with one thread and without what pytest itself put there."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "KEEPING_SCORE_"))
    }
    return kept | ONE_THREAD | dict(extra)


def command(*paths: Path, options: Sequence[str] = ()) -> list[str]:
    """The command line that compares the notebooks under ``paths`` with what they compute now."""
    return [
        *(sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "-p", "no:randomly"),
        *("--nbval", "--nbval-current-env", f"--nbval-sanitize-with={SANITIZE}"),
        *(f"--nbval-cell-timeout={CELL_TIMEOUT}", *options, *map(str, paths)),
    ]


def run(notebook: Path, *, python_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """nbval on one notebook, stopping at the first red cell; ``python_path`` is searched before all else."""
    extra = {} if python_path is None else {"PYTHONPATH": str(python_path)}
    line = command(notebook, options=["-x", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")])
    return subprocess.run(
        line, check=False, capture_output=True, text=True, env=environment(extra), timeout=1200
    )

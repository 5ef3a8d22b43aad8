"""Run notebooks again and compare every output with the stored one: ``python -m tools.compare NOTEBOOK ...``.

nbval compares text to the letter, with numbers behind ``≈`` and ``◷`` masked; as a pytest plugin (``-p tools.compare``)
this module then compares the numbers behind ``≈`` as well, in order. Each may move by

- two standard deviations, where ``± sd`` stands beside it; the standard deviations within a factor of five;
- what ``(within w)`` says;
- 5 % elsewhere;

and half a unit of the last printed digit of either. Standard deviations below 1 % of the value may differ more. Numbers
behind ``◷``, times, are free. The words of a comparison follow from its draws: they may become, or stop being, "unclear",
but not turn from one relation into another.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from corelib.lab import report, sliders
from corelib.lab.evidence import RELATION
from corelib.lab.numbers import MEASURED

ROOT = Path(__file__).resolve().parent.parent
SANITIZE = ROOT / "tools" / "nbval_sanitize.cfg"
CELL_TIMEOUT = 600
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

SDS = 2
SHARE = 0.05
SD_FACTOR = 5  # of two standard deviations over five draws each; one in a hundred pairs differs by more, and some do between machines
SD_FLOOR = 0.01  # of the value: smaller standard deviations may differ by more than a factor
TEXT_TYPES = ("text/plain", "text/html", "text/markdown", report.MIME, sliders.MIME)


def moved(stored: str, fresh: str) -> Iterator[str]:
    """What is wrong with the numbers behind ``≈`` in ``fresh``, beside those in ``stored``."""
    before, after = list(MEASURED.finditer(stored)), list(MEASURED.finditer(fresh))
    if len(before) != len(after):
        yield f"{len(before)} measured numbers are stored, {len(after)} were computed"
        return
    for old, new in zip(before, after, strict=True):
        if complaint := _complaint(old, new):
            yield f"stored {old[0]}, computed {new[0]}: {complaint}"


def changed(stored: str, fresh: str) -> Iterator[str]:
    """Which relations in ``stored`` are others in ``fresh``."""
    before, after = list(RELATION.finditer(stored)), list(RELATION.finditer(fresh))
    if len(before) != len(after):
        yield f"{len(before)} relations are stored, {len(after)} were computed"
        return
    for old, new in zip(before, after, strict=True):
        if old.lastgroup != new.lastgroup and "unclear" not in (old.lastgroup, new.lastgroup):
            yield f'stored "{old[0]}", computed "{new[0]}"'


def _complaint(old: re.Match, new: re.Match) -> str | None:
    if [name for name, text in old.groupdict().items() if text] != [
        name for name, text in new.groupdict().items() if text
    ]:
        return "one has a spread or a tolerance, the other has not"
    before, after = float(old["value"]), float(new["value"])
    rounding = 0.5 * (_unit(old["value"]) + _unit(new["value"]))
    if old["sd"]:
        sd, fresh_sd = float(old["sd"]), float(new["sd"])
        allowed = SDS * sd
        apart = max(sd, fresh_sd) > SD_FACTOR * min(sd, fresh_sd) + _unit(old["sd"])
        if apart and abs(sd - fresh_sd) > SD_FLOOR * abs(before):
            return f"the standard deviations differ by more than a factor of {SD_FACTOR}"
    else:
        allowed = float(old["within"]) if old["within"] else SHARE * abs(before)
    return None if abs(before - after) <= allowed + rounding else f"moved by more than {allowed:.2g}"


def _unit(number: str) -> float:
    """One unit of the last digit of a printed number; nothing for an integer, which is not rounded."""
    exponent = Decimal(number).as_tuple().exponent
    return 0.0 if exponent == 0 and "e" not in number else 10.0**exponent


def texts(outputs: Sequence[Mapping]) -> dict[str, list[str]]:
    """Everything that was displayed or printed, by its kind."""
    found: dict[str, list[str]] = {}
    for output in outputs:
        if output["output_type"] == "stream":
            found.setdefault(output["name"], []).append(output["text"])
        for kind, text in output.get("data", {}).items():
            if kind in TEXT_TYPES:
                found.setdefault(kind, []).append(text)
    return found


def pytest_configure(config) -> None:
    """As a pytest plugin: nbval's comparison, and then that of the numbers."""
    from nbval.plugin import IPyNbCell

    plain = IPyNbCell.compare_outputs

    def compare_outputs(cell, test, ref, skip_compare=None):
        if not plain(cell, test, ref, skip_compare):
            return False
        stored, fresh = texts(ref), texts(test)
        complaints = {
            complaint: None
            for kind in stored
            for pair in zip(stored[kind], fresh[kind], strict=True)
            for complaint in (*moved(*pair), *changed(*pair))
        }
        cell.comparison_traceback += [
            f"Numbers moved: {cell.fspath.basename}, cell {cell.cell_num}: {complaint}"
            for complaint in complaints
        ]
        return not complaints

    IPyNbCell.compare_outputs = compare_outputs


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
        *("--nbval", "--nbval-current-env", f"--nbval-sanitize-with={SANITIZE}", "-p", "tools.compare"),
        *(f"--nbval-cell-timeout={CELL_TIMEOUT}", *options, *map(str, paths)),
    ]


def run(notebook: Path, *, python_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """nbval on one notebook, stopping at the first red cell; kernels search ``python_path`` before all else."""
    extra = {} if python_path is None else {"PYTHONPATH": str(python_path)}
    line = command(notebook, options=["-x", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")])
    return subprocess.run(
        line, check=False, capture_output=True, text=True, env=environment(extra), timeout=2400, cwd=ROOT
    )


if __name__ == "__main__":
    line = [*command(), *sys.argv[1:]]
    sys.exit(subprocess.run(line, check=False, cwd=ROOT, env=environment()).returncode)

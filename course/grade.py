"""Grade submissions: ``python -m course.grade SUBMISSIONS/ --unit NAME --out grades/``.

Every submission runs in a process of its own (``course.sandbox``). The tests run here, on inputs from a fresh seed, and call
the submission's functions through a pipe; what comes back are plain values. The seed and each student's grades are kept
in the output folder: a second run gives the same grades, and an interrupted one goes on where it stopped.
"""

import argparse
import ast
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from course import unit as units
from course.magics import python
from course.report import write
from course.result import Grade, Part
from course.sandbox import Sandbox, SubmissionError, isolates
from course.submission import UnreadableError, content, read
from course.unit import HIDDEN, ONE_AT_A_TIME, Cell, Unit, parse

MOST_NOTES = 20
STUMBLED = "not graded, grade again"


def grade(
    path: Path,
    unit: Unit,
    seed: int,
    hidden: tuple[Path, ...] = (),
    *,
    weak: bool = False,
    seconds: float = 60,
) -> Grade:
    """Grade one submission; ``seconds`` as in ``Sandbox``."""
    tests = [cell for cell in unit.cells if cell.tests]
    words: dict[str, str] = {}
    try:
        submission = read(path, unit)
        words = submission.words
        with Sandbox(submission.code, hidden, weak=weak, library=unit.library, seconds=seconds) as sandbox:
            stopped = list(
                dict.fromkeys(f"a cell stopped: {problem}" for problem in sandbox.problems if problem)
            )
            notes = submission.notes + stopped[:MOST_NOTES]
            parts = [_part(cell, unit, sandbox, seed) for cell in tests]
            return Grade(path.stem, parts, words, notes)
    except (UnreadableError, SubmissionError) as error:
        return _none(path, unit, str(error), words)


def _part(cell: Cell, unit: Unit, sandbox: Sandbox, seed: int) -> Part:
    known: dict = {"__name__": "tests"}
    for other in unit.cells:
        if other.given:
            exec(compile(python(other.source), other.id, "exec"), known)  # noqa: S102  the unit's own cells
    known |= {"SEED": seed} | _asked(cell, unit, sandbox)
    points, hidden = 0.0, False
    try:
        for source, hidden in ((cell.stub, False), (_whole(cell), True)):
            points = _run(source, known, cell.points)
    except Exception as error:  # noqa: BLE001  values of any kind may come back
        return Part(cell.id, 0.0, cell.points, _why(error, hidden=hidden))
    return Part(cell.id, min(max(0.0, points), cell.points), cell.points, "")


def _why(error: Exception, *, hidden: bool) -> str:
    """What a student is told; of a hidden check only that it failed, as an error could tell the input."""
    if isinstance(error, AssertionError):
        return "a hidden check of this part failed" if hidden else str(error)
    if isinstance(error, SubmissionError):
        return "a hidden check of this part got no answer" if hidden else str(error)
    return f"what came back could not be used ({type(error).__name__})"


def _asked(cell: Cell, unit: Unit, sandbox: Sandbox) -> dict:
    """The submission's names that a cell of tests mentions: what it calls as a call through the pipe, the rest as values."""
    nodes = list(ast.walk(parse(cell.source)))
    mentioned = {node.id for node in nodes if isinstance(node, ast.Name)}
    called = {
        node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    bound = set().union(*(other.names for other in unit.cells))
    names = {name: _Asked(sandbox, name) for name in sorted(bound & mentioned)}
    return {name: asked if name in called else asked.value() for name, asked in names.items()}


class _Asked:
    """A name of the submission, as the tests see it: calls go through the pipe."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self._sandbox, self._name = sandbox, name

    def __call__(self, *arguments, **keywords):
        return self._sandbox.call(self._name, *arguments, **keywords)

    def value(self):
        try:
            return self._sandbox.get(self._name)
        except SubmissionError:
            return None


def _whole(cell: Cell) -> str:
    return HIDDEN.sub(lambda match: match[1], cell.source)


def _run(source: str, names: dict, most: float) -> float:
    """Execute tests; the points are the number on the last line, if there is one, else all."""
    body = parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    with ONE_AT_A_TIME:
        tests = compile(ast.Module(body, []), "<tests>", "exec")
        points = compile(ast.Expression(last.value), "<tests>", "eval") if last else None
    exec(tests, names)  # noqa: S102  the unit's own tests
    value = eval(points, names) if points else most
    value = value.item() if isinstance(value, np.generic) else value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else most


def grade_all(
    folder: Path,
    unit: Unit,
    out: Path,
    *,
    seed: int | None,
    jobs: int,
    weak: bool,
    progress: Callable[..., Iterable[Grade]] = lambda made, **_: made,
) -> list[Grade]:
    """Grade every notebook of a folder, and write the results.

    Parameters
    ----------
    folder, unit, out
        Where submissions lie, one ``.ipynb`` per student; what they answer; where to write.
    seed : int or None
        Of the hidden inputs; None draws one and keeps it in ``out``.
    jobs : int
        Submissions at the same time.
    weak : bool
        As in ``Sandbox``.
    progress : callable
        Passes on the grades as they come and shows how many, as ``tqdm`` does.

    Raises
    ------
    RuntimeError
        If submissions cannot be isolated, two have one name, another run writes into ``out``, or it holds another unit's
        grades.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        with Sandbox(["import numpy"], weak=weak) as sandbox:
            if sandbox.problems != [""]:
                raise RuntimeError(f"nothing can be graded here: {sandbox.problems[0]}")
        seed = _seed(out / "run.json", unit, seed)
        hidden = (folder.resolve(), out.resolve(), unit.folder)
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".ipynb")
        if twice := [name for name, count in Counter(path.stem for path in paths).items() if count > 1]:
            raise RuntimeError(f"two notebooks of one name: {', '.join(twice)}")
        one = _grader(unit, out, seed, hidden, weak=weak)
        with ThreadPoolExecutor(jobs) as pool:
            grades = list(progress(pool.map(one, paths), total=len(paths), unit=" submissions"))
        write(grades, unit, out)
        return grades


def _seed(kept: Path, unit: Unit, seed: int | None) -> int:
    """The seed of this folder's grades, kept there."""
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if before.get("unit", unit.name) != unit.name:
        raise RuntimeError(f"{kept.parent} holds the grades of {before['unit']}: name another folder")
    seed = before.get("seed", secrets.randbits(32)) if seed is None else seed
    _keep(kept, {"unit": unit.name, "seed": seed, "isolated": isolates()})
    return seed


def _grader(
    unit: Unit, out: Path, seed: int, hidden: tuple[Path, ...], *, weak: bool
) -> Callable[[Path], Grade]:
    """Grades a submission, unless its grade is kept."""
    task = repr((seed, unit.notebook)).encode()

    def one(path: Path) -> Grade:
        try:
            raw = content(path)
        except UnreadableError as error:
            raw = str(error).encode()
        mark = hashlib.sha256(raw + task).hexdigest()
        done = out / "parts" / f"{path.stem}.json"
        if made := _made(done, mark):
            return made
        try:
            made = grade(path, unit, seed, hidden, weak=weak)
        except Exception as error:  # noqa: BLE001  one submission costs nobody else a grade
            return _none(path, unit, f"{STUMBLED} ({type(error).__name__}: {error})", {})
        done.parent.mkdir(exist_ok=True)
        _keep(done, {"mark": mark, "grade": asdict(made)})
        return made

    return one


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Nobody else writes into the folder meanwhile."""
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RuntimeError(f"another run writes into {out}") from error
    finally:
        os.close(descriptor)


def _keep(path: Path, value: dict) -> None:
    """Write the file whole or not at all, whenever one is interrupted."""
    half = path.with_name(f".{path.name}")
    half.write_text(json.dumps(value), encoding="utf-8")
    half.replace(path)


def _made(path: Path, mark: str) -> Grade | None:
    """The grade that was kept, if it is of the same submission, unit and seed."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if stored["mark"] != mark:
        return None
    return Grade(**(stored["grade"] | {"parts": [Part(**part) for part in stored["grade"]["parts"]]}))


def _none(path: Path, unit: Unit, why: str, words: dict[str, str]) -> Grade:
    """The grade of what could not be run."""
    parts = [Part(cell.id, 0.0, cell.points, "not run") for cell in unit.cells if cell.tests]
    return Grade(path.stem, parts, words, [why])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m course.grade", description=__doc__.partition("\n")[0])
    parser.add_argument("submissions", type=Path, help="folder of notebooks, one per student")
    parser.add_argument("--unit", required=True, help="what was asked, as auc")
    parser.add_argument("--out", type=Path, required=True, help="folder for the grades, one per unit")
    parser.add_argument(
        "--seed", type=int, help="of the hidden inputs; by default a fresh one, kept in the output folder"
    )
    parser.add_argument("--jobs", type=int, default=2, help="submissions at the same time")
    parser.add_argument("--weak", action="store_true", help="also where submissions cannot be isolated")
    parser.add_argument(
        "--units", type=Path, default=units.UNITS, help="folder of units of your own (default: the course's)"
    )
    given = parser.parse_args(arguments)
    try:
        chosen = units.load(given.unit, given.units)
        grades = grade_all(
            given.submissions,
            chosen,
            given.out,
            seed=given.seed,
            jobs=given.jobs,
            weak=given.weak,
            progress=tqdm,
        )
    except (FileNotFoundError, NotADirectoryError, RuntimeError, SubmissionError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print(f"interrupted: the same command goes on where it stopped ({given.out})")
        return 130
    middle = statistics.median(made.total for made in grades) if grades else 0
    for made in grades:
        if any(note.startswith(STUMBLED) for note in made.notes):
            print(f"{made.student}: {made.notes[0]}")
    print(
        f"{len(grades)} submissions, median {middle:g} of {chosen.points:g} points: {given.out / 'grades.csv'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

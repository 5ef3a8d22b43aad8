"""Grade submissions: ``python -m course.grade SUBMISSIONS/ --unit NAME --out grades/``.

Every submission runs in a process of its own (``course.sandbox``). The tests run here, on inputs from a fresh seed, and call
the submission's functions through a pipe; what comes back are plain values. The seed and each student's grades are kept
in the output folder: a second run gives the same grades, and an interrupted one goes on where it stopped.
"""

import argparse
import ast
import contextlib
import csv
import fcntl
import hashlib
import html
import json
import os
import secrets
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from course import unit as units
from course.magics import python
from course.sandbox import Sandbox, SubmissionError, isolates
from course.submission import UnreadableError, content, read
from course.unit import HIDDEN, ONE_AT_A_TIME, Cell, Unit, parse

MOST_NOTES = 20
STUMBLED = "not graded, grade again"


@dataclass
class Part:
    """What one cell of tests gave."""

    id: str
    points: float
    most: float
    message: str


@dataclass
class Grade:
    """All parts of one student."""

    student: str
    parts: list[Part]
    manual: dict[str, str]
    notes: list[str]

    @property
    def total(self) -> float:
        return sum(part.points for part in self.parts)


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
    try:
        submission = read(path, unit)
        with Sandbox(submission.code, hidden, weak=weak, library=unit.library, seconds=seconds) as sandbox:
            stopped = list(
                dict.fromkeys(f"a cell stopped: {problem}" for problem in sandbox.problems if problem)
            )
            notes = submission.notes + stopped[:MOST_NOTES]
            parts = [_part(cell, unit, sandbox, seed) for cell in tests]
            return Grade(path.stem, parts, submission.words, notes)
    except (UnreadableError, SubmissionError) as error:
        return _none(path, unit, str(error))


def _part(cell: Cell, unit: Unit, sandbox: Sandbox, seed: int) -> Part:
    names = {name: _Asked(sandbox, name) for other in unit.cells for name in other.names}
    known: dict = {"__name__": "tests"}
    for other in unit.cells:
        if other.given:
            exec(compile(python(other.source), other.id, "exec"), known)  # noqa: S102  the unit's own cells
    known |= {"SEED": seed} | {
        name: asked if _called(name, cell) else asked.value()
        for name, asked in names.items()
        if _named(name, cell)
    }
    for source, told in ((cell.stub, True), (_whole(cell), False)):
        try:
            points = _run(source, known, cell.points)
        except AssertionError as error:
            return Part(
                cell.id, 0.0, cell.points, str(error) if told else "a hidden check of this part failed"
            )
        except SubmissionError as error:
            return Part(
                cell.id, 0.0, cell.points, str(error) if told else "a hidden check of this part got no answer"
            )
        except Exception as error:  # noqa: BLE001  values of any kind may come back
            return Part(
                cell.id, 0.0, cell.points, f"what came back could not be used ({type(error).__name__})"
            )
    return Part(cell.id, min(max(0.0, points), cell.points), cell.points, "")


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


def _named(name: str, cell: Cell) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(parse(cell.source)))


def _called(name: str, cell: Cell) -> bool:
    calls = (node.func for node in ast.walk(parse(cell.source)) if isinstance(node, ast.Call))
    return any(isinstance(function, ast.Name) and function.id == name for function in calls)


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
        If submissions cannot be isolated, another run writes into ``out``, or it holds another unit's grades.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        with Sandbox(["import numpy"], weak=weak) as sandbox:
            if sandbox.problems != [""]:
                raise RuntimeError(f"nothing can be graded here: {sandbox.problems[0]}")
        return _grade_all(folder, unit, out, seed=seed, jobs=jobs, weak=weak, progress=progress)


def _grade_all(
    folder: Path,
    unit: Unit,
    out: Path,
    *,
    seed: int | None,
    jobs: int,
    weak: bool,
    progress: Callable[..., Iterable[Grade]],
) -> list[Grade]:
    kept = out / "run.json"
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if before.get("unit", unit.name) != unit.name:
        raise RuntimeError(f"{out} holds the grades of {before['unit']}: name another folder")
    seed = before.get("seed", secrets.randbits(32)) if seed is None else seed
    _keep(kept, {"unit": unit.name, "seed": seed, "isolated": isolates()})
    hidden = (folder.resolve(), out.resolve(), unit.folder)
    paths = sorted(path for path in folder.iterdir() if path.suffix == ".ipynb")

    def one(path: Path) -> Grade:
        try:
            raw = content(path)
        except UnreadableError as error:
            raw = str(error).encode()
        mark = hashlib.sha256(raw + repr((seed, unit.notebook)).encode()).hexdigest()
        done = out / "parts" / f"{path.stem}.json"
        if made := _made(done, mark):
            return made
        try:
            made = grade(path, unit, seed, hidden, weak=weak)
        except Exception as error:  # noqa: BLE001  one submission costs nobody else a grade
            return _none(path, unit, f"{STUMBLED} ({type(error).__name__}: {error})")
        done.parent.mkdir(exist_ok=True)
        _keep(done, {"mark": mark, "grade": asdict(made)})
        return made

    with ThreadPoolExecutor(jobs) as pool:
        grades = list(progress(pool.map(one, paths), total=len(paths), unit=" submissions"))
    write(grades, unit, out)
    return grades


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


def _none(path: Path, unit: Unit, why: str) -> Grade:
    """The grade of what could not be run."""
    parts = [Part(cell.id, 0.0, cell.points, "not run") for cell in unit.cells if cell.tests]
    return Grade(path.stem, parts, {}, [why])


def write(grades: list[Grade], unit: Unit, out: Path) -> None:
    """The tables of all, and for each student a page and Gradescope's JSON."""
    for name, rows in tables(grades, unit).items():
        with (out / name).open("w", newline="", encoding="utf-8", errors="replace") as file:
            csv.writer(file).writerows([[_cell_text(value) for value in row] for row in rows])
    for folder in ("feedback", "gradescope"):
        (out / folder).mkdir(exist_ok=True)
    for made in grades:
        rows = "".join(
            f"<tr><td>{html.escape(unit.headings[part.id])}</td><td>{part.points:g} of {part.most:g}</td>"
            f"<td>{html.escape(_said(part))}</td></tr>"
            for part in made.parts
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in made.notes)
        words = sum(cell.points for cell in unit.cells if cell.manual)
        more = (
            f" {words:g} of the {unit.points:g} are for answers in words, which a person reads."
            if words
            else ""
        )
        page = (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(unit.title)}</title>{STYLE}"
            f"<h1>{html.escape(unit.title)}</h1><p>{html.escape(made.student)}</p>"
            f"<p>{made.total:g} of {unit.points:g} points.{more}</p><table>{rows}</table><ul>{notes}</ul>"
        )
        (out / "feedback" / f"{made.student}.html").write_text(page, encoding="utf-8", errors="replace")
        tests_json = [
            {
                "name": unit.headings[part.id],
                "score": part.points,
                "max_score": part.most,
                "output": _said(part),
            }
            for part in made.parts
        ]
        scope = {"score": made.total, "tests": tests_json, "output": "\n".join(made.notes)}
        (out / "gradescope" / f"{made.student}.json").write_text(json.dumps(scope), encoding="utf-8")


def _said(part: Part) -> str:
    """What a student reads about a part."""
    if part.message or part.points == 0:
        return part.message or "no hidden check passes"
    return "all checks pass" if part.points == part.most else "some hidden checks fail"


def tables(grades: list[Grade], unit: Unit) -> dict[str, list[list]]:
    """Rows by the name of their file: every part, and what Canvas and Moodle import; a student is the name of the file."""
    tests = [cell.id for cell in unit.cells if cell.tests]
    parts = [["student", *tests, "total", "most", "to be read by a person"]]
    canvas = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", unit.title]]
    canvas.append(["    Points Possible", "", "", "", "", unit.points])
    moodle = [["username", unit.title, f"{unit.title} (feedback)"]]
    for made in grades:
        points = {part.id: part.points for part in made.parts}
        parts.append(
            [made.student, *(points[name] for name in tests), made.total, unit.points, len(made.manual)]
        )
        canvas.append([made.student, "", "", made.student, "", made.total])
        said = [f"{part.id}: {part.points:g} of {part.most:g}" for part in made.parts]
        moodle.append([made.student, made.total, "; ".join(said)])
    return {"grades.csv": parts, "canvas.csv": canvas, "moodle.csv": moodle}


STYLE = (
    "<meta name=viewport content='width=device-width'><style>body{font:1rem/1.5 sans-serif;max-width:45rem;margin:2rem auto;"
    "padding:0 1rem}td{padding:.3rem 1rem .3rem 0;vertical-align:top;overflow-wrap:anywhere}td:nth-child(2){white-space:nowrap}</style>"
)


def _cell_text(value: object) -> object:
    """The value as a spreadsheet shows it and does not compute it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r\n") else value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m course.grade", description=__doc__.partition("\n")[0])
    parser.add_argument("submissions", type=Path, help="folder of notebooks, one per student")
    parser.add_argument("--unit", required=True)
    parser.add_argument("--out", type=Path, required=True)
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

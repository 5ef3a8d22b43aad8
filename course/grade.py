"""Grade submissions: ``python -m course.grade SUBMISSIONS/ --unit NAME --out grades/``.

Every submission runs in a process of its own (``course.sandbox``). The tests run here, on inputs from a fresh seed, and call
the submission's functions through a pipe; what comes back are plain values. The seed and each student's grades are kept
in the output folder: a second run gives the same grades, and an interrupted one goes on where it stopped.
"""

import argparse
import ast
import csv
import hashlib
import html
import json
import secrets
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from course import unit as units
from course.sandbox import Sandbox, SubmissionError, isolates
from course.submission import UnreadableError, read
from course.unit import HIDDEN, ONE_AT_A_TIME, Cell, Unit, parse


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
        with Sandbox(submission.code, hidden, weak=weak, seconds=seconds) as sandbox:
            notes = submission.notes + [
                f"a cell stopped: {problem}" for problem in sandbox.problems if problem
            ]
            parts = [_part(cell, unit, sandbox, seed) for cell in tests]
            return Grade(path.stem, parts, submission.words, notes)
    except (UnreadableError, SubmissionError) as error:
        parts = [Part(cell.id, 0.0, cell.points, "") for cell in tests]
        return Grade(path.stem, parts, {}, [str(error)])


def _part(cell: Cell, unit: Unit, sandbox: Sandbox, seed: int) -> Part:
    names = {name: _Asked(sandbox, name) for other in unit.cells for name in other.names}
    known: dict = {"SEED": seed, "__name__": "tests"}
    for other in unit.cells:
        if other.kind == "code" and not other.solution and not other.grade:
            exec(compile(other.source, other.id, "exec"), known)  # noqa: S102  the unit's own cells
    known |= {
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
    return Part(cell.id, min(max(points, 0.0), cell.points), cell.points, "")


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
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else most


def grade_all(
    folder: Path,
    unit: Unit,
    out: Path,
    *,
    seed: int | None,
    jobs: int,
    weak: bool,
    tell: Callable[[str], None],
) -> list[Grade]:
    """Grade every notebook of a folder, and write the results."""
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "run.json"
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    seed = before.get("seed", secrets.randbits(32)) if seed is None else seed
    kept.write_text(json.dumps({"unit": unit.name, "seed": seed, "isolated": isolates()}), encoding="utf-8")
    hidden = (folder.resolve(), out.resolve())
    paths = sorted(path for path in folder.iterdir() if path.suffix == ".ipynb")

    def one(path: Path) -> Grade:
        raw = b"" if path.is_symlink() else path.read_bytes()
        mark = hashlib.sha256(raw + repr((seed, unit.notebook)).encode()).hexdigest()
        done = out / "parts" / f"{path.stem}.json"
        if done.exists() and (stored := json.loads(done.read_text(encoding="utf-8")))["mark"] == mark:
            return Grade(**(stored["grade"] | {"parts": [Part(**part) for part in stored["grade"]["parts"]]}))
        made = grade(path, unit, seed, hidden, weak=weak)
        done.parent.mkdir(exist_ok=True)
        done.write_text(json.dumps({"mark": mark, "grade": asdict(made)}), encoding="utf-8")
        return made

    grades = []
    with ThreadPoolExecutor(jobs) as pool:
        for made in pool.map(one, paths):
            grades.append(made)
            tell(f"{len(grades)} of {len(paths)}  {made.student}: {made.total:g} of {unit.points:g}")
    write(grades, unit, out)
    return grades


def write(grades: list[Grade], unit: Unit, out: Path) -> None:
    """The table of all, and for each student a page and Gradescope's JSON."""
    tests = [cell.id for cell in unit.cells if cell.tests]
    with (out / "grades.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["student", *tests, "total", "most", "to be read by a person"])
        for made in grades:
            points = {part.id: part.points for part in made.parts}
            row = [_cell_text(made.student), *(points[name] for name in tests), made.total]
            table.writerow([*row, unit.points, len(made.manual)])
    for folder in ("feedback", "gradescope"):
        (out / folder).mkdir(exist_ok=True)
    for made in grades:
        rows = "".join(
            f"<tr><td>{html.escape(part.id)}</td><td>{part.points:g} of {part.most:g}</td>"
            f"<td>{html.escape(part.message or 'all checks pass')}</td></tr>"
            for part in made.parts
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in made.notes)
        page = (
            f"<!doctype html><meta charset=utf-8><title>{html.escape(unit.name)}</title><h1>{html.escape(made.student)}</h1>"
            f"<p>{made.total:g} of {unit.points:g} points</p><table>{rows}</table><ul>{notes}</ul>"
        )
        (out / "feedback" / f"{made.student}.html").write_text(page, encoding="utf-8")
        tests_json = [
            {"name": part.id, "score": part.points, "max_score": part.most, "output": part.message}
            for part in made.parts
        ]
        scope = {"score": made.total, "tests": tests_json, "output": "\n".join(made.notes)}
        (out / "gradescope" / f"{made.student}.json").write_text(json.dumps(scope), encoding="utf-8")


def _cell_text(text: str) -> str:
    """The text as a spreadsheet shows it and does not compute it."""
    return f"'{text}" if text[:1] in "=+-@\t" else text


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
    given = parser.parse_args(arguments)
    chosen = units.load(given.unit)
    grade_all(
        given.submissions, chosen, given.out, seed=given.seed, jobs=given.jobs, weak=given.weak, tell=print
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Ways to break the library and the chapters, each of which must turn a chapter red: ``tests/book/mutations/*.toml``.

One file per chapter. A mutation of the library names a function of it, wherever that stands (Python, Cython or C); one
of the notebook names a cell by something that the cell binds. Neither names a path or a line. What every chapter noticed
and missed is written into its record by ``python -m tools.mutations`` (``make test-mutations``).
"""

import argparse
import ast
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat

from corelib.lab import record
from tools import records
from tools.cells import bound, claims_hash
from tools.compare import ROOT, environment, run

FOLDER = ROOT / "tests" / "book" / "mutations"
KINDS = ("library", "leak", "handicap", "trivial")
IN_EVERY_RUN = 6
"""Mutations that ``make test`` tries; which ones follows from the commit, and ``make test-mutations`` tries all."""

NOTICED = re.compile(r"Cell outputs differ|ClaimError|AssertionError|Numbers moved")
ACCIDENT = re.compile(
    r"ImportError|ModuleNotFoundError|SyntaxError|NameError|Timeout of|Kernel died|Kernel dead"
)


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """Replace ``old``, which stands once in the function or the cell, by ``new``: then the chapter must turn red.

    ``kernel`` is the extension module that has to be built again, for a function of the compiled core.
    """

    chapter: str
    kind: str
    name: str
    old: str
    new: str
    function: str = ""
    cell: str = ""
    kernel: str = ""

    def __str__(self) -> str:
        return f"{self.chapter}: {self.kind}: {self.name}"

    @property
    def id(self) -> str:
        """Eight characters that change with the mutation."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:8]


class Stale(ValueError):
    """A mutation that no longer fits: the source has moved on, so must the mutation."""


def notebook_of(chapter: str) -> Path:
    """The notebook of a chapter, by its slug."""
    (path,) = (
        path for path in (ROOT / "book").rglob(f"{chapter}.ipynb") if ".ipynb_checkpoints" not in path.parts
    )
    return path


@cache
def all_mutations() -> tuple[Mutation, ...]:
    """All mutations of all chapters."""
    return tuple(
        Mutation(chapter=path.stem, **entry)
        for path in sorted(FOLDER.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutation"]
    )


def whose_turn(mutations: tuple[Mutation, ...], commit: str) -> tuple[Mutation, ...]:
    """Some of the mutations, chosen by the commit: others with the next one."""

    def order(mutation: Mutation) -> str:
        return hashlib.sha256(f"{commit} {mutation}".encode()).hexdigest()

    return tuple(sorted(mutations, key=order)[:IN_EVERY_RUN])


def commit() -> str:
    """The commit that is checked out, or the state of the chapters where there is no repository."""
    line = ["git", "rev-parse", "HEAD"]
    result = subprocess.run(line, check=False, capture_output=True, text=True, cwd=ROOT)
    if result.returncode == 0:
        return result.stdout.strip()
    return " ".join(claims_hash(nbformat.read(path, 4)) for path in sorted((ROOT / "book").rglob("*.ipynb")))


def broken(mutation: Mutation, folder: Path) -> subprocess.CompletedProcess[str]:
    """Break a copy of what the mutation names, in ``folder``, and compare the chapter with what it computes then."""
    notebook = notebook_of(mutation.chapter)
    if not mutation.cell:
        package = copy_package(folder / "copy")
        break_library(mutation, package)
        return run(notebook, python_path=package)
    copy = folder / notebook.name
    break_notebook(mutation, notebook, copy)
    kept = record.path_of(notebook)
    if kept.exists():
        shutil.copy(kept, folder)
    return run(copy)


def noticed(result: subprocess.CompletedProcess[str]) -> str:
    """Empty if the chapter turned red because of a wrong result, else what happened in its place."""
    if result.returncode != 1:
        return "the chapter did not notice"
    if ACCIDENT.search(result.stdout):
        return "red, but by accident"
    return "" if NOTICED.search(result.stdout) else "red, but not for a wrong result"


def copy_package(destination: Path) -> Path:
    """A copy of the package with its built extensions; the folder to put on ``PYTHONPATH``."""
    shutil.copytree(ROOT / "corelib", destination / "corelib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.py", destination)
    return destination


def break_library(mutation: Mutation, root: Path) -> None:
    """Apply a mutation to the copy of the library under ``root``, and build the kernel that it concerns, if any, again.

    Raises
    ------
    Stale
        If the function is not found once, or the text to replace does not stand in it exactly once.
    """
    file, start, end = find_function(mutation.function, root / "corelib")
    source = file.read_text(encoding="utf-8")
    changed = _replace(mutation, source[start:end], mutation.function)
    file.write_text(source[:start] + changed + source[end:], encoding="utf-8")
    if mutation.kernel:
        _build(mutation.kernel, root)


def break_notebook(mutation: Mutation, notebook: Path, copy: Path) -> None:
    """Write a copy of the notebook in which the named cell is changed.

    Raises
    ------
    Stale
        If no cell or several bind the name, or the text to replace does not stand in it exactly once.
    """
    content = nbformat.read(notebook, as_version=4)
    found = [c for c in content.cells if c.cell_type == "code" and mutation.cell in bound(c.source, {})]
    if len(found) != 1:
        raise Stale(f'"{mutation}": {len(found)} cells bind {mutation.cell!r}, not one')
    found[0].source = _replace(mutation, found[0].source, f"the cell of {mutation.cell}")
    nbformat.write(content, copy)


def find_function(name: str, package: Path) -> tuple[Path, int, int]:
    """File, start and end of a function ``name`` or method ``Class.name`` of the package; it must stand there once."""
    found = []
    for path in sorted(package.rglob("*.py")):
        found += [(path, *span) for span in _in_python(name, path.read_text(encoding="utf-8"))]
    for path in sorted((*package.rglob("*.h"), *package.rglob("*.pyx"))):
        found += [(path, *span) for span in _in_c(name, path.read_text(encoding="utf-8"))]
    if len(found) != 1:
        places = ", ".join(str(path.relative_to(package)) for path, *_ in found) or "nowhere"
        raise Stale(f"the function {name} must stand once in the library; found {places}")
    return found[0]


def _in_python(name: str, source: str) -> list[tuple[int, int]]:
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    owner, _, last = name.rpartition(".")
    tree = ast.parse(source)
    scopes = (
        [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == owner]
        if owner
        else [tree]
    )
    return [
        (lines[node.lineno - 1], lines[node.end_lineno])
        for scope in scopes
        for node in scope.body
        if isinstance(node, ast.FunctionDef) and node.name == last
    ]


def _in_c(name: str, source: str) -> list[tuple[int, int]]:
    """C functions by their braces, Cython functions by their indentation."""
    spans = []
    for match in re.finditer(rf"^[^\n;#/]*\b{re.escape(name)}\s*\([^;{{}}]*\)\s*\{{", source, re.MULTILINE):
        depth, end = 1, match.end()
        while depth and end < len(source):
            depth += {"{": 1, "}": -1}.get(source[end], 0)
            end += 1
        spans.append((match.start(), end))
    for match in re.finditer(
        rf"^(?:c?p?def)\b[^\n]*\b{re.escape(name)}\(.*\n(?:(?:[ )].*)?\n)*", source, re.MULTILINE
    ):
        spans.append((match.start(), match.end()))
    return spans


def _replace(mutation: Mutation, source: str, where: str) -> str:
    count = source.count(mutation.old)
    if count != 1 or mutation.old == mutation.new:
        raise Stale(
            f'"{mutation}": the old text stands {count} times in {where}, not once, or is the new one'
        )
    return source.replace(mutation.old, mutation.new)


def _build(kernel: str, root: Path) -> None:
    kernels = root / "corelib" / "kernels"
    for source in kernels.glob("*.pyx"):
        if source.stem != kernel:
            source.unlink()
    for built in (*kernels.glob(f"{kernel}.*.so"), *kernels.glob(f"{kernel}.*.pyd")):
        built.unlink()
    line = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    result = subprocess.run(
        line, check=False, cwd=root, capture_output=True, text=True, env=environment(), timeout=600
    )
    assert result.returncode == 0, result.stdout + result.stderr


def _try(mutation: Mutation) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        complaint = noticed(broken(mutation, Path(folder)))
    print(f"{mutation}: {complaint or 'noticed'}", flush=True)
    return {"id": mutation.id, "kind": mutation.kind, "name": mutation.name, "noticed": not complaint}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutations", description=__doc__.partition("\n")[0])
    parser.add_argument("chapters", nargs="*", metavar="SLUG", help="which chapters; all, if none is named")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--new", action="store_true", help="only what was not tried on this code yet")
    options = parser.parse_args(arguments)
    chapters = options.chapters or sorted({mutation.chapter for mutation in all_mutations()})
    missed = sum(_try_chapter(chapter, options.jobs, only_new=options.new) for chapter in chapters)
    return int(missed > 0)


def _try_chapter(chapter: str, jobs: int, *, only_new: bool) -> int:
    """Try the mutations of a chapter, write into its record what it noticed; how many it missed."""
    notebook = notebook_of(chapter)
    code = claims_hash(nbformat.read(notebook, as_version=4))
    chosen = [mutation for mutation in all_mutations() if mutation.chapter == chapter]
    kept = record.load(notebook).get("mutations", {})
    done = (
        {entry.get("id"): entry for entry in kept["tried"]} if only_new and kept.get("code") == code else {}
    )
    with ThreadPoolExecutor(jobs) as pool:
        tried = list(pool.map(lambda mutation: done.get(mutation.id) or _try(mutation), chosen))
    records.update(notebook, "mutations", {"code": code, "tried": tried})
    return sum(not entry["noticed"] for entry in tried)


if __name__ == "__main__":
    sys.exit(main())

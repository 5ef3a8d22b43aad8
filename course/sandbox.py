"""A submission's process: in an empty folder, without network, seeing neither the course nor the other submissions.

On Linux, with ``unshare`` and ``setpriv`` (util-linux), the process gets namespaces of its own: no network; its own processes,
all of which end with it; of the disk only the system's programs and Python, read-only, and a small folder in memory; no
sockets, no home, nothing else of the machine; no capabilities. Where that is not possible, ``Sandbox`` refuses, unless it is told to do without; limits
on time, memory, processes and files hold anyway.
"""

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from course import wire

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = Path(importlib.util.find_spec("corelib").origin).resolve().parent
LIMITS = {
    "RLIMIT_CPU": 120,  # seconds
    "RLIMIT_AS": 4 * 2**30,  # bytes
    "RLIMIT_FSIZE": 16 * 2**20,
    "RLIMIT_NOFILE": 64,
    "RLIMIT_CORE": 0,
}
PROCESSES = 32
ONE_CELL = 2 / 3  # of the seconds that all cells have: one that never ends leaves time for the others
PATIENCE = 5  # times the seconds for the cells
SPACES = (
    "--user",
    "--map-root-user",
    "--net",
    "--ipc",
    "--uts",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system/cpu"),
    *("/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"),
)
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
SETUP = """
root=$1 work=$2; shift 2
mount -t tmpfs -o size=1m,mode=755 none "$root" || exit 91
mkdir -p "$root/proc" "$root$work"
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir -p "$root$1"; else mkdir -p "$root${1%/*}"; : >"$root$1"; fi
  mount --rbind "$1" "$root$1" || exit 92
  shift
done
shift
awk '{sub(/^rw/, "ro", $6); gsub(/\\\\040/, " ", $5); print $6, $5}' /proc/self/mountinfo | while read -r options point; do
  case "$point" in "$root" | "$root"/*) mount -o "remount,bind,$options" "$point" || exit 1 ;; esac
done || exit 93
mount -t proc proc "$root/proc" || exit 94
mount -t tmpfs -o size=64m none "$root$work" || exit 95
while [ "$1" != -- ]; do
  [ ! -d "$root$1" ] || mount -t tmpfs -o ro,size=4k none "$root$1" || exit 96
  shift
done
shift
touch "$root/x" 2>/dev/null && exit 97
exec chroot "$root" env -C "$work" "$@"
"""


NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


class SubmissionError(Exception):
    """The submission's process ended, answered too late, or said something that cannot be read."""


@functools.cache
def isolates() -> bool:
    """Whether this machine lets us make the namespaces."""
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        return False
    return _works(*user(), "unshare", *SPACES, *POWERLESS, "true")


@functools.cache
def user() -> tuple[str, ...]:
    """How to become nobody, if we are root and nobody may run this Python: limits on processes do not hold for root."""
    able = os.geteuid() == 0 and _works(*AS_NOBODY, *POWERLESS, sys.executable, "-c", "import numpy")
    return AS_NOBODY if able else ()


@functools.cache
def software() -> tuple[Path, ...]:
    """What a process may read: the system's programs, this Python, and where the libraries lie that it has loaded."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        loaded = {Path(line.rstrip("\n").split(maxsplit=5)[5]).parent for line in file if ".so" in line}
    pythons = {Path(name) for name in (sys.prefix, sys.base_prefix)}
    return tuple(sorted({*map(Path, SYSTEM), *loaded, *pythons, *(path.resolve() for path in pythons)}))


def _outermost(paths: Sequence[Path]) -> list[str]:
    """Those that exist, but for what lies in another."""
    found = [path for path in paths if path.exists()]
    return [str(path) for path in found if not set(path.parents) & set(found)]


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Sandbox:
    """Runs the cells of one submission and calls its functions.

    After a call that gets no answer the process is ended, and the next call starts another with the same cells.

    Parameters
    ----------
    cells : sequence of str
    hidden : sequence of Path, optional
        Folders that it must not see even where they lie among the system's programs: submissions, the teacher's files.
    weak : bool, optional
        Also run where namespaces cannot be made.
    library : bool, optional
        Let the process import ``corelib``.
    seconds : float, optional
        For the cells, and for each answer a sixth of it; for all together five times as much.

    Raises
    ------
    RuntimeError
        If namespaces cannot be made and ``weak`` is False.
    SubmissionError
        If the process does not come as far as its first answer.
    """

    def __init__(
        self,
        cells: Sequence[str],
        hidden: Sequence[Path] = (),
        *,
        weak: bool = False,
        library: bool = False,
        seconds: float = 60,
    ) -> None:
        if not isolates() and not weak:
            raise RuntimeError(
                "this machine cannot isolate submissions (see the teacher's page); --weak does without"
            )
        self._cells, self._seconds = list(cells), seconds
        self._patience = PATIENCE * seconds
        self._library = library
        self._hidden = [ROOT / "course", *hidden, *(() if library else (LIBRARY,))]
        self._process: subprocess.Popen | None = None
        self.problems: list[str] = []
        self._open()

    def call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        """What a function of the submission returns.

        Raises
        ------
        SubmissionError
            If it raises, is missing, or does not answer.
        """
        return self._value({"name": name, "args": wire.pack(arguments), "kwargs": wire.pack(keywords)})

    def get(self, name: str) -> Any:
        """The value of a name of the submission."""
        return self._value({"name": name})

    def close(self) -> None:
        """End the process and all that it started, and delete its folder."""
        if self._process is None:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        """Start the process and run the cells."""
        self._folder = tempfile.TemporaryDirectory(prefix="submission-", ignore_cleanup_errors=True)
        self._process = self._start()
        limits = LIMITS | ({"RLIMIT_NPROC": PROCESSES} if isolates() else {})
        said = self._ask(
            {"limits": limits, "cells": self._cells, "seconds": ONE_CELL * self._seconds}, self._seconds
        ).get("problems")
        if not isinstance(said, list):
            self.close()
            raise SubmissionError("the submission's process says what it should not")
        self.problems = [_told(problem) for problem in said[: len(self._cells)]]

    def _start(self) -> subprocess.Popen:
        inside = [sys.executable, "-P", "-B", "-m", "course.inside"]
        seen = Path(self._folder.name, "lib")
        (seen / "course").mkdir(parents=True)
        for name in ("__init__.py", "wire.py", "magics.py", "inside.py"):
            shutil.copy(ROOT / "course" / name, seen / "course" / name)
        work, root = Path(self._folder.name, "work"), Path(self._folder.name, "root")
        work.mkdir()
        root.mkdir()
        if user():
            for path in (Path(self._folder.name), *Path(self._folder.name).rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        command = [*user(), *inside]
        if isolates():
            shown = _outermost((*software(), seen, *((LIBRARY,) if self._library else ())))
            command = [
                *user(),
                *("setpriv", "--pdeathsig=KILL"),
                "unshare",
                *SPACES,
                "sh",
                "-c",
                SETUP,
                "sh",
                str(root),
                str(work),
                *shown,
                "--",
                *_outermost(self._hidden),
                "--",
                *POWERLESS,
                *inside,
            ]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": os.pathsep.join([str(seen), *((str(LIBRARY.parent),) if self._library else ())]),
            "HOME": str(work),
            "TMPDIR": str(work),
            "LANG": "C.UTF-8",
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        }
        return subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _ask(self, message: dict, seconds: float) -> dict:
        """What the process answers. One that fails to is ended: what it says later would be taken for the next answer."""
        begun, seconds = time.monotonic(), min(seconds, self._patience)
        try:
            wire.send(self._process.stdin.fileno(), message, seconds)
            return wire.receive(self._process.stdout.fileno(), seconds)
        except (EOFError, BrokenPipeError) as error:
            self.close()
            raise SubmissionError("the submission's process ended") from error
        except wire.WireError as error:
            self.close()
            raise SubmissionError(str(error)) from error
        except BaseException:
            self.close()
            raise
        finally:
            self._patience -= time.monotonic() - begun

    def _value(self, message: dict) -> Any:
        if self._patience <= 0:
            raise SubmissionError("all the time is used up")
        if self._process is None:
            self._open()
        said = self._ask(message, self._seconds / 6)
        if "value" not in said:
            raise SubmissionError(_told(said.get("problem", "no value")))
        try:
            return wire.unpack(said["value"])
        except wire.WireError as error:
            raise SubmissionError(str(error)) from error


def _told(text: object) -> str:
    """What a process says of itself, as short as it should be and fit for a file."""
    return str(text)[:500].encode("utf-8", "replace").decode()

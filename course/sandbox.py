"""A submission's process: in an empty folder, without network, seeing neither the course nor the other submissions.

On Linux, with ``unshare`` and ``setpriv`` (util-linux), the process gets namespaces of its own: no network; its own processes,
all of which end with it; every file system read-only but for a small folder in memory; empty folders in the place of what
it must not see; no capabilities. Where that is not possible, ``Sandbox`` refuses, unless it is told to do without; limits
on time, memory, processes and files hold anyway.
"""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from course import wire

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {
    "RLIMIT_CPU": 120,  # seconds
    "RLIMIT_AS": 4 * 2**30,  # bytes
    "RLIMIT_FSIZE": 16 * 2**20,
    "RLIMIT_NOFILE": 64,
    "RLIMIT_CORE": 0,
}
PROCESSES = 32
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
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
SETUP = """
root=$1 work=$2; shift 2
mount --rbind / "$root" || exit 91
awk '{print $5}' /proc/self/mountinfo | while read -r point; do
  case "$point" in "$root" | "$root"/*) mount -o remount,bind,ro "$point" ;; esac
done
mount -t proc proc "$root/proc" || exit 92
mount -t tmpfs -o size=64m none "$root$work" || exit 93
while [ "$1" != -- ]; do mount -t tmpfs -o ro,size=4k none "$root$1" || exit 94; shift; done
shift
touch "$root$work/.." 2>/dev/null && exit 95
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


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Sandbox:
    """Runs the cells of one submission and calls its functions.

    Parameters
    ----------
    cells : sequence of str
    hidden : sequence of Path, optional
        Folders that the process sees empty: submissions, the teacher's files.
    weak : bool, optional
        Also run where namespaces cannot be made.
    seconds : float, optional
        For the cells, and for each answer a sixth of it.

    Raises
    ------
    RuntimeError
        If namespaces cannot be made and ``weak`` is False.
    SubmissionError
        If the process does not come as far as its first answer.
    """

    def __init__(
        self, cells: Sequence[str], hidden: Sequence[Path] = (), *, weak: bool = False, seconds: float = 60
    ) -> None:
        if not isolates() and not weak:
            raise RuntimeError(
                "this machine cannot isolate submissions (see the teacher's page); --weak does without"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="submission-", ignore_cleanup_errors=True)
        self._seconds = seconds
        self._process = self._start(hidden)
        limits = LIMITS | ({"RLIMIT_NPROC": PROCESSES} if isolates() else {})
        try:
            said = self._ask({"limits": limits, "cells": list(cells)}, seconds).get("problems")
            if not isinstance(said, list):
                raise SubmissionError("the submission's process says what it should not")
            self.problems = [str(problem) for problem in said]
        except BaseException:
            self.close()
            raise

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
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, hidden: Sequence[Path]) -> subprocess.Popen:
        inside = [sys.executable, "-P", "-B", "-m", "course.inside"]
        seen = Path(self._folder.name, "lib")
        (seen / "course").mkdir(parents=True)
        for name in ("__init__.py", "wire.py", "inside.py"):
            shutil.copy(ROOT / "course" / name, seen / "course" / name)
        work, root = Path(self._folder.name, "work"), Path(self._folder.name, "root")
        work.mkdir()
        root.mkdir()
        if user():
            for path in (Path(self._folder.name), *Path(self._folder.name).rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        command = [*user(), *inside]
        if isolates():
            folders = [folder for folder in (ROOT / "course", ROOT / "corelib", *hidden) if folder.exists()]
            hide = [str(folder) for folder in folders if not set(folder.parents) & set(folders)]
            command = [
                *user(),
                "unshare",
                *SPACES,
                "sh",
                "-c",
                SETUP,
                "sh",
                str(root),
                str(work),
                *hide,
                "--",
                *POWERLESS,
                *inside,
            ]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(seen),
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
        try:
            wire.send(self._process.stdin.fileno(), message)
            return wire.receive(self._process.stdout.fileno(), seconds)
        except (EOFError, BrokenPipeError) as error:
            raise SubmissionError("the submission's process ended") from error
        except wire.WireError as error:
            raise SubmissionError(str(error)) from error

    def _value(self, message: dict) -> Any:
        said = self._ask(message, self._seconds / 6)
        if "value" not in said:
            raise SubmissionError(str(said.get("problem", "no value")))
        try:
            return wire.unpack(said["value"])
        except wire.WireError as error:
            raise SubmissionError(str(error)) from error

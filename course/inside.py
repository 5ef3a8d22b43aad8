"""The side of the submission: runs its cells and answers calls. Started by ``course.sandbox`` and by nobody else.

Whatever happens here can only change what is answered: the grader takes plain values, and knows what is right.
"""

import contextlib
import io
import os
import resource
import signal
import sys
import traceback
import types
from pathlib import Path

from course import wire
from course.magics import python


def limit(limits: dict[str, int]) -> None:
    """Hard limits for this process and all that it starts; if the machine runs out of memory, it is the first to end."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    for name, value in limits.items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(number, (value, value))


def run(cells: list[str], names: dict, seconds: float) -> list[str]:
    """Execute the cells in order, each within these seconds; per cell what went wrong, or an empty string."""
    problems = []
    for number, source in enumerate(cells, 1):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            exec(_compiled(source, f"<cell {number}>"), names)  # noqa: S102  what we are here for
            problems.append("")
        except BaseException as error:  # noqa: BLE001  students raise what they like
            problems.append(_told(error))
        signal.setitimer(signal.ITIMER_REAL, 0)
    return problems


def _late(*_) -> None:
    raise TimeoutError("the cell did not end in time")


def _compiled(source: str, name: str) -> types.CodeType:
    """The code as it stands or, where that is no Python, without the lines that only a notebook understands."""
    with contextlib.suppress(SyntaxError):
        return compile(source, name, "exec")
    return compile(python(source), name, "exec")


def answer(message: dict, names: dict) -> dict:
    """What a call or a question comes to."""
    name = message["name"]
    if name not in names:
        return {"problem": f"{name} is not defined"}
    try:
        value = names[name]
        if "args" in message:
            value = value(*wire.unpack(message["args"]), **wire.unpack(message["kwargs"]))
        return {"value": wire.pack(value)}
    except BaseException as error:  # noqa: BLE001  as above
        return {"problem": _told(error)}


def reply(descriptor: int, message: dict) -> None:
    """Send an answer, or why it cannot be sent."""
    try:
        wire.send(descriptor, message)
    except (wire.WireError, ValueError) as error:
        wire.send(descriptor, {"problem": _told(error)})


def _told(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()[:500]


def main() -> None:
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    first = wire.receive(requests)
    limit(first["limits"])
    sys.stdout = sys.stderr = io.StringIO()
    signal.signal(signal.SIGALRM, _late)
    names: dict = {"__name__": "__main__"}
    wire.send(answers, {"problems": run(first["cells"], names, first["seconds"])})
    while True:
        reply(answers, answer(wire.receive(requests), names))


if __name__ == "__main__":
    with contextlib.suppress(EOFError):
        main()

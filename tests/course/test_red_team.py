"""Protects the grader: whoever cheats or breaks gets what the honest part deserves, and nobody else is touched."""

import contextlib
import csv
import json
import os
import re
import socket
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest

from course import wire
from course.grade import Grade, grade, grade_all, main
from course.sandbox import ROOT, Sandbox, SubmissionError, isolates, software
from course.unit import load

UNIT = load("auc")
SEED = 20261128
HONEST = 4.0  # the points of the first part, which every attack below has solved
SECONDS = 6.0

needs_isolation = pytest.mark.skipif(
    not isolates(), reason="this machine cannot make namespaces (util-linux, user namespaces)"
)
pytestmark = needs_isolation


def notebook(**cells):
    """A submission: the first part solved, cells by their id replaced."""
    made = UNIT.student()
    solved = {cell.metadata.nbgrader.grade_id: cell.source for cell in UNIT.solved().cells}
    for cell in made.cells:
        name = cell.metadata.nbgrader.grade_id
        if name == "auc":
            cell.source = solved["auc"]
        if name in cells:
            cell.source = cells[name]
    return made


def graded(made, tmp_path, name="student.ipynb") -> Grade:
    path = tmp_path / name
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        nbformat.write(made, path)
    return grade(path, UNIT, SEED, (tmp_path,), seconds=SECONDS)


def left_over() -> list[str]:
    """Processes that live in the folder of a submission that is gone; the last of them get two seconds to end."""
    for _ in range(40):
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                home = re.search(rb"HOME=([^\0]*/submission-[^\0]*)/work", path.read_bytes())
                if home and not Path(os.fsdecode(home[1])).exists():
                    found.append(path.parent.name)
        if not found:
            break
        time.sleep(0.05)
    return found


# Each stands in the place of fast_auc and would like its five points, or to do harm.
ATTACKS = {
    "reads the solutions": "import json\nfor c in json.load(open('{course}/units/auc/auc.ipynb'))['cells']:\n    exec(''.join(c['source']))",
    "imports the course": "from course.unit import load\nexec([c for c in load('auc').cells if c.id == 'fast'][0].source)",
    "imports the library": "from corelib.metrics import roc_auc\ndef fast_auc(s, l): return float(roc_auc(s, l))",
    "looks for the tests in every folder": "import glob\nhits = glob.glob('{root}/**/auc.ipynb', recursive=True)\nassert hits",
    "reads the grader's memory": "import os\ndef fast_auc(s, l):\n    return open(f'/proc/{{os.getppid()}}/mem', 'rb').read(8)",
    "finds the grader among the processes": "import os\nothers = [p for p in os.listdir('/proc') if p.isdigit() and p != '1']\nassert others",
    "patches numpy's comparison": "import numpy\nnumpy.abs = abs = lambda *_: 0\nnumpy.testing.assert_allclose = lambda *_, **__: None\ndef fast_auc(s, l): return 0.5",
    "patches assert's error": "import builtins\nbuiltins.AssertionError = Exception\ndef fast_auc(s, l): return 0.5",
    "patches the writer": "import json\njson.dumps = lambda *_, **__: '{{\"value\": 0.75}}'\ndef fast_auc(s, l): return 0.0",
    "patches the packing": "import course.wire\ncourse.wire.pack = lambda *_: 0.75\ndef fast_auc(s, l): return 0.0",
    "writes answers into every pipe": "import os\ntext = b'{{\"value\": 0.75}}'\nfor d in range(3, 40):\n    try: os.write(d, len(text).to_bytes(8, 'big') + text)\n    except OSError: pass\ndef fast_auc(s, l): return 0.75",
    "prints a result": "print('PASSED 5 of 5')\nimport sys\nsys.__stdout__.write('{{\"value\": 1}}')",
    "knows the visible check": "def fast_auc(s, l): return 0.75",
    "knows the visible check, else raises": "def fast_auc(s, l):\n    if len(s) == 3: return 0.75\n    raise SystemExit",
    "returns what is equal to all": "class Yes(float):\n    def __eq__(self, o): return True\n    def __sub__(self, o): return 0\n    def __abs__(self): return 0\ndef fast_auc(s, l): return Yes(0.5)",
    "returns not a number": "def fast_auc(s, l): return float('nan')",
    "returns an infinite number": "def fast_auc(s, l): return float('inf')",
    "returns an array of answers": "import numpy as np\ndef fast_auc(s, l): return np.linspace(0, 1, 1001)",
    "returns a function": "def fast_auc(s, l): return lambda: 0.75",
    "returns a bomb for pickle": "import os\nclass Bomb:\n    def __reduce__(self): return os.system, ('touch {tmp}/bomb',)\ndef fast_auc(s, l): return Bomb()",
    "returns an array of objects": "import numpy as np\ndef fast_auc(s, l): return np.array([object()])",
    "returns a deep list": "def fast_auc(s, l):\n    x = []\n    for _ in range(10**5): x = [x]\n    return x",
    "returns a huge number": "def fast_auc(s, l): return 10**6000",
    "returns a huge string": "def fast_auc(s, l): return 'x' * 50_000_000",
    "prints without end": "def fast_auc(s, l):\n    while True: print('x' * 10**6)",
    "sleeps": "import time\ndef fast_auc(s, l): time.sleep(10**6)",
    "sleeps while it is read": "import time\ntime.sleep(3600)",
    "never ends": "def fast_auc(s, l):\n    while True: pass",
    "exits": "def fast_auc(s, l): raise SystemExit(0)",
    "exits at once": "import os\nos._exit(0)",
    "ends its process later": "import os\ndef fast_auc(s, l): os._exit(0)",
    "kills everybody": "import os, signal\nfor p in (-1, os.getppid(), 1):\n    try: os.kill(p, signal.SIGKILL)\n    except OSError: pass",
    "fills the memory": "def fast_auc(s, l): return len(bytearray(64 * 2**30))",
    "fills the disk": "def fast_auc(s, l):\n    for k in range(100):\n        open(f'f{{k}}', 'wb').write(b'0' * 2**23)",
    "leaves a daemon": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)",
    "forks and lets the child answer": "import os\nos.fork()\ndef fast_auc(s, l): return 0.75",
    "throws while it is deleted": "class Late:\n    def __del__(self): raise RuntimeError\nlate = Late()\ndel late",
    "calls the network": "import socket\nsocket.create_connection(('1.1.1.1', 53), 1)\ndef fast_auc(s, l): return 0.75",
    "writes into the teacher's folders": "open('{tmp}/harm', 'w').write('x')\nopen('{root}/harm', 'w').write('x')",
    "makes a link to a secret": "import os\nos.symlink('/etc/passwd', 'link')\ndef fast_auc(s, l): return open('link').read()",
    "unmounts what hides the course": "import subprocess\nassert subprocess.run(['umount', '{course}']).returncode == 0",
    "makes namespaces of its own": "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.unshare(0x10020000)\nlibc.umount2(b'{course}', 2)\nimport os\nassert os.listdir('{course}')",
    "closes the pipes": "import os\nos.closerange(0, 64)",
    "raises what is no exception": "def fast_auc(s, l): raise KeyboardInterrupt",
    "asks git": "import subprocess, json\nsaid = subprocess.run(['git', '-C', '{root}', 'show', 'HEAD:course/units/auc/auc.ipynb'], capture_output=True).stdout\nfor c in json.loads(said)['cells']:\n    if c['cell_type'] == 'code': exec(''.join(c['source']))",
    "returns nothing as an array": "import numpy as np\ndef fast_auc(s, l): return np.zeros(0)",
    "returns masked numbers": "import numpy as np\ndef fast_auc(s, l): return np.ma.masked_all(())",
    "returns the right number for the visible, a string else": "def fast_auc(s, l): return 0.75 if len(s) == 3 else '0.75'",
    "changes its arguments": "def fast_auc(s, l):\n    s[:] = 0.5\n    return 0.75 if len(s) == 3 else 0.5",
    "writes wherever it may": "wrote = []\nfor line in open('/proc/self/mountinfo'):\n    place = line.split()[4]\n    try: open(place + '/harm', 'w'); wrote.append(place)\n    except OSError: pass\nassert any('submission-' not in place for place in wrote)\ndef fast_auc(s, l): return 0.75",
    "reads the other side of the pipe": "import os\nos.set_blocking(3, False)\ntry: os.read(3, 99)\nexcept OSError: pass\ndef fast_auc(s, l): return 0.75",
    "follows process 1 to the root": "import json\nfor c in json.load(open('/proc/1/root{course}/units/auc/auc.ipynb'))['cells']:\n    exec(''.join(c['source']))",
    "sets the clock and its limits": "import time, resource\ntry: time.clock_settime(time.CLOCK_REALTIME, 0)\nexcept OSError: pass\nresource.setrlimit(resource.RLIMIT_CPU, (9999, 9999))",
    "ignores signals": "import signal, time\nfor number in set(signal.valid_signals()) - {{signal.SIGKILL, signal.SIGSTOP}}:\n    signal.signal(number, signal.SIG_IGN)\ndef fast_auc(s, l): time.sleep(999)",
    "recurses": "import sys\nsys.setrecursionlimit(10**8)\ndef fast_auc(s, l): return fast_auc(s, l)",
}
# These end or spoil the process that holds the honest part, too: nothing is left to be asked.
DEADLY = {
    "closes the pipes",
    "exits at once",
    "forks and lets the child answer",
    "kills everybody",
    "patches the packing",
    "patches the writer",
    "sleeps while it is read",
    "writes answers into every pipe",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_what_its_honest_part_deserves(name, tmp_path):
    places = {"course": ROOT / "course", "root": ROOT, "tmp": tmp_path}
    made = graded(notebook(fast=ATTACKS[name].format(**places)), tmp_path)
    points = {part.id: part.points for part in made.parts}
    assert points["fast-checks"] == 0
    assert made.total in ((0.0, HONEST) if name in DEADLY else (HONEST,)), made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["student.ipynb"]
    assert not (ROOT / "harm").exists()
    assert left_over() == [], "what it started has ended"


def without_marks():
    made = notebook()
    for cell in made.cells:
        cell.metadata = {"id": "aBcD", "colab": {}}
        cell.id = None
        del cell["id"]
    return json.dumps(
        {"cells": made.cells, "metadata": {"colab": {"provenance": []}}, "nbformat": 4, "nbformat_minor": 0}
    )


def changed(change):
    made = notebook()
    change(made.cells)
    return json.dumps(made)


def twice(cells):
    cells.insert(4, cells[3])


def made_easy(cells):
    for cell in cells:
        if cell.metadata.nbgrader.grade_id.endswith("-checks"):
            cell.source = "20"


def one_syntax_error(cells):
    cells.insert(0, nbformat.v4.new_code_cell("def (:"))


def of(cells, name):
    return next(cell for cell in cells if cell.metadata.nbgrader.grade_id == name)


def swapped(cells):
    one, other = of(cells, "auc").metadata.nbgrader, of(cells, "fast").metadata.nbgrader
    one.grade_id, other.grade_id = "fast", "auc"


def locked_marks(cells):
    cells.insert(1, nbformat.v4.new_code_cell("1 / 0", metadata=of(cells, "auc-checks").metadata))


def strange_marks(cells):
    for mark in ("../../x", "a\0b", "\ud800", "x" * 10**5, "auc/../auc", "ａｕｃ"):
        cells.append(nbformat.v4.new_code_cell("pass", metadata={"nbgrader": {"grade_id": mark}}))
    cells.append(
        {
            "cell_type": "code",
            "source": "pass",
            "metadata": [1],
            "attachments": {"a": {"image/png": "x" * 10**6}},
        }
    )
    cells.append({"cell_type": "code", "source": {"a": 1}, "metadata": {"nbgrader": {"grade_id": [1]}}})


def heavy_code(cells):
    for source in ("x = " + "-" * 10**6 + "1", "a" + ".b" * 10**6, "(" * 10**5):
        cells.append(nbformat.v4.new_code_cell(source))
    for cell in cells:
        cell.metadata = {}


def percent_signs(cells):
    of(cells, "auc").source += "\n\nvalue = (7\n    % 4)\nif value != 3:\n    del auc"


def a_helper(cells):
    answer = next(cell for cell in cells if cell.metadata.nbgrader.grade_id == "auc")
    body = answer.source.replace("def auc", "def my_helper")
    answer.source = "def auc(scores, labels):\n    return my_helper(scores, labels)"
    cells.insert(2, nbformat.v4.new_code_cell(body))


BROKEN = {
    "from Colab, all marks lost": (without_marks, HONEST),
    "Windows line ends": (
        lambda: changed(lambda cells: [c.update(source=c.source.replace("\n", "\r\n")) for c in cells]),
        HONEST,
    ),
    "another encoding": (lambda: json.dumps(notebook()).encode("utf-16"), HONEST),
    "a mark of byte order": (lambda: b"\xef\xbb\xbf" + json.dumps(notebook()).encode(), HONEST),
    "a cell twice": (lambda: changed(twice), HONEST),
    "the checks replaced": (lambda: changed(made_easy), HONEST),
    "one cell that cannot be read": (lambda: changed(one_syntax_error), HONEST),
    "a helper in a cell of its own": (lambda: changed(a_helper), HONEST),
    "a magic and a shell line": (
        lambda: changed(lambda cells: cells[3].update(source="%timeit 1\n!ls\n" + cells[3].source)),
        HONEST,
    ),
    "a percent sign that begins a line": (lambda: changed(percent_signs), HONEST),
    "marks swapped": (lambda: changed(swapped), HONEST),
    "a locked mark on other code": (lambda: changed(locked_marks), HONEST),
    "marks that are paths, bytes, long": (lambda: changed(strange_marks), HONEST),
    "code that no parser bears": (lambda: changed(heavy_code), HONEST),
    "ten thousand times the same cell": (
        lambda: changed(lambda cells: cells.extend([cells[2]] * 10**4)),
        HONEST,
    ),
    "no cells": (lambda: json.dumps({"cells": []}), 0.0),
    "cells that are none": (lambda: json.dumps({"cells": [1, None, {"source": 3}]}), 0.0),
    "no notebook": (lambda: "hello", 0.0),
    "a number": (lambda: "7", 0.0),
    "nested without end": (lambda: "[" * 10**5, 0.0),
    "empty": (lambda: "", 0.0),
    "bytes": (lambda: os.urandom(4096), 0.0),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_notebook_loses_nothing_of_its_honest_part(name, tmp_path):
    make, deserved = BROKEN[name]
    made = make()
    assert graded(made.encode() if isinstance(made, str) else made, tmp_path).total == deserved


def test_a_link_or_a_giant_is_no_submission(tmp_path):
    (tmp_path / "real.txt").write_text("x")
    link = tmp_path / "link.ipynb"
    link.symlink_to(tmp_path / "real.txt")
    giant = tmp_path / "giant.ipynb"
    with giant.open("wb") as file:
        file.truncate(2**31)
    for path in (link, giant):
        made = grade(path, UNIT, SEED, (tmp_path,), seconds=SECONDS)
        assert made.total == 0 and len(made.notes) == 1


def test_whatever_is_handed_in_costs_nobody_else_a_grade(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    nbformat.write(notebook(), folder / "honest.ipynb")
    nbformat.write(notebook(fast="raise ValueError('\\ud800 <script>')"), folder / "<script>.ipynb")
    shape = "def pack(value, depth=0): return {'array': ['<f8', [0, 2**70], '']} if value == 'b' else old(value, depth)"
    nbformat.write(
        notebook(
            choice=f"import course.wire\nold = course.wire.pack\n{shape}\ncourse.wire.pack = pack\nchoice = 'b'"
        ),
        folder / "shape.ipynb",
    )
    (folder / "folder.ipynb").mkdir()
    os.mkfifo(folder / "pipe.ipynb")
    with (folder / "giant.ipynb").open("wb") as file:
        file.truncate(2**36)
    for name in (b"bytes\xff", b"two\nlines", b"=1+1", b"\r=1", b"..", b"." * 3, b"x" * 249, b"run.json"):
        (folder / os.fsdecode(name + b".ipynb")).write_bytes(b"null")
    out.mkdir()
    (out / "parts").mkdir()
    (out / "parts" / "honest.json").write_text('{"mark"')
    grades = grade_all(folder, UNIT, out, seed=SEED, jobs=2, weak=False)
    totals = {made.student: made.total for made in grades}
    assert {name for name, total in totals.items() if total} == {"honest", "<script>", "shape"}
    assert totals["honest"] == HONEST and len(totals) == len(list(folder.iterdir()))
    rows = list(csv.reader((out / "grades.csv").open(newline="", encoding="utf-8")))
    assert len(rows) == 1 + len(totals) and not any(row[0][:1] in tuple("=\r") for row in rows)
    pages = [path.read_text(encoding="utf-8") for path in (out / "feedback").iterdir()]
    assert len(pages) == len(totals) and not any("<script" in page for page in pages)
    assert json.loads((out / "run.json").read_text())["seed"] == SEED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_when_the_grader_itself_stumbles_the_others_count_and_nothing_is_kept(tmp_path, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.ipynb").write_text(name)

    def stumbles(path, *given, **named):
        if path.stem == "a":
            raise OSError("no space left")
        return grade(path, *given, **named)

    monkeypatch.setattr("course.grade.grade", stumbles)
    grades = grade_all(folder, UNIT, out, seed=SEED, jobs=1, weak=False)
    assert [made.notes for made in grades] == [
        ["not graded, grade again (OSError: no space left)"],
        ["it is no notebook"],
    ]
    assert [path.name for path in (out / "parts").iterdir()] == ["b.json"]


def test_two_runs_at_once_and_another_units_folder_are_refused(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    arguments = [str(folder), "--out", str(out), "--unit"]

    def again(grades, **_):
        with pytest.raises(SystemExit):
            main([*arguments, "auc"])
        return grades

    grade_all(folder, UNIT, out, seed=SEED, jobs=1, weak=False, progress=again)
    assert "another run writes into" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "clicks"])
    assert "holds the grades of auc" in capsys.readouterr().err


def test_of_the_machine_a_submission_sees_its_programs_only(tmp_path):
    (tmp_path / "key").write_text("secret")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bus"))
        listener.listen()
        cell = (
            "import os, socket\ndef connects(path): socket.socket(socket.AF_UNIX).connect(path); return True\n"
            "def reads(path): return open(path).read()\ndef lists(path): return sorted(os.listdir(path))"
        )
        with Sandbox([cell], seconds=SECONDS) as sandbox:
            for name, path in (("connects", tmp_path / "bus"), ("reads", tmp_path / "key")):
                with pytest.raises(SubmissionError, match="FileNotFoundError"):
                    sandbox.call(name, str(path))
            assert sandbox.call("lists", "/dev") == ["full", "null", "random", "urandom", "zero"]
            tops = {path.parts[1] for path in (*software(), Path(tempfile.gettempdir()))}
            assert set(sandbox.call("lists", "/")) <= tops | {"proc"}
            for place in (ROOT / ".git", ROOT / "build" / "course", ROOT / "tests", Path.home() / ".ssh"):
                with pytest.raises(SubmissionError, match="FileNotFoundError"):
                    sandbox.call("lists", str(place))


def test_who_answers_in_advance_and_then_reads_nothing_holds_nobody_up():
    cell = (
        "import os, stat, time\ndef stop(x):\n    text = b'{\"value\": 1}'\n    for d in range(3, 30):\n        try:\n"
        "            if stat.S_ISFIFO(os.fstat(d).st_mode): os.write(d, len(text).to_bytes(8, 'big') + text)\n"
        "        except OSError: pass\n    time.sleep(99)"
    )
    with Sandbox([cell], seconds=SECONDS) as sandbox:
        assert sandbox.call("stop", 1) == 1
        with pytest.raises(SubmissionError, match="not taken in time"):
            sandbox.call("stop", np.zeros(10**5))


def test_who_is_slow_again_and_again_uses_up_all_time():
    cell = "import time\ndef slow(): time.sleep(0.4); return 1"
    with Sandbox([cell], seconds=SECONDS) as sandbox:
        sandbox._patience = 1.0
        with pytest.raises(SubmissionError, match="in time|used up"):
            for _ in range(4):
                sandbox.call("slow")
        with pytest.raises(SubmissionError, match="all the time is used up"):
            sandbox.call("slow")


def test_what_a_process_says_of_itself_is_short_and_can_be_written():
    with Sandbox(["raise ValueError('\\ud800' + 'x' * 10**6)"], seconds=SECONDS) as sandbox:
        (problem,) = sandbox.problems
    assert len(problem) <= 500 and problem.encode()


@pytest.mark.parametrize(
    "frame",
    [
        b'{"value": [' + b"[" * 10**5,
        b'{"value": ' + b"9" * 5000 + b"}",
        b'{"value": {"array": ["<f8", [0, 1180591620717411303424], ""]}}',
        b'{"value": {"array": ["<f8", [1e999], "AAAAAAAAAAA="]}}',
        b'{"value": {"array": ["(1 2)f8,i4", [1], "AAAAAAAAAAA="]}}',
        b'{"value": {"array": ["f8,f8", [1], "AAAAAAAAAAAAAAAAAAAAAA=="]}}',
        b'{"value": {"array": ["M8[s]", [1], "AAAAAAAAAAA="]}}',
        b'{"value": {"tensor": [">f8", [1], "AAAAAAAAAAA="]}}',
        b'{"value": {"tuple": {"a": 1}}}',
        b"[1]",
    ],
)
def test_a_frame_made_by_hand_is_refused(frame):
    there, here = os.pipe()
    threading.Thread(target=os.write, args=(here, len(frame).to_bytes(8, "big") + frame)).start()
    with pytest.raises(wire.WireError):
        wire.unpack(wire.receive(there, 5)["value"])
    os.close(there)
    os.close(here)

"""Protects the grader: whoever cheats or breaks gets what the honest part deserves, and nobody else is touched."""

import contextlib
import json
import os
import re
import time
from pathlib import Path

import nbformat
import pytest

from course.grade import Grade, grade
from course.sandbox import ROOT, isolates
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

"""A kernel is rebuilt when, and only when, a header that it includes has changed."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "corelib" / "kernels"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="setup.py refuses to build there")


def test_headers_are_followed_through_headers(setup, tmp_path):
    files = {
        "kernel.pyx": 'cdef extern from "front.h" nogil:\n    int f()\n',
        "front.h": '#include <math.h>\n#ifdef X\n#  include "deep.h"\n#endif\n#include "front.h"\n',
        "deep.h": '#include "deepest.h"\n',
        "deepest.h": '#include "front.h"\n// #include "other.h"\n',
        "other.h": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert {header.name for header in setup.included_by(tmp_path / "kernel.pyx")} == {
        "front.h",
        "deep.h",
        "deepest.h",
    }


@pytest.mark.parametrize("kernel", sorted(path.stem for path in KERNELS.glob("*.pyx")))
def test_the_preprocessor_reads_the_same_headers(setup, kernel):
    compiler, generated = shutil.which("cc"), KERNELS / f"{kernel}.c"
    if not compiler or not generated.exists():
        pytest.skip("needs a C compiler and the generated C file")
    include = [f"-I{KERNELS}", f"-I{sysconfig.get_path('include')}"]
    done = subprocess.run(
        [compiler, "-MM", "-fopenmp", *include, str(generated)], capture_output=True, text=True, check=True
    )
    read = {Path(name).resolve() for name in done.stdout.replace("\\\n", " ").split()[1:]} - {generated}
    assert {path.resolve() for path in setup.included_by(KERNELS / f"{kernel}.pyx")} == {
        path for path in read if path.parent == KERNELS
    }


def test_every_kernel_names_the_headers_it_depends_on(setup, monkeypatch):
    monkeypatch.chdir(ROOT)
    depends = {extension.name: extension.depends for extension in setup.kernels()}
    assert "corelib/kernels/glicko.h" in depends["corelib.kernels.ratings"]
    assert [name for name, headers in depends.items() if "corelib/kernels/glicko.h" in headers] == [
        "corelib.kernels.ratings"
    ]

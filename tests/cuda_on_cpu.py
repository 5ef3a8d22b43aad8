"""The CUDA core compiled for the CPU: the same C interface and arithmetic, for tests where there is no GPU."""

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from corelib.kernels import cuda

SOURCE = Path(__file__).parent / "kernels" / "cuda_on_cpu.cpp"
HEADERS = Path(cuda.__file__).parent
needs_compiler = pytest.mark.skipif(not shutil.which("c++"), reason="needs a C++ compiler")


@functools.cache
def build(*defines: str) -> ctypes.CDLL:
    """The library, with some constants of the headers replaced: ``NAME=value``."""
    path = Path(tempfile.mkdtemp()) / "cuda_on_cpu.so"
    options = ["-O2", "-std=c++14", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{HEADERS}"]
    options += [f"-D{define}" for define in defines]
    subprocess.run(["c++", *options, str(SOURCE), "-o", str(path)], check=True)
    lib = cuda.declare(ctypes.CDLL(str(path)))
    lib.ks_reversed.restype = ctypes.c_void_p
    return lib

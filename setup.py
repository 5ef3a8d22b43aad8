"""Builds the compiled core: one extension module per ``corelib/kernels/*.pyx``, and the CUDA core where it is asked for.

A wheel holds abi3 modules, one binary per platform for every Python from 3.11 on (the first whose limited API has the
buffer protocol); a call then takes 0.3 microseconds longer. In place, they are built for the Python at hand.

The CUDA core is a shared library of its own, for the GPUs that the machine has, or for all that nvcc knows if it has
none; CORELIB_CUDA_ARCHITECTURES="75 90" chooses them. CORELIB_CUDA=1 asks for it: as it stands its arithmetic is tested on
the CPU only, and ``make test-gpu`` has not been run on a GPU.

Everything else about the package stands in ``pyproject.toml``.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

if sys.platform == "win32":
    sys.exit(
        "corelib needs gcc or clang (its kernels use their vector types); on Windows, build it under WSL"
    )

openmp = [] if sys.platform == "darwin" else ["-fopenmp"]  # Apple's clang ships no OpenMP runtime
# Python's own flags hold -fwrapv, which keeps loops over int from becoming vector code
optimise = ["-O3", "-fno-wrapv", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
sanitize = []
if os.environ.get("CORELIB_SANITIZE"):  # make test-sanitize
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    optimise += ["-O1", "-g", "-fno-omit-frame-pointer"]
# free-threaded Pythons have no limited API
abi3 = "bdist_wheel" in sys.argv and not sysconfig.get_config_var("Py_GIL_DISABLED")


def included_by(source: Path) -> set[Path]:
    """The headers beside ``source`` that it includes, directly or through others."""
    found, unread = set(), [source]
    while unread:
        names = re.findall(
            r'^\s*(?:#\s*include|cdef extern from)\s+"(.+?)"', unread.pop().read_text(), re.MULTILINE
        )
        new = {header for name in names if (header := source.parent / name).exists()} - found
        found |= new
        unread += new
    return found


def kernels():
    """One extension per kernel; a change in a header rebuilds those that include it."""
    folder = Path("corelib/kernels")
    return [
        Extension(
            f"corelib.kernels.{path.stem}",
            [str(path)],
            depends=sorted(map(str, included_by(path))),
            include_dirs=[str(folder)],
            extra_compile_args=optimise + sanitize + openmp,
            extra_link_args=sanitize + openmp,
            define_macros=[("Py_LIMITED_API", "0x030B0000")] if abi3 else [],
            py_limited_api=abi3,
        )
        for path in sorted(folder.glob("*.pyx"))
    ]


CUDA = Path("corelib/kernels/cuda")
ARCHITECTURES = ("75", "80", "86", "89", "90", "100", "120")  # that the kernels are written for


def cuda_command(out: Path) -> list[str]:
    """The call of nvcc that makes the CUDA core."""
    home = os.environ.get("CUDA_HOME") or "/usr/local/cuda"
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=f"{home}/bin")
    if not nvcc:
        sys.exit("corelib: CORELIB_CUDA=1, but nvcc was not found")
    version = re.search(r"release (\d+)\.(\d+)", _output(nvcc, "--version"))
    if not version or tuple(map(int, version.groups())) < (12, 1):
        sys.exit(f"corelib: CUDA 12.1 or newer is needed; {nvcc} is {version[0] if version else 'unknown'}")
    known = re.findall(r"compute_(\d+)\b", _output(nvcc, "--list-gpu-arch"))
    wanted = os.environ.get("CORELIB_CUDA_ARCHITECTURES", "").split() or _gpus_here()
    chosen = [arch for arch in wanted or ARCHITECTURES if arch in known]
    if not chosen:
        sys.exit(f"corelib: {nvcc} knows none of the architectures {wanted}")
    codes = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in chosen]
    newest = max(chosen, key=int)
    codes.append(f"-gencode=arch=compute_{newest},code=compute_{newest}")  # for GPUs that are newer still
    return [
        *(nvcc, "-O3", "-std=c++17", "--shared", "--threads=0", "-cudart=static", "-Wno-deprecated-gpu-targets", "-Xptxas=-v"),
        *("-Xcompiler=-fPIC,-fvisibility=hidden", *codes, *map(str, sorted(CUDA.glob("*.cu"))), "-o", str(out)),
    ]  # fmt: skip


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _gpus_here() -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    found = _output("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
    return sorted({major + minor for major, minor in re.findall(r"^(\d+)\.(\d+)$", found, re.MULTILINE)})


class BuildAll(build_ext):
    """The extension modules, and then the CUDA core."""

    def run(self) -> None:
        super().run()
        if os.environ.get("CORELIB_CUDA") != "1" or sanitize:
            return
        folder = CUDA if self.inplace or self.editable_mode else Path(self.build_lib) / CUDA
        library = folder / "libcorelib_cuda.so"
        newest = max(
            path.stat().st_mtime for path in (*CUDA.glob("*.*"), Path(__file__)) if path.suffix != ".so"
        )
        if library.exists() and library.stat().st_mtime > newest:
            return
        folder.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(cuda_command(library), capture_output=True, text=True, check=False)
        if made.returncode:
            sys.exit(f"corelib: nvcc failed:\n{made.stdout}{made.stderr}")
        library.with_suffix(".log").write_text(made.stderr)  # registers and spills of every kernel


if __name__ == "__main__":
    directives = {
        "language_level": 3,
        "boundscheck": False,
        "wraparound": False,
        "initializedcheck": False,
        "cdivision": True,
        "embedsignature": True,
    }
    setup(
        ext_modules=cythonize(kernels(), compiler_directives=directives),
        cmdclass={"build_ext": BuildAll},
        options={"bdist_wheel": {"py_limited_api": "cp311"}} if abi3 else {},
    )

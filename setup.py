"""Builds the compiled core: one extension module per ``corelib/kernels/*.pyx``.

A wheel holds abi3 modules, one binary per platform for every Python from 3.11 on (the first whose limited API has the
buffer protocol); a call then takes 0.3 microseconds longer. In place, they are built for the Python at hand.

Everything else about the package stands in ``pyproject.toml``.
"""

import os
import re
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

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
        options={"bdist_wheel": {"py_limited_api": "cp311"}} if abi3 else {},
    )

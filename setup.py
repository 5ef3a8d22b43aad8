"""Builds the compiled core: one extension module per ``corelib/kernels/*.pyx``.

Everything else about the package stands in ``pyproject.toml``.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

if sys.platform == "win32":
    sys.exit("corelib needs gcc or clang (its kernels use their vector types); on Windows, build it under WSL")

openmp = [] if sys.platform == "darwin" else ["-fopenmp"]  # Apple's clang ships no OpenMP runtime
optimise = ["-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
sanitize = []
if os.environ.get("CORELIB_SANITIZE"):  # make test-sanitize
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    optimise += ["-O1", "-g", "-fno-omit-frame-pointer"]


def kernels():
    """One extension per kernel; a change in any shared header rebuilds them all."""
    folder = Path("corelib/kernels")
    headers = sorted(str(path) for path in folder.glob("*.h"))
    return [
        Extension(
            f"corelib.kernels.{path.stem}",
            [str(path)],
            depends=headers,
            include_dirs=[str(folder)],
            extra_compile_args=optimise + sanitize + openmp,
            extra_link_args=sanitize + openmp,
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
    setup(ext_modules=cythonize(kernels(), compiler_directives=directives))

"""The CUDA core (private): kernels behind a C interface, loaded at first use, that take addresses and a stream.

``setup.py`` builds it where it finds nvcc. Nothing here knows of torch, nothing waits for the GPU, nothing is allocated.
"""

import ctypes
import functools
from pathlib import Path

LIBRARY = Path(__file__).with_name("libcorelib_cuda.so")

_D, _L, _P, _I = ctypes.c_double, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int
KINDS = {"softplus": 0, "sigmoid": 1}


class Side(ctypes.Structure):
    """One side of a sum over pairs: float32 numbers, weights (or none), int64 group boundaries (or none), slopes (or none)."""

    _fields_ = [("number", _P), ("weight", _P), ("indptr", _P), ("n", _I), ("slope", _P)]


class Pairs(ctypes.Structure):
    """A sum over pairs; factors and values are float64, one a group."""

    _fields_ = [
        ("side", Side * 2),
        ("kind", _I),
        ("groups", _I),
        ("needs_value", _I),
        ("temperature", _D),
        ("factor", _P),
        ("value", _P),
        ("space", _P),
        ("stream", _P),
    ]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built."""
    return declare(ctypes.CDLL(str(LIBRARY))) if LIBRARY.exists() else None


def declare(lib: ctypes.CDLL) -> ctypes.CDLL:
    """``lib`` with the types of its functions."""
    lib.ks_error_string.restype = ctypes.c_char_p
    lib.ks_pair_sum_bytes.restype = _L
    lib.ks_pair_sum_bytes.argtypes = [_L, _L, _L]
    lib.ks_pair_sum.argtypes = [_P]
    return lib


def pair_sum_bytes(n: int, m: int, groups: int) -> int:
    """Bytes of workspace of a sum over pairs of n and m numbers."""
    found = library().ks_pair_sum_bytes(n, m, groups)
    _check(min(0, found) * -1)
    return found


def pair_sum(pairs: Pairs) -> None:
    """Enqueue a sum over pairs."""
    _check(library().ks_pair_sum(ctypes.byref(pairs)))


def error_of_this_device() -> str:
    """Why the current device cannot run this build; empty if it can."""
    code = library().ks_runs_here()
    return library().ks_error_string(code).decode() if code else ""


def toolkit() -> str:
    """The version of CUDA that the library was built with."""
    version = library().ks_toolkit()
    return f"{version // 1000}.{version % 1000 // 10}"


def _check(code: int) -> None:
    if code:
        raise RuntimeError(f"the CUDA core failed: {library().ks_error_string(code).decode()}")

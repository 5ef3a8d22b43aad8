"""The CUDA core (private): kernels behind a C interface, loaded at first use, that take addresses and a stream.

``setup.py`` builds it where it finds nvcc. Nothing here knows of torch, nothing waits for the GPU, nothing is allocated.
"""

import ctypes
import functools
from pathlib import Path

LIBRARY = Path(__file__).with_name("libcorelib_cuda.so")

_D, _F, _L, _P, _I = ctypes.c_double, ctypes.c_float, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int
KINDS = {"softplus": 0, "sigmoid": 1, "hinge": 2, "squared_hinge": 3}


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


class Strip(ctypes.Structure):
    """Rows of float32 similarities, each ``stride`` apart, that become derivatives of the type numbered in ``TYPES``."""

    _fields_ = [("strip", _P), ("stride", _L), ("rows", _I), ("type", _I), ("stream", _P)]


class Candidates(ctypes.Structure):
    """What the columns of a strip are: keys, then hard negatives of each row; and which pairs are left out."""

    _fields_ = [("key_ids", _P), ("mask", _P), ("hard_mask", _P), ("keys", _I), ("hard", _I)]


class InfoNceRows(ctypes.Structure):
    """Of all rows, of which those of a strip begin at ``first_row``."""

    _fields_ = [
        ("candidates", Candidates),
        ("own", _P),
        ("weight", _P),
        ("losses", _P),
        ("slope", _F),
        ("beta", _F),
        ("gamma", _F),
        ("gain", _F),
        ("detach", _I),
        ("first_row", _L),
    ]


class BothRows(ctypes.Structure):
    """Of all rows and of the first ``pairs`` columns."""

    _fields_ = [
        ("candidates", Candidates),
        *((f"{side}_{what}", _P) for side in ("row", "column") for what in ("top", "log", "missed")),
        ("matched", _P),
        ("losses", _P),
        ("slope", _F),
        ("gain", _F),
        ("pairs", _I),
        ("first_row", _L),
    ]


class MultiSimilarityRows(ctypes.Structure):
    """Of all rows; int64 labels."""

    _fields_ = [
        ("row_label", _P),
        ("column_label", _P),
        ("losses", _P),
        ("alpha", _F),
        ("beta", _F),
        ("base", _F),
        ("epsilon", _F),
        ("gain", _F),
        ("mine", _I),
        ("itself", _I),
        ("columns", _I),
        ("first_row", _L),
    ]


class SoftmaxRows(ctypes.Structure):
    """Of all rows; float32 biases and log-weights of the columns, float64 peaks and totals of the rows."""

    _fields_ = [
        *((name, _P) for name in ("bias", "log_weight", "rate", "exact", "peak", "log_total")),
        ("columns", _I),
        ("first_row", _L),
    ]


class ExactRows(ctypes.Structure):
    """Of all rows: float32 points, float64 variances and peaks."""

    _fields_ = [
        *((name, _P) for name in ("x", "y", "log_weight", "variance", "exact", "peak")),
        ("columns", _I),
        ("dimensions", _I),
        ("first_row", _L),
    ]


TYPES = {"float32": 0, "float16": 1, "bfloat16": 2}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built."""
    return declare(ctypes.CDLL(str(LIBRARY))) if LIBRARY.exists() else None


def declare(lib: ctypes.CDLL) -> ctypes.CDLL:
    """``lib`` with the types of its functions."""
    lib.ks_error_string.restype = ctypes.c_char_p
    lib.ks_pair_sum_bytes.restype = _L
    lib.ks_pair_sum_bytes.argtypes = [_I, _L, _L, _L]
    lib.ks_pair_sum.argtypes = [_P]
    for name in ("info_nce", "multi_similarity", "both_sums", "both_losses", "softmax", "exact"):
        getattr(lib, f"ks_rows_{name}").argtypes = [_P, _P]
    lib.ks_rows_both_weights.argtypes = [_P, _P, _I]
    return lib


def pair_sum_bytes(kind: str, n: int, m: int, groups: int) -> int:
    """Bytes of workspace of a sum over pairs of n and m numbers."""
    found = library().ks_pair_sum_bytes(KINDS[kind], n, m, groups)
    if found < 0:
        _check(-found)
    return found


def pair_sum(pairs: Pairs) -> None:
    """Enqueue a sum over pairs."""
    _check(library().ks_pair_sum(ctypes.byref(pairs)))


def rows(name: str, strip: Strip, arguments: ctypes.Structure, *more: int) -> None:
    """Enqueue the kernels of ``ks_rows_<name>``."""
    _check(getattr(library(), f"ks_rows_{name}")(ctypes.byref(strip), ctypes.byref(arguments), *more))


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

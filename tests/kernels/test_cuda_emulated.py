"""The row and box functions of the CUDA core, compiled for the CPU and run one warp after another, against float64."""

import ctypes
import re

import numpy as np
import pytest

from corelib.kernels import cuda
from tests.cuda_on_cpu import build, needs_compiler

pytestmark = needs_compiler


@pytest.fixture(scope="module", params=["as shipped", "few chunks"])
def lib(request):
    few = ["KS_MAX_CHUNKS=3", "KS_HINGE_CHUNKS=5"] if request.param == "few chunks" else []
    return build("KS_FEW_PAIRS=0", *few)


def pair_sum(lib, kind, x, u, y, v, temperature, x_indptr=None, y_indptr=None, reverse=False):
    """Totals of the groups and both slopes, by the C interface."""
    groups = 1 if x_indptr is None else len(x_indptr) - 1
    total, slopes, ones = np.empty(groups), [np.empty_like(x), np.empty_like(y)], np.ones(groups)
    sides = (cuda.Side * 2)()
    for side, arrays in zip(sides, ((x, u, x_indptr), (y, v, y_indptr)), strict=True):
        side.number, side.weight, side.indptr = (
            None if array is None else array.ctypes.data for array in arrays
        )
        side.n = len(arrays[0])
    for side, slope in zip(sides, slopes, strict=True):
        side.slope = slope.ctypes.data
    stream = lib.ks_reversed() if reverse else None
    pairs = cuda.Pairs(
        sides, cuda.KINDS[kind], groups, 1, temperature, ones.ctypes.data, total.ctypes.data, None, stream
    )
    assert lib.ks_pair_sum(ctypes.byref(pairs)) == 0
    return total, *slopes


def function(kind, d):
    """Of float64 differences: the function, and its derivative."""
    if kind.endswith("hinge"):
        z = np.maximum(d, 0)
        return (z**2, 2 * z) if kind.startswith("squared") else (z, (d > 0) * 1.0)
    e = np.exp(-np.abs(d))
    sigmoid, other = np.where(d < 0, e, 1) / (1 + e), np.where(d < 0, 1, e) / (1 + e)
    return (sigmoid, sigmoid * other) if kind == "sigmoid" else (np.maximum(d, 0) + np.log1p(e), sigmoid)


def reference(kind, x, u, y, v, temperature, x_indptr=None, y_indptr=None):
    x_indptr = np.array([0, len(x)]) if x_indptr is None else x_indptr
    y_indptr = np.array([0, len(y)]) if y_indptr is None else y_indptr
    u = np.ones(len(x)) if u is None else u.astype(np.float64)
    v = np.ones(len(y)) if v is None else v.astype(np.float64)
    total, slope_x, slope_y = np.zeros(len(x_indptr) - 1), np.zeros(len(x)), np.zeros(len(y))
    for g in range(len(total)):
        for i in range(x_indptr[g], x_indptr[g + 1]):
            own = slice(y_indptr[g], y_indptr[g + 1])
            value, slope = function(kind, (y[own].astype(np.float64) - x[i]) / temperature)
            total[g] += u[i] * (v[own] * value).sum()
            slope_x[i] = -u[i] * (v[own] * slope).sum() / temperature
            slope_y[own] += u[i] * v[own] * slope / temperature
    return total, slope_x, slope_y


def assert_close(got, want, entry=2e-6):
    np.testing.assert_allclose(got[0], want[0], rtol=1e-6, atol=1e-37)
    for g, w in zip(got[1:], want[1:], strict=True):
        assert np.linalg.norm(g - w) <= 1e-6 * np.linalg.norm(w)
        np.testing.assert_allclose(g, w, rtol=entry, atol=1e-37)


def normal(rng, n, shift=0.0):
    return (rng.normal(size=n) + shift).astype(np.float32)


def cases():
    rng = np.random.default_rng(0)
    spread = [rng.uniform(0, 3000, 1500).astype(np.float32) for _ in range(2)]
    far = 2.0**25 + np.arange(0, 64, 4)
    return {
        "normal": (normal(rng, 900), normal(rng, 1300), 0.1),
        "hot": (normal(rng, 900), normal(rng, 1300), 30.0),
        "cold": (normal(rng, 900), normal(rng, 1300), 1e-3),
        "colder": (normal(rng, 500), normal(rng, 700), 1e-6),
        "apart": (normal(rng, 300, 30), normal(rng, 300), 0.5),
        "the wrong way": (normal(rng, 300), normal(rng, 300, 30), 0.5),
        "one": (normal(rng, 1), normal(rng, 1), 0.1),
        "outliers": (np.r_[normal(rng, 300), 1e20, -1e25].astype("f4"), np.r_[normal(rng, 300), -3e9, 7e18].astype("f4"), 0.1),
        "ties": (np.round(normal(rng, 800), 1), np.round(normal(rng, 900), 1), 0.05),
        "edges": (np.arange(-60, 60, 0.25, dtype="f4"), np.arange(-40, 80, 0.5, dtype="f4"), 0.4),
        "uniform": (*spread, 1.0),
        "two clusters": (*(np.r_[normal(rng, 400), normal(rng, 400) + 1e6].astype("f4") for _ in range(2)), 0.2),
        "many boxes": (rng.uniform(0, 4000, 3000).astype("f4"), rng.uniform(0, 4000, 2500).astype("f4"), 1.0),
        "large keys": (*(np.r_[normal(rng, 50), far].astype("f4") for _ in range(2)), 1.0),
    }  # fmt: skip


@pytest.mark.parametrize("kind", cuda.KINDS)
@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("weighted", [False, True])
def test_pair_sum(lib, kind, name, weighted):
    x, y, temperature = cases()[name]
    if kind.endswith("hinge"):
        temperature = 1.0
    rng = np.random.default_rng(1)
    u = rng.uniform(0, 2, len(x)).astype(np.float32) if weighted else None
    v = rng.exponential(size=len(y)).astype(np.float32) if weighted else None
    if weighted and len(y) > 3:
        v[:3] = 0
    got = pair_sum(lib, kind, x, u, y, v, temperature)
    assert_close(got, reference(kind, x, u, y, v, temperature))
    for a, b in zip(got, pair_sum(lib, kind, x, u, y, v, temperature, reverse=True), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["softplus", "sigmoid"])
@pytest.mark.parametrize("temperature", np.geomspace(0.05, 0.2, 9))
def test_every_width(lib, kind, temperature):
    rng = np.random.default_rng(2)
    x, y = normal(rng, 1000), normal(rng, 1000, 0.3)
    assert_close(
        pair_sum(lib, kind, x, None, y, None, temperature), reference(kind, x, None, y, None, temperature)
    )


def grouped(rng, groups, temperature):
    """Both sides of groups of all sizes, empty ones too, each at a place and scale of its own, so that what leaks is large.

    One in the middle spreads over more boxes than a chunk and its halo hold.
    """
    place = rng.choice([-1, 1], groups) * 10.0 ** rng.uniform(-2, 5, groups)
    scale = temperature * 10.0 ** rng.uniform(-1, 2, groups)
    wide = groups // 2
    place[wide], scale[wide] = 0, 1000 * temperature
    for s in range(2):
        sizes = rng.integers(0, 12, groups)
        sizes[wide] = 1200
        sizes[0], sizes[-1] = 5 * s, 3 - 3 * s
        numbers = np.repeat(place, sizes) + np.repeat(scale, sizes) * rng.normal(size=sizes.sum())
        weights = rng.uniform(0, 2, sizes.sum())
        yield numbers.astype(np.float32), weights.astype(np.float32), np.r_[0, sizes.cumsum()]


@pytest.mark.parametrize("kind", cuda.KINDS)
@pytest.mark.parametrize("groups, temperature", [(2, 5.0), (7, 0.1), (40, 0.02), (300, 1.0), (300, 1e-3)])
def test_groups(lib, kind, groups, temperature):
    (x, u, x_indptr), (y, v, y_indptr) = grouped(np.random.default_rng(3), groups, temperature)
    arguments = (x, u, y, v, 1.0 if kind.endswith("hinge") else temperature, x_indptr, y_indptr)
    got = pair_sum(lib, kind, *arguments)
    assert_close(got, reference(kind, *arguments), entry=5e-6)
    for a, b in zip(got, pair_sum(lib, kind, *arguments, reverse=True), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["softplus", "sigmoid"])
def test_pair_by_pair(kind):
    rng = np.random.default_rng(4)
    (x, u, x_indptr), (y, v, y_indptr) = grouped(rng, 9, 0.3)
    arguments = (x, u, y, v, 0.3, x_indptr, y_indptr)
    assert_close(pair_sum(build(), kind, *arguments), reference(kind, *arguments), entry=1e-5)


@pytest.mark.parametrize("defines", [("KS_FEW_PAIRS=0",), ()], ids=["by boxes", "pair by pair"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["softplus", "hinge"])
def test_a_bad_number_makes_its_group_nan_and_no_other(defines, bad, kind):
    (x, u, x_indptr), (y, v, y_indptr) = grouped(np.random.default_rng(5), 7, 0.1)
    arguments = (u, y, v, 0.1, x_indptr, y_indptr)
    want = pair_sum(build(*defines), kind, x, *arguments)
    x[x_indptr[2]] = bad
    got = pair_sum(build(*defines), kind, x, *arguments)
    own_x, own_y = (slice(indptr[2], indptr[3]) for indptr in (x_indptr, y_indptr))
    assert np.isnan(got[0][2]) and np.isnan(got[1][own_x][0]) and np.isnan(got[2][own_y]).all()
    for g, w, own in zip(got, want, (slice(2, 3), own_x, own_y), strict=True):
        np.testing.assert_array_equal(np.delete(g, own), np.delete(w, own))


@pytest.mark.skipif(
    not cuda.LIBRARY.with_suffix(".log").exists(), reason="nvcc did not build the CUDA core here"
)
def test_kernels_fit_into_registers():
    """What ptxas wrote: no kernel spills more than 16 of the numbers that it holds, 128 at most."""
    log = cuda.LIBRARY.with_suffix(".log").read_text()
    spills = [int(spill) for spill in re.findall(r"(\d+) bytes spill stores", log)]
    assert len(spills) > 50
    assert max(spills) <= 64

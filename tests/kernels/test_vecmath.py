"""exp, log(1 + u), softplus and sigmoid of the kernels: the errors that vecmath.h states, at every instruction set."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

KERNELS = Path(__file__).parents[2] / "corelib" / "kernels"
STATED_ULP = {"exp": 1.1, "log1p": 1.9, "sigmoid": 2.4, "softplus": 2.7}
TYPES = {"f64": np.float64, "f32": np.float32}
LEVELS = {"baseline": None, "x86-64-v3": "avx2", "x86-64-v4": "avx512f"}


def flags_of_cpu():
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.read_text().split() if cpuinfo.exists() else []


@pytest.fixture(scope="module", params=LEVELS)
def library(request, setup, tmp_path_factory):
    level = LEVELS[request.param]
    if not shutil.which("cc") or (level and level not in flags_of_cpu()):
        pytest.skip("needs a C compiler and this instruction set")
    path = tmp_path_factory.mktemp("vecmath") / "vecmath.so"
    options = [
        *setup.optimise,
        "-shared",
        "-fPIC",
        f"-I{KERNELS}",
        *([f"-march={request.param}"] * bool(level)),
    ]
    source = Path(__file__).with_name("vecmath.c")
    subprocess.run(["cc", *options, str(source), "-o", str(path), "-lm"], check=True)
    return ctypes.CDLL(str(path))


def apply(library, name, x):
    out = np.empty_like(x)
    library[name](ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_long(len(x)))
    return out


def exact(function, x):
    x = x.astype(np.longdouble)
    e = np.exp(-abs(x))
    return {
        "exp": lambda: np.exp(x),
        "log1p": lambda: np.log1p(x),
        "softplus": lambda: np.maximum(x, 0) + np.log1p(e),
        "sigmoid": lambda: np.where(x < 0, e, 1) / (1 + e),
    }[function]()


def arguments(function, dtype):
    rng = np.random.default_rng(0)
    if function == "log1p":
        x = np.concatenate(
            [rng.uniform(0, 1, 200_000), 10.0 ** rng.uniform(-30, 0, 50_000), [0, 1, 2**0.5 - 1]]
        )
    else:
        end = 700 if dtype is np.float64 else 86
        x = np.concatenate([rng.uniform(-end, end, 100_000), rng.normal(size=200_000), [0.0, -end, end]])
    return x.astype(dtype)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs a longer floating-point type")
@pytest.mark.parametrize(
    "name, dtype",
    [
        ("exp", "f32"),
        *((name, "f64") for name in ("exp", "log1p", "softplus", "sigmoid", "both_softplus", "both_sigmoid")),
    ],
)
def test_errors_are_as_small_as_stated(library, name, dtype):
    function = name.removeprefix("both_")
    x = arguments(function, TYPES[dtype])
    right = exact(function, x)
    ulp = np.spacing(abs(right.astype(TYPES[dtype]))).astype(np.longdouble)
    error = abs(apply(library, f"{name}_{dtype}", x) - right) / ulp
    assert error.max() <= STATED_ULP[function], x[error.argmax()]


def test_header_states_these_errors():
    stated = "exp 1.1 (in float32\n * too), log(1 + u) 1.9, sigmoid 2.4, softplus 2.7"
    assert stated in (KERNELS / "vecmath.h").read_text()


@pytest.mark.parametrize("dtype", TYPES)
def test_exp_at_the_ends(library, dtype):
    x = np.array([np.inf, -np.inf, 1e4, -1e4, 0.0, -0.0], TYPES[dtype])
    np.testing.assert_array_equal(apply(library, f"exp_{dtype}", x), [np.inf, 0, np.inf, 0, 1, 1])
    assert np.isnan(apply(library, f"exp_{dtype}", np.array([np.nan], TYPES[dtype]))[0])
    tiny = np.array([-740.0 if dtype == "f64" else -100.0], TYPES[dtype])  # subnormal
    assert apply(library, f"exp_{dtype}", tiny)[0] == pytest.approx(np.exp(tiny)[0], rel=1e-1)
    assert apply(library, f"exp_{dtype}", tiny)[0] > 0


def test_coefficients_are_those_that_the_tool_makes():
    pytest.importorskip("mpmath")
    from tools import fit_vecmath

    text = (KERNELS / "vecmath.h").read_text()
    for name, made in fit_vecmath.coefficients().items():
        body = re.search(rf"KS_INLINE \w+ {name}\(.*?^}}", text, re.DOTALL | re.MULTILINE).group()
        written = re.findall(r"(?:\w+ [qp] = |[qp] \* [rz] \+ )([\d.e-]+)f?;", body)
        assert [float(number) for number in written] == pytest.approx(
            [float(c) for c in made], rel=1e-15, abs=0
        )

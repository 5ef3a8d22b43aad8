"""Hypothesis calls every public function with arguments that nobody thought of, several broken at a time.

The functions and their ordinary arguments come from the table of public.py, so a new function is fuzzed by
itself. Each call must end in one of two ways: a TypeError or ValueError that names an argument, or a result without NaN
that plain torch confirms, where a kernel was in reach. The input stays as it was, and nothing crashes.

The examples are the same in every run. ``make fuzz`` searches longer, from new seeds.
"""

import math
import os
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from public import CALLS, backend_choices, call, name_of

import corelib

EXAMPLES = os.environ.get("CORELIB_FUZZ_EXAMPLES")
PROFILE = settings(
    max_examples=int(EXAMPLES or 60),
    derandomize=EXAMPLES is None,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
DTYPES = [
    np.float64,
    np.float32,
    np.float16,
    np.int64,
    np.int32,
    np.int8,
    np.uint8,
    np.uint64,
    np.bool_,
    np.complex64,
]
NUMBERS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    1e-3,
    1e3,
    5e-324,
    1e-310,
    1e-30,
    1e30,
    1e200,
    1.7e308,
    -1e30,
    -1.7e308,
]
NOT_FINITE = [np.nan, np.inf, -np.inf]
SCALARS = st.sampled_from(
    [*NUMBERS, *NOT_FINITE, None, True, "1", 1j, 0, 1, 2, 3, 7, 100, -1, -(2**63), np.float32(0.5)]
)
LAYOUTS = [
    lambda a: a,
    np.asfortranarray,
    lambda a: a[::-1] if a.ndim else a,
    lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim and len(a) else a,
]


@st.composite
def other_array(draw, ordinary: np.ndarray):
    """``ordinary`` with other values, and now and then with another shape, dtype or layout."""
    shape = ordinary.shape
    if draw(st.integers(0, 4)) == 0:
        shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))
    dtype = np.dtype(draw(st.sampled_from(DTYPES))) if draw(st.integers(0, 4)) == 0 else ordinary.dtype
    size = int(np.prod(shape))
    if ordinary.dtype.kind == "f":
        pool = NUMBERS + (NOT_FINITE if draw(st.integers(0, 4)) == 0 else [])
        if draw(st.booleans()):
            pool = list(np.linspace(-3, 3, 13))
    else:
        pool = [0, 1, 2, 3, 1, 0] + ([-1, 5, 127, 2**62] if draw(st.integers(0, 4)) == 0 else [])
    values = [draw(st.sampled_from(pool)) for _ in range(size)]
    with np.errstate(all="ignore"):
        array = np.array(values, dtype=object if ordinary.dtype.kind != "f" else float)
        if dtype.kind in "iu":  # by way of Python's integers: NumPy leaves open what NaN and 1e30 become
            bounds = np.iinfo(dtype)
            array = np.array(
                [0 if math.isnan(v) else int(min(max(v, bounds.min), bounds.max)) for v in values],
                dtype=object,
            )
        array = array.astype(dtype).reshape(shape)
    array = draw(st.sampled_from(LAYOUTS))(array)
    if draw(st.booleans()):
        array.flags.writeable = False
    return array


@st.composite
def arguments(draw, function):
    ordinary = CALLS[function]
    changed = draw(st.sets(st.sampled_from(sorted(ordinary)), min_size=1, max_size=3))
    new = {}
    for name in changed:
        if isinstance(ordinary[name], np.ndarray):
            new[name] = draw(other_array(ordinary[name]))
        elif isinstance(ordinary[name], int | float | type(None)):
            new[name] = draw(SCALARS)
    return ordinary | new


@pytest.mark.parametrize("function", CALLS, ids=name_of)
def test_any_arguments(function):
    @PROFILE
    @given(kwargs=arguments(function))
    def holds(kwargs):
        check(function, kwargs)

    holds()


def check(function, kwargs) -> None:
    before = {name: value.copy() for name, value in kwargs.items() if isinstance(value, np.ndarray)}
    try:
        with backend_choices() as choices:
            result = call(function, kwargs)
    except (TypeError, ValueError) as error:
        assert re.search(rf"\b({'|'.join(kwargs)})\b", str(error)), f"the message names no argument: {error}"
    except RuntimeError as error:
        assert "no convergence" in str(error)
    else:
        nan_is_asked_for = isinstance(kwargs.get("empty"), float) and math.isnan(kwargs["empty"])
        assert nan_is_asked_for or not np.isnan(result).any()
        if choices:
            compare_with_torch(function, kwargs, result)
    for name, value in before.items():
        np.testing.assert_array_equal(kwargs[name], value)


def compare_with_torch(function, kwargs, result) -> None:
    with corelib.using("torch"):
        plain = call(function, kwargs)
    single = any(isinstance(value, np.ndarray) and value.dtype == np.float32 for value in kwargs.values())
    finite = np.abs(plain[np.isfinite(plain)])
    largest = finite.max(initial=0.0)
    np.testing.assert_allclose(
        result, plain, rtol=1e-3 if single else 1e-6, atol=(1e-4 if single else 1e-9) * max(largest, 1e-30)
    )

"""One table for the whole public API: every argument of every function is broken in every way that applies.

Each attempt must end in one of two ways: a TypeError or ValueError that names the argument, or a result without NaN.
Where the call reached a kernel, plain torch must confirm the result; what never chooses between the two is not compared
with itself. Nothing may crash, warn, or change its inputs.
"""

import math
import re

import numpy as np
import pytest
import torch
from public import CALLS, backend_choices, call, name_of

import corelib
from corelib import losses, score


def changed(array, index, value):
    """``array`` in a dtype that can hold ``value``, with that value in one place."""
    out = array.astype(np.float64) if isinstance(value, float) else array.copy()
    out[index] = value
    return out


BREAK_ARRAY = {
    "None": lambda a: None,
    "a string": lambda a: "scores",
    "a number": lambda a: 1.0,
    "a dict": lambda a: {},
    "empty": lambda a: a[:0],
    "no columns": lambda a: a[..., :0],
    "one row more": lambda a: np.concatenate([a, a[:1]]),
    "one row less": lambda a: a[:-1],
    "one axis more": lambda a: a[None],
    "0-dimensional": lambda a: a.ravel()[0],
    "strings": lambda a: a.astype(str),
    "objects": lambda a: a.astype(object),
    "complex": lambda a: a.astype(complex),
    "float16": lambda a: a.astype(np.float16),
    "float32 among float64": lambda a: a.astype(np.float32),
    "int8": lambda a: a.astype(np.int8),
    "uint64": lambda a: np.abs(a).astype(np.uint64),
    "bool": lambda a: a.astype(bool),
    "dates": lambda a: a.astype("datetime64[s]"),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "NaN": lambda a: changed(a, 0, math.nan),
    "infinity": lambda a: changed(a, -1, math.inf),
    "minus infinity": lambda a: changed(a, 0, -math.inf),
    "1e300": lambda a: changed(a, 0, 1e300),
    "-1": lambda a: changed(a, 0, -1),
    "10**6": lambda a: changed(a, -1, 10**6),
    "zeros": lambda a: np.zeros_like(a),
    "all equal": lambda a: np.ones_like(a),
}
TWO_DISAGREE = ("empty", "no columns", "one row more", "one row less", "float32 among float64")
KEEP_ARRAY = {
    "read-only": lambda a: (c := a.copy(), c.setflags(write=False))[0],
    "every other": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed twice": lambda a: a[::-1].copy()[::-1],
    "Fortran order": lambda a: np.asfortranarray(a),
    "offset by one byte": lambda a: (
        np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)
    ),
}
BREAK_SCALAR = {
    "None": None, "a string": "1", "a list": [1.0], "NaN": math.nan, "infinity": math.inf, "minus infinity": -math.inf,
    "zero": 0, "-1": -1, "-0.5": -0.5, "1e-320": 1e-320, "1e300": 1e300, "True": True, "complex": 1j, "array": np.ones(2),
}  # fmt: skip

ARRAYS = [(f, n) for f, kwargs in CALLS.items() for n, v in kwargs.items() if isinstance(v, np.ndarray)]
SCALARS = [(f, n) for f, kwargs in CALLS.items() for n, v in kwargs.items() if isinstance(v, int | float)]


def attempt(function, name, value, other_may_be_blamed=False):
    """Either a refusal that names the argument, or numbers, on which both implementations agree if there are two."""
    kwargs = CALLS[function] | {name: value}
    before = {n: v.copy() for n, v in kwargs.items() if isinstance(v, np.ndarray)}
    try:
        with backend_choices() as choices:
            result = call(function, kwargs)
    except (TypeError, ValueError) as error:
        may_name = CALLS[function] if other_may_be_blamed else [name]
        assert re.search(rf"\b({'|'.join(may_name)})\b", str(error)), (
            f"the message does not name {name}: {error}"
        )
    except RuntimeError as error:
        assert "no convergence" in str(error)
    else:
        assert not np.isnan(result).any()
        if choices:
            with corelib.using("torch"):
                np.testing.assert_allclose(result, call(function, kwargs), rtol=1e-5, atol=1e-7)
    for n, v in before.items():
        np.testing.assert_array_equal(kwargs[n], v)


REACH_A_KERNEL = {
    losses.approx_ndcg, losses.info_nce, losses.mann_whitney_loss, losses.matryoshka_info_nce, losses.multi_similarity_loss,
    losses.ordered_hinge_loss, losses.pairwise_click_loss, losses.pairwise_hinge_loss, losses.pairwise_squared_hinge_loss,
    losses.smooth_ap, losses.soft_rank, losses.triplet_loss, losses.weighted_info_nce, score.empirical_log_density,
    score.empirical_score,
}  # fmt: skip


def test_calls_that_reach_a_kernel_are_known():
    """So that a comparison with plain torch is one of two implementations."""
    reached = set()
    for function, kwargs in CALLS.items():
        with backend_choices() as choices:
            call(function, kwargs)
        if choices:
            reached.add(function)
    assert reached == REACH_A_KERNEL


@pytest.mark.parametrize(("function", "name"), ARRAYS, ids=name_of)
@pytest.mark.parametrize("how", BREAK_ARRAY)
def test_broken_array(function, name, how):
    try:
        broken = BREAK_ARRAY[how](CALLS[function][name])
    except ValueError:
        pytest.skip("NumPy itself refuses to make this array")
    attempt(function, name, broken, other_may_be_blamed=how in TWO_DISAGREE)


@pytest.mark.parametrize(("function", "name"), SCALARS, ids=name_of)
@pytest.mark.parametrize("how", BREAK_SCALAR)
def test_broken_scalar(function, name, how):
    attempt(function, name, BREAK_SCALAR[how])


@pytest.mark.parametrize(("function", "name"), ARRAYS, ids=name_of)
@pytest.mark.parametrize("how", KEEP_ARRAY)
def test_memory_layout_does_not_matter(function, name, how):
    kwargs = CALLS[function]
    moved = kwargs | {name: KEEP_ARRAY[how](kwargs[name])}
    np.testing.assert_allclose(call(function, moved), call(function, kwargs), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("function", "name"),
    [a for a in ARRAYS if a[0].__module__.startswith(("corelib.losses", "corelib.score"))],
    ids=name_of,
)
def test_sparse_and_lazy_tensors_are_refused(function, name):
    kwargs = {n: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for n, v in CALLS[function].items()}
    for bad in (kwargs[name].to_sparse(), kwargs[name].to("meta")):
        with pytest.raises((TypeError, ValueError, NotImplementedError, RuntimeError)):
            function(**kwargs | {name: bad})

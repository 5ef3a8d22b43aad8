"""The shared argument checks: every refusal names the argument, what it was and what is allowed."""

import numpy as np
import pytest
import torch

from corelib import _checks
from corelib._front_end import front_end
from corelib._tensors import check_finite, check_same, check_tensor


@pytest.mark.parametrize(
    ("check", "value", "error", "message"),
    [
        (_checks.check_real, "1", TypeError, "k must be a real number; got str"),
        (_checks.check_real, True, TypeError, "k must be a real number; got bool"),
        (_checks.check_real, np.array([1.0]), TypeError, "k must be a real number; got ndarray"),
        (_checks.check_real, float("nan"), ValueError, "k must be finite; got nan"),
        (_checks.check_positive, 0.0, ValueError, "k must be greater than 0; got 0.0"),
        (_checks.check_positive, -np.inf, ValueError, "k must be finite; got -inf"),
        (_checks.check_bool, 1, TypeError, "k must be True or False; got int"),
    ],
)
def test_scalar_checks_refuse(check, value, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        check(value, "k")


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2)])
def test_real_numbers_of_every_kind_are_taken(value):
    assert _checks.check_positive(value, "k") == 2.0


@pytest.mark.parametrize(
    ("value", "error"),
    [(1.0, TypeError), (True, TypeError), ("3", TypeError), (0, ValueError), (-5, ValueError)],
)
def test_int_check_refuses(value, error):
    with pytest.raises(error, match="^k must be"):
        _checks.check_int(value, "k", minimum=1)


def test_int_check_takes_numpy_integers():
    assert _checks.check_int(np.int32(4), "k", minimum=1) == 4


def test_choice_check_lists_the_choices():
    with pytest.raises(ValueError, match="mode must be one of 'a', 'b'; got 'c'"):
        _checks.check_choice("c", "mode", ("a", "b"))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1.0], TypeError, "must be a torch.Tensor or a numpy.ndarray; got list"),
        (torch.ones(2, dtype=torch.float16), TypeError, "must hold floats of 16, 32 or 64 bits; got float16"),
        (torch.ones(2, dtype=torch.int64), TypeError, "must hold floats of 16, 32 or 64 bits; got int64"),
        (torch.ones(2, 2).to_sparse(), TypeError, "must be a dense tensor"),
        (torch.ones(2, 2), ValueError, r"must be 1-dimensional; got shape \(2, 2\)"),
    ],
)
def test_tensor_check_refuses(value, error, message):
    with pytest.raises(error, match=f"^x {message}"):
        check_tensor(value, "x", ndim=1)


def test_finite_check_counts():
    with pytest.raises(ValueError, match="x must be finite; 2 of 3 entries are NaN or infinite"):
        check_finite(torch.tensor([1.0, float("nan"), float("inf")]), "x")


def test_mixed_dtypes_are_refused():
    with pytest.raises(TypeError, match="a and b must have the same dtype; got float32 and float64"):
        check_same(torch.ones(1), "a", torch.ones(1, dtype=torch.float64), "b")


@front_end("x", "y")
def double(x, y=None, *, scale=2.0):
    return (x.to(torch.float64) * scale).sum(), x * scale


def test_numpy_in_numpy_out():
    total, doubled = double(np.array([1.0, 2.0], dtype=np.float32))
    assert isinstance(total, float) and total == 6.0
    assert isinstance(doubled, np.ndarray) and doubled.dtype == np.float32


def test_numpy_and_torch_do_not_mix():
    with pytest.raises(TypeError, match="x is a numpy.ndarray but y is a torch.Tensor"):
        double(np.ones(2), torch.ones(2))


def test_reversed_and_read_only_arrays_are_taken_and_left_alone():
    array = np.arange(3.0)[::-1]
    array.setflags(write=False)
    assert double(array)[0] == 6.0
    np.testing.assert_array_equal(array, [2.0, 1.0, 0.0])


@pytest.mark.parametrize("bad", [np.array(["a"]), np.array([None]), np.array([1j]), np.ones(2, dtype=">f8")])
def test_arrays_that_hold_no_native_numbers_are_refused(bad):
    with pytest.raises(TypeError, match="^x must"):
        double(bad)

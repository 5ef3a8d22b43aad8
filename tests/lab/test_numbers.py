"""Protects the convention that exactly the number behind ≈ may move, with what stands beside it to say how far."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corelib import lab
from tools.compare import SANITIZE

finite = st.floats(-1e300, 1e300)


def mask(text):
    """What nbval compares instead of ``text``."""
    config = SANITIZE.read_text(encoding="utf-8")
    for regex, replacement in re.findall("^regex: (.*)$\n^replace: (.*)$", config, flags=re.MULTILINE):
        text = re.sub(regex, replacement, text)
    return text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.93149, "≈ 0.931"),
        (0.93, "≈ 0.930"),
        (-0.031, "≈ -0.0310"),
        (0.0, "≈ 0"),
        (-0.0, "≈ 0"),
        (12, "≈ 12"),
        (1234567, "≈ 1234567"),
        (-3, "≈ -3"),
        (1234.5, "≈ 1230"),
        (999_999.0, "≈ 1.00e6"),
        (0.0012345, "≈ 0.00123"),
        (0.00099999, "≈ 0.00100"),
        (0.00012345, "≈ 0.000123"),
        (0.000012345, "≈ 1.23e-5"),
        (-3.14159e-16, "≈ -3.14e-16"),
        (np.float32(0.5), "≈ 0.500"),
        (np.int64(7), "≈ 7"),
        (np.array(2.5), "≈ 2.50"),
        (torch.tensor(2.5), "≈ 2.50"),
    ],
)
def test_approx_prints(value, text):
    assert lab.approx(value) == text


def test_approx_prints_the_spread():
    assert lab.approx(0.93149, sd=0.00412) == "≈ 0.931 ± 0.0041"
    assert lab.approx(0.93149, digits=2, sd=0) == "≈ 0.93 ± 0"


def test_no_decimals_are_printed_below_the_spread():
    assert lab.approx(0.000846, sd=0.0046) == "≈ 0.0008 ± 0.0046"
    assert lab.approx(-0.00001, sd=0.01) == "≈ 0.000 ± 0.010"
    assert lab.approx(123.4, sd=120.0) == "≈ 123 ± 120"


def test_approx_prints_how_far_it_may_move():
    assert lab.approx(0.0123, 2, within=0.005) == "≈ 0.012 (within 0.005)"
    with pytest.raises(ValueError, match="within must not stand beside sd"):
        lab.approx(0.5, sd=0.1, within=0.1)
    with pytest.raises(ValueError, match="within must be greater than 0; got 0"):
        lab.approx(0.5, within=0)


def test_a_rounding_error_is_told_by_its_bound():
    assert lab.below(3e-16, 1e-12) == "below 1e-12"
    for error in (2e-12, math.nan, math.inf):
        with pytest.raises(AssertionError, match="the error must be at most 1e-12"):
            lab.below(error, 1e-12)


def test_a_time_has_a_sign_of_its_own():
    assert lab.timed(12.34) == "◷ 12"
    assert mask("◷ 12 times, ◷ 3.4e-7 s; ◷(holds with a condition) | x") == "◷ times, ◷ s; ◷ | x"


@given(finite, st.integers(1, 15))
def test_approx_is_right_to_its_digits(value, digits):
    shown = float(lab.approx(value, digits).removeprefix("≈ "))
    assert math.isclose(shown, value, rel_tol=0.5000001 * 10 ** (1 - digits), abs_tol=0)


@given(finite, st.integers(1, 15), st.text(st.characters(exclude_characters="0123456789≈.e"), max_size=5))
def test_the_mask_takes_the_whole_number_and_nothing_else(value, digits, after):
    assert mask(f"AUC {lab.approx(value, digits)}{after}") == f"AUC ≈ #{after}"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("AUC ≈ 0.931.", "AUC ≈ #."),
        ("AUC ≈ 0.931, 0.95", "AUC ≈ #, 0.95"),
        ("AUC ≈ 0.93 ± 0.01", "AUC ≈ #"),
        ("AUC ≈ 0.93 ± 0.01 (within 0.1)", "AUC ≈ #"),
        ("AUC ≈ 0.93 (within 1e-5), 5 seeds", "AUC ≈ #, 5 seeds"),
        ("inside ± 0.01", "inside ± 0.01"),
        ("[≈ 1, ≈ -2e-9]", "[≈ #, ≈ #]"),
        ("≈ 3.1 times faster", "≈ # times faster"),
        ("≈ 93.1%", "≈ #%"),
        ("<td>≈ 0.5</td>", "<td>≈ #</td>"),
        ("≈ nan", "≈ nan"),
        ("≈ inf", "≈ inf"),
        ("≈0.5", "≈0.5"),
        ("~ 0.5, 0.931, -1e-9, 5 of 5 seeds", "~ 0.5, 0.931, -1e-9, 5 of 5 seeds"),
    ],
)
def test_the_mask(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), np.float32("nan"), torch.tensor(math.nan)]
)
def test_approx_refuses_what_is_no_number(value):
    with pytest.raises(ValueError, match="value must be finite; got"):
        lab.approx(value)
    with pytest.raises(ValueError, match="sd must be finite; got"):
        lab.approx(1.0, sd=value)


@pytest.mark.parametrize("value", ["0.5", None, True, np.True_, 1j, [0.5], np.array([0.5])])
def test_approx_refuses_other_types(value):
    with pytest.raises(TypeError, match="value must be a real number; got"):
        lab.approx(value)


def test_approx_refuses_bad_digits_and_spread():
    with pytest.raises(ValueError, match="digits must be at least 1; got 0"):
        lab.approx(1.0, 0)
    with pytest.raises(TypeError, match="digits must be an integer; got float"):
        lab.approx(1.0, 2.0)
    with pytest.raises(ValueError, match="sd must not be negative; got -1"):
        lab.approx(1.0, sd=-1.0)


def test_say_prints_outside_a_notebook(capsys):
    lab.say(f"The gap is {lab.approx(0.0831)}.")
    assert capsys.readouterr().out == "The gap is ≈ 0.0831.\n"


@pytest.mark.parametrize(
    ("sentence", "error"), [("", ValueError), (" \n", ValueError), (3, TypeError), (None, TypeError)]
)
def test_say_refuses(sentence, error):
    with pytest.raises(error, match="sentence must"):
        lab.say(sentence)

"""Protects the words: "wins", "a tie" and "holds" are said only where the numbers allow it."""

import math

import numpy as np
import pytest
import scipy.stats

from corelib import lab
from corelib.lab.evidence import Gain
from corelib.lab.outcomes import of_control, of_paper


def protocol(**changes):
    given = dict(metric="AUC", margin=0.01, selected="nothing", random="weights", draws=5, also={"MRR": 0.05})
    return lab.Protocol(**given | changes)


def gain(*values, margin=0.01):
    return Gain(tuple(values), margin=margin)


def test_the_interval_is_students():
    values = np.random.default_rng(0).normal(0.3, 1, 7)
    level = lab.measure(values)
    expected = scipy.stats.t.interval(0.95, 6, loc=values.mean(), scale=scipy.stats.sem(values))
    assert (level.low, level.high) == pytest.approx(expected, rel=1e-12)
    assert level.sd == pytest.approx(values.std(ddof=1))


@pytest.mark.parametrize(
    ("values", "relation", "words"),
    [
        ((0.05, 0.06, 0.055), "wins", "wins on 3 of 3 draws"),
        ((-0.05, -0.06, -0.055), "loses", "loses on 3 of 3 draws"),
        ((0.001, -0.001, 0.002), "ties", "a tie within 0.01"),
        ((0.004, 0.0041, 0.0042), "ties", "a tie within 0.01"),
        ((0.3, -0.2, 0.1), "unclear", "unclear after 3 draws"),
        ((0.012, 0.008, 0.009), "unclear", "unclear after 3 draws"),
        ((0.02,), "wins", "wins"),
        ((-0.02,), "loses", "loses"),
        ((0.002,), "ties", "a tie within 0.01"),
    ],
)
def test_words_follow_from_the_interval_and_the_margin(values, relation, words):
    assert gain(*values).relation == relation
    assert gain(*values).words == words


def test_a_comparison_is_paired_and_uses_the_margin_of_its_metric():
    found = protocol().compare([0.9, 0.8, 0.7], np.array([0.8, 0.7, 0.6]))
    assert found.values == pytest.approx((0.1, 0.1, 0.1))
    assert found.margin == 0.01
    assert protocol().compare([0.9], [0.8], metric="MRR").margin == 0.05
    with pytest.raises(ValueError, match="metric must be one of AUC, MRR; got 'F1'"):
        protocol().compare([0.9], [0.8], metric="F1")
    with pytest.raises(ValueError, match="one value per draw; got 1 and 2"):
        protocol().compare([0.9], [0.8, 0.7])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"margin": 0}, ValueError, "the margin of AUC must be greater than 0; got 0"),
        ({"also": {"MRR": -1}}, ValueError, "the margin of MRR must be greater than 0; got -1"),
        ({"metric": ""}, ValueError, "metric must not be empty"),
        ({"draws": 0}, ValueError, "draws must be at least 1; got 0"),
    ],
)
def test_a_protocol_refuses(changes, error, message):
    with pytest.raises(error, match=message):
        protocol(**changes)


def test_a_protocol_is_shown(capsys):
    protocol(grids={"rate": (0.1, 1.0)}, ties="average").show()
    assert capsys.readouterr().out.splitlines() == [
        "The protocol",
        "Measured: AUC",
        "Counts from: 0.01 in AUC",
        "Counts from: 0.05 in MRR",
        "Selected: nothing",
        "Grid: rate: 0.1, 1",
        "Equal scores: average",
        "Drawn anew: weights; 5 times",
    ]


@pytest.mark.parametrize(
    ("values", "region", "meets"),
    [
        ((0.5, 0.51, 0.52), (0.4, 0.6), True),
        ((0.5, 0.51, 0.52), (0.6, None), False),
        ((0.5, 0.51, 0.52), (None, 0.515), None),
        ((0.5,), (0.5, None), True),
        ((0.5,), (None, 0.4), False),
    ],
)
def test_a_level_meets_a_region_with_its_whole_interval(values, region, meets):
    assert lab.measure(values).meets(region) is meets


@pytest.mark.parametrize("region", [(None, None), (2, 1), (1,), [0, 1], None])
def test_what_is_no_region_is_refused(region):
    with pytest.raises(ValueError, match="expect must"):
        lab.measure(0.5).meets(region)


def test_a_level_has_no_relation():
    with pytest.raises(TypeError, match="expect must be a region"):
        lab.measure(0.5).meets("wins")
    with pytest.raises(ValueError, match="expect must be one of wins, ties, loses"):
        gain(0.5).meets("beats")


WIN, TIE, LOSS, UNCLEAR = gain(0.05, 0.06, 0.055), gain(0.0), gain(-0.05), gain(0.3, -0.2)


@pytest.mark.parametrize(
    ("found", "rival", "elsewhere", "outcome"),
    [
        (WIN, {}, {}, "holds"),
        (WIN, {"r": WIN}, {"e": WIN}, "holds"),
        (WIN, {"r": TIE}, {"e": WIN}, "a simpler rival ties"),
        (WIN, {"r": LOSS}, {"e": LOSS}, "a simpler rival ties"),
        (WIN, {"r": UNCLEAR}, {}, "holds"),
        (WIN, {}, {"e": TIE}, "holds with a condition"),
        (WIN, {}, {"e": UNCLEAR}, "holds with a condition"),
        (TIE, {"r": WIN}, {}, "fails here"),
        (LOSS, {}, {}, "fails here"),
        (UNCLEAR, {}, {}, "untestable here"),
    ],
)
def test_the_outcome_of_a_paper(found, rival, elsewhere, outcome):
    assert of_paper(found, "wins", rival, elsewhere) == outcome


def test_outcomes_of_theorems_and_of_what_cannot_be_tested():
    assert of_paper(lab.exact(1e-13, 1e-12), None, {}, {}) == "holds"
    assert of_paper(lab.exact(math.nan, 1e-12), None, {}, {}) == "fails here"
    assert of_paper(lab.untestable("no GPU"), None, {}, {}) == "untestable here"
    with pytest.raises(ValueError, match="expect is for what was measured"):
        of_paper(lab.exact(0, 1), "wins", {}, {})
    with pytest.raises(ValueError, match="expect is required"):
        of_paper(WIN, None, {}, {})


def test_an_outcome_that_depends_on_a_time_carries_the_sign():
    fast = lab.measure([3.0, 4.0], timing=True)
    assert of_paper(fast, (1, None), {}, {}) == "◷(untestable here)"
    assert of_control(lab.measure(3.0, timing=True), (1, None)) == "◷(holds)"
    assert of_paper(WIN, (0, None), {}, {"slowly": lab.measure(0.5, timing=True)}) == "◷(holds)"


@pytest.mark.parametrize(
    ("found", "outcome"), [(WIN, "holds"), (TIE, "does not hold"), (UNCLEAR, "undecided")]
)
def test_the_outcome_of_a_control(found, outcome):
    assert of_control(found, "wins") == outcome


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([], ValueError, "values must hold at least one value"),
        ([0.5, math.nan], ValueError, r"values\[1\] must be finite; got nan"),
        ("0.5", TypeError, r"values\[0\] must be a real number; got str"),
        ([[0.5]], TypeError, r"values\[0\] must be a real number; got list"),
    ],
)
def test_a_measurement_refuses(values, error, message):
    with pytest.raises(error, match=message):
        lab.measure(values)


def test_an_exact_result_refuses():
    with pytest.raises(ValueError, match="error must not be negative"):
        lab.exact(-1, 1)
    with pytest.raises(ValueError, match="tolerance must be greater than 0"):
        lab.exact(0, 0)

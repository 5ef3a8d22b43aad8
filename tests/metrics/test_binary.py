"""Pooled curves against scikit-learn and plain counting; ties, infinities and both ends."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from corelib.metrics import (
    best_f1_threshold,
    partial_roc_auc,
    pooled_average_precision,
    precision_at_recall,
    precision_recall_curve,
    roc_auc,
)

S, L = [0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]
pooled = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30).filter(
    lambda items: any(label for _, label in items)
)


def brute(items):
    """(threshold, precision, recall) by counting at every different score."""
    total = sum(label for _, label in items)
    for threshold in sorted({score for score, _ in items}, reverse=True):
        found = [label for score, label in items if score >= threshold]
        yield threshold, sum(found) / len(found), sum(found) / total


@given(pooled)
@settings(max_examples=100, deadline=None)
def test_everything_on_the_curve_is_counted(items):
    scores, labels = np.array([s for s, _ in items]) / 8, np.array([label for _, label in items])
    points = list(brute(items))
    curve = precision_recall_curve(scores, labels)
    np.testing.assert_allclose(curve.thresholds, [t / 8 for t, _, _ in points], rtol=0)
    np.testing.assert_allclose(curve.precision, [p for _, p, _ in points], rtol=1e-15)
    np.testing.assert_allclose(curve.recall, [r for _, _, r in points], rtol=1e-15)
    for least in (0.01, 0.3, 0.5, 1.0):
        assert precision_at_recall(scores, labels, least) == max(p for _, p, r in points if r >= least)
    before, area = 0.0, 0.0
    for _, p, r in points:
        area, before = area + (r - before) * p, r
    assert pooled_average_precision(scores, labels) == pytest.approx(area, rel=1e-13)
    for beta in (0.5, 1.0, 3.0):
        best = best_f1_threshold(scores, labels, beta=beta)
        values = [(1 + beta**2) * p * r / (beta**2 * p + r) if p else 0.0 for _, p, r in points]
        assert best.value == pytest.approx(max(values), rel=1e-13)
        at = [t / 8 for t, _, _ in points].index(best.threshold)
        assert (best.precision, best.recall) == pytest.approx(points[at][1:], rel=1e-15)
        assert values[at] == pytest.approx(max(values), rel=1e-13)
        assert all(value < max(values) * (1 - 1e-13) for value in values[:at])


def data(seed, n=500, levels=40):
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.2
    return ((rng.normal(size=n) + labels) * levels / 4).round() / levels, labels


@pytest.mark.parametrize("levels", [2, 40, 10**9])
def test_scikit_learn_has_the_same_curve_and_area(levels):
    scores, labels = data(1, levels=levels)
    precision, recall, thresholds = sk.precision_recall_curve(labels, scores)
    curve = precision_recall_curve(scores, labels)
    np.testing.assert_allclose(curve.precision[::-1], precision[:-1], rtol=1e-14)
    np.testing.assert_allclose(curve.recall[::-1], recall[:-1], rtol=1e-14)
    np.testing.assert_array_equal(curve.thresholds[::-1], thresholds)
    assert pooled_average_precision(scores, labels) == pytest.approx(
        sk.average_precision_score(labels, scores), rel=1e-13
    )
    best = best_f1_threshold(scores, labels)
    assert best.value == pytest.approx(sk.f1_score(labels, scores >= best.threshold), rel=1e-14)


@pytest.mark.parametrize("max_fpr", [1e-6, 0.01, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("levels", [2, 40, 10**9])
def test_partial_area_is_that_of_scikit_learn(max_fpr, levels):
    scores, labels = data(2, levels=levels)
    assert partial_roc_auc(scores, labels, max_fpr=max_fpr) == pytest.approx(
        sk.roc_auc_score(labels, scores, max_fpr=max_fpr), rel=1e-9
    )


def test_partial_areas_add_up_to_the_whole():
    scores, labels = data(3)
    whole = roc_auc(scores, labels)
    assert partial_roc_auc(scores, labels, max_fpr=1) == pytest.approx(whole, rel=1e-13)
    assert partial_roc_auc(scores, labels, max_fpr=1, standardized=False) == pytest.approx(whole, rel=1e-13)
    areas = [partial_roc_auc(scores, labels, max_fpr=m, standardized=False) for m in np.linspace(0.05, 1, 20)]
    assert np.all(np.diff(areas) > 0) and np.all(np.diff(areas) <= 0.05 + 1e-12)
    for m in (0.2, 0.5):
        assert partial_roc_auc([1, 1, 1], [0, 1, 0], max_fpr=m) == pytest.approx(0.5, abs=1e-15)
        assert partial_roc_auc([3, 2, 1], [1, 0, 0], max_fpr=m) == pytest.approx(1.0, abs=1e-15)
        assert partial_roc_auc([3, 2, 1], [1, 0, 0], max_fpr=m, standardized=False) == pytest.approx(
            m, rel=1e-15
        )


def test_curves_see_only_the_order_and_take_infinities():
    scores, labels = data(4, levels=10**9)
    extreme = np.where(scores == scores.max(), np.inf, np.where(scores == scores.min(), -np.inf, scores))
    for metric in (pooled_average_precision, lambda s, t: precision_at_recall(s, t, 0.5)):
        assert metric(extreme, labels) == metric(np.exp(scores), labels) == metric(scores, labels)
    assert precision_recall_curve(extreme, labels).thresholds[[0, -1]].tolist() == [np.inf, -np.inf]


def test_recall_asked_for_in_tenths_is_reached():
    scores, labels = np.arange(20)[::-1], np.arange(20) % 2 == 0
    for tenths, recall in ((3, 0.1 + 0.2), (7, 0.7), (10, 1.0)):
        assert precision_at_recall(scores, labels, recall) == tenths / (2 * tenths - 1)


def test_float32_thresholds_stay_float32():
    curve = precision_recall_curve(np.array(S, dtype=np.float32), L)
    assert curve.thresholds.dtype == np.float32 and curve.precision.dtype == np.float64


FUNCTIONS = {
    "curve": precision_recall_curve,
    "average": pooled_average_precision,
    "at recall": lambda scores, labels: precision_at_recall(scores, labels, 0.5),
    "best": best_f1_threshold,
    "partial": lambda scores, labels: partial_roc_auc(scores, labels, max_fpr=0.1),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"scores": [0.9, math.nan, 0.7, 0.1]},
            ValueError,
            "scores must not be NaN; 1 of 4 are, the first at index 1",
        ),
        (
            {"scores": [[0.9, 0.8]], "labels": [[1, 0]]},
            ValueError,
            r"scores must have shape \(n,\), pooled; got \(1, 2\)",
        ),
        ({"scores": S[:3]}, ValueError, r"scores and labels must have the same shape; got \(3,\) and \(4,\)"),
        ({"labels": [1, 0, 2, 0]}, ValueError, r"labels must be 0 or 1; labels\[2\] is 2"),
        ({"labels": [1, 0, math.nan, 0]}, ValueError, r"labels must be 0 or 1; labels\[2\] is nan"),
        ({"labels": [0, 0, 0, 0]}, ValueError, "labels must hold a 1.*; got 4 zeros"),
        ({"scores": [], "labels": []}, ValueError, "labels must hold a 1.*; got 0 zeros"),
        ({"labels": list("abcd")}, TypeError, "labels must hold bool, integer"),
    ],
)
def test_refusals_name_the_argument(function, change, error, message):
    with pytest.raises(error, match=message):
        function(**{"scores": S, "labels": L} | change)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: precision_at_recall(S, L, 0), ValueError, "recall must be greater than 0; got 0.0"),
        (lambda: precision_at_recall(S, L, 1.1), ValueError, "recall must be at most 1; got 1.1"),
        (lambda: precision_at_recall(S, L, "1"), TypeError, "recall must be a real number; got str"),
        (lambda: best_f1_threshold(S, L, beta=0), ValueError, "beta must be greater than 0"),
        (lambda: best_f1_threshold(S, L, beta=1e7), ValueError, "beta must be at most 1e6"),
        (
            lambda: partial_roc_auc(S, L, max_fpr=0),
            ValueError,
            "max_fpr must be greater than 0 and at most 1; got 0.0",
        ),
        (
            lambda: partial_roc_auc(S, L, max_fpr=1.5),
            ValueError,
            "max_fpr must be greater than 0 and at most 1; got 1.5",
        ),
        (
            lambda: partial_roc_auc(S, L, max_fpr=0.1, standardized=1),
            TypeError,
            "standardized must be True or False",
        ),
        (lambda: partial_roc_auc(S, [1, 1, 1, 1], max_fpr=0.1), ValueError, "labels must hold a 0"),
    ],
)
def test_options_are_checked(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Pooled curves against scikit-learn and plain counting; ties, infinities and both ends."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.metrics import roc_auc_score

from corelib import metrics
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
        ({"labels": [0, 0, 0, 0]}, ValueError, "labels must hold a 1.*; got none among 4"),
        ({"scores": [], "labels": []}, ValueError, "labels must hold a 1.*; got none among 0"),
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


SCORES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "tied": lambda rng, n: rng.integers(-3, 4, n).astype(float),
    "all equal": lambda rng, n: np.zeros(n),
    "signed zeros": lambda rng, n: np.copysign(0.0, rng.normal(size=n)),
    "huge range": lambda rng, n: rng.normal(size=n) * 10.0 ** rng.integers(-30, 30, n),
    "clustered": lambda rng, n: 1 + rng.integers(0, 5, n) * 1e-7,
    "outliers": lambda rng, n: np.where(rng.random(n) < 0.01, 1e30, rng.random(n)),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 3, 16, 17, 25, 100, 3000, 100_000])
def test_roc_auc_is_scikit_learn(n, dtype, kind):
    rng = np.random.default_rng(n)
    labels = rng.random(n) < 0.3
    labels[:2] = [True, False]
    scores = SCORES[kind](rng, n).astype(dtype)
    assert metrics.roc_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), rel=1e-14)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(allow_nan=False), st.booleans()), min_size=2, max_size=60))
def test_roc_auc_counts_pairs(pairs):
    scores, labels = (np.array(column) for column in zip(*pairs, strict=True))
    if labels.all() or not labels.any():
        return
    above, below = scores[labels][:, None], scores[~labels][None, :]
    wanted = ((above > below).sum() + 0.5 * (above == below).sum()) / (above.size * below.size)
    assert metrics.roc_auc(scores, labels) == wanted
    assert metrics.roc_auc(-scores, ~labels) == wanted


def test_roc_auc_of_many_queries():
    rng = np.random.default_rng(13)
    scores = rng.integers(0, 20, size=(500, 90)).astype(np.float32)
    labels = rng.random((500, 90)) < 0.3
    wanted = [roc_auc_score(y, s) for s, y in zip(scores, labels, strict=True)]
    np.testing.assert_allclose(metrics.roc_auc(scores, labels), wanted, rtol=1e-14)
    assert metrics.roc_auc(scores, labels, reduce="mean") == pytest.approx(np.mean(wanted))


def weighted_pairs(seed, n, *, levels):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, levels, n) / 7, rng.random(n) < 0.4
    labels[:2] = [True, False]
    return scores, labels, rng.integers(0, 4, n) + (np.arange(n) < 2)


@pytest.mark.parametrize("levels", [3, 10**6])
@pytest.mark.parametrize("n", [2, 30, 3000])
def test_weighted_metrics_are_those_of_scikit_learn(n, levels):
    scores, labels, weight = weighted_pairs(n, n, levels=levels)
    weight = weight * 0.37
    options = dict(sample_weight=weight)
    assert roc_auc(scores, labels, **options) == pytest.approx(
        roc_auc_score(labels, scores, **options), rel=1e-12
    )
    assert pooled_average_precision(scores, labels, **options) == pytest.approx(
        sk.average_precision_score(labels, scores, **options), rel=1e-12
    )
    assert partial_roc_auc(scores, labels, max_fpr=0.3, **options) == pytest.approx(
        roc_auc_score(labels, scores, max_fpr=0.3, **options), rel=1e-12
    )
    curve = precision_recall_curve(scores, labels, **options)
    precision, recall, thresholds = sk.precision_recall_curve(
        labels[weight > 0], scores[weight > 0], sample_weight=weight[weight > 0]
    )
    np.testing.assert_allclose(curve.precision, precision[-2::-1], rtol=1e-12)
    np.testing.assert_allclose(curve.recall, recall[-2::-1], rtol=1e-12)
    np.testing.assert_array_equal(curve.thresholds, thresholds[::-1])


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300])
def test_a_weight_is_how_often_a_score_counts(scale):
    scores, labels, times = weighted_pairs(5, 40, levels=6)
    again = np.repeat(np.arange(40), times)
    weight = dict(sample_weight=times * scale)
    for metric in (
        roc_auc,
        pooled_average_precision,
        lambda *pair, **options: precision_at_recall(*pair, 0.4, **options),
        lambda *pair, **options: best_f1_threshold(*pair, **options).value,
        lambda *pair, **options: partial_roc_auc(*pair, max_fpr=0.2, **options),
    ):
        assert metric(scores, labels, **weight) == pytest.approx(
            metric(scores[again], labels[again]), rel=1e-12
        )


def test_weights_of_one_class_may_be_far_from_those_of_the_other():
    scores, labels, times = weighted_pairs(6, 40, levels=6)
    uneven = np.where(labels, times * 1e300, times * 1e-300)
    assert roc_auc(scores, labels, sample_weight=uneven) == pytest.approx(
        roc_auc(scores, labels, sample_weight=times), rel=1e-13
    )


def test_a_weight_that_vanishes_beside_the_others_is_one_of_zero():
    pair, weight = ([0.9, 0.8, 0.1], [1, 0, 1]), [1e-300, 1e300, 1.0]
    with np.errstate(invalid="raise"):
        assert pooled_average_precision(*pair, sample_weight=weight) == pytest.approx(0, abs=1e-299)
        curve = precision_recall_curve(*pair, sample_weight=weight)
    np.testing.assert_array_equal(curve.thresholds, [0.8, 0.1])
    np.testing.assert_allclose(curve.precision, [0, 1e-300], rtol=1e-12)


def test_weighted_areas_of_many_queries():
    rng = np.random.default_rng(7)
    scores, labels = rng.integers(0, 9, (40, 30)).astype(np.float32), rng.random((40, 30)) < 0.4
    weight = rng.random((40, 30))
    weight[3, labels[3]] = 0
    found = roc_auc(scores, labels, sample_weight=weight, empty=-1)
    assert found[3] == -1
    for row in np.delete(np.arange(40), 3):
        wanted = roc_auc_score(labels[row], scores[row], sample_weight=weight[row])
        assert found[row] == pytest.approx(wanted, rel=1e-12)
    flat = roc_auc(
        scores.ravel(), labels.ravel(), indptr=np.arange(41) * 30, sample_weight=weight.ravel(), empty=-1
    )
    np.testing.assert_array_equal(flat, found)
    with pytest.raises(ValueError, match="labels of query 3 must hold both classes with some weight"):
        roc_auc(scores, labels, sample_weight=weight)
    with pytest.raises(ValueError, match="scores must not be NaN; 1 of 2"):
        roc_auc([math.nan, 1], [0, 1], sample_weight=[1, 1])


def test_a_perfect_order_has_the_area_one_whatever_the_weights():
    rng = np.random.default_rng(8)
    for _ in range(50):
        assert roc_auc(np.arange(20), np.arange(20) > 8, sample_weight=rng.random(20)) == pytest.approx(
            1, abs=1e-15
        )
        assert roc_auc(np.arange(20), np.arange(20) > 8, sample_weight=rng.random(20)) <= 1


@pytest.mark.parametrize("arrays", [([], []), ([0.5, 0.2], [0, 0])], ids=["nothing", "no positive"])
def test_empty_stands_in_for_what_needs_a_positive(arrays):
    for value in (math.nan, 0.25):
        assert pooled_average_precision(*arrays, empty=value) == pytest.approx(value, nan_ok=True)
        assert precision_at_recall(*arrays, 0.5, empty=value) == pytest.approx(value, nan_ok=True)
        assert partial_roc_auc(*arrays, max_fpr=0.5, empty=value) == pytest.approx(value, nan_ok=True)
        assert roc_auc(*arrays, empty=value) == pytest.approx(value, nan_ok=True)
        assert best_f1_threshold(*arrays, empty=value) == pytest.approx(
            (value, math.inf, value, value), nan_ok=True
        )
        curve = precision_recall_curve(*arrays, empty=value)
        np.testing.assert_array_equal(curve.precision, np.zeros(len(arrays[0])))
        np.testing.assert_array_equal(curve.recall, np.full(len(arrays[0]), value))
    for metric in (precision_recall_curve, pooled_average_precision, best_f1_threshold):
        with pytest.raises(ValueError, match=r"labels must hold a 1 .*; got none among [02] .*empty=float"):
            metric(*arrays)


def test_empty_stands_in_where_all_are_positive_or_the_positives_weigh_nothing():
    assert partial_roc_auc([1, 2], [1, 1], max_fpr=0.5, empty=0.25) == 0.25
    assert pooled_average_precision([1, 2], [0, 1], sample_weight=[1, 0], empty=0.25) == 0.25


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (
            [1, 2, 3],
            ValueError,
            r"sample_weight must have shape \(4,\), one weight for each score; got \(3,\)",
        ),
        (
            [1, 2, 3, -1],
            ValueError,
            r"sample_weight must be finite and not negative; sample_weight\[3\] is -1.0",
        ),
        ([1, 2, math.nan, 1], ValueError, r"sample_weight\[2\] is nan"),
        (["1"] * 4, TypeError, "sample_weight must hold bool, integer"),
    ],
)
def test_bad_weights(weight, error, message):
    for metric in (roc_auc, pooled_average_precision, precision_recall_curve, best_f1_threshold):
        with pytest.raises(error, match=message):
            metric(S, L, sample_weight=weight)


def test_a_column_of_scores_is_an_error_that_says_what_to_do():
    column = np.array([[0.1], [0.2]])
    for call in (pooled_average_precision, precision_recall_curve, best_f1_threshold):
        with pytest.raises(
            ValueError, match=r"scores must have shape \(n,\), pooled; got \(2, 1\); ravel\(\) it"
        ):
            call(column, [[0], [1]])
    with pytest.raises(
        ValueError, match=r"2 queries of one document each.*pass scores.ravel\(\) and labels.ravel\(\)"
    ):
        roc_auc(column, [[0], [1]], empty=0.5)

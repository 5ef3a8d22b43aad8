"""Click metrics: every possible exposure of a small world proves them unbiased; plain loops as oracle."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.metrics import average_precision, dcg, evaluate_clicks, recall_at

SCORES = np.array([[0.9, 0.4, 0.7, 0.1, 0.5, 0.3], [0.2, 0.2, -0.1, 0.8, 0.6, -math.inf]])
RELEVANCE = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 0, 1]])
PROPENSITY = np.array([[0.5, 0.9, 0.2, 1.0, 0.7, 0.3], [0.3, 0.4, 0.7, 0.6, 0.2, 0.5]])
NAMES = ["dcg@3", "recall@3", "map@3", "dcg", "recall@6", "map"]


def expectation(**options):
    """The mean of each metric over the 2**6 outcomes of what each user sees."""
    total = np.zeros((len(NAMES), 2))
    for outcome in itertools.product((0, 1), repeat=6):
        seen = np.array([outcome, outcome])
        chance = np.where(seen == 1, PROPENSITY, 1 - PROPENSITY).prod(1)
        found = evaluate_clicks(SCORES, RELEVANCE * seen, PROPENSITY, NAMES, **options)
        total += chance * np.array(list(found.values()))
    return total


def truth():
    """Each metric from the relevance itself, with the number of relevant documents instead of a mean over them."""
    count = RELEVANCE.sum(1)
    return np.array([
        dcg(SCORES, RELEVANCE, 3), recall_at(SCORES, RELEVANCE, 3) * count, average_precision(SCORES, RELEVANCE, 3) * count,
        dcg(SCORES, RELEVANCE), recall_at(SCORES, RELEVANCE, 6) * count, average_precision(SCORES, RELEVANCE) * count,
    ])  # fmt: skip


def test_the_unbiased_estimator_is_unbiased():
    np.testing.assert_allclose(expectation(estimator="unbiased"), truth(), rtol=1e-12)


def test_clipping_biases_towards_what_is_often_seen():
    clipped = expectation(estimator="unbiased", clip=0.6)
    assert (clipped < truth() - 0.05).all()
    np.testing.assert_allclose(clipped[1, 0], 1 * 0.5 / 0.6 + 1 * 0.2 / 0.6, rtol=1e-12)


@pytest.mark.parametrize("options", [{"clip": 1.0}, {}])
def test_where_all_is_seen_clicks_are_relevance(options):
    propensity = PROPENSITY if options else np.ones(6)
    found = evaluate_clicks(SCORES, RELEVANCE, propensity, NAMES, **options)
    np.testing.assert_allclose(list(found.values()), truth() / RELEVANCE.sum(1), rtol=1e-14)


def brute(scores, clicks, propensity, k, clip, last_first):
    """dcg@k, recall@k, map@k and their normaliser, in plain loops."""
    order = sorted(range(len(scores)), key=lambda d: (-scores[d], -d if last_first else d))
    weight = [clicks[d] / max(propensity[d], clip) for d in order]
    kept = [w if scores[d] > -math.inf else 0.0 for w, d in zip(weight, order, strict=True)][:k]
    gains = sum(w / math.log2(i + 2) for i, w in enumerate(kept))
    precisions = sum(w * (1 + sum(kept[:i])) / (i + 1) for i, w in enumerate(kept))
    return [gains, sum(kept), precisions], sum(weight)


documents = st.tuples(
    st.sampled_from([-math.inf, 0.0, 0.5, 1.0, math.inf]),
    st.integers(0, 1),
    st.sampled_from([0.01, 0.3, 1.0]),
)


@given(
    st.lists(st.lists(documents, max_size=7), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from(["reverse", "order"]),
)
@settings(max_examples=150, deadline=None)
def test_both_estimators_are_their_definitions(lists, clip, ties):
    flat = [document for query in lists for document in query]
    scores, clicks, propensity = (np.array([d[i] for d in flat], dtype=float) for i in range(3))
    options = {"clip": clip, "ties": ties, "indptr": np.cumsum([0, *map(len, lists)]), "empty": -1.0}
    names = ["dcg@4", "recall@4", "map@4"]
    ratio = evaluate_clicks(scores, clicks, propensity, names, **options)
    plain = evaluate_clicks(scores, clicks, propensity, names, **options, estimator="unbiased")
    for q, query in enumerate(lists):
        s, y, theta = zip(*query, strict=True) if query else ((), (), ())
        sums, total = brute(s, y, theta, 4, clip, ties == "reverse")
        for name, value in zip(names, sums, strict=True):
            assert plain[name][q] == pytest.approx(value, rel=1e-13)
            assert ratio[name][q] == pytest.approx(value / total if total else -1.0, rel=1e-13)


def test_users_without_clicks():
    clicks = np.array([[0, 0], [1, 0]])
    call = {"scores": [[2.0, 1.0]] * 2, "clicks": clicks, "propensity": [0.5, 0.5], "metrics": ["r@1"]}
    np.testing.assert_array_equal(evaluate_clicks(**call)["r@1"], [np.nan, 1.0])
    assert evaluate_clicks(**call, reduce="mean") == {"r@1": 1.0}
    assert evaluate_clicks(**call, empty=0.0, reduce="mean") == {"r@1": 0.5}
    # 0 clicks are an observation like any other to the sum.
    assert evaluate_clicks(**call, estimator="unbiased", reduce="mean") == {"r@1": 1.0}


def test_propensity_matters_only_where_there_is_a_click():
    assert evaluate_clicks([2.0, 1.0], [0, 1], [0.0, 0.5], ["recall@2"]) == {"recall@2": 1.0}
    assert evaluate_clicks([2.0, 1.0], [1, 1], [0.0, 0.5], ["dcg@1"], clip=0.25, estimator="unbiased") == {
        "dcg@1": 4.0
    }


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scores": [1.0, math.nan]}, ValueError, "scores must not be NaN; 1 of 2 scores are, the first at index 1"),
        ({"scores": [1.0]}, ValueError, r"scores and clicks must have the same shape; got \(1,\) and \(2,\)"),
        ({"clicks": [2, 1]}, ValueError, r"clicks must be 0 or 1; clicks\[0\] is 2"),
        ({"clicks": [0.5, 1]}, ValueError, r"clicks must be 0 or 1; clicks\[0\] is 0.5"),
        ({"propensity": [0.5]}, ValueError, r"propensity must have shape \(2,\); got \(1,\)"),
        ({"propensity": [0.5, 1.5]}, ValueError, r"propensity must lie in 0..1; propensity\[1\] is 1.5"),
        ({"propensity": [0.5, math.nan]}, ValueError, r"propensity must lie in 0..1; propensity\[1\] is nan"),
        ({"propensity": [0.0, 0.5]}, ValueError, r"propensity must be at least 1e-100 where there is a click.* at \[0\] it is 0.0"),
        ({"clip": 2}, ValueError, "clip must lie in 0..1; got 2"),
        ({"clip": None}, TypeError, "clip must be a real number; got NoneType"),
        ({"estimator": "snips"}, ValueError, "estimator must be one of 'self-normalized', 'unbiased'; got 'snips'"),
        ({"ties": "average"}, ValueError, "ties must be one of 'reverse', 'order'; got 'average'"),
        ({"empty": "nan"}, TypeError, "empty must be a real number or NaN; got str"),
        ({"metrics": "dcg@5"}, TypeError, "metrics must be a list of names; got 'dcg@5'"),
        ({"metrics": []}, ValueError, "metrics must name at least one metric; got none"),
        ({"metrics": ["ndcg@5"]}, ValueError, "metrics must be of dcg, recall, r, map.* got 'ndcg@5'"),
        ({"metrics": [5]}, ValueError, "metrics must be of .* got 5"),
    ],
)  # fmt: skip
def test_bad_input(change, error, message):
    good = {"scores": [0.9, 0.1], "clicks": [1, 0], "propensity": [0.5, 0.4], "metrics": ["dcg@2"]}
    with pytest.raises(error, match=message):
        evaluate_clicks(**good | change)


def test_the_first_bad_query_is_named():
    scores = np.zeros((5, 3))
    scores[3, 1] = math.nan
    with pytest.raises(ValueError, match="scores must not be NaN; 1 of 3 scores of query 3 are"):
        evaluate_clicks(scores, np.zeros((5, 3)), np.ones(3), ["dcg"])

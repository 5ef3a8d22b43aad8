"""Metrics by their names: every spelling, and what is no name."""

import numpy as np
import pytest

from corelib import metrics

GOOD = {"scores": [[0.1, 0.2, 0.3]] * 2, "relevance": [[0, 1, 2]] * 2}


@pytest.mark.parametrize("ties", ["reverse", "order", "average"])
def test_evaluate_knows_every_name(ties):
    rng = np.random.default_rng(4)
    scores, relevance = rng.integers(0, 5, (30, 7)) / 4, rng.integers(0, 4, (30, 7))
    judged = (rng.random((30, 7)) < 0.7) | (relevance > 0)
    options = {"ties": ties, "empty": 0.25}
    err = dict(options, max_relevance=3)
    binary = dict(options, min_relevance=2.0)
    expected = {
        "mrr": metrics.reciprocal_rank(scores, relevance, **binary),
        "hit_rate@2": metrics.hit_rate(scores, relevance, 2, **binary),
        "success@1": metrics.hit_rate(scores, relevance, 1, **binary),
        "r_precision": metrics.r_precision(scores, relevance, **binary),
        "rprec": metrics.r_precision(scores, relevance, **binary),
        "rbp": metrics.rank_biased_precision(scores, relevance, persistence=0.7, **binary),
        "rank_biased_precision": metrics.rank_biased_precision(scores, relevance, persistence=0.7, **binary),
        "err": metrics.expected_reciprocal_rank(scores, relevance, **err),
        "err@2": metrics.expected_reciprocal_rank(scores, relevance, 2, **err),
        "expected_reciprocal_rank@3": metrics.expected_reciprocal_rank(scores, relevance, 3, **err),
        "bpref": metrics.bpref(scores, relevance, judged, **binary),
    }
    wanted = [*expected][::-1]
    found = metrics.evaluate(
        scores,
        relevance,
        wanted,
        judged=judged,
        max_relevance=3,
        persistence=0.7,
        min_relevance=2.0,
        **options,
    )
    assert list(found) == wanted
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert isinstance(metrics.evaluate([3, 2, 1], [0, 1, 0], ["hit_rate@1"])["hit_rate@1"], float)


@pytest.mark.parametrize(
    "name",
    ["ndcg@0", "ndcg@-1", "ndcg@1.5", "ndcg@", "@10", "hit", "", "NDCG", " map", "map ", 10, None, b"map"],
)
def test_unknown_metrics(name):
    with pytest.raises(
        ValueError, match="metrics must be of ndcg, dcg, map, .*with a cutoff as in ndcg@10 where wanted; got"
    ):
        metrics.evaluate(**GOOD, metrics=["map", name])


@pytest.mark.parametrize("name", ["p", "precision", "recall", "r", "hit_rate", "success"])
def test_metrics_that_need_a_cutoff(name):
    with pytest.raises(ValueError, match=f"metrics must have a cutoff, as in '{name}@10', for '{name}'; got"):
        metrics.evaluate(**GOOD, metrics=[name])


@pytest.mark.parametrize("name", ["r_precision", "rprec", "rbp", "bpref"])
def test_metrics_without_a_cutoff(name):
    with pytest.raises(ValueError, match=f"metrics must have no cutoff for '{name}'; got '{name}@10'"):
        metrics.evaluate(**GOOD, metrics=[f"{name}@10"])


def test_metrics_that_need_more_than_relevance():
    with pytest.raises(ValueError, match="max_relevance must be given for 'err'.* got None"):
        metrics.evaluate(**GOOD, metrics=["map", "err@2"])
    with pytest.raises(ValueError, match="judged must be given for 'bpref'.* got None"):
        metrics.evaluate(**GOOD, metrics=["bpref"])


@pytest.mark.parametrize("value", ["map", None, 5])
def test_metrics_must_be_a_list(value):
    with pytest.raises(TypeError, match="metrics must be a list of names; got"):
        metrics.evaluate(**GOOD, metrics=value)
    with pytest.raises(ValueError, match="metrics must name at least one metric; got none"):
        metrics.evaluate(**GOOD, metrics=[])

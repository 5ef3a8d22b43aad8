"""Every wrong input to a metric is an error that names the argument: never a crash, never a silent number."""

import math

import numpy as np
import pytest
import torch

from corelib import metrics

GOOD = {"scores": [[0.1, 0.2, 0.3]] * 2, "relevance": [[0, 1, 2]] * 2}
RANKING = {
    "ndcg": metrics.ndcg,
    "dcg": metrics.dcg,
    "average_precision": metrics.average_precision,
    "reciprocal_rank": metrics.reciprocal_rank,
    "precision_at": metrics.precision_at,
    "recall_at": metrics.recall_at,
    "evaluate": lambda scores, relevance, k=3, **options: metrics.evaluate(
        scores, relevance, [f"ndcg@{k}", f"p@{k}"], **options
    ),
}
NAN, INF = math.nan, math.inf

BAD_ARRAYS = [
    ({"scores": [[0.1, NAN, 0.3]] * 2}, ValueError, r"scores must not be NaN; 1 of 3 scores of query 0 are, the first at index 1"),
    ({"scores": [["a", "b", "c"]] * 2}, TypeError, "scores must hold bool, integer, float32 or float64 numbers; got dtype <U1"),
    ({"scores": [[1j, 2, 3]] * 2}, TypeError, "scores must hold .* got dtype complex128"),
    ({"scores": [[None, 2, 3]] * 2}, TypeError, "scores must hold .* got dtype object"),
    ({"scores": [[2**70, 2, 3]] * 2}, TypeError, "scores must hold .* got dtype object"),
    ({"scores": [[2**53 + 1, 2, 3]] * 2}, ValueError, r"integer scores must not exceed 2\*\*53 in size.* got 9007199254740993"),
    ({"scores": [[-(2**63), 2, 3]] * 2}, ValueError, "integer scores must not exceed .* got -9223372036854775808"),
    ({"scores": [[0.1, 0.2], [0.3]]}, ValueError, "scores must be an array or nested lists of equal length"),
    ({"scores": {0.1, 0.2}}, TypeError, "scores must hold .* got dtype object"),
    ({"scores": None}, TypeError, "scores must hold .* got dtype object"),
    ({"scores": np.ma.masked_array([[0.1, 0.2, 0.3]] * 2, mask=False)}, TypeError, "scores must not be a masked array"),
    ({"scores": np.ones((2, 3), dtype=np.longdouble)}, TypeError, "scores must hold .* got dtype float128"),
    ({"scores": np.ones((2, 3), dtype="M8[s]")}, TypeError, "scores must hold .* got dtype datetime64"),
    ({"scores": np.ones((2, 3), dtype=[("a", "f4")])}, TypeError, "scores must hold .* got dtype"),
    ({"scores": torch.ones(2, 3, requires_grad=True)}, TypeError, "scores must be an array or a list of numbers; got Tensor"),
    ({"scores": torch.ones(2, 3, dtype=torch.bfloat16)}, TypeError, "scores must be an array or a list of numbers; got Tensor"),
    ({"scores": [[0.1, 0.2, 0.3]]}, ValueError, r"scores and relevance must have the same shape; got \(1, 3\) and \(2, 3\)"),
    ({"scores": [0.1, 0.2, 0.3]}, ValueError, r"scores and relevance must have the same shape; got \(3,\) and \(2, 3\)"),
    ({"scores": 0.5, "relevance": 1}, ValueError, r"scores must have shape \(documents,\), \(queries, documents\).* got \(\)"),
    ({"scores": np.ones((1, 2, 3)), "relevance": np.ones((1, 2, 3))}, ValueError, r"scores must have shape .* got \(1, 2, 3\)"),
    ({"relevance": [[0, 1, -1]] * 2}, ValueError, r"relevance must be between 0 and .* entry at index 2 of query 0 is -1; numpy.maximum"),
    ({"relevance": [[0, 1, 2], [0, NAN, 1]]}, ValueError, "relevance must be between 0 .* entry at index 1 of query 1 is nan"),
    ({"relevance": [[0, 1, INF]] * 2}, ValueError, "relevance must be between 0 .* is inf"),
    ({"relevance": [["0", "1", "2"]] * 2}, TypeError, "relevance must hold .* got dtype <U1"),
    ({"relevance": [[0, 1, 2j]] * 2}, TypeError, "relevance must hold .* got dtype complex128"),
    ({"relevance": np.ma.masked_array([[0, 1, 2]] * 2, mask=False)}, TypeError, "relevance must not be a masked array"),
]  # fmt: skip

BAD_OPTIONS = [
    ({"k": 0}, ValueError, "k must be at least 1; got 0"),
    ({"k": -5}, ValueError, "k must be at least 1; got -5"),
    ({"k": 2.0}, TypeError, "k must be an integer; got float"),
    ({"k": True}, TypeError, "k must be an integer; got bool"),
    ({"k": "10"}, TypeError, "k must be an integer; got str"),
    ({"k": np.array([1])}, TypeError, "k must be an integer; got ndarray"),
    ({"ties": "worst"}, ValueError, "ties must be one of 'reverse', 'order', 'average'; got 'worst'"),
    ({"ties": None}, ValueError, "ties must be one of .* got None"),
    ({"reduce": "sum"}, ValueError, "reduce must be one of 'mean'; got 'sum'"),
    ({"reduce": True}, ValueError, "reduce must be one of 'mean'; got True"),
    ({"indptr": [0, 3]}, ValueError, r"scores must be flat, shape \(total,\), when indptr is given; got shape \(2, 3\)"),
]

BAD_INDPTR = [
    ([0, 3, 5], ValueError, "indptr must begin with 0 and end with the number of scores, 6; it begins with 0 and ends with 5"),
    ([1, 3, 6], ValueError, "indptr must begin with 0 .* it begins with 1"),
    ([0, 7], ValueError, "indptr must begin with 0 .* ends with 7"),
    ([0, 4, 2, 6], ValueError, r"indptr must not decrease; indptr\[1\] is 4 and indptr\[2\] 2"),
    ([0, 9, 6], ValueError, r"indptr must not decrease; indptr\[1\] is 9 and indptr\[2\] 6"),
    ([0, -1, 6], ValueError, r"indptr must not decrease; indptr\[0\] is 0 and indptr\[1\] -1"),
    (np.array([0, 2**63, 6], dtype=np.uint64), ValueError, r"indptr must not decrease; indptr\[1\] is 9223372036854775808"),
    ([], TypeError, "indptr must hold integers; got dtype float64"),
    (np.array([], dtype=int), ValueError, r"indptr must have shape \(queries \+ 1,\); got shape \(0,\)"),
    ([[0, 6]], ValueError, r"indptr must have shape \(queries \+ 1,\); got shape \(1, 2\)"),
    (6, ValueError, r"indptr must have shape .* got shape \(\)"),
    ([0.0, 6.0], TypeError, "indptr must hold integers; got dtype float64"),
    ([False, True], TypeError, "indptr must hold integers; got dtype bool"),
    (["0", "6"], TypeError, "indptr must hold .* got dtype <U1"),
]  # fmt: skip


def call(name, arguments):
    arguments = {**GOOD, **arguments}
    if name in ("precision_at", "recall_at"):
        arguments.setdefault("k", 3)
    return RANKING[name](**arguments)


@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize(("change", "error", "message"), BAD_ARRAYS)
def test_bad_arrays(name, change, error, message):
    with pytest.raises(error, match=message):
        call(name, change)


@pytest.mark.parametrize("name", [name for name in RANKING if name != "evaluate"])
@pytest.mark.parametrize(("change", "error", "message"), BAD_OPTIONS)
def test_bad_options(name, change, error, message):
    with pytest.raises(error, match=message):
        call(name, change)


@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize(("indptr", "error", "message"), BAD_INDPTR)
def test_bad_indptr(name, indptr, error, message):
    with pytest.raises(error, match=message):
        call(name, {"scores": [0.1] * 6, "relevance": [1] * 6, "indptr": indptr})


@pytest.mark.parametrize(("indptr", "error", "message"), BAD_INDPTR)
def test_bad_indptr_of_roc_auc(indptr, error, message):
    with pytest.raises(error, match=message):
        metrics.roc_auc([0.1] * 6, [0, 1] * 3, indptr=indptr)


@pytest.mark.parametrize("name", ["average_precision", "reciprocal_rank", "precision_at", "recall_at", "evaluate"])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "min_relevance must be greater than 0; got 0"),
        (-1, ValueError, "min_relevance must be greater than 0; got -1"),
        (NAN, ValueError, "min_relevance must be finite; got nan"),
        ("1", TypeError, "min_relevance must be a real number; got str"),
    ],
)
def test_bad_min_relevance(name, value, error, message):
    with pytest.raises(error, match=message):
        call(name, {"min_relevance": value})


@pytest.mark.parametrize("name", [name for name in RANKING if name != "dcg"])
@pytest.mark.parametrize("value", [None, "nan", True, [0.0], 1j])
def test_bad_empty(name, value):
    with pytest.raises(TypeError, match="empty must be a real number or NaN; got"):
        call(name, {"empty": value})


def test_bad_gain():
    with pytest.raises(ValueError, match="gain must be one of 'linear', 'exponential'; got 'log'"):
        metrics.ndcg(**GOOD, gain="log")
    with pytest.raises(ValueError, match="relevance must be between 0 and 1000 with exponential gain; the entry .* is 2000"):
        metrics.ndcg([1.0, 2.0], [1, 2000], gain="exponential")
    assert metrics.ndcg([1.0, 2.0], [1, 1000], gain="exponential") == 1.0
    assert metrics.ndcg([1.0, 2.0], [1, 1e300]) == 1.0


@pytest.mark.parametrize("name", ["ndcg@0", "ndcg@-1", "ndcg@1.5", "ndcg@", "@10", "hit", "", "NDCG", " map", "map ", 10, None, b"map"])
def test_unknown_metrics(name):
    with pytest.raises(ValueError, match="a metric must be one of ndcg, dcg, map.*; got"):
        metrics.evaluate(**GOOD, metrics=["map", name])


@pytest.mark.parametrize("name", ["p", "precision", "recall", "r", "hit_rate", "success"])
def test_metrics_that_need_a_cutoff(name):
    with pytest.raises(ValueError, match=f"'{name}' needs a cutoff, as in '{name}@10'"):
        metrics.evaluate(**GOOD, metrics=[name])


@pytest.mark.parametrize("name", ["r_precision", "rprec", "rbp", "bpref"])
def test_metrics_without_a_cutoff(name):
    with pytest.raises(ValueError, match=f"'{name}@10' takes no cutoff; the metric is '{name}'"):
        metrics.evaluate(**GOOD, metrics=[f"{name}@10"])


def test_metrics_that_need_more_than_relevance():
    with pytest.raises(ValueError, match="max_relevance must be given for 'err'.* got None"):
        metrics.evaluate(**GOOD, metrics=["map", "err@2"])
    with pytest.raises(ValueError, match="judged must be given for 'bpref'.* got None"):
        metrics.evaluate(**GOOD, metrics=["bpref"])
    with pytest.raises(ValueError, match="ties must be one of 'reverse', 'order'; got 'average'"):
        metrics.evaluate(**GOOD, metrics=["map", "rbp"], ties="average")


@pytest.mark.parametrize("value", ["map", None, 5])
def test_metrics_must_be_a_list(value):
    with pytest.raises(TypeError, match="metrics must be a list of names; got"):
        metrics.evaluate(**GOOD, metrics=value)
    with pytest.raises(ValueError, match="metrics must name at least one metric; got none"):
        metrics.evaluate(**GOOD, metrics=[])


def test_the_first_bad_query_is_named():
    scores, relevance = np.zeros((900, 40)), np.zeros((900, 40))
    scores[700:, 3] = NAN
    with pytest.raises(ValueError, match="scores must not be NaN; 1 of 40 scores of query 700 are"):
        metrics.ndcg(scores, relevance)
    indptr = np.arange(0, 900 * 40 + 1, 40)
    with pytest.raises(ValueError, match="scores of query 700 are"):
        metrics.ndcg(scores.ravel(), relevance.ravel(), indptr=indptr)


@pytest.mark.parametrize("name", RANKING)
def test_the_mean_of_no_query_is_an_error(name):
    with pytest.raises(ValueError, match='reduce="mean" needs at least one query; got none'):
        call(name, {"scores": np.empty((0, 3)), "relevance": np.empty((0, 3)), "reduce": "mean"})


BAD_AUC = [
    ({"scores": [NAN, 0.2]}, ValueError, "scores must not be NaN; 1 of 2 scores are, the first at index 0"),
    ({"scores": ["a", "b"]}, TypeError, "scores must hold .* got dtype <U1"),
    ({"scores": [1, 2j]}, TypeError, "scores must hold .* got dtype complex128"),
    ({"scores": [0.1, 0.2, 0.3]}, ValueError, r"scores and labels must have the same shape; got \(3,\) and \(2,\)"),
    ({"labels": [-1, 1]}, ValueError, r"labels must be 0 or 1; labels\[0\] is -1"),
    ({"labels": [0, 2]}, ValueError, r"labels must be 0 or 1; labels\[1\] is 2"),
    ({"labels": [0, 0.5]}, ValueError, r"labels must be 0 or 1; labels\[1\] is 0.5"),
    ({"labels": [0, NAN]}, ValueError, r"labels must be 0 or 1; labels\[1\] is nan"),
    ({"labels": ["0", "1"]}, TypeError, "labels must hold .* got dtype <U1"),
    ({"labels": [0, 0]}, ValueError, "labels must hold both classes; got 0 ones and 2 zeros"),
    ({"labels": [1, 1]}, ValueError, "labels must hold both classes; got 2 ones and 0 zeros"),
    ({"scores": [], "labels": []}, ValueError, "labels must hold both classes; got 0 ones and 0 zeros"),
    ({"scores": np.empty((2, 0)), "labels": np.empty((2, 0))}, ValueError, "labels of query 0 must hold both classes"),
    ({"scores": [[1, 2]] * 2, "labels": [[0, 1], [1, 1]]}, ValueError, "labels of query 1 must hold both classes"),
    ({"scores": [[1, 2]] * 2, "labels": [[0, 1], [1, 3]]}, ValueError, r"labels must be 0 or 1; labels\[1, 1\] is 3"),
    ({"scores": 1.0, "labels": 1}, ValueError, r"scores must have shape .* got \(\)"),
    ({"empty": "nan"}, TypeError, "empty must be a real number or NaN; got str"),
    ({"reduce": "max"}, ValueError, "reduce must be one of 'mean'; got 'max'"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), BAD_AUC)
def test_bad_input_of_roc_auc(change, error, message):
    with pytest.raises(error, match=message):
        metrics.roc_auc(**{"scores": [0.1, 0.2], "labels": [0, 1], **change})


def test_roc_auc_lets_queries_of_one_class_be():
    scores, labels = [[1.0, 2.0]] * 3, [[0, 1], [1, 1], [1, 0]]
    np.testing.assert_array_equal(metrics.roc_auc(scores, labels, empty=NAN), [1.0, NAN, 0.0])
    assert metrics.roc_auc(scores, labels, empty=NAN, reduce="mean") == 0.5

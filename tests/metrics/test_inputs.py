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
    ({"scores": {0.1, 0.2}}, TypeError, "scores must be an array or a list of numbers; got set"),
    ({"scores": None}, TypeError, "scores must be an array or a list of numbers; got NoneType"),
    ({"scores": "0.1"}, TypeError, "scores must be an array or a list of numbers; got str"),
    ({"scores": {"q": {"d": 0.1}}}, TypeError, r"scores must be an array or a list of numbers; got dict \(align_run makes"),
    ({"scores": np.ma.masked_array([[0.1, 0.2, 0.3]] * 2, mask=False)}, TypeError, "scores must not be a masked array"),
    ({"scores": np.ones((2, 3), dtype=np.longdouble)}, TypeError, "scores must hold .* got dtype float128"),
    ({"scores": np.ones((2, 3), dtype="M8[s]")}, TypeError, "scores must hold .* got dtype datetime64"),
    ({"scores": np.ones((2, 3), dtype=[("a", "f4")])}, TypeError, "scores must hold .* got dtype"),
    ({"scores": torch.ones(2, 3).to_sparse()}, TypeError, "scores must be an array or a list of numbers; got Tensor"),
    ({"scores": torch.ones(2, 3, device="meta")}, TypeError, "scores must be an array or a list of numbers; got Tensor"),
    ({"scores": torch.ones(2, 3, dtype=torch.complex64)}, TypeError, "scores must hold .* got dtype complex64"),
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
    (
        {"indptr": [0, 3]},
        ValueError,
        r"scores must be flat, shape \(total,\), when indptr is given; got shape \(2, 3\)",
    ),
]

BAD_INDPTR = [
    ([0, 3, 5], ValueError, "indptr must begin with 0 and end with the number of scores, 6; it begins with 0 and ends with 5"),
    ([1, 3, 6], ValueError, "indptr must begin with 0 .* it begins with 1"),
    ([0, 7], ValueError, "indptr must begin with 0 .* ends with 7"),
    ([0, 4, 2, 6], ValueError, r"indptr must not decrease; indptr\[1\] is 4 and indptr\[2\] 2"),
    ([0, 9, 6], ValueError, r"indptr must not decrease; indptr\[1\] is 9 and indptr\[2\] 6"),
    ([0, -1, 6], ValueError, r"indptr must not decrease; indptr\[0\] is 0 and indptr\[1\] -1"),
    (np.array([0, 2**63, 6], dtype=np.uint64), ValueError, r"indptr must not decrease; indptr\[1\] is 9223372036854775808"),
    ([], ValueError, r"indptr must have shape \(queries \+ 1,\), \[0\] for no query; got shape \(0,\)"),
    (np.array([], dtype=int), ValueError, r"indptr must have shape .*; got shape \(0,\)"),
    ([[0, 6]], ValueError, r"indptr must have shape .*; got shape \(1, 2\)"),
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


@pytest.mark.parametrize(
    "name", ["average_precision", "reciprocal_rank", "precision_at", "recall_at", "evaluate"]
)
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
    with pytest.raises(
        ValueError, match="relevance must be between 0 and 1000 with exponential gain; the entry .* is 2000"
    ):
        metrics.ndcg([1.0, 2.0], [1, 2000], gain="exponential")
    assert metrics.ndcg([1.0, 2.0], [1, 1000], gain="exponential") == 1.0
    assert metrics.ndcg([1.0, 2.0], [1, 1e300]) == 1.0


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


RANKED = RANKING | {
    "hit_rate": lambda *arrays, **options: metrics.hit_rate(*arrays, 2, **options),
    "r_precision": metrics.r_precision,
    "rank_biased_precision": metrics.rank_biased_precision,
    "expected_reciprocal_rank": lambda *arrays, **options: metrics.expected_reciprocal_rank(
        *arrays, max_relevance=3, **options
    ),
    "bpref": lambda scores, relevance, **options: metrics.bpref(
        scores, relevance, np.ones(np.shape(scores)), **options
    ),
    "precision_at": lambda *arrays, **options: metrics.precision_at(*arrays, 2, **options),
    "recall_at": lambda *arrays, **options: metrics.recall_at(*arrays, 2, **options),
    "evaluate_clicks": lambda scores, clicks, **options: metrics.evaluate_clicks(
        scores, clicks, np.full(np.shape(scores), 0.5), ["map"], **options
    )["map"],
}


@pytest.mark.parametrize("name", RANKED)
def test_a_column_of_scores_is_an_error_that_says_what_to_do(name):
    scores, relevance = np.array([[0.3], [0.2], [0.1]]), np.array([[0], [1], [1]])
    with pytest.raises(
        ValueError,
        match=r"scores of shape \(3, 1\) are 3 queries of one document each.*pass scores.ravel\(\)",
    ):
        RANKED[name](scores, relevance)
    for found in (
        RANKED[name](scores.ravel(), relevance.ravel(), indptr=range(4)),
        RANKED[name](scores[:1], relevance[:1]),
    ):
        assert all(len(values) in (1, 3) for values in (found.values() if name == "evaluate" else [found]))


TENSORS = {
    "float16": (torch.float16, {}),
    "bfloat16": (torch.bfloat16, {}),
    "float64": (torch.float64, {}),
    "requires a gradient": (torch.float32, {"requires_grad": True}),
    "bfloat16 that requires a gradient": (torch.bfloat16, {"requires_grad": True}),
}


@pytest.mark.parametrize("name", RANKED)
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_are_read_exactly(name, kind):
    dtype, options = TENSORS[kind]
    scores = torch.tensor([[0.1, 0.7, 0.2, 0.7001]], dtype=dtype, **options)
    relevance = torch.tensor([[1, 0, 1, 1]])
    exact = scores.detach().double().numpy()
    for grades in (relevance, relevance.to(dtype), relevance.bool(), relevance.to(torch.uint8)):
        assert RANKED[name](scores, grades) == RANKED[name](exact, relevance.numpy())


def test_other_metrics_read_tensors_of_half_precision():
    x, y = torch.tensor([0.5, 0.25, 3.0, 0.75]).bfloat16().requires_grad_(), torch.tensor([1, 0, 1, 1]).half()
    a, b = x.detach().double().numpy(), y.double().numpy()
    for metric in (
        metrics.roc_auc,
        metrics.pooled_average_precision,
        metrics.kendall_tau,
        metrics.spearman,
        lambda x, y: metrics.best_of_n(x, y, 2),
        lambda x, y: metrics.group_metrics(x.reshape(1, 2, 2)).margin,
        lambda x, y: metrics.evaluate_retrieval(x.reshape(2, 2), [0, 0], reduce="mean")["recall@1"],
        lambda x, y: metrics.pearson_matrix(x.reshape(2, 2))[0, 1],
        lambda x, y: metrics.paired_randomization_test(x, y).pvalue,
    ):
        assert metric(x, y) == metric(a, b)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_indices_of_every_integer_type(dtype):
    indptr = np.array([0, 2, 6], dtype=dtype)
    assert metrics.ndcg([1, 2, 3, 4, 5, 6], [0, 1, 1, 0, 0, 1], indptr=indptr).tolist() == [
        1,
        metrics.ndcg([3, 4, 5, 6], [1, 0, 0, 1]),
    ]
    labels = np.array([0, 1, 0, 1], dtype=dtype)
    points = [[0.0, 1], [1, 0], [0.1, 1], [1, 0.1]]
    assert metrics.evaluate_retrieval(points, labels, reduce="mean")["recall@1"] == 1
    assert metrics.bpref([3, 2, 1, 0], labels, np.ones(4, dtype=dtype)) == 0.25
    tries = metrics.pass_at_k(
        np.array([4, 4], dtype=dtype), np.array([1, 0], dtype=dtype), np.array([1], dtype=dtype)
    )
    np.testing.assert_allclose(tries, [[0.25], [0]], rtol=1e-15)

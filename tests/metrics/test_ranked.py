"""The metrics against scikit-learn, pytrec_eval and a plain sort, and the rules that tie them together."""

import itertools
import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score
from threadpoolctl import threadpool_limits

from corelib import metrics

ALL = [
    "ndcg", "ndcg@3", "ndcg@10", "dcg", "dcg@10", "map", "map@5", "mrr", "mrr@2", "p@1", "p@5", "p@300",
    "recall@1", "recall@20",
]  # fmt: skip
EACH = {
    "ndcg": metrics.ndcg,
    "dcg": metrics.dcg,
    "map": metrics.average_precision,
    "mrr": metrics.reciprocal_rank,
    "p": metrics.precision_at,
    "recall": metrics.recall_at,
}


def plain(order, relevance, ranked, name, *, gain=float, least=1, empty=0.0):
    """One metric of one query from the documents in rank order; those from `ranked` on have no rank."""
    kind, _, cutoff = name.partition("@")
    k = int(cutoff) if cutoff else len(order)
    graded = [gain(relevance[j]) for j in order]
    hit = [relevance[j] >= least for j in order]
    seen = min(k, ranked)
    if kind in ("ndcg", "dcg"):
        if not any(graded):
            return empty
        dcg = math.fsum(graded[i] / math.log2(i + 2) for i in range(seen))
        ideal = sorted(graded, reverse=True)
        return dcg if kind == "dcg" else dcg / math.fsum(ideal[i] / math.log2(i + 2) for i in range(min(k, len(order))))
    if not any(hit):
        return empty
    if kind == "map":
        return math.fsum(sum(hit[: i + 1]) / (i + 1) for i in range(seen) if hit[i]) / sum(hit)
    if kind == "mrr":
        return next((1 / (i + 1) for i in range(seen) if hit[i]), 0.0)
    return sum(hit[:seen]) / (k if kind == "p" else sum(hit))


def by_sorting(scores, relevance, name, ties="reverse", **options):
    scores, relevance = list(map(float, scores)), list(map(float, relevance))
    sign = -1 if ties == "reverse" else 1
    order = sorted(range(len(scores)), key=lambda j: (-scores[j], sign * j))
    return plain(order, relevance, sum(s > -math.inf for s in scores), name, **options)


def queries(rng, count, documents, *, grades=5, dtype=np.float64, distinct=True):
    scores = rng.normal(size=(count, documents)) if distinct else rng.integers(0, 4, size=(count, documents))
    relevance = rng.integers(0, grades, size=(count, documents)) * (rng.random((count, documents)) < 0.5)
    return scores.astype(dtype), relevance


# Sizes on both sides of every switch in the kernel: one vector, a cutoff's bound, counting or looking up.
SIZES = [1, 2, 7, 15, 16, 17, 33, 64, 100, 129, 256, 700, 1500, 9000]


@pytest.mark.parametrize("ties", ["reverse", "order"])
@pytest.mark.parametrize("distinct", [True, False], ids=["distinct", "tied"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("documents", SIZES)
def test_every_metric_equals_a_plain_sort(documents, dtype, distinct, ties):
    rng = np.random.default_rng(documents)
    scores, relevance = queries(rng, 4, documents, dtype=dtype, distinct=distinct)
    scores[1, ::3] = -np.inf
    found = metrics.evaluate(scores, relevance, ALL, ties=ties)
    for name in ALL:
        wanted = [by_sorting(s, r, name, ties) for s, r in zip(scores, relevance, strict=True)]
        np.testing.assert_allclose(found[name], wanted, rtol=1e-12, atol=0, err_msg=name)


@pytest.mark.parametrize("ties", ["reverse", "order"])
def test_the_first_relevant_document_is_found_far_below_the_cutoffs(ties):
    """Nothing but the uncut reciprocal rank looks beyond rank 3 here, so most documents are skipped."""
    rng = np.random.default_rng(14)
    scores, relevance = queries(rng, 60, 120, distinct=False)
    relevance[(scores > 0) & (rng.random(scores.shape) < 0.98)] = 0
    found = metrics.evaluate(scores, relevance, ["mrr", "p@3"], ties=ties)
    wanted = [by_sorting(s, r, "mrr", ties) for s, r in zip(scores, relevance, strict=True)]
    assert np.mean(np.array(wanted) < 0.1) > 0.3
    np.testing.assert_allclose(found["mrr"], wanted, rtol=1e-15)


EXTREMES = {
    "infinities": lambda rng, n: rng.choice([np.inf, -np.inf, 0.0, 1.0, -1.0, 2.5], n),
    "one infinity": lambda rng, n: np.where(np.arange(n) == n // 2, np.inf, rng.normal(size=n)),
    "the whole range": lambda rng, n: rng.choice([-1, 1], n) * rng.random(n) * 3.4e38,
    "outliers": lambda rng, n: np.where(rng.random(n) < 0.2, rng.choice([-1e30, 1e30], n), rng.normal(size=n)),
    "tiny": lambda rng, n: rng.integers(-50, 50, n) * 1e-45,
    "nearly equal": lambda rng, n: 1 + rng.integers(0, 40, n) * 1e-7,
    "signed zeros": lambda rng, n: np.copysign(0.0, rng.normal(size=n)),
    "two clusters": lambda rng, n: rng.integers(0, 2, n) * 1e6 + rng.normal(size=n),
}


@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("documents", [40, 150, 900])
def test_extreme_scores_rank_right(documents, dtype, kind):
    rng = np.random.default_rng(15)
    for _ in range(5):
        scores = EXTREMES[kind](rng, documents).astype(dtype)
        relevance = rng.integers(0, 3, documents)
        for ties in ("reverse", "order"):
            found = metrics.evaluate(scores, relevance, ALL, ties=ties)
            for name in ALL:
                wanted = by_sorting(scores, relevance, name, ties)
                assert found[name] == pytest.approx(wanted, rel=1e-12), (name, ties)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("ties", ["reverse", "order", "average"])
def test_single_functions_equal_evaluate_to_the_bit(name, ties):
    scores, relevance = queries(np.random.default_rng(1), 50, 90, distinct=False)
    kind, _, cutoff = name.partition("@")
    alone = EACH[kind](scores, relevance, int(cutoff) if cutoff else None, ties=ties)
    np.testing.assert_array_equal(alone, metrics.evaluate(scores, relevance, ALL, ties=ties)[name])


@pytest.mark.parametrize("name", [name for name in ALL if name != "p@300"])
def test_average_ties_are_the_mean_over_all_orders(name):
    rng = np.random.default_rng(2)
    for _ in range(12):
        documents = int(rng.integers(1, 7))
        scores = rng.integers(0, 2, documents).astype(float)
        scores[rng.random(documents) < 0.15] = -np.inf
        relevance = rng.integers(0, 3, documents)
        orders = [
            order
            for order in itertools.permutations(range(documents))
            if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
        ]
        ranked = int((scores > -np.inf).sum())
        wanted = math.fsum(plain(order, relevance, ranked, name) for order in orders) / len(orders)
        found = metrics.evaluate(scores, relevance, [name], ties="average")[name]
        assert found == pytest.approx(wanted, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("documents", [60, 900])
def test_average_ties_on_long_lists_equal_many_random_orders(documents):
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 3, documents).astype(float)
    relevance = rng.integers(0, 3, documents) * (rng.random(documents) < 0.6)
    shuffles = [rng.permutation(documents) for _ in range(3000)]
    names = ["ndcg@10", "dcg", "map", "mrr", "p@10", "recall@50"]
    drawn = metrics.evaluate(
        np.stack([scores[p] for p in shuffles]), np.stack([relevance[p] for p in shuffles]), names, ties="order"
    )
    exact = metrics.evaluate(scores, relevance, names, ties="average")
    for name in names:
        error = drawn[name].std() / math.sqrt(len(shuffles))
        assert abs(exact[name] - drawn[name].mean()) < 4.5 * error + 1e-12, name


TREC = {
    "ndcg": "ndcg", "ndcg_cut_10": "ndcg@10", "map": "map", "map_cut_5": "map@5", "recip_rank": "mrr", "P_5": "p@5",
    "recall_20": "recall@20",
}  # fmt: skip


@pytest.mark.parametrize("distinct", [True, False], ids=["distinct", "tied"])
def test_the_default_is_trec_eval(distinct):
    """Unretrieved relevant documents, unjudged documents and ties: all as trec_eval has them."""
    rng = np.random.default_rng(4)
    scores, relevance = queries(rng, 200, 40, dtype=np.float32, distinct=distinct)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    relevance[7] = 0
    ids = [f"doc{j:03d}" for j in range(40)]
    qrels = {str(q): {ids[j]: int(relevance[q, j]) for j in range(40) if relevance[q, j] or j % 2} for q in range(200)}
    run = {str(q): {ids[j]: float(scores[q, j]) for j in range(40) if scores[q, j] > -np.inf} for q in range(200)}
    theirs = pytrec_eval.RelevanceEvaluator(
        qrels, {"ndcg", "ndcg_cut.10", "map", "map_cut.5", "recip_rank", "P.5", "recall.20"}
    ).evaluate(run)
    ours = metrics.evaluate(scores, relevance, list(TREC.values()))
    for their_name, our_name in TREC.items():
        wanted = [theirs[str(q)][their_name] for q in range(200)]
        np.testing.assert_allclose(ours[our_name], wanted, rtol=1e-12, atol=1e-15, err_msg=our_name)


@pytest.mark.parametrize("k", [None, 1, 10, 200])
@pytest.mark.parametrize("distinct", [True, False], ids=["distinct", "tied"])
def test_ndcg_with_average_ties_is_scikit_learn(distinct, k):
    scores, relevance = queries(np.random.default_rng(5), 30, 80, distinct=distinct)
    relevance[:, 0] = 1
    wanted = [ndcg_score(r[None], s[None], k=k) for s, r in zip(scores, relevance, strict=True)]
    np.testing.assert_allclose(metrics.ndcg(scores, relevance, k, ties="average"), wanted, rtol=1e-12)


def test_average_precision_is_scikit_learn():
    scores, relevance = queries(np.random.default_rng(6), 30, 80, grades=2)
    relevance[:, 0] = 1
    wanted = [average_precision_score(r, s) for s, r in zip(scores, relevance, strict=True)]
    np.testing.assert_allclose(metrics.average_precision(scores, relevance), wanted, rtol=1e-12)


@pytest.mark.parametrize("relevance_dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("score_dtype", ["i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8"])
def test_every_dtype_gives_the_same_values(score_dtype, relevance_dtype):
    rng = np.random.default_rng(7)
    scores = rng.permuted(np.tile(np.arange(50), (9, 1)), axis=1)
    relevance = rng.integers(0, 2, size=(9, 50))
    wanted = metrics.evaluate(scores.astype(float), relevance, ALL)
    found = metrics.evaluate(scores.astype(score_dtype), relevance.astype(relevance_dtype), ALL)
    for name in ALL:
        np.testing.assert_array_equal(found[name], wanted[name])
    labels = relevance.astype(relevance_dtype)
    np.testing.assert_array_equal(metrics.roc_auc(scores.astype(score_dtype), labels), metrics.roc_auc(scores, relevance))


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "columns strided": lambda a: np.repeat(a, 3, axis=1)[:, ::3],
    "rows strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), offset=1, dtype=a.dtype).reshape(a.shape),
    "read-only": lambda a: np.frombuffer(a.tobytes(), dtype=a.dtype).reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("documents", [30, 300])
def test_every_memory_layout_gives_the_same_values_and_no_input_changes(layout, documents):
    scores, relevance = queries(np.random.default_rng(8), 12, documents)
    relevance[:, 0] = [0, 1] * 6
    odd_scores, odd_relevance = LAYOUTS[layout](scores), LAYOUTS[layout](relevance)
    wanted = metrics.evaluate(scores, relevance, ALL)
    found = metrics.evaluate(odd_scores, odd_relevance, ALL)
    for name in ALL:
        np.testing.assert_array_equal(found[name], wanted[name])
    labels = LAYOUTS[layout]((relevance > 0).astype(np.int32))
    np.testing.assert_array_equal(metrics.roc_auc(odd_scores, labels), metrics.roc_auc(scores, relevance > 0))
    np.testing.assert_array_equal(odd_scores, scores)
    np.testing.assert_array_equal(odd_relevance, relevance)


@pytest.mark.parametrize("ties", ["reverse", "order", "average"])
def test_ragged_equals_dense_query_by_query(ties):
    rng = np.random.default_rng(9)
    lengths = [0, 1, 5, 0, 17, 64, 500, 3, 0]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    scores = rng.integers(0, 30, indptr[-1]).astype(np.float32)
    relevance = rng.integers(0, 4, indptr[-1]).astype(np.int32)
    found = metrics.evaluate(scores, relevance, ALL, indptr=indptr, ties=ties)
    for name, (q, (a, b)) in itertools.product(ALL, enumerate(itertools.pairwise(indptr))):
        assert found[name][q] == metrics.evaluate(scores[a:b], relevance[a:b], [name], ties=ties)[name]
    areas = metrics.roc_auc(scores, relevance > 1, indptr=indptr, empty=-1)
    for q, (a, b) in enumerate(itertools.pairwise(indptr)):
        assert areas[q] == metrics.roc_auc(scores[a:b], relevance[a:b] > 1, empty=-1)


def test_results_do_not_depend_on_threads():
    rng = np.random.default_rng(10)
    scores, relevance = queries(rng, 600, 120, dtype=np.float32, distinct=False)
    long = rng.normal(size=300_000).round(4)
    labels = rng.random(300_000) < 0.2
    results = []
    for threads in (1, 2, 3, 7):
        with threadpool_limits(threads, user_api="openmp"):
            found = metrics.evaluate(scores, relevance, ALL, ties="average")
            results.append((np.stack([found[name] for name in ALL]), metrics.roc_auc(long, labels)))
    for values, area in results[1:]:
        np.testing.assert_array_equal(values, results[0][0])
        assert area == results[0][1]


@st.composite
def a_query(draw, distinct=True):
    n = draw(st.integers(1, 40))
    scores = draw(st.lists(st.integers(-1000, 1000), min_size=n, max_size=n, unique=distinct))
    relevance = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    return np.array(scores, dtype=float), np.array(relevance)


def values(scores, relevance, **options):
    return np.array(list(metrics.evaluate(scores, relevance, ALL, **options).values()))


@given(a_query(), st.randoms(use_true_random=False))
def test_documents_in_another_order_change_nothing_without_ties(query, random):
    scores, relevance = query
    order = list(range(len(scores)))
    random.shuffle(order)
    np.testing.assert_array_equal(values(scores[order], relevance[order]), values(scores, relevance))


@given(a_query(distinct=False), st.sampled_from(["reverse", "order", "average"]))
def test_only_the_order_of_the_scores_counts(query, ties):
    scores, relevance = query
    wanted = values(scores, relevance, ties=ties)
    for same in (scores / 7 + 1e6, np.arctan(scores / 100), scores.astype(np.float32) ** 3):
        np.testing.assert_array_equal(values(same, relevance, ties=ties), wanted)


@given(a_query(distinct=False), st.integers(1, 70), st.sampled_from(["reverse", "order", "average"]))
def test_padding_changes_nothing(query, padding, ties):
    scores, relevance = query
    padded = np.concatenate([scores, np.full(padding, -np.inf)]), np.concatenate([relevance, np.zeros(padding, int)])
    np.testing.assert_array_equal(values(*padded, ties=ties), values(scores, relevance, ties=ties))


@given(a_query(distinct=False), st.sampled_from(["reverse", "order", "average"]))
def test_a_cutoff_beyond_the_list_is_none(query, ties):
    scores, relevance = query
    for metric in (metrics.ndcg, metrics.dcg, metrics.average_precision, metrics.reciprocal_rank):
        for k in (len(scores), len(scores) + 1, 2**63 - 1, 10**30):
            assert metric(scores, relevance, k, ties=ties) == metric(scores, relevance, ties=ties)


@given(a_query(distinct=False))
def test_values_lie_in_the_unit_interval_and_the_ideal_ranking_gets_exactly_one(query):
    scores, relevance = query
    for ties in ("reverse", "order", "average"):
        found = metrics.evaluate(scores, relevance, ["ndcg", "ndcg@4", "map", "mrr", "p@4", "recall@4"], ties=ties)
        assert all(0 <= value <= 1 for value in found.values())
    if relevance.max() > 0:
        assert metrics.ndcg(relevance, relevance) == metrics.ndcg(relevance, relevance, 3) == 1.0
        assert metrics.average_precision(relevance, relevance) == 1.0


@given(a_query(distinct=False), st.data())
def test_float_grades_and_both_gains(query, data):
    scores, relevance = query
    grades = relevance * data.draw(st.sampled_from([0.5, 1.0, 0.3, 1e-9]))
    for name, ties in itertools.product(["ndcg", "ndcg@3", "dcg@5"], ["reverse", "order"]):
        linear = metrics.evaluate(scores, grades, [name], ties=ties)[name]
        assert linear == pytest.approx(by_sorting(scores, grades, name, ties), rel=1e-12)
        found = metrics.evaluate(scores, grades, [name], ties=ties, gain="exponential")[name]
        wanted = by_sorting(scores, grades, name, ties, gain=lambda r: 2.0**r - 1)
        assert found == pytest.approx(wanted, rel=1e-12)


def test_long_lists_of_float_grades_have_the_right_ideal():
    rng = np.random.default_rng(11)
    scores, grades = rng.normal(size=3000), rng.gamma(0.3, size=3000)
    for name in ("ndcg", "ndcg@10", "ndcg@250", "ndcg@900"):
        found = metrics.evaluate(scores, grades, [name])[name]
        assert found == pytest.approx(by_sorting(scores, grades, name), rel=1e-12)


def test_large_grades_are_not_merged():
    assert metrics.ndcg([3, 2, 1], [40, 2000, 7]) == pytest.approx(by_sorting([3, 2, 1], [40, 2000, 7], "ndcg"))


def test_min_relevance_moves_the_line():
    scores, relevance = queries(np.random.default_rng(12), 20, 50)
    names = ["map", "mrr", "p@5", "recall@5"]
    found = metrics.evaluate(scores, relevance, names, min_relevance=2.5)
    binary = metrics.evaluate(scores, relevance >= 3, names)
    for name in names:
        np.testing.assert_array_equal(found[name], binary[name])


def test_queries_without_relevant_documents_get_the_value_asked_for():
    scores, relevance = np.array([[3.0, 2, 1]] * 3), np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0]])
    for name in ALL:
        default = metrics.evaluate(scores, relevance, [name])[name]
        assert default[1] == 0
        marked = metrics.evaluate(scores, relevance, [name], empty=math.nan)[name]
        assert math.isnan(marked[1])
        np.testing.assert_array_equal(marked[[0, 2]], default[[0, 2]])
        mean = metrics.evaluate(scores, relevance, [name], empty=math.nan, reduce="mean")[name]
        assert mean == default[[0, 2]].mean()
        assert metrics.evaluate(scores, relevance, [name], reduce="mean")[name] == default.mean()
    assert math.isnan(metrics.ndcg(scores[1:2], relevance[1:2], empty=math.nan, reduce="mean"))


def test_shapes_of_the_results():
    assert type(metrics.ndcg([1.0, 2.0], [0, 1])) is float
    assert metrics.ndcg([[1.0, 2.0]], [[0, 1]]).shape == (1,)
    assert metrics.ndcg(np.empty((0, 5)), np.empty((0, 5))).shape == (0,)
    assert metrics.ndcg(np.empty((4, 0)), np.empty((4, 0))).tolist() == [0, 0, 0, 0]
    assert metrics.ndcg([], [], indptr=[0]).shape == (0,)
    assert metrics.ndcg([], []) == 0.0
    assert type(metrics.roc_auc([1.0, 2.0], [0, 1])) is float
    assert metrics.roc_auc(np.empty((0, 5)), np.empty((0, 5))).shape == (0,)


def test_infinite_scores_rank_first_and_last():
    assert metrics.reciprocal_rank([1e308, np.inf, 0.0], [0, 1, 0]) == 1.0
    assert metrics.recall_at([1.0, -np.inf], [1, 1], 2) == 0.5
    assert metrics.roc_auc([np.inf, -np.inf, -np.inf, 0.0], [1, 1, 0, 0]) == pytest.approx(2.5 / 4)


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


def test_torch_tensors_and_lists_are_array_likes():
    torch = pytest.importorskip("torch")
    scores, relevance = torch.tensor([[0.1, 0.7, 0.2]]), torch.tensor([[1, 0, 2]])
    assert metrics.ndcg(scores, relevance) == metrics.ndcg(scores.tolist(), relevance.tolist())

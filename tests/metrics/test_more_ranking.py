"""Further ranked-list metrics: trec_eval where it has them, their definitions in plain loops everywhere."""

import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.metrics import (
    align_run,
    bpref,
    evaluate,
    expected_reciprocal_rank,
    hit_rate,
    r_precision,
    rank_biased_precision,
    reciprocal_rank,
)

documents = st.tuples(st.sampled_from([-math.inf, 0.0, 0.5, 1.0, math.inf]), st.integers(0, 3), st.booleans())
queries = st.lists(st.lists(documents, max_size=9), min_size=1, max_size=5)


def brute(query, ties):
    """hit@2, R-precision, RBP at 0.7, ERR, ERR@2, bpref of one list of (score, relevance, judged)."""
    order = query[::-1] if ties == "reverse" else query
    ranked = sorted((d for d in order if d[0] > -math.inf), key=lambda d: -d[0])
    hits = [d[1] >= 1 for d in ranked]
    total = sum(d[1] >= 1 for d in query)
    if not total:
        return [0.0] * 6
    err, goes_on = {}, 1.0
    for i, (_, grade, _) in enumerate(ranked, 1):
        stop = (2**grade - 1) / 2**3
        err[i] = err.get(i - 1, 0.0) + goes_on * stop / i
        goes_on *= 1 - stop
    irrelevant = sum(d[1] == 0 and d[2] for d in query)
    preference, above = 0.0, 0
    for _, grade, judged in ranked:
        if grade:
            preference += 1 - min(above, total) / min(irrelevant, total) if above else 1
        else:
            above += judged
    return [
        float(any(hits[:2])),
        sum(hits[:total]) / total,
        0.3 * sum(0.7**i for i, hit in enumerate(hits) if hit),
        err.get(len(ranked), 0.0),
        err.get(min(2, len(ranked)), 0.0),
        preference / total,
    ]


def ours(scores, relevance, judged, **options):
    return np.stack(
        [
            hit_rate(scores, relevance, 2, **options),
            r_precision(scores, relevance, **options),
            rank_biased_precision(scores, relevance, persistence=0.7, **options),
            expected_reciprocal_rank(scores, relevance, max_relevance=3, **options),
            expected_reciprocal_rank(scores, relevance, 2, max_relevance=3, **options),
            bpref(scores, relevance, judged, **options),
        ],
        axis=1,
    )


def flatten(lists):
    flat = [(s, r, j or r > 0) for query in lists for s, r, j in query]
    arrays = [np.array([d[i] for d in flat], dtype=t) for i, t in enumerate([float, int, bool])]
    return *arrays, np.cumsum([0, *map(len, lists)])


@given(queries, st.sampled_from(["reverse", "order"]))
@settings(max_examples=150, deadline=None)
def test_every_metric_is_its_definition(lists, ties):
    scores, relevance, judged, indptr = flatten(lists)
    expected = [brute(query, ties) for query in lists]
    np.testing.assert_allclose(
        ours(scores, relevance, judged, indptr=indptr, ties=ties), expected, rtol=1e-13, atol=1e-15
    )


def test_blocks_and_forms_of_input_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    scores, relevance = rng.integers(0, 5, (30, 7)) / 4, rng.integers(0, 4, (30, 7))
    judged = (rng.random((30, 7)) < 0.7) | (relevance > 0)
    dense = ours(scores, relevance, judged)
    flat = ours(scores.ravel(), relevance.ravel(), judged.ravel(), indptr=np.arange(31) * 7)
    rows = [ours(s[None], r[None], j[None])[0] for s, r, j in zip(scores, relevance, judged, strict=True)]
    np.testing.assert_array_equal(flat, dense)
    np.testing.assert_allclose(rows, dense, rtol=1e-15)
    monkeypatch.setattr("corelib.metrics._lists._BLOCK", 20)
    np.testing.assert_array_equal(ours(scores, relevance, judged), dense)
    np.testing.assert_array_equal(
        hit_rate(scores, relevance, 2),
        reciprocal_rank(scores, relevance, 2) > 0,
        err_msg="the compiled metric disagrees",
    )


@pytest.mark.parametrize("ties", ["reverse", "order"])
def test_evaluate_knows_every_name(ties):
    rng = np.random.default_rng(4)
    scores, relevance = rng.integers(0, 5, (30, 7)) / 4, rng.integers(0, 4, (30, 7))
    judged = (rng.random((30, 7)) < 0.7) | (relevance > 0)
    options = {"ties": ties, "empty": 0.25}
    err = dict(options, max_relevance=3)
    binary = dict(options, min_relevance=2.0)
    expected = {
        "mrr": reciprocal_rank(scores, relevance, **binary),
        "hit_rate@2": hit_rate(scores, relevance, 2, **binary),
        "success@1": hit_rate(scores, relevance, 1, **binary),
        "r_precision": r_precision(scores, relevance, **binary),
        "rprec": r_precision(scores, relevance, **binary),
        "rbp": rank_biased_precision(scores, relevance, persistence=0.7, **binary),
        "rank_biased_precision": rank_biased_precision(scores, relevance, persistence=0.7, **binary),
        "err": expected_reciprocal_rank(scores, relevance, **err),
        "err@2": expected_reciprocal_rank(scores, relevance, 2, **err),
        "expected_reciprocal_rank@3": expected_reciprocal_rank(scores, relevance, 3, **err),
        "bpref": bpref(scores, relevance, judged, **binary),
    }
    wanted = [*expected][::-1]
    found = evaluate(
        scores, relevance, wanted, judged=judged, max_relevance=3, persistence=0.7, min_relevance=2.0, **options
    )
    assert list(found) == wanted
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert isinstance(evaluate([3, 2, 1], [0, 1, 0], ["hit_rate@1"])["hit_rate@1"], float)


def test_trec_eval_agrees():
    rng = np.random.default_rng(1)
    names = [f"d{i:02d}" for i in range(40)]
    run, qrels = {}, {}
    for query in map(str, range(60)):
        chosen = rng.choice(names, 25, replace=False)
        run[query] = {str(d): float(s) for d, s in zip(chosen, rng.integers(0, 8, 25) / 4, strict=True)}
        chosen = rng.choice(names, 20, replace=False)
        qrels[query] = {str(d): int(r) for d, r in zip(chosen, rng.integers(-1, 3, 20), strict=True)}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"Rprec", "success.1,5", "bpref"}).evaluate(run)
    aligned = align_run(run, qrels)
    found = {
        "Rprec": r_precision(aligned.scores, aligned.relevance, indptr=aligned.indptr),
        "success_1": hit_rate(aligned.scores, aligned.relevance, 1, indptr=aligned.indptr),
        "success_5": hit_rate(aligned.scores, aligned.relevance, 5, indptr=aligned.indptr),
        "bpref": bpref(aligned.scores, aligned.relevance, aligned.judged, indptr=aligned.indptr),
    }
    for name, values in found.items():
        np.testing.assert_allclose(
            values, [theirs[q][name] for q in aligned.queries], rtol=1e-12, err_msg=name
        )


def test_known_values():
    scores = np.arange(200)[::-1]
    assert rank_biased_precision(scores, np.ones(200)) == pytest.approx(1 - 0.8**200, rel=1e-14)
    assert expected_reciprocal_rank([3, 2, 1], [4, 4, 4], max_relevance=4) == pytest.approx(
        15 / 16 * (1 + 1 / 16 / 2 + 1 / 256 / 3), rel=1e-15
    )
    assert expected_reciprocal_rank([1], [900.0], max_relevance=1000) == pytest.approx(2.0**-100, rel=1e-14)


def test_queries_without_relevant_documents():
    for value in (0.0, 0.25):
        assert ours([[1, 2]], [[0, 0]], [[1, 1]], empty=value).tolist() == [[value] * 6]
        assert ours(np.empty((1, 0)), np.empty((1, 0)), np.empty((1, 0)), empty=value).tolist() == [
            [value] * 6
        ]
    assert r_precision([[1, 2], [1, 2]], [[0, 0], [0, 1]], empty=math.nan, reduce="mean") == 1.0
    assert hit_rate(np.empty((0, 3)), np.empty((0, 3)), 1).shape == (0,)


CALLS = {
    "hit_rate": lambda scores, relevance, **options: hit_rate(
        scores, relevance, options.pop("k", 2), **options
    ),
    "r_precision": r_precision,
    "rank_biased_precision": rank_biased_precision,
    "expected_reciprocal_rank": lambda *arrays, **options: expected_reciprocal_rank(
        *arrays, max_relevance=3, **options
    ),
    "bpref": lambda scores, relevance, **options: bpref(
        scores, relevance, np.ones(np.shape(scores)), **options
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("scores", "relevance", "options", "error", "message"),
    [
        (
            [[1, 2], [3, math.nan]],
            [[0, 1]] * 2,
            {},
            ValueError,
            "scores must not be NaN; 1 of 2 scores of query 1 are",
        ),
        ([1, 2], [0, -1], {}, ValueError, "relevance must be between 0 and .*; the entry at index 1 is -1"),
        (
            [1, 2, 3],
            [0, 1, math.nan],
            {"indptr": [0, 1, 3]},
            ValueError,
            "the entry at index 1 of query 1 is nan",
        ),
        (
            [1, 2],
            [0, 1, 1],
            {},
            ValueError,
            r"scores and relevance must have the same shape; got \(2,\) and \(3,\)",
        ),
        (
            [1, 2],
            [0, 1],
            {"indptr": [0, 3]},
            ValueError,
            "indptr must begin with 0 and end with the number of scores",
        ),
        (
            [1, 2],
            [0, 1],
            {"ties": "average"},
            ValueError,
            "ties must be one of 'reverse', 'order'; got 'average'",
        ),
        ([1, 2], [0, 1], {"empty": None}, TypeError, "empty must be a real number or NaN"),
        (["a", "b"], [0, 1], {}, TypeError, "scores must hold bool, integer"),
    ],
)
def test_refusals_name_the_argument(call, scores, relevance, options, error, message):
    with pytest.raises(error, match=message):
        call(scores, relevance, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hit_rate([1], [1], 0), ValueError, "k must be at least 1; got 0"),
        (lambda: hit_rate([1], [1], 1, min_relevance=0), ValueError, "min_relevance must be greater than 0"),
        (
            lambda: rank_biased_precision([1], [1], persistence=1),
            ValueError,
            "persistence must be .* less than 1; got 1.0",
        ),
        (
            lambda: expected_reciprocal_rank([1], [3], max_relevance=2),
            ValueError,
            "relevance must be between 0 and max_relevance, 2; .* is 3",
        ),
        (
            lambda: expected_reciprocal_rank([1], [3], max_relevance=1001),
            ValueError,
            "max_relevance must be at most 1000",
        ),
        (
            lambda: expected_reciprocal_rank([1], [1], 1.5, max_relevance=2),
            TypeError,
            "k must be an integer; got float",
        ),
        (
            lambda: bpref([1, 2], [0, 1], [1]),
            ValueError,
            r"scores and judged must have the same shape; got \(2,\) and \(1,\)",
        ),
        (lambda: bpref([1, 2], [0, 1], [2, 1]), ValueError, r"judged must be 0 or 1; judged\[0\] is 2"),
        (
            lambda: bpref([1, 2], [0, 1], [1, 0]),
            ValueError,
            r"judged must be 1 for relevant documents; judged\[1\] is 0",
        ),
    ],
)
def test_options_are_checked(call, error, message):
    with pytest.raises(error, match=message):
        call()

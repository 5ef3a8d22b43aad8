"""Metric-learning metrics against their definitions in plain loops, and against pytorch-metric-learning."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from corelib.metrics import evaluate_retrieval

ALL = [
    "recall@1",
    "recall@3",
    "recall@100",
    "precision@1",
    "precision@4",
    "precision@100",
    "r_precision",
    "map@r",
]
POINTS = np.random.default_rng(0).normal(size=(6, 3))
CLASSES = [0, 0, 1, 1, 2, 2]
DISTANCE = {
    "inner": lambda q, r: -math.fsum(q * r),
    "euclidean": lambda q, r: math.fsum((q - r) ** 2),
    "cosine": lambda q, r: -math.fsum(q * r) / math.sqrt(math.fsum(q * q) * math.fsum(r * r)),
}


def brute(query, label, reference, reference_label, own, similarity):
    """Every metric of ``ALL`` for every query, one pair at a time."""
    rows = []
    for i, q in enumerate(query):
        keys = []
        for j, r in enumerate(reference):
            if not (own and i == j):
                keys.append((DISTANCE[similarity](q, r), j))
        hits = [reference_label[j] == label[i] for _, j in sorted(keys)]
        r = sum(hits)
        if not r:
            rows.append([math.nan] * len(ALL))
            continue
        precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
        rows.append(
            [
                any(hits[:1]),
                any(hits[:3]),
                any(hits[:100]),
                sum(hits[:1]),
                sum(hits[:4]) / 4,
                sum(hits[:100]) / 100,
            ]
            + [precision[r - 1], sum(p for p, hit in zip(precision[:r], hits[:r], strict=True) if hit) / r]
        )
    return np.array(rows, dtype=np.float64).T


@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean"])
@pytest.mark.parametrize("own", [True, False])
def test_every_metric_is_its_definition(similarity, own):
    rng = np.random.default_rng(1)
    query, reference = rng.normal(size=(60, 5)), rng.normal(size=(45, 5))
    label, reference_label = rng.integers(0, 9, 60), rng.integers(0, 7, 45)
    label[0] = 99  # nobody else has it
    other = (query, label) if own else (reference, reference_label)
    expected = brute(query, label, *other, own, similarity)
    options = {} if own else {"references": reference, "reference_labels": reference_label}
    found = evaluate_retrieval(query, label, ALL, similarity=similarity, **options)
    assert np.isnan(expected[:, 0]).all()
    for name, values in zip(ALL, expected, strict=True):
        np.testing.assert_allclose(found[name], values, rtol=1e-14, err_msg=name)
    means = evaluate_retrieval(query, label, ALL, similarity=similarity, reduce="mean", **options)
    assert means == pytest.approx(
        {name: np.nanmean(row) for name, row in zip(ALL, expected, strict=True)}, rel=1e-13
    )


@given(
    st.lists(st.tuples(st.integers(-2, 2), st.integers(-1, 1), st.integers(0, 2)), min_size=2, max_size=14)
)
@settings(max_examples=80, deadline=None)
def test_equal_similarities_keep_the_order_of_the_references(rows):
    """On small integers inner products are exact and often equal, also at the last rank that counts."""
    array = np.array(rows)
    points, label = array[:, :2].astype(np.float64), array[:, 2]
    found = evaluate_retrieval(points, label, ALL, similarity="inner")
    shallow = evaluate_retrieval(points, label, ["precision@4"], similarity="inner")
    for name, values in zip(ALL, brute(points, label, points, label, True, "inner"), strict=True):
        np.testing.assert_allclose(found[name], values, rtol=1e-14, err_msg=name)
    np.testing.assert_array_equal(shallow["precision@4"], found["precision@4"])


@pytest.mark.parametrize("similarity", ["inner", "euclidean"])
@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float64])
@pytest.mark.parametrize("largest, offset", [(2, 0), (2, 100), (7, -90), (25, 3)])
def test_equal_similarities_of_integers_are_equal(similarity, dtype, largest, offset):
    """Codes, counts, pixels: about every second distance has its like, and no mean may part them."""
    rng = np.random.default_rng(6)
    for references in (3, 5, 23):
        query, reference = (
            (rng.integers(-largest, largest + 1, (n, 2)) + offset).astype(dtype) for n in (30, references)
        )
        label, reference_label = rng.integers(0, 3, 30), rng.integers(0, 3, references)
        found = evaluate_retrieval(
            query, label, ALL, references=reference, reference_labels=reference_label, similarity=similarity
        )
        exact = [x.astype(np.float64) for x in (query, reference)]
        expected = brute(exact[0], label, exact[1], reference_label, False, similarity)
        np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12)


def test_references_that_hardly_differ_beside_the_queries():
    reference = np.array([[0.0], [5e-324], [1e-310], [3e-310]])
    found = evaluate_retrieval(
        [[1.0]],
        [0],
        ["recall@1"],
        references=reference,
        reference_labels=[1, 1, 1, 0],
        similarity="euclidean",
    )
    assert not np.isnan(found["recall@1"]).any()


def test_pytorch_metric_learning_has_the_same_means():
    rng = np.random.default_rng(2)
    label = rng.integers(0, 12, 200)
    points = (rng.normal(size=(12, 8))[label] + rng.normal(size=(200, 8))).astype(np.float32)

    def exact_search(query, k, reference, ref_includes_query):
        distance = torch.cdist(query.double(), reference.double())
        distance, index = distance.sort(dim=1)
        return distance[:, ref_includes_query : k + ref_includes_query], index[
            :, ref_includes_query : k + ref_includes_query
        ]

    include = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    theirs = AccuracyCalculator(
        include=include, k="max_bin_count", knn_func=exact_search, device=torch.device("cpu")
    )
    expected = theirs.get_accuracy(torch.from_numpy(points), torch.from_numpy(label))
    ours = evaluate_retrieval(points, label, similarity="euclidean", reduce="mean")
    assert list(ours.values()) == pytest.approx([expected[name] for name in include], rel=1e-12)


def test_blocks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(3)
    points, label = rng.integers(-3, 4, (50, 4)).astype(np.float64), rng.integers(0, 5, 50)
    whole = evaluate_retrieval(points, label, ALL, similarity="euclidean")
    monkeypatch.setattr("corelib.metrics.retrieval._BLOCK", 150)
    for name, values in evaluate_retrieval(points, label, ALL, similarity="euclidean").items():
        np.testing.assert_array_equal(values, whole[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_size_does_not_matter(dtype, scale):
    label = np.arange(40) % 5
    points = np.random.default_rng(4).normal(size=(40, 6)).astype(dtype)
    for similarity in ("cosine", "inner", "euclidean"):
        np.testing.assert_allclose(
            evaluate_retrieval(points * dtype(scale), label, similarity=similarity)["map@r"],
            evaluate_retrieval(points, label, similarity=similarity)["map@r"],
        )


def test_far_from_the_origin_distances_keep_their_digits():
    points, label = np.random.default_rng(5).normal(size=(40, 3)), np.arange(40) % 4
    moved = evaluate_retrieval(points + 1e8, label, similarity="euclidean")
    np.testing.assert_array_equal(
        moved["map@r"], evaluate_retrieval(points, label, similarity="euclidean")["map@r"]
    )


def test_perfect_and_hopeless_embeddings():
    assert evaluate_retrieval(np.eye(3)[CLASSES], CLASSES, reduce="mean") == {
        "recall@1": 1,
        "r_precision": 1,
        "map@r": 1,
    }
    opposite = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert evaluate_retrieval(opposite, [0, 0, 1, 1], reduce="mean") == {
        "recall@1": 0,
        "r_precision": 0,
        "map@r": 0,
    }


def test_nothing_to_find():
    assert evaluate_retrieval([[1.0]], [0], ["recall@1"], empty=0.5)["recall@1"].tolist() == [0.5]
    none = evaluate_retrieval(POINTS, CLASSES, references=np.empty((0, 3)), reference_labels=[])
    assert all(np.isnan(values).all() and values.shape == (6,) for values in none.values())
    assert evaluate_retrieval(np.empty((0, 3)), [])["map@r"].shape == (0,)
    assert math.isnan(evaluate_retrieval(POINTS, range(6), reduce="mean")["map@r"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"embeddings": POINTS[0]},
            ValueError,
            r"embeddings must have shape \(vectors, dimensions\).*; got \(3,\)",
        ),
        ({"embeddings": POINTS[:, :0]}, ValueError, r"embeddings must have shape .*; got \(6, 0\)"),
        ({"embeddings": np.where(POINTS > 1, np.nan, POINTS)}, ValueError, "embeddings must be finite; "),
        (
            {"embeddings": POINTS * [[1], [1], [0], [1], [1], [1]]},
            ValueError,
            "embeddings must not be 0, .*; row 2 is",
        ),
        ({"embeddings": POINTS.astype(str)}, TypeError, "embeddings must hold bool, integer"),
        (
            {"labels": CLASSES[:5]},
            ValueError,
            r"labels must have shape \(6,\), one for each of embeddings; got \(5,\)",
        ),
        ({"labels": [0.0] * 6}, TypeError, "labels must hold integers; got dtype float64"),
        ({"labels": np.full(6, 2**63, dtype=np.uint64)}, ValueError, r"labels must be less than 2\*\*63"),
        ({"references": POINTS}, ValueError, "reference_labels must be given too"),
        ({"reference_labels": CLASSES}, ValueError, "references must be given too"),
        (
            {"references": POINTS[:, :2], "reference_labels": CLASSES},
            ValueError,
            "as many dimensions; got 3 and 2",
        ),
        (
            {"references": POINTS, "reference_labels": [1]},
            ValueError,
            r"reference_labels must have shape \(6,\)",
        ),
        (
            {"similarity": "dot"},
            ValueError,
            "similarity must be one of 'cosine', 'inner', 'euclidean'; got 'dot'",
        ),
        ({"metrics": "map@r"}, TypeError, "metrics must be a list of names; got 'map@r'"),
        ({"metrics": []}, ValueError, "metrics must name at least one metric"),
        ({"metrics": ["recall@0"]}, ValueError, "metrics must be of recall, precision, .* got 'recall@0'"),
        (
            {"metrics": ["recall"]},
            ValueError,
            "metrics must have a cutoff, as in 'recall@10', for 'recall'; got 'recall'",
        ),
        ({"metrics": [3]}, ValueError, "metrics must be of recall, precision, .* got 3"),
        ({"empty": "0"}, TypeError, "empty must be a real number or NaN"),
        ({"reduce": "sum"}, ValueError, "reduce must be one of 'mean'"),
        ({"embeddings": POINTS[:0], "labels": [], "reduce": "mean"}, ValueError, "needs at least one query"),
    ],
)
def test_refusals_name_the_argument(change, error, message):
    with pytest.raises(error, match=message):
        evaluate_retrieval(**{"embeddings": POINTS, "labels": CLASSES} | change)

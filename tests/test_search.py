"""Nearest keys and hard negatives against a full sort, tie by tie."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.engines import strips
from corelib.search import hard_negatives, top_inner_products


def full_sort(products, k):
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(products, order, axis=1), order


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 30), st.data())
def test_agrees_with_a_stable_sort_of_everything(seed, n, m, data):
    rng = np.random.default_rng(seed)
    queries, keys = (
        rng.integers(-2, 3, (n, 2)).astype(float),
        rng.integers(-2, 3, (m, 2)).astype(float),
    )  # many ties
    k = data.draw(st.integers(1, m))
    values, indices = top_inner_products(queries, keys, k)
    expected_values, expected = full_sort(queries @ keys.T, k)
    np.testing.assert_array_equal(values, expected_values)
    np.testing.assert_array_equal(indices, expected)


def test_strips_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(500, 4)), rng.normal(size=(300, 4))
    exclude = np.stack([np.arange(500), np.arange(500) % 300], axis=1)
    whole = top_inner_products(queries, keys, 7, exclude=exclude)
    monkeypatch.setattr(strips, "strips", lambda n, m, like: [(i, min(i + 33, n)) for i in range(0, n, 33)])
    values, indices = top_inner_products(queries, keys, 7, exclude=exclude)
    np.testing.assert_array_equal(indices, whole[1])
    np.testing.assert_allclose(values, whole[0], rtol=1e-14)
    assert not (whole[1] == exclude[:, 1:]).any()


def test_where_exclusion_leaves_too_few():
    values, indices = top_inner_products(
        np.ones((1, 1)), np.ones((3, 1)), 3, exclude=np.array([[0, 1], [0, 0]])
    )
    assert indices.tolist() == [[2, -1, -1]] and values[0, 1] == -np.inf


def by_hand(queries, keys, positives, k, rule, margin, skip, stride, pool):
    out = []
    for query, positive in zip(queries, positives):
        scores = keys @ query
        ranked = [j for j in np.argsort(-scores, kind="stable") if j != positive][:pool][skip:]
        limit = {
            "none": np.inf,
            "absolute": scores[positive] - margin,
            "relative": scores[positive] - margin * abs(scores[positive]),
        }[rule]
        left = [j for j in ranked if scores[j] < limit]
        turns = [j for start in range(stride) for j in left[start::stride]]
        out.append((turns + [-1] * k)[:k])
    return np.array(out)


@pytest.mark.parametrize("rule", ["none", "absolute", "relative"])
@pytest.mark.parametrize(
    ("skip", "stride", "pool"), [(0, 1, 50), (3, 1, 12), (0, 5, 20), (2, 3, 10), (0, 1, 4)]
)
def test_hard_negatives_by_hand(rule, skip, stride, pool):
    rng = np.random.default_rng(1)
    queries, keys = rng.normal(size=(8, 5)), rng.normal(size=(40, 5))
    positives = (queries @ keys.T).argsort(axis=1)[:, -3].copy()  # two keys beat each positive
    got = hard_negatives(
        queries, keys, positives, 6, rule=rule, margin=0.1, skip=skip, stride=stride, pool=pool
    )
    np.testing.assert_array_equal(got, by_hand(queries, keys, positives, 6, rule, 0.1, skip, stride, pool))


def test_a_relative_margin_of_a_negative_score_still_drops_what_beats_the_positive():
    """-0.5 times 0.95 would be above -0.5."""
    keys = torch.tensor([[-0.5], [-0.49], [-0.51], [-0.8]])
    got = hard_negatives(torch.ones(1, 1), keys, torch.tensor([0]), 3, rule="relative", margin=0.05)
    assert got.tolist() == [[3, -1, -1]]


def test_more_negatives_than_keys():
    got = hard_negatives(torch.ones(1, 1), torch.ones(3, 1), torch.tensor([1]), 5)
    assert got.tolist() == [[0, 2, -1, -1, -1]]


Q, K, P = torch.ones(2, 3), torch.ones(4, 3), torch.tensor([0, 3])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: top_inner_products(Q, K, 5), ValueError, "k must be at most the number of keys, 4; got 5"),
        (lambda: top_inner_products(Q, K, 0), ValueError, "k must be at least 1"),
        (
            lambda: top_inner_products(Q, K.double(), 1),
            TypeError,
            "queries and keys must have the same dtype",
        ),
        (lambda: top_inner_products(Q, K[:, :2], 1), ValueError, "same number of columns; got 3 and 2"),
        (lambda: top_inner_products(Q, K[:0], 1), ValueError, "keys must have at least one row"),
        (lambda: top_inner_products(Q * float("inf"), K, 1), ValueError, "queries must be finite"),
        (
            lambda: top_inner_products(Q, K, 1, exclude=torch.tensor([[2, 0]])),
            ValueError,
            r"exclude\[:, 0\] must lie in 0..1; got 2..2",
        ),
        (
            lambda: top_inner_products(Q, K, 1, exclude=torch.tensor([0, 1])),
            ValueError,
            r"exclude must have shape \(pairs, 2\)",
        ),
        (lambda: hard_negatives(Q, K, P[:1], 1), ValueError, r"positives must have shape \(2,\)"),
        (lambda: hard_negatives(Q, K, P + 1, 1), ValueError, "positives must lie in 0..3; got 1..4"),
        (lambda: hard_negatives(Q, K, P.float(), 1), TypeError, "positives must hold integers; got float32"),
        (
            lambda: hard_negatives(Q, K, P, 1, rule="hard"),
            ValueError,
            "rule must be one of 'none', 'absolute', 'relative'",
        ),
        (lambda: hard_negatives(Q, K, P, 1, margin=-0.1), ValueError, "margin must be at least 0"),
        (
            lambda: hard_negatives(Q, K, P, 1, rule="relative", margin=2),
            ValueError,
            "margin must be at least 0 and at most 1",
        ),
        (lambda: hard_negatives(Q, K, P, 1, stride=0), ValueError, "stride must be at least 1"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

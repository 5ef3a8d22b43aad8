"""Group metrics against their definitions over itertools.permutations, and against exact chances."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from corelib.metrics import group_metrics

SHAPES = [(1, 2), (2, 2), (1, 4), (2, 3), (3, 3), (2, 5), (4, 4), (5, 5)]


def brute(s):
    """The fields of one group from their definitions; ``matching`` is None where the best total is tied."""
    images, captions = s.shape
    truth = tuple(range(images))
    totals = {
        p: sum(float(s[i, j]) for i, j in enumerate(p))
        for p in itertools.permutations(range(captions), images)
    }
    first, second = sorted(totals.values(), reverse=True)[:2]
    text = all(s[i, i] > s[i, j] for i in truth for j in range(captions) if j != i)
    image = all(s[i, i] > s[j, i] for i in truth for j in truth if j != i)
    wrong = max(total for p, total in totals.items() if p != truth)
    return {
        "text_score": text,
        "image_score": image,
        "group_score": text and image,
        "group_match": totals[truth] > wrong,
        "margin": first - second,
        "truth_margin": totals[truth] - wrong,
        "matching": max(totals, key=totals.get) if first > second else None,
    }


@st.composite
def similarities(draw):
    shape = (draw(st.integers(1, 4)), *draw(st.sampled_from(SHAPES)))
    values = draw(
        st.sampled_from([st.integers(-2, 2).map(float), st.floats(-1e6, 1e6), st.floats(0, 1, width=32)])
    )
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    return draw(arrays(np.float64, shape, elements=values)).astype(dtype)


@given(similarities())
@settings(max_examples=200, deadline=None)
def test_every_field_is_its_definition_to_the_last_bit(s):
    found = group_metrics(s)
    for g, group in enumerate(s):
        expected = brute(group)
        best = expected.pop("matching")
        for field, value in expected.items():
            assert getattr(found, field)[g] == value, field
        if best is not None:
            assert tuple(found.matching[g]) == best
        total = sum(float(group[i, j]) for i, j in enumerate(found.matching[g]))
        assert total == max(
            sum(float(group[i, j]) for i, j in enumerate(p))
            for p in itertools.permutations(range(group.shape[1]), group.shape[0])
        )


def test_large_groups_agree_with_the_assignment_of_scipy():
    for shape in [(3, 9, 9), (2, 4, 16), (1, 13, 13)]:
        s = np.random.default_rng(0).normal(size=shape)
        found = group_metrics(s)
        for group, matching, margin in zip(s, found.matching, found.margin, strict=True):
            rows, columns = linear_sum_assignment(group, maximize=True)
            np.testing.assert_array_equal(matching, columns)
            runner_up = -np.inf
            for row, column in zip(rows, columns, strict=True):
                without = group.copy()
                without[row, column] = -1e3
                other = linear_sum_assignment(without, maximize=True)
                runner_up = max(runner_up, group[other].sum())
            assert margin == pytest.approx(group[rows, columns].sum() - runner_up, abs=1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_chance_by_counting_every_order(k):
    orders = np.array(list(itertools.permutations(range(k * k))))
    # Powers of two: no two matchings of an order have the same total.
    score = group_metrics(orders.reshape(-1, k, k)).group_score.sum()
    match = group_metrics((2**orders).reshape(-1, k, k)).group_match.sum()
    assert score * math.factorial(2 * k - 1) == math.factorial(k - 1) * len(orders)
    assert match * math.factorial(k) == len(orders)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_row_and_column_offsets_change_no_matching(k):
    rng = np.random.default_rng(k)
    s = rng.normal(size=(2000, k, k))
    plain = group_metrics(s)
    moved = group_metrics(s + 3 * rng.normal(size=(2000, k, 1)) + 3 * rng.normal(size=(2000, 1, k)))
    np.testing.assert_allclose(moved.margin, plain.margin, atol=1e-12)
    np.testing.assert_allclose(moved.truth_margin, plain.truth_margin, atol=1e-12)
    sure = plain.margin > 1e-9
    np.testing.assert_array_equal(moved.matching[sure], plain.matching[sure])
    assert moved.group_score.mean() < plain.group_score.mean() / 2
    assert not (plain.group_score & ~plain.group_match).any()
    assert not (moved.group_score & ~moved.group_match).any()


def test_a_tie_is_wrong():
    found = group_metrics(np.ones((1, 3, 3)))
    assert not (found.text_score | found.image_score | found.group_score | found.group_match).any()
    assert found.margin == found.truth_margin == 0
    # One equal pair of captions in a row is enough.
    assert not group_metrics([[[1.0, 1.0], [0.0, 1.0]]]).group_score[0]


def test_one_image_is_a_plain_argmax():
    s = np.random.default_rng(1).normal(size=(100, 1, 4))
    found = group_metrics(s)
    np.testing.assert_array_equal(found.matching[:, 0], s[:, 0].argmax(1))
    np.testing.assert_array_equal(found.group_match, found.group_score)
    assert found.image_score.all()
    ordered = np.sort(s[:, 0], axis=1)
    np.testing.assert_array_equal(found.margin, ordered[:, -1] - ordered[:, -2])


def test_blocks_do_not_matter(monkeypatch):
    s = np.random.default_rng(2).normal(size=(50, 3, 4))
    whole = group_metrics(s)
    monkeypatch.setattr("corelib.metrics.groups._BLOCK", 40)
    for one, other in zip(whole, group_metrics(s), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_groups_and_other_types():
    none = group_metrics(np.empty((0, 2, 3)))
    assert [field.shape for field in none] == [(0,)] * 6 + [(0, 2)]
    s = np.array([[[1, 0], [0, 1]]])
    for dtype in (bool, np.int8, np.uint64, np.float16, np.float32, ">f8"):
        assert group_metrics(s.astype(dtype)).margin[0] == 2
    s.setflags(write=False)
    assert group_metrics(s).margin.dtype == np.float64


@pytest.mark.parametrize(
    ("similarity", "error", "message"),
    [
        (np.eye(2), ValueError, r"similarity must have shape \(groups, images, captions\).* got \(2, 2\)"),
        (np.ones((1, 3, 2)), ValueError, r"no more images than captions; got \(1, 3, 2\)"),
        (np.ones((1, 1, 1)), ValueError, r"with 2 to 16 captions .* got \(1, 1, 1\)"),
        (np.ones((1, 0, 2)), ValueError, r"similarity must have shape .* got \(1, 0, 2\)"),
        (np.ones((1, 2, 17)), ValueError, r"with 2 to 16 captions .* got \(1, 2, 17\)"),
        ([[[1.0, math.nan]]], ValueError, r"similarity must be finite .* similarity\[0, 0, 1\] is nan"),
        ([[[1.0, -math.inf]]], ValueError, r"similarity must be finite .* is -inf"),
        ([[[1.0, 1e301]]], ValueError, r"at most 1e300 in size; similarity\[0, 0, 1\] is 1e\+301"),
        ([[[2**53 + 1, 0]]], ValueError, r"integer similarity must not exceed 2\*\*53"),
        ([[["a", "b"]]], TypeError, "similarity must hold .* got dtype <U1"),
    ],
)
def test_bad_input(similarity, error, message):
    with pytest.raises(error, match=message):
        group_metrics(similarity)

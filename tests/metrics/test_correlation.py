"""Correlations against SciPy, all pairs and each other; ties, infinities and what is not defined."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from corelib.metrics import kendall_tau, pearson_matrix, spearman, spearman_matrix

pairs = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=40)


def brute_tau(x, y):
    signs = [
        (np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in itertools.combinations(range(len(x)), 2)
    ]
    both = sum(a * b for a, b in signs)
    return both / math.sqrt(sum(a != 0 for a, _ in signs)) / math.sqrt(sum(b != 0 for _, b in signs))


@given(pairs)
@settings(max_examples=150, deadline=None)
def test_kendall_counts_all_pairs(pairs):
    x, y = np.array(pairs).T
    if min(np.ptp(x), np.ptp(y)) == 0:
        assert math.isnan(kendall_tau(x, y, empty=math.nan))
    else:
        assert kendall_tau(x, y) == pytest.approx(brute_tau(x, y), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("n", [2, 11, 12, 13, 24, 25, 96, 97, 1000, 4099])
@pytest.mark.parametrize("levels", [3, 50, 10**9])
def test_kendall_and_spearman_are_those_of_scipy(n, levels):
    """Lengths around the runs of the merge sort, with all kinds of ties."""
    rng = np.random.default_rng(n)
    x = rng.integers(0, levels, n)
    y = (x + rng.integers(0, levels, n)) / 3
    x[:2], y[:2] = (0, 1), (0, 1)
    assert kendall_tau(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, rel=1e-13, abs=1e-15)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12, abs=1e-13)


@given(pairs.filter(lambda p: len({a for a, _ in p}) > 1 and len({b for _, b in p}) > 1))
@settings(max_examples=60, deadline=None)
def test_rank_correlations_see_only_the_order(pairs):
    x, y = np.array(pairs, dtype=np.float64).T
    shuffled = np.random.default_rng(0).permutation(len(x))
    for correlation in (kendall_tau, spearman):
        value = correlation(x, y)
        assert -1 <= value <= 1
        assert correlation(np.exp(x), y**3) == value
        assert correlation(y, x) == pytest.approx(value, abs=1e-15)
        assert correlation(-x, y) == pytest.approx(-value, abs=1e-15)
        assert correlation(x[shuffled], y[shuffled]) == pytest.approx(value, abs=1e-15)
        assert correlation(x, x) == pytest.approx(1, abs=1e-15)


def test_infinities_and_signed_zeros_rank():
    x = [-np.inf, -0.0, 0.0, np.inf, np.inf]
    y = [1, 2, 3, 4, 5]
    ranks = [0, 1, 1, 2, 2]
    assert kendall_tau(x, y) == kendall_tau(ranks, y)
    assert spearman(x, y) == spearman(ranks, y)


def test_kendall_of_a_million_keeps_its_integers():
    """As many pairs as overflow 32 bits, where the answer is known: a reversed block at the end."""
    n, m = 10**6, 10**5
    y = np.arange(n, dtype=np.float32)
    y[-m:] = y[-m:][::-1].copy()
    assert kendall_tau(np.arange(n), y) == pytest.approx(1 - 2 * m * (m - 1) / (n * (n - 1)), rel=1e-15)


def test_matrices_hold_the_single_values():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 9, (60, 4)) + rng.normal(size=(60, 1)).round(1)
    rho, r = spearman_matrix(x), pearson_matrix(x)
    np.testing.assert_allclose(r, np.corrcoef(x, rowvar=False), rtol=1e-12)
    np.testing.assert_allclose(rho, stats.spearmanr(x).statistic, rtol=1e-12)
    for i, j in itertools.combinations(range(4), 2):
        assert rho[i, j] == pytest.approx(spearman(x[:, i], x[:, j]), rel=1e-13)
    for matrix in (rho, r):
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_array_equal(np.diag(matrix), 1)


def test_pearson_neither_overflows_nor_vanishes():
    x = np.random.default_rng(2).normal(size=(50, 2))
    expected = np.corrcoef(x, rowvar=False)[0, 1]
    assert pearson_matrix(x * [1e-200, 1e307])[0, 1] == pytest.approx(expected, rel=1e-12)
    shifted = np.stack([np.arange(8.0), np.arange(8.0) + 2.0**50], 1)
    assert pearson_matrix(shifted)[0, 1] == pytest.approx(1, abs=1e-12)


def test_constant_columns_are_an_error_or_the_value_asked_for():
    x = np.array([[1.0, 0.1, 3.0], [2.0, 0.1, 1.0], [4.0, 0.1, 1.0]])
    for matrix in (spearman_matrix, pearson_matrix):
        with pytest.raises(
            ValueError, match="x must not have constant columns.*; 1 of 3 are, the first is column 1"
        ):
            matrix(x)
        got = matrix(x, empty=math.nan)
        np.testing.assert_array_equal(np.isnan(got), [[False, True, False], [True] * 3, [False, True, False]])
        np.testing.assert_array_equal(got[::2, ::2], matrix(x[:, ::2]))
        assert matrix(x, empty=0.0)[1].tolist() == [0, 0, 0]
    for correlation in (kendall_tau, spearman):
        with pytest.raises(ValueError, match="^y must not be constant"):
            correlation([1, 2], [3, 3])
        with pytest.raises(ValueError, match="^x must not be constant"):
            correlation([3, 3], [1, 2])
        assert correlation([3, 3], [1, 2], empty=0) == 0.0


@pytest.mark.parametrize("correlation", [kendall_tau, spearman])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": [1, math.nan, 3]}, ValueError, r"x must not be NaN; 1 of 3 are, the first at index \[1\]"),
        ({"y": [1, 2]}, ValueError, r"x and y must have the same shape; got \(3,\) and \(2,\)"),
        ({"x": [1], "y": [1]}, ValueError, r"x must have shape \(n,\) with n at least 2; got \(1,\)"),
        ({"y": [[1, 2, 3]]}, ValueError, r"y must have shape \(n,\)"),
        (
            {"x": [1, 2, 2**53 + 1]},
            ValueError,
            r"integer x must not exceed 2\*\*53 .* got 9007199254740993",
        ),
        ({"x": ["a", "b", "c"]}, TypeError, "x must hold bool, integer, float32 or float64"),
        ({"empty": "nan"}, TypeError, "empty must be a real number or NaN"),
    ],
)
def test_refusals_name_the_argument(correlation, change, error, message):
    with pytest.raises(error, match=message):
        correlation(**{"x": [1, 2, 3], "y": [1, 3, 2]} | change)


@pytest.mark.parametrize("matrix", [spearman_matrix, pearson_matrix])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1, 2, 3], ValueError, r"x must have shape \(n, variables\)"),
        ([[1, 2]], ValueError, r"x must have shape \(n, variables\) .*; got \(1, 2\)"),
        (np.ones((3, 0)), ValueError, r"x must have shape .*; got \(3, 0\)"),
        ([[1, 2], [math.nan, 3]], ValueError, r"x must not be NaN; 1 of 4 are, the first at index \[1, 0\]"),
    ],
)
def test_matrices_refuse(matrix, x, error, message):
    with pytest.raises(error, match=message):
        matrix(x)


def test_pearson_refuses_infinity():
    with pytest.raises(ValueError, match="x must be finite; 1 of 4 values are infinite"):
        pearson_matrix([[1, 2], [math.inf, 3]])

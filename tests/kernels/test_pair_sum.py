"""The three ways to a sum over pairs against all pairs in extended precision, and the choice between them."""

import numpy as np
import pytest

from corelib.kernels import pairwise

RTOL = {np.float64: 2e-13, np.float32: 3e-7}  # exp(-700) takes over the rounding of 700
WAYS = ["by boxes", "sorted", "directly", "cheapest"]


def pair_sum(kind, pos, neg, temperature, way="cheapest", pos_weight=None, neg_weight=None, margin=0.0):
    value, grads = np.empty(1), (np.empty_like(pos), np.empty_like(neg))
    indptr = np.array([0, len(pos)]), np.array([0, len(neg)])
    weights = pos_weight, neg_weight
    done = pairwise.pair_sum(
        kind, pos, neg, *weights, *indptr, temperature, margin, np.ones(1), 1e300, value, *grads, way
    )
    assert done
    return value[0], *grads


def by_brute_force(kind, pos, neg, temperature, pos_weight=None, neg_weight=None, margin=0.0):
    x, y = pos.astype(np.longdouble), neg.astype(np.longdouble) + np.longdouble(margin)
    u = np.ones(len(x)) if pos_weight is None else pos_weight
    v = np.ones(len(y)) if neg_weight is None else neg_weight
    d = (y - x[:, None]) / np.longdouble(temperature)
    e = np.exp(-abs(d))
    sigmoid = np.where(d < 0, e, 1) / (1 + e)
    if kind == "softplus":
        k, slope = np.maximum(d, 0) + np.log1p(e), sigmoid
    else:
        k, slope = sigmoid, e / (1 + e) ** 2
    rate = 1 / np.longdouble(temperature)
    return u @ k @ v, -u * (slope @ v) * rate, v * (u @ slope) * rate


def scores(case, rng, n):
    """Both sides of one case; the temperature is 1."""
    if case == "normal":
        return rng.normal(1, 3, n), rng.normal(0, 3, n)
    if case == "far apart":
        return rng.uniform(0, 3 * n, n), rng.uniform(0, 3 * n, n)
    if case == "very far apart":
        return rng.uniform(-1e9, 1e9, n), rng.uniform(-1e9, 1e9, n)
    if case == "clusters":
        centre = rng.uniform(0, 1e6, 8)
        return rng.choice(centre, n) + rng.normal(size=n), rng.choice(centre, n) + rng.normal(size=n)
    if case == "ties":
        return np.repeat([0.0, 1e4], [n // 2, n - n // 2]), np.repeat([-3.0, 9999.0], [n // 3, n - n // 3])
    if case == "all to the left":
        return rng.uniform(0, 3 * n, n), rng.uniform(3 * n + 50, 6 * n, n)
    return rng.uniform(3 * n + 50, 6 * n, n), rng.uniform(0, 3 * n, n)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["softplus", "sigmoid"])
@pytest.mark.parametrize(
    "case",
    ["normal", "far apart", "very far apart", "clusters", "ties", "all to the left", "all to the right"],
)
def test_every_way_is_right(case, kind, way, dtype):
    """Relative to each result, however small, wherever it is a normal number of its type."""
    rng = np.random.default_rng(len(case))
    pos, neg = (side.astype(dtype) for side in scores(case, rng, 300))
    weights = rng.uniform(0, 2, 300) * (rng.uniform(size=300) < 0.9), rng.uniform(0.5, 1, 300)
    for given in ({}, dict(pos_weight=weights[0], neg_weight=weights[1], margin=0.25)):
        value, *grads = pair_sum(kind, pos, neg, 1.0, way, **given)
        expected_value, *expected = by_brute_force(kind, pos, neg, 1.0, **given)
        assert value == pytest.approx(float(expected_value), rel=5e-14 if dtype is np.float64 else 3e-8)
        for grad, right in zip(grads, expected, strict=True):
            normal = abs(right) > 10 * np.finfo(dtype).tiny
            assert np.max(abs(grad - right)[normal] / abs(right)[normal], initial=0) < RTOL[dtype]
            assert np.all(abs(grad)[~normal] <= 11 * np.finfo(dtype).tiny)


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257])
@pytest.mark.parametrize("m", [1, 300])
def test_sorted_way_at_the_ends_of_its_batches(n, m):
    rng = np.random.default_rng(n)
    pos, neg = rng.uniform(0, 5, n), rng.uniform(0, 5, m)
    for got, right in zip(
        pair_sum("softplus", pos, neg, 1.0, "sorted"), by_brute_force("softplus", pos, neg, 1.0), strict=True
    ):
        np.testing.assert_allclose(got, np.asarray(right, np.float64), rtol=5e-14)


def test_dense_scores_that_a_sample_takes_for_sparse():
    """Every number that a sample of 256 takes is far from all others; the rest are one cluster."""
    n = 51_200
    rng = np.random.default_rng(0)
    pos, neg = rng.normal(size=n), rng.normal(size=n)
    pos[:: n // 256], neg[:: n // 256] = rng.uniform(-1e7, 1e7, 256), rng.uniform(-1e7, 1e7, 256)
    for got, right in zip(
        pair_sum("softplus", pos, neg, 1.0), pair_sum("softplus", pos, neg, 1.0, "by boxes"), strict=True
    ):
        np.testing.assert_array_equal(got, right)

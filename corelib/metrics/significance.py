"""Is system A better than system B, or were the queries kind to it? Resampling over queries."""

from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from corelib._arrays import as_numbers
from corelib._checks import check_choice, check_int, check_real
from corelib._types import ArrayLike

_ALTERNATIVES = ("two-sided", "greater", "less")
_METHODS = ("percentile", "bca")
_CHUNK = 1 << 20
_EXACT_CHUNK = 16  # queries, whose 2**16 assignments are summed at a time
_ROUNDING = 1e-12  # differences of sums below this share of the sum of sizes are rounding, and count as equal


class PairedTest(NamedTuple):
    """A test of two systems on the same queries."""

    difference: float
    """The mean of a - b."""
    pvalue: float
    """The chance of a difference at least as extreme if the two were exchangeable on every query."""
    exact: bool
    """Whether all assignments of signs were counted, rather than a sample of them."""


class BootstrapInterval(NamedTuple):
    """A mean over queries and its confidence interval."""

    mean: float
    """The mean of the values."""
    low: float
    """The lower end of the interval."""
    high: float
    """The upper end of the interval."""


class PairedBootstrap(NamedTuple):
    """The difference of two systems on the same queries, its confidence interval, and a test that it is 0."""

    difference: float
    """The mean of a - b."""
    low: float
    """The lower end of the interval."""
    high: float
    """The upper end of the interval."""
    pvalue: float
    """Two-sided, from the bootstrap distribution moved to mean 0."""


def paired_randomization_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    alternative: str = "two-sided",
    resamples: int = 10_000,
    rng: int | np.random.Generator = 0,
) -> PairedTest:
    """Randomisation (permutation) test of the mean difference of two systems over the same queries.

    If the systems are exchangeable, the sign of each query's difference is a fair coin. The p-value is the
    share of all assignments of signs with a mean at least as extreme as the one observed.

    Parameters
    ----------
    a, b : array_like, shape (queries,)
        A metric of each system on each query, as the functions of this package return it. Finite.
    alternative : {"two-sided", "greater", "less"}
        Whether the mean of a - b is extreme if far from 0, high, or low.
    resamples : int
        How many assignments to draw, at least 100. If there are no more than that, 2**queries, all are
        counted.
    rng : int or numpy.random.Generator
        A seed, or the generator to draw from. The same seed gives the same p-value.

    Returns
    -------
    PairedTest
        ``difference``, ``pvalue``, ``exact``. If not exact, the observed assignment counts as one of the
        drawn, so that the p-value is never 0 and the test is valid: (extreme + 1) / (resamples + 1).

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If shapes disagree, there is no query, a value is NaN or infinite, or an option is out of range.

    Notes
    -----
    Means that differ by less than 1e-12 of the mean size of the differences count as equal, so that rounding
    decides no tie. Time O(resamples x queries), memory O(1) in the number of resamples. Source: Smucker,
    Allan and Carterette, A comparison of statistical significance tests for information retrieval evaluation,
    CIKM 2007, section 3.1; the count of the observed assignment: Phipson and Smyth, Permutation p-values
    should never be zero, 2010.

    Examples
    --------
    >>> paired_randomization_test([0.9, 0.8, 0.7, 0.6, 0.9], [0.5, 0.7, 0.6, 0.5, 0.8])
    PairedTest(difference=0.16, pvalue=0.0625, exact=True)
    """
    check_choice(alternative, "alternative", _ALTERNATIVES)
    draws = check_int(resamples, "resamples", minimum=100)
    generator = _generator(rng)
    difference = _differences(a, b, minimum=1)
    total, slack = difference.sum(), _ROUNDING * np.abs(difference).sum()
    exact = difference.size < draws.bit_length()
    extreme = 0
    for sums in _all_sums(difference) if exact else _random_sums(difference, draws, generator):
        if alternative == "two-sided":
            extreme += np.count_nonzero(np.abs(sums) >= abs(total) - slack)
        elif alternative == "greater":
            extreme += np.count_nonzero(sums >= total - slack)
        else:
            extreme += np.count_nonzero(sums <= total + slack)
    pvalue = extreme / 2**difference.size if exact else (extreme + 1) / (draws + 1)
    return PairedTest(float(difference.mean()), float(pvalue), exact)


def bootstrap_interval(
    values: ArrayLike,
    *,
    confidence: float = 0.95,
    method: str = "percentile",
    resamples: int = 10_000,
    rng: int | np.random.Generator = 0,
) -> BootstrapInterval:
    """Bootstrap confidence interval of a mean over queries: what another draw of queries might have given.

    Parameters
    ----------
    values : array_like, shape (queries,)
        A metric on each query; at least two, finite.
    confidence : float
        How often the interval shall hold the true mean, in (0, 1).
    method : {"percentile", "bca"}
        Quantiles of the resampled means, or quantiles corrected for bias and skewness, for few or skewed
        values.
    resamples : int
        How many samples of queries to draw with replacement, at least 100.
    rng : int or numpy.random.Generator
        A seed, or the generator to draw from.

    Returns
    -------
    BootstrapInterval
        ``mean``, ``low``, ``high``. Values that are all equal give an interval of no width.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If there are fewer than two values, one is NaN or infinite, or an option is out of range.

    Notes
    -----
    Time O(resamples x queries), memory O(resamples + queries). Source: Efron and Tibshirani, An Introduction
    to the Bootstrap, 1993, chapters 13 and 14.

    Examples
    --------
    >>> mean, low, high = bootstrap_interval([0.2, 0.5, 0.9, 0.4, 0.7, 0.3])
    >>> mean, low < mean < high
    (0.5, True)
    """
    value = _values(values, "values", minimum=2)
    means = _resampled_means(value, confidence, method, resamples, rng)
    return BootstrapInterval(float(value.mean()), *_interval(value, means, float(confidence), method))


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    confidence: float = 0.95,
    method: str = "percentile",
    resamples: int = 10_000,
    rng: int | np.random.Generator = 0,
) -> PairedBootstrap:
    """Bootstrap of the mean difference of two systems over the same queries: interval and two-sided test.

    Parameters
    ----------
    a, b : array_like, shape (queries,)
        A metric of each system on each query; at least two queries, finite.
    confidence, method, resamples, rng
        As in :func:`bootstrap_interval`.

    Returns
    -------
    PairedBootstrap
        ``difference``, ``low``, ``high``, ``pvalue``. The p-value is (extreme + 1) / (resamples + 1), where a
        resample is extreme if its mean is at least as far from the observed mean as that is from 0.

    Raises
    ------
    TypeError, ValueError
        As :func:`bootstrap_interval`; also if shapes disagree.

    Notes
    -----
    Both systems are drawn on the same queries, so what makes a query hard cancels. Cost as
    :func:`bootstrap_interval`. Source: Smucker, Allan and Carterette, CIKM 2007, section 3.2 (the shift
    method).

    Examples
    --------
    >>> found = paired_bootstrap([0.9, 0.8, 0.7, 0.6, 0.9], [0.5, 0.7, 0.6, 0.5, 0.8])
    >>> found.difference, found.low > 0
    (0.16, True)
    """
    difference = _differences(a, b, minimum=2)
    means = _resampled_means(difference, confidence, method, resamples, rng)
    mean, slack = difference.mean(), _ROUNDING * np.abs(difference).mean()
    extreme = np.count_nonzero(np.abs(means - mean) >= abs(mean) - slack)
    low, high = _interval(difference, means, float(confidence), method)
    return PairedBootstrap(float(mean), low, high, float((extreme + 1) / (means.size + 1)))


def _all_sums(difference: np.ndarray) -> Iterator[np.ndarray]:
    """The sums of all 2**n assignments of signs, a chunk for each assignment beyond the first few queries."""
    few = _enumerate_sums(difference[:_EXACT_CHUNK])
    for rest in _enumerate_sums(difference[_EXACT_CHUNK:]):
        yield few + rest


def _enumerate_sums(difference: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for each in difference:
        sums = np.concatenate([sums + each, sums - each])
    return sums


def _random_sums(difference: np.ndarray, draws: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """The sums of random assignments of signs, a chunk at a time."""
    n = difference.size
    rows = max(1, _CHUNK // n)
    for start in range(0, draws, rows):
        size = min(rows, draws - start)
        coins = np.unpackbits(generator.integers(0, 256, (size, -(-n // 8)), dtype=np.uint8), axis=1, count=n)
        yield np.where(coins, difference, -difference).sum(1)


def _resampled_means(
    value: np.ndarray, confidence: object, method: object, resamples: object, rng: object
) -> np.ndarray:
    level = check_real(confidence, "confidence")
    if not 0 < level < 1:
        raise ValueError(f"confidence must be greater than 0 and less than 1; got {level}")
    check_choice(method, "method", _METHODS)
    draws = check_int(resamples, "resamples", minimum=100)
    generator = _generator(rng)
    rows = max(1, _CHUNK // value.size)
    means = np.empty(draws)
    for start in range(0, draws, rows):
        mine = means[start : start + rows]
        mine[:] = value[generator.integers(0, value.size, (mine.size, value.size))].mean(1)
    return means


def _interval(value: np.ndarray, means: np.ndarray, confidence: float, method: str) -> tuple[float, float]:
    mean = value.mean()
    if (value == value[0]).all():
        return float(value[0]), float(value[0])
    levels = [(1 - confidence) / 2, (1 + confidence) / 2]
    if method == "bca":
        normal = NormalDist()
        below = (np.count_nonzero(means < mean) + np.count_nonzero(means <= mean)) / (2 * means.size)
        bias = normal.inv_cdf(min(max(below, 0.5 / means.size), 1 - 0.5 / means.size))
        offset = (value - mean) / np.abs(value - mean).max()
        skew = float((offset**3).sum() / (6 * (offset**2).sum() ** 1.5))
        moved = [bias + normal.inv_cdf(level) for level in levels]
        levels = [normal.cdf(bias + z / (1 - skew * z)) for z in moved]
    low, high = np.quantile(means, levels)
    return float(low), float(high)


def _differences(a: ArrayLike, b: ArrayLike, *, minimum: int) -> np.ndarray:
    first, second = _values(a, "a", minimum=minimum), _values(b, "b", minimum=minimum)
    if first.shape != second.shape:
        raise ValueError(f"a and b must have the same shape; got {first.shape} and {second.shape}")
    return first - second


def _values(values: ArrayLike, name: str, *, minimum: int) -> np.ndarray:
    array = as_numbers(values, name).astype(np.float64)
    if array.ndim != 1 or array.size < minimum:
        raise ValueError(
            f"{name} must have shape (queries,) with at least {minimum} of them; got shape {array.shape}"
        )
    if (bad := np.flatnonzero(~(np.abs(array) <= 1e100))).size:
        raise ValueError(
            f"{name} must not be NaN nor exceed 1e100 in size; {bad.size} of {array.size} values are, the "
            f"first {array[bad[0]]} at index {bad[0]} (leave a query without a value out, in both systems)"
        )
    return array


def _generator(rng: object) -> np.random.Generator:
    return (
        rng
        if isinstance(rng, np.random.Generator)
        else np.random.default_rng(check_int(rng, "rng", minimum=0))
    )

"""Opinion scores: the published recipe item by item, scipy's normal distribution, arbitrary precision at the extremes."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from corelib.losses import soft_label_kl, soft_labels, thurstone_fidelity_loss


def recipe(mean, sd, low, high, kind, min_sd=0.2, max_error=0.1):
    """One item by the published code: levels 5..1, 1e-9 in the denominator, then turned round."""
    x = np.array([5.0, 4, 3, 2, 1])
    m, s = 1 + 4 * (mean - low) / (high - low), 4 * sd / (high - low)
    if s >= min_sd:
        p = norm.pdf(x, m, s) if kind == "pdf" else norm.cdf(x + 0.5, m, s) - norm.cdf(x - 0.5, m, s)
        alpha = (m - 3) / ((x * p).sum() - 3 * p.sum() + 1e-9)
        q = np.maximum(alpha * p + (1 - alpha * p.sum()) / 5, 0)
        if abs((x * q).sum() - m) <= max_error:
            return q[::-1], False
    q = np.zeros(6)
    q[int(m) - 1], q[int(m)] = 1 - (m - int(m)), m - int(m)
    return q[:5], True


@pytest.mark.parametrize("kind", ["pdf", "cdf"])
def test_labels_follow_the_published_recipe(kind):
    generator = np.random.default_rng(0)
    mean, sd = generator.uniform(10, 90, 200), generator.uniform(0, 40, 200)
    mean[0], mean[1] = 10, 90
    labels, interpolated = soft_labels(mean, sd, kind=kind)
    assert 10 < interpolated.sum() < 150
    for i in range(200):
        expected, fallback = recipe(mean[i], sd[i], 10, 90, kind)
        assert interpolated[i] == fallback
        np.testing.assert_allclose(labels[i], expected, atol=1e-6)


@given(st.floats(1, 5), st.floats(0, 3), st.sampled_from(["pdf", "cdf"]), st.booleans())
@settings(max_examples=80, deadline=None)
def test_labels_are_distributions_with_the_mean(mean, sd, kind, renormalise):
    labels, interpolated = soft_labels(np.array([mean]), np.array([sd]), low=1.0, high=5.0, kind=kind, renormalise=renormalise)
    level = np.arange(1, 6)
    assert (labels >= 0).all() and abs(labels.sum() - 1) < (1e-12 if renormalise or interpolated else 0.2)
    if interpolated or not (labels == 0).any():
        assert abs((labels * level).sum() - mean) < 1e-9
    elif not renormalise:
        assert abs((labels * level).sum() - mean) <= 0.1


@pytest.mark.parametrize("kind", ["pdf", "cdf"])
@pytest.mark.parametrize("levels", [2, 4, 5, 10])
def test_the_middle_of_the_scale_is_a_limit_and_not_a_hole(kind, levels):
    middle = (levels + 1) / 2
    around = np.array([middle - 1e-4, middle - 1e-7, middle, middle + 1e-7, middle + 1e-4])
    labels, interpolated = soft_labels(around, np.full(5, 0.7), levels, low=1, high=levels, kind=kind)
    assert not interpolated.any()
    np.testing.assert_allclose(labels, np.broadcast_to(labels[0], labels.shape), atol=1e-3)
    np.testing.assert_allclose(labels[2], labels[2][::-1], atol=1e-12)
    np.testing.assert_allclose(labels @ np.arange(1, levels + 1), around, atol=1e-9)


def test_ends_of_the_scale_and_no_spread():
    labels, interpolated = soft_labels(torch.tensor([1.0, 5.0, 3.0]), torch.zeros(3))
    assert interpolated.all() and labels.dtype == torch.float32
    torch.testing.assert_close(labels, torch.eye(5)[[0, 4, 2]])


@pytest.mark.parametrize("kind", ["pdf", "cdf"])
def test_a_spread_without_end_is_a_parabola(kind):
    """The limit: a (x - m)^2 + b with sum 1 and mean m; the published recipe divides rounding errors there."""
    m, x = 3.4, np.arange(1.0, 6)
    system = np.array([[((x - m) ** 2).sum(), 5], [(x * (x - m) ** 2).sum(), x.sum()]])
    a, b = np.linalg.solve(system, [1, m])
    labels, interpolated = soft_labels(np.full(3, m), np.array([1e3, 1e8, 1e300]), low=1, high=5, kind=kind, max_error=5.0)
    assert not interpolated.any()
    np.testing.assert_allclose(labels, np.broadcast_to(np.maximum(a * (x - m) ** 2 + b, 0), (3, 5)), atol=1e-4)


LOGITS = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
LABELS[0, 1] = 0
COLUMNS = torch.tensor([7, 0, 3])


def test_kl_spreads_labels_over_the_vocabulary_without_doing_so():
    logits, other = LOGITS.clone().requires_grad_(), LOGITS.clone().requires_grad_()
    spread = torch.zeros(4, 9, dtype=torch.float64).index_copy(1, COLUMNS, LABELS)
    got = soft_label_kl(logits, LABELS, COLUMNS)
    expected = torch.nn.functional.kl_div(torch.log_softmax(other, 1), spread, reduction="batchmean")
    got.backward(), expected.backward()
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(logits.grad, other.grad)
    torch.testing.assert_close(soft_label_kl(LOGITS, spread), got)
    softmax = torch.softmax(LOGITS, 1)
    torch.testing.assert_close(logits.grad, (softmax * LABELS.sum(1, keepdim=True) - spread) / 4)
    assert torch.autograd.gradcheck(lambda z: soft_label_kl(z, LABELS, COLUMNS, reduction="none"), logits)


def test_kl_at_the_extremes():
    logits = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    loss = soft_label_kl(logits, torch.tensor([[0.0, 0.0, 1.0]]))
    loss.backward()
    assert loss.item() == 2e4 and logits.grad.tolist() == [[1, 0, -1]]


def items(n=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    predicted, mean = (torch.randn(n, dtype=torch.float64, generator=generator) for _ in range(2))
    return predicted, 2 * mean, 0.2 + torch.rand(n, dtype=torch.float64, generator=generator)


def fidelity(predicted, mean, sd, pairs, predicted_sd=None):
    """Each pair by the normal distribution of torch, differentiable."""
    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    total = 0 * predicted.sum()
    for i, j in pairs:
        spread = 2**0.5 if predicted_sd is None else (predicted_sd[i] ** 2 + predicted_sd[j] ** 2).sqrt()
        t = normal.cdf((mean[i] - mean[j]) / (sd[i] ** 2 + sd[j] ** 2).sqrt())
        h = normal.cdf((predicted[i] - predicted[j]) / spread)
        total = total + 1 - (t * h).sqrt() - ((1 - t) * (1 - h)).sqrt()
    return total


@pytest.mark.parametrize("chunk", [1 << 18, 7, 1])
@pytest.mark.parametrize("case", ["all", "groups", "pairs", "spread"])
def test_fidelity_is_the_sum_over_pairs(monkeypatch, chunk, case):
    monkeypatch.setattr("corelib.losses.quality._CHUNK", chunk)
    predicted, mean, sd = items()
    options, pairs = {}, list(itertools.combinations(range(9), 2))
    if case == "groups":
        options["groups"] = torch.tensor([3, 1, 3, 7, 1, 3, 3, 1, 9])
        pairs = [(i, j) for i, j in pairs if options["groups"][i] == options["groups"][j]]
    elif case == "pairs":
        pairs = [(0, 1), (5, 2), (0, 1), (4, 4), (8, 0), (1, 7), (6, 3), (2, 0)]
        options["pairs"] = torch.tensor(pairs)
    elif case == "spread":
        options["predicted_sd"] = sd.flip(0)
    ours, theirs = predicted.clone().requires_grad_(), predicted.clone().requires_grad_()
    got = thurstone_fidelity_loss(ours, mean, sd, **options)
    expected = fidelity(theirs, mean, sd, pairs, options.get("predicted_sd")) / len(pairs)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-13)
    (2 * got).backward(), (2 * expected).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(thurstone_fidelity_loss(predicted, mean, sd, **options, reduction="sum"), got.detach() * len(pairs))


def test_fidelity_gradcheck():
    predicted, mean, sd = items(5)
    assert torch.autograd.gradcheck(lambda x: thurstone_fidelity_loss(x, mean, sd), predicted.requires_grad_())


@pytest.mark.parametrize("wrong_by", [3.0, 12.0, 40.0])
def test_fidelity_where_probabilities_reach_zero_and_one(wrong_by):
    """A pair predicted wrong with certainty, against arbitrary precision; the textbook formula gives NaN there."""
    predicted = torch.tensor([-wrong_by, wrong_by], dtype=torch.float64, requires_grad=True)
    loss = thurstone_fidelity_loss(predicted, *torch.tensor([[1.0, 0.0], [0.3, 0.4]], dtype=torch.float64))
    loss.backward()
    with mpmath.workdps(60):
        b = -mpmath.mpf(wrong_by) * mpmath.sqrt(2)
        said, true = mpmath.erfc(-b / mpmath.sqrt(2)) / 2, mpmath.ncdf(2)
        expected = 1 - mpmath.sqrt(said * true) - mpmath.sqrt((1 - said) * (1 - true))
        density = mpmath.npdf(b) / mpmath.sqrt(2)
        slope = (-mpmath.sqrt(true / said) + mpmath.sqrt((1 - true) / (1 - said))) / 2 * density
    assert loss.item() == pytest.approx(float(expected), rel=1e-13)
    assert predicted.grad[0].item() == pytest.approx(float(slope), rel=1e-9) and predicted.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fidelity_without_any_spread_of_opinion(dtype):
    predicted = torch.tensor([1e4, -1e4, -1e4, 0.0], dtype=dtype, requires_grad=True)
    mean = torch.tensor([3.0, 2.0, 2.0, 4.0], dtype=dtype)
    pairs = torch.tensor([[0, 1], [1, 2], [0, 3]])
    loss = thurstone_fidelity_loss(predicted, mean, torch.zeros(4, dtype=dtype), pairs=pairs, reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(1.0, abs=1e-7) and predicted.grad.isfinite().all()


def test_no_pair_is_no_loss():
    predicted, mean, sd = items(3)
    predicted.requires_grad_()
    loss = thurstone_fidelity_loss(predicted, mean, sd, groups=torch.arange(3))
    loss.backward()
    assert loss == 0 and (predicted.grad == 0).all()
    assert thurstone_fidelity_loss(predicted[:1], mean[:1], sd[:1]) == 0
    assert thurstone_fidelity_loss(predicted, mean, sd, pairs=torch.zeros(0, 2, dtype=torch.int64)) == 0


def test_numpy_in_numpy_out():
    predicted, mean, sd = (x.float().numpy()[::-1] for x in items())
    assert isinstance(thurstone_fidelity_loss(predicted, mean, sd, groups=np.zeros(9, dtype=np.int64)), float)
    losses = soft_label_kl(LOGITS.float().numpy(), LABELS.float().numpy(), COLUMNS.numpy(), reduction="none")
    assert isinstance(losses, np.ndarray) and losses.dtype == np.float32


MEAN, SD = torch.tensor([1.0, 5.0]), torch.tensor([0.5, 0.5])
PREDICTED, PAIRS = torch.tensor([0.1, 0.2]), torch.tensor([[0, 1]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: soft_labels(MEAN.int(), SD), TypeError, "mean must be float32 or float64; got int32"),
        (lambda: soft_labels(MEAN, SD[:1]), ValueError, "sd must have the shape of mean"),
        (lambda: soft_labels(MEAN, -SD), ValueError, "sd must not be negative; the smallest is -0.5"),
        (lambda: soft_labels(MEAN * math.nan, SD), ValueError, "mean must be finite"),
        (lambda: soft_labels(MEAN[:1], SD[:1]), ValueError, "high must be greater than low; got 1.0 and 1.0"),
        (lambda: soft_labels(MEAN, SD, low=2), ValueError, r"mean must lie in low..high, 2.0..5.0; got 1.0..5.0"),
        (lambda: soft_labels(MEAN, SD, 1), ValueError, "levels must be at least 2"),
        (lambda: soft_labels(MEAN, SD, kind="logistic"), ValueError, "kind must be one of 'pdf', 'cdf'"),
        (lambda: soft_labels(MEAN, SD, min_sd=0.0), ValueError, "min_sd must be greater than 0"),
        (lambda: soft_labels(MEAN, SD, renormalise=1), TypeError, "renormalise must be True or False"),
        (lambda: soft_label_kl(LOGITS, LABELS), ValueError, r"labels must have shape \(4, 9\), one label per column of logits"),
        (lambda: soft_label_kl(LOGITS, LABELS.float(), COLUMNS), TypeError, "labels and logits must have the same dtype"),
        (lambda: soft_label_kl(LOGITS, -LABELS, COLUMNS), ValueError, "labels must not be negative"),
        (lambda: soft_label_kl(LOGITS, LABELS, COLUMNS + 2), ValueError, r"columns must lie in 0..8; got 2..9"),
        (lambda: soft_label_kl(LOGITS, LABELS, COLUMNS[None]), ValueError, "columns must be 1-dimensional"),
        (lambda: soft_label_kl(LOGITS, LABELS.clone().requires_grad_(), COLUMNS), ValueError, "labels must not require a gradient"),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN[:1], SD), ValueError, "mean must have the shape of predicted"),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN.double(), SD), TypeError, "mean and predicted must have the same dtype"),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN, -SD), ValueError, "sd must not be negative"),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, predicted_sd=SD * 0), ValueError, "predicted_sd must be greater than 0"),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, pairs=PAIRS, groups=PAIRS[0]), ValueError, "must not be given together"),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, pairs=PAIRS.T), ValueError, r"pairs must have shape \(P, 2\)"),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, pairs=PAIRS + 1), ValueError, r"pairs must lie in 0..1; got 1..2"),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, groups=PAIRS), ValueError, r"groups must have shape \(2,\)"),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, reduction="none"), ValueError, "reduction must be one of 'mean', 'sum'"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

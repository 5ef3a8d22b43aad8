"""Opinion scores: pair by pair with the normal distribution of torch, arbitrary precision at the extremes."""

import itertools

import mpmath
import numpy as np
import pytest
import torch

from corelib.losses import thurstone_fidelity_loss


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
    monkeypatch.setattr("corelib.losses.preferences.thurstone._CHUNK", chunk)
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
    torch.testing.assert_close(
        thurstone_fidelity_loss(predicted, mean, sd, **options, reduction="sum"), got.detach() * len(pairs)
    )


def test_fidelity_gradcheck():
    predicted, mean, sd = items(5)
    assert torch.autograd.gradcheck(
        lambda x: thurstone_fidelity_loss(x, mean, sd), predicted.requires_grad_()
    )


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
    assert (
        predicted.grad[0].item() == pytest.approx(float(slope), rel=1e-9) and predicted.grad.isfinite().all()
    )


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


MEAN, SD = torch.tensor([1.0, 5.0]), torch.tensor([0.5, 0.5])
PREDICTED, PAIRS = torch.tensor([0.1, 0.2]), torch.tensor([[0, 1]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: thurstone_fidelity_loss(PREDICTED, MEAN[:1], SD),
            ValueError,
            "mean must have the shape of predicted",
        ),
        (
            lambda: thurstone_fidelity_loss(PREDICTED, MEAN.double(), SD),
            TypeError,
            "mean and predicted must have the same dtype",
        ),
        (lambda: thurstone_fidelity_loss(PREDICTED, MEAN, -SD), ValueError, "sd must not be negative"),
        (
            lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, predicted_sd=SD * 0),
            ValueError,
            "predicted_sd must be greater than 0",
        ),
        (
            lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, pairs=PAIRS, groups=PAIRS[0]),
            ValueError,
            "must not be given together",
        ),
        (
            lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, pairs=PAIRS.T),
            ValueError,
            r"pairs must have shape \(P, 2\)",
        ),
        (
            lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, pairs=PAIRS + 1),
            ValueError,
            r"pairs must lie in 0..1; got 1..2",
        ),
        (
            lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, groups=PAIRS),
            ValueError,
            r"groups must have shape \(2,\)",
        ),
        (
            lambda: thurstone_fidelity_loss(PREDICTED, MEAN, SD, reduction="none"),
            ValueError,
            "reduction must be one of 'mean', 'sum'",
        ),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

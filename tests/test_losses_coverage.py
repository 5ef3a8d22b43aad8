"""Direct coverage optimisation against arbitrary precision, from p = 1e-300 to p = 1 - 1e-300."""

import math

import mpmath
import numpy as np
import pytest
import torch

from corelib.losses import coverage, dco_loss

LOGS = [-1e4, -1e3, -745.5, -690.0, -100.0, -37.0, -20.1, -19.9, -10.0, -5.0, -0.8, -math.log(2), -0.6, -0.1, -1e-8, -1e-17, -1e-300, 0.0]
COUNTS = [1, 2, 3, 16, 256, 4096, 10**6, 10**12]


def exact(log_probability, n):
    """Loss and factor F with 700 digits, so that 1 - exp(-1e-300) has some."""
    with mpmath.workdps(700):
        p = mpmath.exp(mpmath.mpf(log_probability))
        covered = 1 - (1 - p) ** n
        loss = -mpmath.log(covered) if p > mpmath.mpf(10) ** -300 else -mpmath.mpf(log_probability) - mpmath.log(n)
        factor = n * (1 - p) ** (n - 1) * p / covered if p > mpmath.mpf(10) ** -300 else mpmath.mpf(1)
        return float(loss), float(factor)


@pytest.mark.parametrize("n", COUNTS)
def test_loss_and_factor_have_all_their_digits(n):
    log_probability = torch.tensor(LOGS, dtype=torch.float64, requires_grad=True)
    losses = dco_loss(log_probability, n, reduction="none")
    losses.sum().backward()
    for value, slope, logp in zip(losses.tolist(), log_probability.grad.tolist(), LOGS):
        loss, factor = exact(logp, n)
        assert value == pytest.approx(loss, rel=1e-13, abs=1e-300), logp
        assert -slope == pytest.approx(factor, rel=4e-13 * max(1, abs(math.log(factor or 1))), abs=1e-300), logp


def test_one_sample_is_the_cross_entropy():
    log_probability = torch.tensor(LOGS, dtype=torch.float64, requires_grad=True)
    losses = dco_loss(log_probability, 1, reduction="none")
    losses.sum().backward()
    torch.testing.assert_close(losses, -log_probability.detach(), rtol=1e-13, atol=0)
    assert (log_probability.grad == -1).all()


def test_the_factor_has_no_jump():
    """The small-probability branch of the published code jumps by 1e-4 at n p = 0.1."""
    for n in (16, 256, 4096):
        log_probability = (torch.linspace(0.0999, 0.1001, 401, dtype=torch.float64) / n).log().requires_grad_()
        dco_loss(log_probability, n, reduction="sum").backward()
        assert log_probability.grad.diff().abs().max() < 1e-6


@pytest.mark.parametrize("n", [1, 2, 64])
def test_gradcheck(n):
    log_probability = torch.tensor([-6.0, -2.0, -0.5, -0.01], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: dco_loss(x, n, reduction="none"), log_probability)


def test_float32_is_computed_in_float64():
    log_probability = torch.tensor([-80.0, -30.0, -1e-6], requires_grad=True)
    losses = dco_loss(log_probability, 1000, reduction="none")
    losses.sum().backward()
    assert losses.dtype == torch.float32 and log_probability.grad.dtype == torch.float32
    expected = torch.tensor([80 - math.log(1000), 30 - math.log(1000), 0.0])
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(log_probability.grad, torch.tensor([-1.0, -1.0, 0.0]))


def test_coverage_is_the_mean_over_answers_for_each_n():
    p = np.array([0.5, 0.1, 1e-9, 1.0])
    got = coverage(np.log(p), [1, 5, 10**9])
    with mpmath.workdps(50):
        expected = [float(sum(1 - (1 - mpmath.mpf(x)) ** n for x in p) / 4) for n in (1, 5, 10**9)]
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert coverage(np.log(p), 5) == got[1]
    assert coverage(torch.tensor([-800.0, 0.0]), 7) == 0.5


def test_loss_of_one_answer_is_minus_the_log_of_its_coverage():
    log_probability = torch.tensor([-3.0], dtype=torch.float64)
    torch.testing.assert_close(dco_loss(log_probability, 9), -coverage(log_probability, 9).log())


LOGP = torch.tensor([-1.0, -2.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dco_loss([-1.0], 2), TypeError, "log_probability must be a torch.Tensor"),
        (lambda: dco_loss(LOGP[:0], 2), ValueError, "log_probability must not be empty"),
        (lambda: dco_loss(LOGP - math.inf, 2), ValueError, "log_probability must be finite"),
        (lambda: dco_loss(-LOGP, 2), ValueError, "log_probability must not be greater than 0; got 2.0"),
        (lambda: dco_loss(LOGP, 0), ValueError, "n must be at least 1; got 0"),
        (lambda: dco_loss(LOGP, 2.0), TypeError, "n must be an integer; got float"),
        (lambda: dco_loss(LOGP, 2, reduction="max"), ValueError, "reduction must be one of"),
        (lambda: coverage(LOGP, [1, 0]), ValueError, "n must be at least 1; got 0"),
        (lambda: coverage(LOGP, 1.5), TypeError, "n must be an integer"),
        (lambda: coverage(LOGP[None], 1), ValueError, "log_probability must be 1-dimensional"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Entropies against scipy and arbitrary precision; the mixture of heads from its definition; refusals."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from corelib.losses import entropy_weighted_mixture, softmax_entropy


def random(*shape, seed=0, scale=2.0):
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(5,), (7, 4), (3, 2, 6), (4, 1)])
def test_entropy_agrees_with_scipy(shape):
    logits = random(*shape)
    expected = scipy_entropy(softmax(logits.numpy(), -1), axis=-1)
    np.testing.assert_allclose(softmax_entropy(logits), expected, rtol=1e-12, atol=1e-15)


def exact(logits):
    with mpmath.workdps(60):
        powers = [mpmath.exp(mpmath.mpf(x)) for x in logits]
        p = [x / sum(powers) for x in powers]
        return float(-sum(x * mpmath.log(x) for x in p))


@pytest.mark.parametrize("logits", [[50.0, 0.0], [700.0, 0.0, 1.0], [1e-9, 0.0], [30.0, 30.0, 0.0], [0.0, -36.0, -37.0]])
def test_entropy_keeps_its_digits_however_sure_it_is(logits):
    assert softmax_entropy(np.array(logits)) == pytest.approx(exact(logits), rel=1e-13)
    if max(logits) < 90:
        assert softmax_entropy(np.array(logits, dtype=np.float32)) == pytest.approx(exact(logits), rel=1e-5)


def test_entropy_of_one_hot_and_excluded_classes():
    logits = torch.tensor([[1e4, 0.0, -1e4], [0.0, -math.inf, 0.0], [-math.inf, 3.0, -math.inf]], requires_grad=True)
    entropy = softmax_entropy(logits)
    entropy.sum().backward()
    torch.testing.assert_close(entropy, torch.tensor([0.0, math.log(2), 0.0]))
    assert logits.grad.isfinite().all() and (logits.grad[1:].abs() < 1e-7).all()


def test_entropy_gradcheck():
    assert torch.autograd.gradcheck(softmax_entropy, random(3, 5).requires_grad_())
    assert torch.autograd.gradcheck(softmax_entropy, random(2, 3, 4).requires_grad_())


def test_entropy_gradient_keeps_its_digits_where_the_entropy_is_tiny():
    logits = torch.tensor([40.0, 0.0, -1.0], dtype=torch.float64, requires_grad=True)
    softmax_entropy(logits).backward()
    with mpmath.workdps(60):
        def value(x):
            powers = [mpmath.exp(x), mpmath.mpf(1), mpmath.exp(-1)]
            p = [y / sum(powers) for y in powers]
            return -sum(y * mpmath.log(y) for y in p)

        expected = float(mpmath.diff(value, 40))
    assert logits.grad[0].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 5.0])
def test_mixture_is_its_definition(gamma):
    logits = random(4, 6, 3)
    p = softmax(logits.numpy(), -1)
    w = scipy_entropy(p, axis=-1) ** -gamma
    w /= w.sum(0)
    mixture, weights = entropy_weighted_mixture(logits, gamma)
    np.testing.assert_allclose(weights, w, rtol=1e-11)
    np.testing.assert_allclose(mixture, (w[..., None] * p).sum(0), rtol=1e-11)


def test_mixture_gradcheck():
    logits = random(3, 2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: entropy_weighted_mixture(z, 1.5), logits)


@pytest.mark.parametrize("gamma", [1.0, 50.0, 1e6])
def test_surer_heads_win_even_when_all_are_all_but_certain(gamma):
    logits = torch.tensor([[[200.0, 0.0]], [[300.0, 0.0]], [[1.0, 0.0]]], requires_grad=True)
    mixture, weights = entropy_weighted_mixture(logits, gamma)
    mixture[0, 0].backward()
    assert weights.argmax(0) == 1 and weights[1] > 1 - 1e-6
    assert torch.allclose(mixture.sum(1), torch.ones(1)) and logits.grad.isfinite().all()


def test_heads_without_any_doubt_share_the_weight():
    logits = torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]], [[0.0, 0.0]]])
    mixture, weights = entropy_weighted_mixture(logits)
    torch.testing.assert_close(weights[:, 0], torch.tensor([0.5, 0.5, 0.0]))
    torch.testing.assert_close(mixture, torch.tensor([[0.5, 0.5]]))


def test_numpy_in_numpy_out():
    logits = random(3, 4, 5).float().numpy()[::-1, :, ::2]
    assert softmax_entropy(logits).dtype == np.float32
    mixture, weights = entropy_weighted_mixture(logits)
    assert isinstance(mixture, np.ndarray) and mixture.dtype == weights.dtype == np.float32
    assert isinstance(softmax_entropy(logits[0, 0]), float)


LOGITS = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: softmax_entropy([0.0]), TypeError, "logits must be a torch.Tensor"),
        (lambda: softmax_entropy(LOGITS[:0]), ValueError, "logits must not be empty"),
        (lambda: softmax_entropy(LOGITS[None]), ValueError, "logits must be 1-dimensional or 2-dimensional or 3-dimensional"),
        (lambda: softmax_entropy(LOGITS * math.nan), ValueError, "logits must not be NaN"),
        (lambda: softmax_entropy(LOGITS + math.inf), ValueError, "logits must not be NaN or .inf"),
        (lambda: softmax_entropy(LOGITS - math.inf), ValueError, "nor -inf for all classes of a row"),
        (lambda: entropy_weighted_mixture(LOGITS[0]), ValueError, "logits must be 3-dimensional"),
        (lambda: entropy_weighted_mixture(LOGITS, -1.0), ValueError, "gamma must not be negative; got -1.0"),
        (lambda: entropy_weighted_mixture(LOGITS, math.inf), ValueError, "gamma must be finite"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

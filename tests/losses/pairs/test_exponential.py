"""The exponential loss beyond what it shares with the other pair losses (test_hinge.py): far scores, its factors."""

import math

import numpy as np
import pytest
import torch

from corelib.losses import pairwise_exponential_loss

rng = np.random.default_rng(11)
POS, NEG = rng.normal(1, 2, 7), rng.normal(-1, 2, 9)


@pytest.mark.parametrize("tau", [0.3, 1.0, 40.0])
def test_it_is_the_mean_over_pairs(backend, tau):
    pairs = np.exp((NEG[None, :].astype(np.longdouble) - POS[:, None] + 0.2) / tau)
    value = pairwise_exponential_loss(POS, NEG, tau, margin=0.2)
    assert value == pytest.approx(float(pairs.mean()), rel=1e-13)


def test_factors_may_overflow_where_their_product_does_not(backend):
    assert pairwise_exponential_loss(POS + 5000, NEG + 5000) == pytest.approx(
        pairwise_exponential_loss(POS, NEG), rel=1e-11
    )


@pytest.mark.parametrize(("dtype", "reach"), [(np.float32, 88.0), (np.float64, 709.0)])
def test_overflow_begins_where_the_dtype_ends(backend, dtype, reach):
    apart = np.array([reach], dtype=dtype)
    assert math.isfinite(pairwise_exponential_loss(np.zeros(1, dtype), apart))
    with pytest.raises(ValueError, match="pos and neg lie too far apart"):
        pairwise_exponential_loss(np.zeros(1, dtype), apart + 1)


def test_the_gradient_of_a_side_is_its_share_of_the_loss(backend):
    pos, neg = (torch.tensor(side, requires_grad=True) for side in (POS, NEG))
    loss = pairwise_exponential_loss(pos, neg, 0.5)
    loss.backward()
    share = torch.softmax(neg.detach() / 0.5, 0)
    torch.testing.assert_close(neg.grad, share * loss.detach() / 0.5)
    assert (pos.grad.sum() + neg.grad.sum()).abs() < 1e-12 * loss

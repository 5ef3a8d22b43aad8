"""Diversity of an ensemble's features: a loop over classes and pairs, degenerate members, refusals."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from corelib.losses import pairwise_diversity_loss


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 2, 3), (5, 1, 7)])
def test_loss_is_the_mean_over_pairs(shape):
    features = random(*shape)
    pairs = list(itertools.combinations(range(shape[0]), 2))
    expected = [
        sum(F.cosine_similarity(features[i, c], features[j, c], dim=0) ** 2 for i, j in pairs) / len(pairs) for c in range(shape[1])
    ]
    torch.testing.assert_close(pairwise_diversity_loss(features, reduction="none"), torch.stack(expected))
    torch.testing.assert_close(pairwise_diversity_loss(features), torch.stack(expected).mean())


def test_gradcheck():
    assert torch.autograd.gradcheck(pairwise_diversity_loss, random(3, 2, 4).requires_grad_())


def test_nearly_orthogonal_members_keep_their_digits_in_float32():
    features = torch.tensor([[[1.0, 0.0]], [[1e-10, 1.0]]])
    assert pairwise_diversity_loss(features).item() == pytest.approx(1e-20, rel=1e-5)


def test_equal_zero_and_single_members():
    equal = random(1, 2, 3).expand(4, 2, 3).clone().requires_grad_()
    loss = pairwise_diversity_loss(equal)
    loss.backward()
    torch.testing.assert_close(loss, torch.ones_like(loss))
    assert equal.grad.abs().max() < 1e-15
    zero = torch.zeros(3, 2, 4, requires_grad=True)
    pairwise_diversity_loss(zero).backward()
    assert (zero.grad == 0).all()
    assert pairwise_diversity_loss(random(1, 2, 3)) == 0


def test_numpy_in_numpy_out():
    losses = pairwise_diversity_loss(random(3, 4, 5).float().numpy()[:, ::-1], reduction="none")
    assert isinstance(losses, np.ndarray) and losses.dtype == np.float32 and losses.shape == (4,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pairwise_diversity_loss(random(2, 3)), ValueError, "features must be 3-dimensional"),
        (lambda: pairwise_diversity_loss(random(0, 2, 3)), ValueError, "features must not be empty"),
        (lambda: pairwise_diversity_loss(random(2, 2, 3) * math.nan), ValueError, "features must be finite"),
        (lambda: pairwise_diversity_loss(random(2, 2, 3), reduction="max"), ValueError, "reduction must be one of"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

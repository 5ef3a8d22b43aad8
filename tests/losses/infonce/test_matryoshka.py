"""InfoNCE over prefixes: the sum of the single losses, whatever the lengths of the embeddings."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from corelib.losses import info_nce, matryoshka_info_nce

GENERATOR = torch.Generator().manual_seed(0)
Q, K = (torch.randn(n, 8, generator=GENERATOR, dtype=torch.float64) for n in (9, 12))


def by_hand(q, k, prefixes, temperature, weights, normalize):
    total = 0.0
    for width, weight in zip(prefixes, weights, strict=True):
        a, b = q[:, :width], k[:, :width]
        if normalize:
            a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
        total = total + weight * F.cross_entropy(a @ b.T / temperature, torch.arange(len(q)))
    return total


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    ("prefixes", "weights"), [((2, 5, 8), (0.1, 0.3, 1.0)), ([3], None), (range(1, 9), None)]
)
def test_sum_over_prefixes(prefixes, weights, normalize):
    q, k = Q.clone().requires_grad_(), K.clone().requires_grad_()
    value = matryoshka_info_nce(q, k, prefixes, 0.4, weights=weights, normalize=normalize)
    expected = by_hand(q, k, prefixes, 0.4, weights or [1.0] * len(prefixes), normalize)
    np.testing.assert_allclose(value.item(), expected.item(), rtol=1e-12)
    for a, b in zip(torch.autograd.grad(value, (q, k)), torch.autograd.grad(expected, (q, k)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


def test_gradcheck():
    leaves = [Q.clone().requires_grad_(), K.clone().requires_grad_()]
    assert torch.autograd.gradcheck(lambda q, k: matryoshka_info_nce(q, k, (3, 8), 0.4), leaves)


def test_the_length_of_an_embedding_does_not_matter_if_normalized():
    scale = torch.logspace(-100, 100, 9, dtype=torch.float64)[:, None]
    assert matryoshka_info_nce(scale * Q, K, (2, 8)).item() == pytest.approx(
        matryoshka_info_nce(Q, K, (2, 8)).item(), rel=1e-12
    )


def test_options_reach_info_nce():
    ids, labels = torch.arange(12) % 5, torch.arange(9) // 2
    mask = torch.eye(9, 12, dtype=torch.bool).roll(1, 1)
    for options in ({"labels": labels, "key_ids": ids, "mask": mask}, {"symmetric": True}):
        a, b = F.normalize(Q[:, :4]), F.normalize(K[:, :4])
        assert matryoshka_info_nce(Q, K, (4,), 0.3, **options).item() == pytest.approx(
            info_nce(a, b, 0.3, **options).item(), rel=1e-12
        )


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"prefixes": 4}, TypeError, "prefixes must be a sequence of integers; got int"),
        ({"prefixes": "4"}, TypeError, "prefixes must be a sequence of integers; got str"),
        ({"prefixes": (2.0, 8)}, TypeError, r"prefixes\[0\] must be an integer; got float"),
        ({"prefixes": ()}, ValueError, r"prefixes must be strictly ascending numbers in 1..8, .* got \[\]"),
        ({"prefixes": (4, 4)}, ValueError, r"prefixes must be strictly ascending .* got \[4, 4\]"),
        ({"prefixes": (4, 9)}, ValueError, r"prefixes must be strictly ascending numbers in 1..8"),
        ({"prefixes": (0, 9)}, ValueError, r"prefixes\[0\] must be at least 1; got 0"),
        ({"prefixes": (4, 8), "weights": (1.0,)}, ValueError, "weights must be 2 numbers of at least 0"),
        ({"prefixes": (4, 8), "weights": (1.0, -1)}, ValueError, "weights must be 2 numbers of at least 0"),
        (
            {"prefixes": (4, 8), "weights": 1.0},
            TypeError,
            "weights must be a sequence of real numbers; got float",
        ),
        ({"prefixes": (8,), "normalize": 1}, TypeError, "normalize must be True or False; got int"),
    ],
)
def test_refuses(kwargs, error, message):
    with pytest.raises(error, match=message):
        matryoshka_info_nce(Q, K, **kwargs)

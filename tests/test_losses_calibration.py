"""The cosine adapter's loss: torch's own cross-entropy and autograd as oracles, saturated logits, the families of maps."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from corelib.losses import cosine_adapter_loss


def problem(queries=5, candidates=7, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(*shape, dtype=torch.float64, generator=generator)

    return {
        "cosines": uniform(0.05, 1, queries, candidates),
        "labels": (uniform(0, 1, queries, candidates) < 0.3).double(),
        "slope": uniform(0.5, 30, queries),
        "offset": uniform(-20, 2, queries),
        "power": uniform(0.2, 4, queries),
    }


def composed(cosines, labels, slope, offset, power):
    """The formula, step by step in torch."""
    exponent = power[:, None] if isinstance(power, torch.Tensor) else power
    logits = slope[:, None] * cosines**exponent + offset[:, None]
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")


@settings(deadline=None, max_examples=40)
@given(queries=st.integers(1, 6), candidates=st.integers(1, 9), seed=st.integers(0, 10**6), power=st.sampled_from([None, 1.0, 0.5, 2.0]))
def test_loss_and_every_gradient_are_those_of_the_composed_formula(queries, candidates, seed, power):
    arguments = problem(queries, candidates, seed)
    if power is not None:
        arguments["power"] = power
    upstream = torch.rand(queries, candidates, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 0.3
    gradients = []
    for function in (lambda **kwargs: cosine_adapter_loss(**kwargs, reduction="none"), composed):
        leaves = {
            name: value.clone().requires_grad_()
            for name, value in arguments.items()
            if isinstance(value, torch.Tensor) and name != "labels"
        }
        loss = function(**arguments | leaves)
        gradients.append([loss.detach(), *torch.autograd.grad((loss * upstream).sum(), leaves.values())])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def test_gradcheck():
    arguments = problem(3, 4)
    labels = arguments.pop("labels")
    leaves = [value.requires_grad_() for value in arguments.values()]
    assert torch.autograd.gradcheck(lambda c, a, b, k: cosine_adapter_loss(c, labels, a, b, k), leaves)


def test_a_power_of_one_is_the_linear_map_and_allows_any_score():
    arguments = problem()
    linear = cosine_adapter_loss(**arguments | {"power": 1.0})
    torch.testing.assert_close(linear, cosine_adapter_loss(**arguments | {"power": torch.ones(5, dtype=torch.float64)}))
    shifted = cosine_adapter_loss(
        **arguments | {"power": 1, "cosines": arguments["cosines"] - 2, "offset": arguments["offset"] + 2 * arguments["slope"]}
    )
    torch.testing.assert_close(linear, shifted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saturated_probabilities_lose_nothing(dtype):
    """sigma(80) rounds to 1, and the loss of calling it wrong is still 80, of calling it right still e^-80."""
    one = torch.ones(1, dtype=dtype)
    slope = (80 * one).requires_grad_()
    loss = cosine_adapter_loss(torch.ones(1, 2, dtype=dtype), torch.tensor([[0, 1]]), slope, 0 * one, reduction="none")
    assert loss[0, 0] == 80
    assert loss[0, 1].item() == pytest.approx(math.exp(-80), rel=1e-5)
    loss.sum().backward()
    assert slope.grad.item() == 1


def test_reductions():
    arguments = problem()
    each = cosine_adapter_loss(**arguments, reduction="none")
    assert each.shape == (5, 7)
    torch.testing.assert_close(cosine_adapter_loss(**arguments, reduction="sum"), each.sum())
    torch.testing.assert_close(cosine_adapter_loss(**arguments), each.mean())


def test_numpy_answers_in_numpy_and_labels_may_be_of_any_type():
    arguments = {name: value.numpy() for name, value in problem().items()}
    expected = cosine_adapter_loss(**problem()).item()
    for dtype in (np.float64, np.int8, bool):
        got = cosine_adapter_loss(**arguments | {"labels": arguments["labels"].astype(dtype)})
        assert isinstance(got, float) and math.isclose(got, expected, rel_tol=1e-12)


def test_inputs_are_not_changed():
    arguments = problem()
    before = {name: value.clone() for name, value in arguments.items()}
    leaf = arguments["slope"].requires_grad_()
    cosine_adapter_loss(**arguments).backward()
    assert leaf.grad is not None
    for name, value in before.items():
        assert torch.equal(arguments[name].detach(), value), name


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"cosines": torch.zeros(5, 7, dtype=torch.float64)}, ValueError, r"cosines must lie in \[1e-06, 1\]"),
        ({"cosines": torch.full((5, 7), 1.1, dtype=torch.float64)}, ValueError, "cosines must lie in"),
        ({"power": torch.zeros(5, dtype=torch.float64)}, ValueError, "power must be greater than 0"),
        ({"power": -1.0}, ValueError, "power must be greater than 0"),
        ({"power": 101.0}, ValueError, "power must be greater than 0 and at most 100"),
        ({"power": "2"}, TypeError, "power must be a real number"),
        ({"slope": torch.ones(4, dtype=torch.float64)}, ValueError, r"slope must have shape \(5,\), one per query"),
        ({"offset": torch.ones(5)}, TypeError, "offset and cosines must have the same dtype"),
        ({"labels": torch.full((5, 7), 0.5)}, ValueError, "labels must hold zeros and ones"),
        ({"slope": torch.full((5,), 1.7e308, dtype=torch.float64), "offset": torch.full((5,), 1.7e308, dtype=torch.float64)}, ValueError, "slope and offset must be small enough"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        cosine_adapter_loss(**problem() | change)

"""Losses of many examples round alike on one thread and on four, and their reductions lose nothing on the way."""

import math

import pytest
import torch

from corelib import losses
from corelib.losses._reduction import reduce

N = 150_001
generator = torch.Generator().manual_seed(0)
VALUES, LISTS = torch.randn(N, generator=generator), torch.randn(9_000, 20, generator=generator)
LABELS, CLASSES = VALUES > 0, torch.randint(20, (9_000,), generator=generator)
GROUPS = torch.cat([torch.arange(0, N, 100), torch.tensor([N])])
CALLS = {
    "click_loss": lambda x: losses.click_loss(x, LABELS, torch.full_like(VALUES, 0.5)),
    "confusion_loss": lambda x: losses.confusion_loss(x, LABELS),
    "ordered_contrast_loss": lambda x: losses.ordered_contrast_loss(x, CLASSES.repeat(17)[:N], indptr=GROUPS),
    "preference_loss": lambda x: losses.preference_loss(x),
    "set_contrast_loss": lambda x: losses.set_contrast_loss(
        x, x.detach().flip(0), pos_indptr=GROUPS, neg_indptr=GROUPS
    ),
    "list_kl_loss": lambda x: losses.list_kl_loss(x[:150_000].view(-1, 3), VALUES[1:].view(-1, 3)),
}


@pytest.fixture
def restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", CALLS)
def test_value_and_gradient_do_not_depend_on_the_threads(restore_threads, name):
    results = []
    for threads in (1, 4):
        torch.set_num_threads(threads)
        values = VALUES.clone().requires_grad_()
        loss = CALLS[name](values)
        loss.backward()
        results.append((loss.detach(), values.grad))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize("n", [1, 4095, 4096, 4097, N])
def test_reductions_are_the_exact_sum(n):
    values = VALUES[:n].clone().requires_grad_()
    exact = math.fsum(values.tolist())
    assert reduce(values, "sum").item() == pytest.approx(exact, abs=2e-7 * values.abs().sum().item())
    mean = reduce(values, "mean")
    mean.backward()
    assert mean.dtype == torch.float32 and mean.item() == pytest.approx(exact / n, abs=2e-7)
    torch.testing.assert_close(values.grad, torch.full_like(values, 1 / n), rtol=1e-6, atol=0)
    assert reduce(values, "none") is values

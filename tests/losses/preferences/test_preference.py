"""Preferences: closed formulas, a dense log-softmax and a count over every beta as oracles; extremes and refusals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from corelib.losses import (
    preference_loss,
    sequence_log_probability,
)

KINDS = ("dpo", "ipo", "hinge")
MARGIN = torch.tensor([3.0, -1.0, 0.2, -7.5], dtype=torch.float64)
REFERENCE = torch.tensor([-2.0, -1.0, 4.0, 0.5], dtype=torch.float64)


def formula(u, beta, kind):
    """One loss in plain Python, by the textbook."""
    if kind == "dpo":
        return -math.log(1 / (1 + math.exp(-beta * u)))
    return (u - 1 / (2 * beta)) ** 2 if kind == "ipo" else max(0.0, 1 - beta * u)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("beta", "gamma", "smoothing"), [(0.1, 1.0, 0.0), (2.0, 0.0, 0.0), (0.5, 1.7, 0.2), (0.3, 1.0, 0.5)]
)
def test_values_are_the_formulas(kind, beta, gamma, smoothing):
    got = preference_loss(
        MARGIN, REFERENCE, beta=beta, gamma=gamma, kind=kind, label_smoothing=smoothing, reduction="none"
    )
    for value, m, r in zip(got.tolist(), MARGIN.tolist(), REFERENCE.tolist()):
        u = m - gamma * r
        expected = (1 - smoothing) * formula(u, beta, kind) + smoothing * formula(-u, beta, kind)
        assert value == pytest.approx(expected, rel=1e-13)


def test_reductions_and_default_reference():
    losses = preference_loss(MARGIN, reduction="none")
    torch.testing.assert_close(losses, preference_loss(MARGIN, torch.zeros_like(MARGIN), reduction="none"))
    torch.testing.assert_close(preference_loss(MARGIN), losses.mean())
    torch.testing.assert_close(preference_loss(MARGIN, reduction="sum"), losses.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind):
    margin = MARGIN.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m: preference_loss(m, REFERENCE, beta=0.4, gamma=0.7, kind=kind, label_smoothing=0.1), margin
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dpo_is_exact_where_the_sigmoid_is_zero_or_one(dtype):
    margin = torch.tensor([-1e4, 1e4, 500.0, -500.0], dtype=dtype, requires_grad=True)
    losses = preference_loss(margin, beta=1.0, reduction="none")
    losses.sum().backward()
    expected = torch.tensor([1e4, 0.0, math.exp(-500) if dtype == torch.float64 else 0.0, 500.0], dtype=dtype)
    torch.testing.assert_close(losses, expected, rtol=1e-15, atol=0)
    torch.testing.assert_close(margin.grad, -torch.sigmoid(-margin.detach()), rtol=1e-6, atol=0)


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(0.01, 5))
@settings(max_examples=60, deadline=None)
def test_theorem_of_the_source_links_loss_and_ranking(m, r, beta):
    """Theorem 4.1: the ranking is right if and only if the loss is at most -log sigmoid(-beta r)."""
    if abs(m) < 1e-9:
        return
    loss = preference_loss(np.array([m]), np.array([r]), beta=beta)
    threshold = preference_loss(np.array([-r]), beta=beta)
    assert (loss <= threshold) == (m >= 0) or math.isclose(loss, threshold, rel_tol=1e-12)


def sequences(B=3, T=5, V=7, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(B, T, V, dtype=dtype, generator=generator)
    targets = torch.randint(V, (B, T), generator=generator)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 1]], dtype=torch.bool)
    return logits, targets, mask


def dense(logits, targets, mask, average=False):
    tokens = torch.log_softmax(logits, -1).gather(-1, targets[..., None])[..., 0] * mask
    return tokens.sum(1) / (mask.sum(1) if average else 1)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("chunk", [1 << 20, 40, 1])
def test_sequences_agree_with_a_dense_log_softmax(monkeypatch, average, chunk):
    monkeypatch.setattr("corelib.losses.preferences.preference._CHUNK", chunk)
    logits, targets, mask = sequences()
    upstream = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    a, b = (
        sequence_log_probability(ours, targets, mask, average=average),
        dense(theirs, targets, mask, average),
    )
    (a * upstream).sum().backward(), (b * upstream).sum().backward()
    torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-14)


def test_sequences_take_shifted_views_and_no_mask():
    logits, targets, _ = sequences()
    view = logits[:, :-1].requires_grad_()
    assert not view.is_contiguous()
    full = torch.ones(3, 4, dtype=torch.bool)
    torch.testing.assert_close(
        sequence_log_probability(view, targets[:, 1:]), dense(view, targets[:, 1:], full)
    )
    assert torch.autograd.gradcheck(lambda z: sequence_log_probability(z, targets[:, 1:]), view)


def test_masked_tokens_may_hold_anything():
    logits, targets, mask = sequences()
    expected = dense(logits, targets, mask)
    logits[~mask], targets[~mask] = float("nan"), -100
    logits.requires_grad_()
    got = sequence_log_probability(logits, targets, mask)
    torch.testing.assert_close(got, expected)
    got.sum().backward()
    assert (logits.grad[~mask] == 0).all() and logits.grad[mask].isfinite().all()


def test_sequences_at_the_extremes():
    logits = torch.tensor(
        [[[1e4, 0.0, -1e4], [-math.inf, 0.0, 0.0]]], dtype=torch.float64, requires_grad=True
    )
    value = sequence_log_probability(logits, torch.tensor([[1, 2]]))
    value.sum().backward()
    assert value.item() == pytest.approx(-1e4 - math.log(2), rel=1e-15)
    torch.testing.assert_close(
        logits.grad, torch.tensor([[[-1.0, 1, 0], [0, -0.5, 0.5]]], dtype=torch.float64)
    )


def test_a_sequence_without_tokens_has_probability_one():
    logits, targets, mask = sequences()
    mask[1] = False
    assert sequence_log_probability(logits, targets, mask)[1] == 0
    with pytest.raises(
        ValueError, match="mask and ignore_index must leave a token of every sequence to average; 1 have none"
    ):
        sequence_log_probability(logits, targets, mask, average=True)


def test_backward_keeps_one_number_a_token():
    logits, targets, mask = sequences()
    logits = logits.requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        sequence_log_probability(logits, targets, mask)
    assert sum(t.numel() for t in saved if t.data_ptr() != logits.data_ptr()) <= 6 * targets.numel()


@pytest.mark.parametrize("kind", ["dpo", "ipo", "hinge"])
def test_beta_and_gamma_are_learned(kind):
    margin, reference = torch.tensor([[3.0, -1.0], [-2.0, -1.5]], dtype=torch.float64)
    constants = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.2, 0.7)]

    def loss(beta, gamma):
        return preference_loss(margin, reference, beta=beta, gamma=gamma, kind=kind, label_smoothing=0.1)

    assert loss(*constants).item() == loss(0.2, 0.7).item()
    assert torch.autograd.gradcheck(loss, constants)


@pytest.mark.parametrize("chunk", [1 << 20, 12])
def test_ignored_tokens_are_masked_tokens(monkeypatch, chunk):
    monkeypatch.setattr("corelib.losses.preferences.preference._CHUNK", chunk)
    logits, targets, mask = sequences()
    marked = targets.masked_fill(~mask, -100)
    expected = sequence_log_probability(logits, targets, mask, average=True)
    assert torch.equal(sequence_log_probability(logits, marked, ignore_index=-100, average=True), expected)
    everything = torch.ones_like(mask)
    assert torch.equal(
        sequence_log_probability(logits, marked, everything, ignore_index=-100, average=True), expected
    )
    marked[0, 0] = -1
    with pytest.raises(ValueError, match="targets must lie in 0"):
        sequence_log_probability(logits, marked, ignore_index=-100)


class LargestTensor(TorchDispatchMode):
    """Notes how many bytes the largest tensor has that an operation makes."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        for tensor in result if isinstance(result, tuple) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel() * tensor.element_size())
        return result


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_converted_by_blocks(monkeypatch, dtype):
    """Nothing is larger than the logits and their gradient: no copy in float32, forward or backward."""
    monkeypatch.setattr("corelib.losses.preferences.preference._CHUNK", 64)
    logits, targets, mask = sequences()
    logits = logits.to(dtype).requires_grad_()
    with LargestTensor() as seen:
        value = sequence_log_probability(logits, targets, mask)
        value.sum().backward()
    assert seen.largest == logits.numel() * 2
    single = logits.detach().float().requires_grad_()
    expected = sequence_log_probability(single, targets, mask)
    expected.sum().backward()
    assert value.dtype == torch.float32 and torch.equal(value, expected)
    assert torch.equal(logits.grad, single.grad.to(dtype))


def test_numpy_in_numpy_out_from_read_only_and_strided_arrays():
    margin = np.arange(8, dtype=np.float32)[::-2]
    margin.setflags(write=False)
    losses = preference_loss(margin, kind="hinge", beta=1.0, reduction="none")
    assert isinstance(losses, np.ndarray) and losses.dtype == np.float32
    np.testing.assert_array_equal(losses, np.maximum(0, 1 - margin))
    logits, targets, mask = sequences()
    assert isinstance(sequence_log_probability(logits.numpy(), targets.numpy(), mask.numpy()), np.ndarray)


LOGITS, TARGETS, MASK = sequences()
HALF = torch.full((4,), 0.75, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: preference_loss([1.0]),
            TypeError,
            "margin must be a torch.Tensor or a numpy.ndarray; got list",
        ),
        (
            lambda: preference_loss(MARGIN.int()),
            TypeError,
            "margin must hold floats of 16, 32 or 64 bits; got int32",
        ),
        (lambda: preference_loss(MARGIN[:0]), ValueError, r"margin must not be empty; got shape \(0,\)"),
        (lambda: preference_loss(MARGIN[None]), ValueError, "margin must be 1-dimensional"),
        (lambda: preference_loss(MARGIN / 0), ValueError, "margin must be finite; 4 of 4"),
        (
            lambda: preference_loss(MARGIN, REFERENCE[:2]),
            ValueError,
            r"reference_margin must have the shape of margin, \(4,\)",
        ),
        (
            lambda: preference_loss(MARGIN, REFERENCE.float()),
            TypeError,
            "reference_margin and margin must have the same dtype",
        ),
        (
            lambda: preference_loss(MARGIN, REFERENCE.clone().requires_grad_()),
            ValueError,
            "reference_margin must not require a gradient",
        ),
        (lambda: preference_loss(MARGIN, beta=0), ValueError, "beta must be greater than 0"),
        (lambda: preference_loss(MARGIN, gamma=math.nan), ValueError, "gamma must be finite"),
        (
            lambda: preference_loss(MARGIN, kind="rlhf"),
            ValueError,
            "kind must be one of 'dpo', 'ipo', 'hinge'; got 'rlhf'",
        ),
        (
            lambda: preference_loss(MARGIN, label_smoothing=0.6),
            ValueError,
            "label_smoothing must lie between 0 and 0.5; got 0.6",
        ),
        (lambda: preference_loss(MARGIN, reduction="max"), ValueError, "reduction must be one of"),
        (lambda: sequence_log_probability(LOGITS[0], TARGETS), ValueError, "logits must be 3-dimensional"),
        (lambda: sequence_log_probability(LOGITS[:0], TARGETS[:0]), ValueError, "logits must not be empty"),
        (
            lambda: sequence_log_probability(LOGITS, TARGETS.float()),
            TypeError,
            "targets must hold integers; got float32",
        ),
        (
            lambda: sequence_log_probability(LOGITS, TARGETS[:, 1:]),
            ValueError,
            r"targets must have shape \(3, 5\); got \(3, 4\)",
        ),
        (lambda: sequence_log_probability(LOGITS, TARGETS + 3), ValueError, r"targets must lie in 0..6"),
        (
            lambda: sequence_log_probability(LOGITS, TARGETS, MASK.int()),
            TypeError,
            "mask must be bool; got int32",
        ),
        (
            lambda: sequence_log_probability(LOGITS, TARGETS, MASK[:2]),
            ValueError,
            r"mask must have shape \(\d, \d\); got \(2, \d\)",
        ),
        (lambda: sequence_log_probability(LOGITS * math.nan, TARGETS), ValueError, "logits must not be NaN"),
        (
            lambda: sequence_log_probability(LOGITS + math.inf, TARGETS),
            ValueError,
            "logits must not be NaN or .inf",
        ),
        (
            lambda: sequence_log_probability(
                LOGITS.index_fill(2, 1 + TARGETS[0, :1] % 6, math.inf), TARGETS, MASK
            ),
            ValueError,
            "logits must",
        ),
        (lambda: sequence_log_probability(LOGITS - math.inf, TARGETS), ValueError, "nor -inf for all tokens"),
        (
            lambda: sequence_log_probability(LOGITS, TARGETS, average=1),
            TypeError,
            "average must be True or False",
        ),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

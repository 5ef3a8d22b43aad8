"""EL2N and GraNd: per-example gradients by autograd, arbitrary precision for sure predictions, refusals."""

import math

import mpmath
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from corelib.losses import el2n_scores, grand_scores


def batch(*shape, seed=0, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(*shape, dtype=torch.float64, generator=generator)
    return logits, torch.randint(shape[-1], (shape[-2],), generator=generator)


def error_norm(logits, labels):
    return (torch.softmax(logits, -1) - F.one_hot(labels, logits.shape[-1])).norm(dim=-1)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("chunk", [1 << 20, 24, 1])
def test_el2n_is_the_norm_of_the_error(monkeypatch, classes, chunk):
    monkeypatch.setattr("corelib.losses.classes.difficulty._CHUNK", chunk)
    logits, labels = batch(20, classes)
    torch.testing.assert_close(el2n_scores(logits, labels), error_norm(logits, labels), rtol=1e-12, atol=0)


def test_runs_are_averaged_after_the_norm():
    logits, labels = batch(4, 20, 5)
    torch.testing.assert_close(
        el2n_scores(logits, labels), error_norm(logits, labels).mean(0), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [5.0, 20.0, 40.0, 80.0])
def test_sure_predictions_keep_their_order(dtype, gap):
    logits = torch.tensor([[gap, 1.0, 0.0, -1.0]], dtype=dtype)
    with mpmath.workdps(60):
        powers = [mpmath.exp(mpmath.mpf(x)) for x in logits[0].tolist()]
        p = [x / sum(powers) for x in powers[1:]]
        expected = mpmath.sqrt(sum(p) ** 2 + sum(x**2 for x in p))
    assert el2n_scores(logits, torch.tensor([0])).item() == pytest.approx(
        float(expected), rel=1e-5 if dtype == torch.float32 else 1e-13
    )


def test_bounds_of_the_error_by_the_missing_probability():
    logits, labels = batch(500, 6, scale=20.0)
    others = logits.scatter(1, labels[:, None], -math.inf)
    missing = torch.sigmoid(torch.logsumexp(others, 1) - logits.gather(1, labels[:, None])[:, 0])
    ratio = el2n_scores(logits, labels) / missing
    assert (ratio >= math.sqrt(6 / 5) * (1 - 1e-12)).all() and (ratio <= math.sqrt(2) * (1 + 1e-12)).all()


def test_extreme_logits():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]])
    torch.testing.assert_close(
        el2n_scores(logits, torch.zeros(3, dtype=torch.int64)), torch.tensor([0.0, 2**0.5, 0.5**0.5])
    )


def network(bias):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 7, bias=bias),
        torch.nn.Tanh(),
        torch.nn.Linear(7, 5, bias=bias),
        torch.nn.ReLU(),
        torch.nn.Linear(5, 3, bias=bias),
    ).double()


@pytest.mark.parametrize("bias", [True, False])
def test_grand_is_the_norm_of_each_gradient(bias):
    model = network(bias)
    x, labels = batch(6, 4)
    labels = labels % 3
    activations, outputs, hidden = [], [], x
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            activations.append(hidden)
        hidden = layer(hidden)
        if isinstance(layer, torch.nn.Linear):
            outputs.append(hidden)
    deltas = torch.autograd.grad(F.cross_entropy(hidden, labels, reduction="sum"), outputs)
    got = grand_scores(activations, deltas, bias=bias)
    for i in range(6):
        gradient = torch.autograd.grad(
            F.cross_entropy(model(x[i : i + 1]), labels[i : i + 1]), list(model.parameters())
        )
        torch.testing.assert_close(
            got[i], torch.cat([g.flatten() for g in gradient]).norm(), rtol=1e-12, atol=0
        )
    assert not got.requires_grad


def test_grand_of_a_linear_model_is_el2n_times_the_input():
    x, labels = batch(8, 3)
    errors = torch.softmax(x, 1) - F.one_hot(labels, 3)
    expected = el2n_scores(x, labels) * (1 + x.square().sum(1)).sqrt()
    torch.testing.assert_close(grand_scores([x], [errors]), expected)


def test_grand_of_tiny_errors_does_not_underflow_in_float32():
    delta = torch.tensor([[1e-30, 1e-30]])
    torch.testing.assert_close(
        grand_scores((torch.zeros(1, 3),), (delta,)), delta[:, 0] * 2**0.5, rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_grand_of_half_precision_and_an_unknown_keyword(half):
    inputs, errors = (batch(8, 3, seed=s)[0].to(half) for s in (0, 1))
    expected = grand_scores([inputs.float()], [errors.float()])
    with torch.autocast("cpu", dtype=half):
        assert torch.equal(grand_scores([inputs], [errors]), expected)
    with pytest.raises(TypeError, match="grand_scores has no argument biases; did you mean bias"):
        grand_scores([inputs], [errors], biases=True)


def test_el2n_takes_arrays():
    logits, labels = batch(5, 3)
    scores = el2n_scores(logits.float().numpy()[::-1], labels.numpy()[::-1])
    assert isinstance(scores, np.ndarray) and scores.dtype == np.float32


LOGITS, LABELS = batch(4, 3)
A, D = torch.ones(4, 2), torch.ones(4, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: el2n_scores(LOGITS[0], LABELS), ValueError, "logits must be 2-dimensional or 3-dimensional"),
        (lambda: el2n_scores(LOGITS[:, :1], LABELS), ValueError, "logits must have at least 2 classes"),
        (lambda: el2n_scores(LOGITS / 0, LABELS), ValueError, "logits must be finite"),
        (lambda: el2n_scores(LOGITS, LABELS.float()), TypeError, "labels must hold integers"),
        (lambda: el2n_scores(LOGITS, LABELS[:2]), ValueError, r"labels must have shape \(4,\); got \(2,\)"),
        (lambda: el2n_scores(LOGITS, LABELS + 3), ValueError, r"labels must lie in 0..2"),
        (
            lambda: grand_scores(A, [D]),
            TypeError,
            "activations must be a sequence of tensors, one per layer; got Tensor",
        ),
        (lambda: grand_scores([], []), ValueError, "one tensor per layer each; got 0 and 0"),
        (lambda: grand_scores([A, A], [D]), ValueError, "one tensor per layer each; got 2 and 1"),
        (
            lambda: grand_scores([A, A], [D, D[:2]]),
            ValueError,
            r"deltas\[1\] must have 4 rows, as activations\[0\]; got 2",
        ),
        (
            lambda: grand_scores([A], [D.double()]),
            TypeError,
            r"deltas\[0\] and activations\[0\] must have the same dtype",
        ),
        (lambda: grand_scores([A / 0], [D]), ValueError, r"activations\[0\] must be finite"),
        (lambda: grand_scores([A], [D], bias=1), TypeError, "bias must be True or False"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

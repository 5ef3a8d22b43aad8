"""The spherical family: formulas against autograd, and the factored layer against a dense one, entry by entry."""

import copy

import pytest
import torch
from torch.nn import functional as F

from corelib.losses import (
    SphericalLinear,
    SphericalSoftmaxLoss,
    SquaredErrorLoss,
    TaylorSoftmaxLoss,
    ZLoss,
    spherical_loss,
)

LOSSES = [
    ZLoss(),
    ZLoss(a=0.3, b=10.0),
    ZLoss(a=4.0, b=1.5),
    TaylorSoftmaxLoss(),
    SphericalSoftmaxLoss(0.1),
    SquaredErrorLoss(),
]
NAMES = [repr(loss) for loss in LOSSES]


def plain(outputs, targets, loss):
    """The textbook formulas on the full outputs, with nothing but torch."""
    o, D = outputs.gather(1, targets[:, None])[:, 0], outputs.shape[1]
    if isinstance(loss, ZLoss):
        z = (o - outputs.mean(1)) / (outputs.std(1, unbiased=False) + loss.epsilon)
        return F.softplus(loss.a * (loss.b - z), threshold=100) / loss.a
    if isinstance(loss, TaylorSoftmaxLoss):
        expanded = 1 + outputs + outputs**2 / 2
        return -(expanded.gather(1, targets[:, None])[:, 0] / expanded.sum(1)).log()
    if isinstance(loss, SphericalSoftmaxLoss):
        return -((o**2 + loss.epsilon) / (outputs**2 + loss.epsilon).sum(1)).log()
    return ((outputs - F.one_hot(targets, D)) ** 2).sum(1)


def batch(n=6, classes=9, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(n, classes, dtype=dtype, generator=generator)
    return outputs, torch.randint(classes, (n,), generator=generator)


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_values_and_gradients_agree_with_the_textbook(loss):
    outputs, targets = batch()
    ours, theirs = outputs.clone().requires_grad_(), outputs.clone().requires_grad_()
    upstream = torch.linspace(-1, 2, 6, dtype=torch.float64)
    a, b = spherical_loss(ours, targets, loss, reduction="none"), plain(theirs, targets, loss)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    (a * upstream).sum().backward(), (b * upstream).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_gradcheck(loss):
    outputs, targets = batch()
    assert torch.autograd.gradcheck(lambda o: spherical_loss(o, targets, loss), outputs.requires_grad_())


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_second_derivative(loss):
    outputs, targets = batch(n=3, classes=5)
    assert torch.autograd.gradgradcheck(lambda o: spherical_loss(o, targets, loss), outputs.requires_grad_())


def test_ignored_examples_do_not_count():
    outputs, targets = batch()
    marked = targets.clone()
    marked[[1, 4]] = -100
    kept = marked != -100
    outputs.requires_grad_()
    for reduction in ("mean", "sum"):
        got = spherical_loss(outputs, marked, ZLoss(), ignore_index=-100, reduction=reduction)
        expected = spherical_loss(outputs[kept], targets[kept], ZLoss(), reduction=reduction)
        torch.testing.assert_close(got, expected, rtol=1e-14, atol=0)
        (gradient,) = torch.autograd.grad(got, outputs)
        torch.testing.assert_close(gradient, torch.autograd.grad(expected, outputs)[0], rtol=1e-14, atol=0)
    each = spherical_loss(outputs, marked, ZLoss(), ignore_index=-100, reduction="none")
    assert (each[~kept] == 0).all() and (each[kept] != 0).all()
    assert spherical_loss(outputs, torch.full_like(targets, -100), ZLoss(), ignore_index=-100) == 0
    with pytest.raises(ValueError, match="targets must lie in 0..8; got -100"):
        spherical_loss(outputs, marked, ZLoss())


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_factored_layer_in_mixed_precision(half):
    """Inside of autocast the numbers are those outside; a hidden layer in half precision gets a gradient in it."""
    weight = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    inside, outside = (
        SphericalLinear(6, 60, weight=weight, dtype=torch.float32, stabilise_every=1) for _ in range(2)
    )
    hidden = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
    targets = torch.arange(8)
    for _ in range(3):
        with torch.autocast("cpu", dtype=half):
            a = inside(hidden.requires_grad_(), targets)
            a.backward()
            inside.step(0.1)
            rows = inside.weight()
        b = outside(hidden, targets)
        b.backward()
        outside.step(0.1)
        assert torch.equal(a, b) and torch.equal(rows, outside.weight())
    rounded = hidden.detach().to(half).requires_grad_()
    loss = inside(rounded, targets)
    loss.backward()
    assert rounded.grad.dtype == half and torch.equal(loss, inside(rounded.detach().float(), targets))


def test_factored_layer_without_gradients():
    layer = SphericalLinear(3, 10)
    hidden, targets = torch.ones(2, 3, dtype=torch.float64), torch.tensor([0, 7])
    expected = layer(hidden.clone().requires_grad_(), targets)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert layer(hidden, targets) == expected.detach()


def test_z_loss_keeps_its_digits_far_from_zero():
    outputs, targets = batch(dtype=torch.float32)
    moved = outputs * 0.01 + 1000.0  # a float32 of 1000 has steps of 6e-5
    expected = plain(moved.double(), targets, ZLoss())
    torch.testing.assert_close(
        spherical_loss(moved, targets, ZLoss(), reduction="none").double(), expected, rtol=1e-4, atol=0
    )


def test_euler_identities_of_the_z_loss():
    outputs, targets = batch()
    outputs.requires_grad_()
    spherical_loss(outputs, targets, ZLoss(epsilon=0.0)).backward()
    torch.testing.assert_close(outputs.grad.sum(1), torch.zeros(6, dtype=torch.float64), atol=1e-15, rtol=0)
    torch.testing.assert_close(
        (outputs * outputs.grad).sum(1), torch.zeros(6, dtype=torch.float64), atol=1e-15, rtol=0
    )


def test_equal_outputs_give_a_finite_loss_and_gradient():
    outputs = torch.zeros(2, 5, requires_grad=True)
    loss = spherical_loss(outputs, torch.tensor([0, 4]), ZLoss())
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(outputs.grad).all()


def train_both(loss, steps, lr, dtype=torch.float64, D=60, d=6, m=8, **options):
    """A factored and a dense layer from the same start on the same batches; yields what both made of each."""
    generator = torch.Generator().manual_seed(1)
    W = torch.randn(D, d, dtype=dtype, generator=generator) / d**0.5
    layer = SphericalLinear(d, D, loss, weight=W, dtype=dtype, **options)
    for _ in range(steps):
        hidden = torch.randn(m, d, dtype=dtype, generator=generator).relu()
        targets = torch.randint(
            D // 6, (m,), generator=generator
        )  # few, so that targets repeat within a batch
        h1, h2 = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
        dense = W.clone().requires_grad_()
        expected = plain(h2 @ dense.T, targets, loss).mean()
        expected.backward()
        W = W - lr * dense.grad
        value = layer(h1, targets)
        value.backward()
        layer.step(lr)
        yield layer, W, value, expected, h1.grad, h2.grad


@pytest.mark.parametrize(("loss", "lr"), list(zip(LOSSES, (0.5, 0.5, 0.5, 0.1, 0.1, 0.002))), ids=NAMES)
def test_factored_layer_is_the_dense_layer(loss, lr):
    for layer, W, value, expected, grad, expected_grad in train_both(loss, 60, lr, stabilise_every=7):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(grad, expected_grad, rtol=1e-8, atol=1e-11)
    torch.testing.assert_close(layer.weight(), W, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(layer.Q, W.T @ W, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(layer.column_sum, W.sum(0), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        layer.U @ layer.U_inverse, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-9
    )


def test_float32_layer_stays_close():
    *_, (layer, W, *_) = train_both(ZLoss(), 100, 0.5, dtype=torch.float32, stabilise_every=10)
    torch.testing.assert_close(layer.weight(), W, rtol=1e-3, atol=1e-4)


def test_stabilise_changes_u_and_not_w():
    layer = SphericalLinear(5, 30, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([1e-3, 0.4, 1.0, 3.0, 1e4], dtype=torch.float64)
    rotation = torch.linalg.qr(
        torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ).Q
    layer.U.copy_(rotation * scale @ rotation.T)
    before = layer.weight()
    assert layer.stabilise() == 4
    values = torch.linalg.svdvals(layer.U)
    assert 0.5 <= values.min() and values.max() <= 2
    torch.testing.assert_close(layer.weight(), before, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        layer.U @ layer.U_inverse, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-12
    )


def test_upstream_gradient_scales_the_step():
    ((_, W, *_),) = train_both(ZLoss(), 1, 0.2)
    other = SphericalLinear(
        6,
        60,
        ZLoss(),
        weight=torch.randn(60, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) / 6**0.5,
    )
    generator = torch.Generator().manual_seed(1)
    torch.randn(60, 6, dtype=torch.float64, generator=generator)
    hidden = torch.randn(8, 6, dtype=torch.float64, generator=generator).relu().requires_grad_()
    targets = torch.randint(10, (8,), generator=generator)
    (4 * other(hidden, targets)).backward()
    other.step(0.05)
    torch.testing.assert_close(other.weight(), W, rtol=1e-10, atol=1e-12)


def test_state_can_be_saved_and_loaded():
    *_, (layer, *_) = train_both(ZLoss(), 3, 0.2)
    fresh = SphericalLinear(6, 60)
    fresh.load_state_dict(layer.state_dict())
    torch.testing.assert_close(fresh.weight(), layer.weight(), rtol=0, atol=0)


def test_a_layer_is_copied_between_backward_and_step():
    layer = SphericalLinear(3, 10)
    hidden = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    layer(2 * hidden, torch.tensor([0, 9])).backward()
    twin = copy.deepcopy(layer)
    layer.step(0.1), twin.step(0.1)
    assert torch.equal(layer.weight(), twin.weight())


def test_a_step_needs_its_backward():
    layer = SphericalLinear(3, 10)
    with pytest.raises(RuntimeError, match=r"step needs a backward\(\)"):
        layer.step(0.1)


HIDDEN, TARGETS = torch.ones(2, 3, dtype=torch.float64), torch.tensor([0, 9])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SphericalLinear(0, 10), ValueError, "in_features must be at least 1"),
        (lambda: SphericalLinear(3, 1), ValueError, "out_features must be at least 2"),
        (lambda: SphericalLinear(3, 10, loss="z"), TypeError, "loss must be a SphericalLoss"),
        (
            lambda: SphericalLinear(3, 10, dtype=torch.float16),
            TypeError,
            "dtype must be torch.float32 or torch.float64",
        ),
        (
            lambda: SphericalLinear(3, 10, weight=torch.ones(3, 10).double()),
            ValueError,
            r"weight must have shape \(10, 3\)",
        ),
        (
            lambda: SphericalLinear(3, 10, weight=torch.ones(10, 3)),
            TypeError,
            "weight must have the layer's dtype",
        ),
        (
            lambda: SphericalLinear(3, 10)(HIDDEN.float(), TARGETS),
            TypeError,
            "hidden and the layer must have the same dtype",
        ),
        (lambda: SphericalLinear(4, 10)(HIDDEN, TARGETS), ValueError, "hidden must have 4 columns"),
        (lambda: SphericalLinear(3, 9)(HIDDEN, TARGETS), ValueError, r"targets must lie in 0..8; got 0..9"),
        (lambda: SphericalLinear(3, 10)(HIDDEN, TARGETS[:1]), ValueError, r"targets must have shape \(2,\)"),
        (
            lambda: SphericalLinear(3, 10)(HIDDEN, TARGETS.float()),
            TypeError,
            "targets must hold integers; got float32",
        ),
        (
            lambda: SphericalLinear(3, 10)(HIDDEN[:0], TARGETS[:0]),
            ValueError,
            "hidden must have at least one row",
        ),
        (lambda: SphericalLinear(3, 10)(HIDDEN * float("nan"), TARGETS), ValueError, "hidden must be finite"),
        (
            lambda: spherical_loss(HIDDEN[:, :1], TARGETS, ZLoss()),
            ValueError,
            "outputs must have at least 2 classes",
        ),
        (
            lambda: spherical_loss(HIDDEN, torch.tensor([0, -1]), ZLoss()),
            ValueError,
            "targets must lie in 0..2; got -1..0",
        ),
        (
            lambda: spherical_loss(HIDDEN, torch.tensor([0, 1]), ZLoss(), reduction="max"),
            ValueError,
            "reduction must be one of",
        ),
        (lambda: ZLoss(a=0), ValueError, "a must be greater than 0"),
        (lambda: ZLoss(b=float("inf")), ValueError, "b must be finite"),
        (lambda: SphericalSoftmaxLoss(0), ValueError, "epsilon must be greater than 0"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_step_that_loses_rank_is_refused():
    layer = SphericalLinear(2, 5, SquaredErrorLoss(), weight=torch.ones(5, 2, dtype=torch.float64))
    hidden = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    layer(hidden, torch.tensor([0])).backward()
    with pytest.raises(RuntimeError, match="lr is too large"):
        layer.step(0.5)  # 1 - 2 lr = 0

"""Soft confusion: scikit-learn's metrics in the hard limit, autograd through the plain formula, degenerate batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from corelib.losses import confusion_loss, soft_confusion_matrix

METRICS = ("accuracy", "f_beta", "balanced_accuracy", "g_mean", "mcc", "jaccard")


def batch(n=40, seed=0, scale=1.0, columns=None):
    generator = torch.Generator().manual_seed(seed)
    shape = (n,) if columns is None else (n, columns)
    labels = torch.randint(2, shape, generator=generator)
    labels[:2] = torch.tensor([0, 1]) if columns is None else torch.tensor([[0], [1]])
    logits = scale * torch.randn(shape, dtype=torch.float64, generator=generator) + labels - 0.5
    return logits, labels


def plain(logits, labels, metric, sharpness=73.0, threshold=0.5, beta=1.0):
    """The formulas of the source on the four sums n, S_y, S_yhat and S_y_yhat."""
    said = torch.sigmoid(sharpness * (torch.sigmoid(logits) - threshold))
    n, sy, sh, syh = len(labels), labels.sum().double(), said.sum(), (labels * said).sum()
    tp, fp, fn, tn = syh, sh - syh, sy - syh, n - sy - sh + syh
    return {
        "accuracy": 1 - (n - sy - sh + 2 * syh) / n,
        "f_beta": 1 - (1 + beta**2) * syh / (beta**2 * sy + sh),
        "balanced_accuracy": 1 - (n * (syh + sy) - sy * (sh + sy)) / (2 * sy * (n - sy)),
        "g_mean": 1 - (syh * tn / (sy * (n - sy))).sqrt(),
        "mcc": 1 - (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).sqrt(),
        "jaccard": 1 - tp / (tp + fp + fn),
    }[metric]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("sharpness", "threshold", "beta"), [(73.0, 0.5, 1.0), (5.0, 0.3, 2.0), (20.0, 0.8, 0.5)]
)
def test_values_and_gradients_agree_with_the_formulas_of_the_source(metric, sharpness, threshold, beta):
    logits, labels = batch()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    a = confusion_loss(ours, labels, metric, sharpness=sharpness, threshold=threshold, beta=beta)
    b = plain(theirs, labels, metric, sharpness, threshold, beta)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)
    a.backward(), b.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-13)


HARD = {
    "accuracy": sklearn_metrics.accuracy_score,
    "f_beta": lambda y, h: sklearn_metrics.fbeta_score(y, h, beta=2.0),
    "balanced_accuracy": sklearn_metrics.balanced_accuracy_score,
    "g_mean": lambda y, h: math.sqrt(
        sklearn_metrics.recall_score(y, h) * sklearn_metrics.recall_score(y, h, pos_label=0)
    ),
    "mcc": sklearn_metrics.matthews_corrcoef,
    "jaccard": sklearn_metrics.jaccard_score,
}


@pytest.mark.parametrize("metric", METRICS)
@given(st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_sharp_counts_give_the_metric_of_scikit_learn(metric, seed):
    logits, labels = batch(25, seed)
    logits = logits + 0.01 * logits.sign()
    loss = confusion_loss(logits, labels, metric, sharpness=1e6, beta=2.0)
    assert 1 - loss.item() == pytest.approx(
        HARD[metric](labels.numpy(), (logits > 0).long().numpy()), abs=1e-12
    )


def test_matrix_has_the_layout_of_scikit_learn():
    logits, labels = batch()
    logits = logits + 0.01 * logits.sign()
    expected = sklearn_metrics.confusion_matrix(labels, (logits > 0).long())
    np.testing.assert_allclose(soft_confusion_matrix(logits, labels, sharpness=1e6), expected, atol=1e-12)


def test_rows_sum_to_the_class_sizes():
    logits, labels = batch(1000, scale=30.0)
    matrix = soft_confusion_matrix(logits.float(), labels)
    torch.testing.assert_close(matrix.sum(1), torch.bincount(labels).double(), rtol=1e-6, atol=0)


def test_columns_are_problems_of_their_own():
    logits, labels = batch(columns=3)
    losses = confusion_loss(logits, labels, "f_beta", reduction="none")
    each = torch.stack([confusion_loss(logits[:, k], labels[:, k], "f_beta") for k in range(3)])
    torch.testing.assert_close(losses, each)
    torch.testing.assert_close(confusion_loss(logits, labels), each.mean())
    assert soft_confusion_matrix(logits, labels).shape == (3, 2, 2)


@pytest.mark.parametrize("metric", METRICS)
def test_gradcheck(metric):
    logits, labels = batch(7, columns=2)
    assert torch.autograd.gradcheck(
        lambda z: confusion_loss(z, labels, metric, sharpness=6.0, reduction="none"), logits.requires_grad_()
    )


def test_float32_keeps_the_gradient_that_one_minus_y_loses():
    logits, labels = batch(scale=6.0)
    narrow, wide = logits.float().requires_grad_(), logits.float().double().requires_grad_()
    confusion_loss(narrow, labels, "mcc").backward(), confusion_loss(wide, labels, "mcc").backward()
    assert (wide.grad != 0).all() and (narrow.grad != 0).all()
    torch.testing.assert_close(narrow.grad.double(), wide.grad, rtol=2e-3, atol=0)
    naive = logits.float().requires_grad_()
    plain(naive, labels, "mcc").backward()
    assert (naive.grad == 0).any()  # which is what the test protects from


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sharpness", [73.0, 1e5])
def test_extreme_logits_give_finite_losses_and_gradients(metric, dtype, sharpness):
    for signs in ([1, 1, -1, -1], [-1, -1, 1, 1], [1, 1, 1, 1], [-1, -1, -1, -1], [0, 0, 0, 0]):
        logits = (1e4 * torch.tensor(signs, dtype=dtype)).requires_grad_()
        loss = confusion_loss(logits, torch.tensor([1, 1, 0, 0]), metric, sharpness=sharpness)
        loss.backward()
        assert 0 <= loss <= 2 and logits.grad.isfinite().all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("sharpness", [20.0, 1e6])
def test_batches_of_one_class(metric, label, sharpness):
    logits = torch.tensor([3.0, 5.0, 4.0], dtype=torch.float64) * (1 if label else -1)
    logits.requires_grad_()
    loss = confusion_loss(logits, torch.full((3,), label), metric, sharpness=sharpness)
    loss.backward()
    assert logits.grad.isfinite().all()
    if metric in ("balanced_accuracy", "g_mean", "mcc"):
        assert loss == 0 and (logits.grad == 0).all()
    elif metric == "accuracy" or label:
        assert 0 <= loss < 1e-3
    else:  # F-beta and Jaccard with nothing to find
        assert loss == (1 if sharpness == 20.0 else 0) and (logits.grad == 0).all()


def test_mcc_of_one_sided_decisions_is_no_correlation():
    assert (
        confusion_loss(torch.full((4,), 1e4).double(), torch.tensor([1, 1, 0, 0]), "mcc", sharpness=1e5) == 1
    )
    one_sided = torch.full((4,), 3.0, dtype=torch.float64)
    assert confusion_loss(one_sided, torch.tensor([1, 1, 0, 0]), "mcc") == pytest.approx(1, abs=1e-12)


def test_numpy_in_numpy_out():
    logits, labels = batch(columns=2)
    logits, labels = logits.float().numpy()[::-2], labels.numpy().astype(np.uint8)[::-2]
    losses = confusion_loss(logits, labels, "jaccard", reduction="none")
    assert isinstance(losses, np.ndarray) and losses.dtype == np.float32 and losses.shape == (2,)
    assert isinstance(confusion_loss(logits[:, 0], labels[:, 0]), float)


LOGITS, LABELS = batch(4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: confusion_loss(LOGITS.long(), LABELS),
            TypeError,
            "logits must hold floats of 16, 32 or 64 bits",
        ),
        (lambda: confusion_loss(LOGITS[:0], LABELS[:0]), ValueError, "logits must not be empty"),
        (lambda: confusion_loss(LOGITS * math.nan, LABELS), ValueError, "logits must be finite"),
        (
            lambda: confusion_loss(LOGITS[None, None], LABELS[None, None]),
            ValueError,
            "logits must be 1-dimensional or 2-dimensional",
        ),
        (lambda: confusion_loss(LOGITS, LABELS + 1), ValueError, "labels must hold zeros and ones"),
        (
            lambda: confusion_loss(LOGITS, LABELS.float() + math.nan),
            ValueError,
            "labels must hold zeros and ones; 4 of 4",
        ),
        (
            lambda: confusion_loss(LOGITS, LABELS[:3]),
            ValueError,
            r"labels must have the shape of logits, \(4,\); got \(3,\)",
        ),
        (
            lambda: confusion_loss(LOGITS, LABELS, "auc"),
            ValueError,
            "metric must be one of 'accuracy', 'f_beta'",
        ),
        (
            lambda: confusion_loss(LOGITS, LABELS, sharpness=-1.0),
            ValueError,
            "sharpness must be greater than 0",
        ),
        (
            lambda: confusion_loss(LOGITS, LABELS, threshold=1.0),
            ValueError,
            "threshold must lie between 0 and 1; got 1.0",
        ),
        (lambda: confusion_loss(LOGITS, LABELS, beta=0), ValueError, "beta must be greater than 0"),
        (lambda: confusion_loss(LOGITS, LABELS, reduction="macro"), ValueError, "reduction must be one of"),
        (lambda: soft_confusion_matrix(LOGITS, LABELS.tolist()), TypeError, "labels must be a torch.Tensor"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""1 for a perfect approximation, 0 for zero, negative for worse; torch and NumPy alike."""

import numpy as np
import pytest
import torch

from corelib import score


def test_values():
    reference = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert score.explained_variance(reference, reference) == 1
    assert score.explained_variance(reference, 0 * reference) == 0
    assert score.explained_variance(reference, -reference) == -3
    assert score.explained_variance(torch.ones(3), torch.tensor([1.0, 1.0, 0.0])).item() == pytest.approx(
        2 / 3
    )


@pytest.mark.parametrize(
    ("reference", "approximation", "error", "message"),
    [
        (
            np.ones(2),
            np.ones(3),
            ValueError,
            r"approximation must have the shape of reference, \(2,\); got \(3,\)",
        ),
        (np.zeros(2), np.ones(2), ValueError, "reference must not be zero everywhere"),
        (np.ones(2), np.array([np.nan, 0]), ValueError, "approximation must be finite"),
        (np.ones(2, int), np.ones(2, int), TypeError, "reference must hold floats of 16, 32 or 64 bits"),
        ([1.0], np.ones(1), TypeError, "reference must be a torch.Tensor"),
    ],
)
def test_bad_arguments(reference, approximation, error, message):
    with pytest.raises(error, match=message):
        score.explained_variance(reference, approximation)


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e200, 1.7e308])
def test_does_not_depend_on_the_unit(size):
    reference = size * np.array([1.0, -1.0, 0.5])
    assert score.explained_variance(reference, 0.5 * reference) == pytest.approx(0.75)


def test_an_overflow_is_refused():
    with pytest.raises(ValueError, match="overflows float64: approximation is too far off"):
        score.explained_variance(np.array([1e-200]), np.array([1e200]))


def test_derivatives():
    reference, approximation = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(score.explained_variance, (reference, approximation))
    assert torch.autograd.gradgradcheck(score.explained_variance, (reference, approximation))


def test_compiles_in_one_graph():
    compiled = torch.compile(score.explained_variance, backend="aot_eager", fullgraph=True)
    reference, approximation = (torch.randn(4, 3, dtype=torch.float64) for _ in range(2))
    assert torch.equal(compiled(reference, approximation), score.explained_variance(reference, approximation))

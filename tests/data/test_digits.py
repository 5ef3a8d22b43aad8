"""The digits are the ones that the book's numbers were measured on."""

import numpy as np
import pytest

from corelib.data import digits


def test_split_scale_and_content():
    data = digits()
    assert data.train.shape == (1500, 64) and data.test.shape == (297, 64)
    assert data.train.dtype == np.float64 and data.train_labels.dtype == np.int64
    everything = np.concatenate([data.train, data.test])
    assert everything.min() == -1 and everything.max() == 1
    assert int(((everything + 1) * 8).sum()) == 561718
    labels = np.concatenate([data.train_labels, data.test_labels])
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_image_and_label_stay_together():
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    known = {row.tobytes(): label for row, label in zip(pixels / 8 - 1, labels, strict=True)}
    data = digits(seed=3)
    assert all(known[row.tobytes()] == label for row, label in zip(data.test, data.test_labels, strict=True))


def test_the_seed_decides_the_split():
    assert np.array_equal(digits(seed=1).train, digits(seed=1).train)
    assert not np.array_equal(digits(seed=1).train, digits(seed=2).train)
    assert len(digits(test_size=0).test) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"test_size": 1797}, ValueError, "test_size must leave a training image, so at most 1796; got 1797"),
        ({"test_size": -1}, ValueError, "test_size must be at least 0"),
        ({"test_size": 0.2}, TypeError, "test_size must be an integer"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        digits(**arguments)

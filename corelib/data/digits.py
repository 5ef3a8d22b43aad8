"""Handwritten digits of 8 x 8 pixels (UCI Optdigits, test part), as scikit-learn ships them."""

from typing import NamedTuple

import numpy as np

from corelib._checks import check_int


class Digits(NamedTuple):
    """Flattened images with pixels in [-1, 1], one a row, and the digit that each shows."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def digits(*, test_size: int = 297, seed: int = 0) -> Digits:
    """The 1,797 digits of scikit-learn, split into a training and a test part by a seeded permutation.

    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits" (1998), UCI Machine Learning Repository, CC BY 4.0.
    It stands in for the small-image sets of the diffusion literature (MNIST, CIFAR-10).

    Parameters
    ----------
    test_size : int
        Images in the test part, 0 to 1,796.
    seed : int
        Of the permutation, at least 0.

    Returns
    -------
    Digits
        ``train`` (1797 - test_size, 64) and ``test`` (test_size, 64) as float64 in [-1, 1] (sixteen grey levels: the
        pixel / 8 - 1), with ``train_labels`` and ``test_labels`` as int64.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError, ValueError
        If ``test_size`` or ``seed`` is not an integer in its range.

    Examples
    --------
    >>> digits().train.shape, digits().test.shape
    ((1500, 64), (297, 64))
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    check_int(seed, "seed", minimum=0)
    if check_int(test_size, "test_size", minimum=0) >= len(pixels):
        raise ValueError(
            f"test_size must leave a training image, so at most {len(pixels) - 1}; got {test_size}"
        )
    order = np.random.RandomState(seed).permutation(len(pixels))
    train, test = order[: len(pixels) - test_size], order[len(pixels) - test_size :]
    images, labels = pixels / 8 - 1, labels.astype(np.int64)
    return Digits(images[train], labels[train], images[test], labels[test])

"""Checks of a labelled batch of embeddings, and the loss in its dtype."""

import torch
from torch import Tensor

from corelib._checks import check_real
from corelib._tensors import check_integers, check_values, dtype_name

LARGEST = 1e140  # its square, summed over dimensions and pairs, is still finite


def check_points(value: object, name: str) -> Tensor:
    """``value`` as a matrix, not empty, finite and small enough for squared distances."""
    check_values(value, name, ndim=2)
    largest = value.detach().abs().max().item()
    if largest > LARGEST:
        raise ValueError(f"{name} must not exceed {LARGEST:g}; got {largest}")
    return value


def check_batch(embeddings: object, labels: object) -> Tensor:
    """The class of each of the embeddings, which stand one a row, as int64."""
    check_points(embeddings, "embeddings")
    return check_integers(labels, "labels", embeddings, "embeddings", shape=(len(embeddings),))


def check_threshold(value: object, name: str) -> float:
    """``value`` as a margin whose square is finite."""
    number = check_real(value, name)
    if abs(number) > LARGEST:
        raise ValueError(f"{name} must not exceed {LARGEST:g}; got {number}")
    return number


def rounded(loss: Tensor, dtype: torch.dtype) -> Tensor:
    """``loss`` in the dtype of the embeddings, if it fits."""
    result = loss.to(dtype)
    if not bool(result.detach().isfinite().all()):
        name = dtype_name(result)
        raise ValueError(f"embeddings must be small enough for the loss to stay within {name}")
    return result

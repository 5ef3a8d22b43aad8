"""Checks of a labelled batch of embeddings, and of the references that it may be compared with."""

from torch import Tensor

from corelib._checks import check_real
from corelib._tensors import check_integers, check_matrix, check_same
from corelib.engines.distances import LARGEST, check_magnitude


def check_points(value: object, name: str) -> Tensor:
    """``value`` as a matrix, not empty, finite and small enough for squared distances."""
    return check_magnitude(check_matrix(value, name), name)


def check_classes(embeddings: object, labels: object) -> Tensor:
    """The class of each of the embeddings, which stand one a row, as int64; values are not looked at."""
    check_matrix(embeddings, "embeddings")
    return check_integers(labels, "labels", embeddings, "embeddings", shape=(len(embeddings),))


def check_batch(embeddings: object, labels: object) -> Tensor:
    """The class of each of the embeddings, which are small enough for squared distances."""
    labels = check_classes(embeddings, labels)
    check_magnitude(embeddings, "embeddings")
    return labels


def check_references(
    references: object, reference_labels: object, embeddings: Tensor, name: str = "references"
) -> Tensor | None:
    """The classes of the references of a batch; both are given or neither. Values are not looked at."""
    labels_name = f"{name.removesuffix('s')}_labels"
    if (references is None) != (reference_labels is None):
        raise ValueError(f"{name} and {labels_name} must be given together")
    if references is None:
        return None
    check_matrix(references, name)
    check_same(embeddings, "embeddings", references, name)
    if references.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"{name} must have as many columns as embeddings, {embeddings.shape[1]}; got {references.shape[1]}"
        )
    return check_integers(reference_labels, labels_name, references, name, shape=(len(references),))


def check_threshold(value: object, name: str) -> float:
    """``value`` as a margin whose square is finite."""
    number = check_real(value, name)
    if abs(number) > LARGEST:
        raise ValueError(f"{name} must not exceed {LARGEST:g}; got {number}")
    return number

"""Functions of an anchor's row of inner products, strip by strip.

Only the results of a strip are kept: the backward pass computes it again, so that the matrix never exists.
"""

from collections.abc import Callable

from torch import Tensor

from corelib.engines.distances import check_magnitude
from corelib.engines.strips import in_tiles, strips

RowFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


def by_anchor(
    function: RowFunction,
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None,
    reference_labels: Tensor | None,
) -> Tensor:
    """``function(products, positive, negative)`` of each strip of rows, one below the other.

    The products are float64 inner products of the embeddings with the references, or with each other if there are none.
    The boolean masks tell pairs of one class from pairs of two; an anchor with itself is in neither.
    """
    points, targets, target_labels = embeddings.double(), None, labels
    if references is not None:
        check_magnitude(references, "references")
        targets, target_labels = references.double(), reference_labels

    def of_strip(points: Tensor, start: int, stop: int) -> Tensor:
        positive = labels[start:stop, None] == target_labels
        negative = ~positive
        if targets is None:
            positive.diagonal(offset=start).fill_(False)
        return function(points[start:stop] @ (points if targets is None else targets).T, positive, negative)

    return in_tiles(of_strip, points, strips(len(labels), len(target_labels), points))

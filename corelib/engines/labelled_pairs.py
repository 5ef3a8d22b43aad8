"""A labelled batch of embeddings against itself or against references, and operators of losses of such pairs."""

from collections.abc import Callable

from torch import Tensor

from corelib.engines.distances import MEASURES, check_magnitude
from corelib.engines.route import Operator, first_derivative_only, keep_gradients, take_gradients

Gradients = tuple[Tensor, Tensor]
Needs = tuple[bool, bool]


class LabelledPairs:
    """Anchors and what they are compared with, in float64, as a measure takes them; and the way back of gradients."""

    def __init__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        references: Tensor | None,
        reference_labels: Tensor | None,
        measure: str,
    ) -> None:
        check_magnitude(embeddings, "embeddings")
        self.itself = references is None
        self.dtype = embeddings.dtype
        self.measure = MEASURES[measure]
        self.embeddings = self.references = embeddings.detach().double()
        self.labels = self.target_labels = labels
        if not self.itself:
            check_magnitude(references, "references")
            self.references, self.target_labels = references.detach().double(), reference_labels
        self.points, self.targets = self.measure.prepared(self.embeddings, self.references)

    def no_gradients(self, needs: Needs) -> Gradients:
        """Gradients to add to, empty unless needed; both are one where the batch meets itself."""
        rows, targets = (
            value.new_zeros(value.shape if needed else 0)
            for value, needed in zip((self.points, self.targets), needs, strict=True)
        )
        return rows, rows if self.itself else targets

    def add_gradients(
        self, rows: slice, columns: slice, slopes: Tensor, distances: Tensor, gradients: Gradients
    ) -> None:
        """Those for derivatives ``slopes`` by the distances of the rows and columns; both are used up."""
        a, b = self.points[rows], self.targets[columns]
        weights = self.measure.weights(slopes, distances)
        if gradients[0].numel():
            gradients[0][rows] += self.measure.gradient(weights, a, b)
        if gradients[1].numel():
            gradients[1][columns] += self.measure.gradient(weights.T, b, a)

    def pulled_back(self, gradients: Gradients, needs: Needs, factor: float = 1.0) -> Gradients:
        """``factor`` times the gradients by the embeddings and by the references, in their dtype."""
        prepared = ((self.embeddings, self.points), (self.references, self.targets))
        return tuple(
            self.measure.pulled_back(gradient, *rows).mul_(factor).to(self.dtype)
            if needed
            else gradient.new_empty(0, dtype=self.dtype)
            for gradient, rows, needed in zip(gradients, prepared, needs, strict=True)
        )


def labelled_loss(name: str, loss: Callable, of_anchors: Callable) -> Operator:
    """The operator of a loss of the pairs of a labelled batch.

    ``loss`` takes embeddings, labels, references, reference_labels, settings, the reduction, and whether the gradients by
    embeddings and references are needed; it returns the loss and the gradients, which are empty unless needed, and always
    for "none". ``of_anchors`` takes the gradient by the losses of the anchors, then the same without the reduction.
    """

    def empty(embeddings: Tensor, references: Tensor | None, needs: Needs) -> Gradients:
        pairs = zip((embeddings, embeddings if references is None else references), needs, strict=True)
        return tuple(value.new_empty(value.shape if needed else 0) for value, needed in pairs)

    def fake(embeddings, labels, references, reference_labels, *settings):
        reduction, *needs = settings[-3:]
        if reduction == "none":
            return embeddings.new_empty(labels.shape), *empty(embeddings, references, (False, False))
        return embeddings.new_empty(()), *empty(embeddings, references, needs)

    @first_derivative_only
    def backward(ctx, upstream, *_):
        tensors = iter(ctx.saved_tensors)
        inputs = [next(tensors).detach() if s is None else s[0] for s in ctx.settings]
        *arguments, reduction, need_embeddings, need_references = inputs
        needs = (need_embeddings, need_references)
        if reduction == "none":
            gradients = each(upstream.double(), *arguments, *needs)
        else:
            gradients = take_gradients(ctx, operator, upstream)
        first, second = (gradient if n else None for gradient, n in zip(gradients, needs, strict=True))
        return first, None, second, *(None,) * (len(inputs) - 3)

    each = Operator(
        f"{name}_of_anchors",
        of_anchors,
        fake=lambda upstream, x, labels, references, *settings: empty(x, references, settings[-2:]),
    )
    operator = Operator(name, loss, fake=fake, setup_context=keep_gradients, backward=backward)
    return operator

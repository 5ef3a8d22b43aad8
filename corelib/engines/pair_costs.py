"""Contrastive loss strip by strip: what pairs cost by their distance beyond a margin of their own kind, and its gradient."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from corelib.engines.distances import MEASURES, check_magnitude, rounded
from corelib.engines.route import Operator, first_derivative_only, keep_gradients, take_gradients
from corelib.engines.strips import strips

Strip = tuple[int, int, Tensor, Tensor, Tensor]


def _loss(
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None,
    reference_labels: Tensor | None,
    near: float,
    far: float,
    measure: str,
    power: int,
    reduction: str,
    need_embeddings: bool,
    need_references: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, or that of each anchor for "none", and the gradients (empty unless needed; always for "none")."""
    check_magnitude(embeddings, "embeddings")
    if references is not None:
        check_magnitude(references, "references")
    pairs = _Pairs(embeddings, labels, references, reference_labels, near, far, measure, power)
    needs = (need_embeddings, need_references)
    wanted = any(needs) and reduction != "none"
    costs = pairs.points.new_zeros((2, len(labels)))
    active = costs.new_zeros(2)
    factors = (1.0, 1.0) if reduction == "sum" else pairs.shares(*pairs.counts())
    gradients = pairs.no_gradients()
    for strip in pairs.strips():
        pairs.add_costs(strip, costs)
        if reduction == "active":
            active += torch.stack([side.count_nonzero() for side in strip[3:]])
        elif wanted:
            pairs.add_gradients(strip, factors, None, gradients)
    if reduction == "none":
        return rounded(costs.sum(0), embeddings.dtype), *pairs.pulled_back(gradients, (False, False))
    if reduction == "active":
        factors = pairs.shares(*(active * pairs.times).tolist())
        if wanted:
            whole = [strip] if strip[1] - strip[0] == len(labels) else pairs.strips()
            for strip in whole:
                pairs.add_gradients(strip, factors, None, gradients)
    pos, neg = costs.sum(1).tolist()
    loss = costs.new_tensor(pos * factors[0] + neg * factors[1])
    return rounded(loss, embeddings.dtype), *pairs.pulled_back(gradients, needs)


def _gradients(
    upstream: Tensor,
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None,
    reference_labels: Tensor | None,
    near: float,
    far: float,
    measure: str,
    power: int,
    need_embeddings: bool,
    need_references: bool,
) -> tuple[Tensor, Tensor]:
    """Those of the sum over anchors of ``upstream`` times their costs."""
    pairs = _Pairs(embeddings, labels, references, reference_labels, near, far, measure, power)
    gradients = pairs.no_gradients()
    for strip in pairs.strips():
        pairs.add_gradients(strip, (1.0, 1.0), upstream.double(), gradients)
    return pairs.pulled_back(gradients, (need_embeddings, need_references))


def _empty(embeddings: Tensor, references: Tensor | None, needs: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    pairs = zip((embeddings, embeddings if references is None else references), needs, strict=True)
    return tuple(value.new_empty(value.shape if needed else 0) for value, needed in pairs)


def _fake(embeddings, labels, references, *settings):
    reduction, *needs = settings[-3:]
    each = reduction == "none"
    return embeddings.new_empty(labels.shape if each else ()), *_empty(
        embeddings, references, [needed and not each for needed in needs]
    )


@first_derivative_only
def _backward(ctx, upstream, *_):
    tensors = iter(ctx.saved_tensors)
    inputs = [next(tensors).detach() if s is None else s[0] for s in ctx.settings]
    *arguments, reduction, need_embeddings, need_references = inputs
    needs = (need_embeddings, need_references)
    if reduction == "none":
        gradients = _of_anchors(upstream, *arguments, *needs)
    else:
        gradients = take_gradients(ctx, contrastive, upstream)
    of_embeddings, of_references = (
        gradient if needed else None for gradient, needed in zip(gradients, needs, strict=True)
    )
    return of_embeddings, None, of_references, *(None,) * 8


_of_anchors = Operator(
    "corelib::contrastive_of_anchors",
    _gradients,
    fake=lambda upstream, x, labels, references, *settings: _empty(x, references, settings[-2:]),
)
contrastive = Operator("corelib::contrastive", _loss, fake=_fake, setup_context=keep_gradients, backward=_backward)


@dataclass
class _Pairs:
    """The pairs of anchors with each other, or with references.

    Pairs of anchors have no order: a strip of rows meets only the columns from its first row on, and what it costs counts
    for both.
    """

    def __init__(self, embeddings, labels, references, reference_labels, near, far, measure, power) -> None:
        self.itself = references is None
        self.times = 2 if self.itself else 1
        self.measure = MEASURES[measure]
        embeddings = embeddings.detach().double()
        references = embeddings if self.itself else references.detach().double()
        self.given = embeddings, references
        self.points, self.targets = self.measure.prepared(*self.given)
        self.labels, self.target_labels = labels, labels if self.itself else reference_labels
        self.near, self.far, self.power = near, far, power

    def counts(self) -> tuple[int, int]:
        """How many positive and negative ordered pairs there are."""
        ordered = self.target_labels.sort().values
        right = torch.searchsorted(ordered, self.labels, right=True)
        positive = int((right - torch.searchsorted(ordered, self.labels)).sum()) - self.itself * len(self.labels)
        return positive, len(self.labels) * (len(ordered) - self.itself) - positive

    def shares(self, positive: float, negative: float) -> tuple[float, float]:
        return 1 / max(1, positive), 1 / max(1, negative)

    def strips(self) -> Iterator[Strip]:
        """Row ranges, distances, and what positive and negative pairs have in excess of their margin."""
        for start, stop in strips(len(self.points), len(self.targets), self.points):
            rows, columns = slice(start, stop), slice(start if self.itself else 0, None)
            distances = self.measure.values(self.points[rows], self.targets[columns])
            positive = self.labels[rows, None] == self.target_labels[columns]
            excess = torch.where(positive, distances - self.near, self.far - distances).clamp_min_(0)
            if self.itself:  # a pair stands in the square twice, a row meets itself
                excess[:, : stop - start].triu_(1)
            of_positive = excess * positive
            yield start, stop, distances, of_positive, excess.sub_(of_positive)

    def add_costs(self, strip: Strip, costs: Tensor) -> None:
        start, stop, _, *sides = strip
        for cost, excess in zip(costs, sides, strict=True):
            excess = excess if self.power == 1 else excess.square().div_(2)
            cost[start:stop] += excess.sum(1)
            if self.itself:
                cost[start:] += excess.sum(0)

    def no_gradients(self) -> tuple[Tensor, Tensor]:
        rows = torch.zeros_like(self.points)
        return rows, rows if self.itself else torch.zeros_like(self.targets)

    def add_gradients(
        self, strip: Strip, factors: tuple[float, float], upstream: Tensor | None, gradients: tuple[Tensor, Tensor]
    ) -> None:
        """Those of a strip, which is used up: ``factors`` weigh its two sides, ``upstream`` the anchors."""
        start, stop, distances, of_positive, of_negative = strip
        if self.power == 1:
            of_positive.sign_(), of_negative.sign_()
        times = self.times if upstream is None else 1
        weights = of_positive.mul_(times * factors[0]).sub_(of_negative, alpha=times * factors[1])
        if upstream is not None:
            weights.mul_(upstream[start:stop, None] + upstream[start:] if self.itself else upstream[start:stop, None])
        columns = slice(start if self.itself else 0, None)
        to_rows, to_columns = self.measure.gradients(weights, distances, self.points[start:stop], self.targets[columns])
        gradients[0][start:stop] += to_rows
        gradients[1][columns] += to_columns

    def pulled_back(self, gradients: tuple[Tensor, Tensor], needs: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
        """The gradients by the embeddings and by the references, in their dtype; empty unless needed."""

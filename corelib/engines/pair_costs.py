"""Contrastive loss strip by strip: what pairs cost by their distance beyond a margin of their own kind, and its gradient."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from corelib.engines.distances import rounded
from corelib.engines.labelled_pairs import Gradients, LabelledPairs, labelled_loss
from corelib.engines.strips import strips


class Strip(NamedTuple):
    """A range of rows, distances, and what the positive and the negative pairs have in excess of their margin."""

    start: int
    stop: int
    distances: Tensor
    sides: tuple[Tensor, Tensor]


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
    pairs = _Pairs(embeddings, labels, references, reference_labels, near, far, measure, power)
    each, needs = reduction == "none", (need_embeddings, need_references)
    costs = pairs.points.new_zeros((2, len(labels)))
    active = [0, 0]
    factors = _shares(*pairs.counts()) if reduction == "mean" else (1.0, 1.0)
    wanted = any(needs) and not each
    gradients = [pairs.no_gradients(needs) for _ in costs] if wanted else [pairs.no_gradients((False, False))]
    for strip in pairs.strips():
        pairs.add_costs(strip, costs, each)
        late = reduction == "active"
        if late:
            active = [
                a + pairs.times * int(side.count_nonzero())
                for a, side in zip(active, strip.sides, strict=True)
            ]
            factors = _shares(*active)
            late = strip.stop - strip.start < len(labels)  # the factors are not known before the last strip
        if wanted:
            slopes = pairs.slopes(strip)
            if not late:
                slopes = [slopes[0].mul_(factors[0]).add_(slopes[1], alpha=factors[1])]
            for slope, gradient in zip(slopes, gradients, strict=False):
                pairs.add_gradients_of(strip, slope, gradient)
    if each:
        return rounded(costs.sum(0), embeddings.dtype), *pairs.pulled_back(gradients[0], (False, False))
    if wanted and late:
        gradients = [[factors[0] * p + factors[1] * q for p, q in zip(*gradients, strict=True)]]
    total = sum(factor * math.fsum(side) for factor, side in zip(factors, costs.tolist(), strict=True))
    loss = rounded(costs.new_tensor(pairs.times * total), embeddings.dtype)
    return loss, *pairs.pulled_back(gradients[0], needs, pairs.times)


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
    needs = (need_embeddings, need_references)
    gradients = pairs.no_gradients(needs)
    for strip in pairs.strips():
        slopes = pairs.slopes(strip)
        pairs.add_gradients_of(
            strip, slopes[0].add_(slopes[1]).mul_(pairs.of_both(upstream, strip)), gradients
        )
    return pairs.pulled_back(gradients, needs)


def _shares(positive: float, negative: float) -> tuple[float, float]:
    """Of one pair in the means of either side."""
    return 1 / max(1, positive), 1 / max(1, negative)


contrastive = labelled_loss("corelib::contrastive", _loss, _gradients)


class _Pairs(LabelledPairs):
    """The pairs of anchors with each other, or with references.

    Pairs of anchors have no order: a strip of rows meets only the columns from its first row on, and what it costs counts
    for both.
    """

    def __init__(self, embeddings, labels, references, reference_labels, near, far, measure, power) -> None:
        super().__init__(embeddings, labels, references, reference_labels, measure)
        self.times = 2 if self.itself else 1
        self.near, self.far, self.power = near, far, power

    def counts(self) -> tuple[int, int]:
        """How many positive and negative ordered pairs there are."""
        ordered = self.target_labels.sort().values
        right = torch.searchsorted(ordered, self.labels, right=True)
        positive = int((right - torch.searchsorted(ordered, self.labels)).sum()) - self.itself * len(
            self.labels
        )
        return positive, len(self.labels) * (len(ordered) - self.itself) - positive

    def strips(self) -> Iterator[Strip]:
        for start, stop in strips(len(self.points), len(self.targets), self.points):
            rows, columns = slice(start, stop), slice(start if self.itself else 0, None)
            distances = self.measure.values(self.points[rows], self.targets[columns])
            positive = self.labels[rows, None] == self.target_labels[columns]
            excess = torch.where(positive, distances - self.near, self.far - distances).clamp_min_(0)
            if self.itself:  # a pair stands in the square twice, a row meets itself
                excess[:, : stop - start].triu_(1)
            of_positive = torch.where(positive, excess, 0)
            yield Strip(start, stop, distances, (of_positive, excess.sub_(of_positive)))

    def add_costs(self, strip: Strip, costs: Tensor, each: bool) -> None:
        """Those of a strip; a pair counts for the first of its anchors, or for both if ``each`` is asked for."""
        for cost, excess in zip(costs, strip.sides, strict=True):
            excess = excess if self.power == 1 else excess.square().div_(2)
            cost[strip.start : strip.stop] += excess.sum(1)
            if each and self.itself:
                cost[strip.start :] += excess.sum(0)

    def slopes(self, strip: Strip) -> tuple[Tensor, Tensor]:
        """The derivatives of the costs by the distances, in the place of the excesses."""
        of_positive, of_negative = strip.sides
        if self.power == 1:
            of_positive.sign_(), of_negative.sign_()
        return of_positive, of_negative.neg_()

    def of_both(self, upstream: Tensor, strip: Strip) -> Tensor:
        """What ``upstream`` of each anchor gives to the pairs of a strip."""
        rows = upstream[strip.start : strip.stop, None]
        return rows + upstream[strip.start :] if self.itself else rows

    def add_gradients_of(self, strip: Strip, slopes: Tensor, gradients: Gradients) -> None:
        """Those for derivatives ``slopes`` by the distances of a strip, which are used up."""
        rows, columns = slice(strip.start, strip.stop), slice(strip.start if self.itself else 0, None)
        self.add_gradients(rows, columns, slopes, strip.distances, gradients)

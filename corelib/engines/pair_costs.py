"""Contrastive loss strip by strip: what pairs cost by their distance beyond a margin of their own kind, and its gradient."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from corelib.engines.distances import rounded, rounded_number
from corelib.engines.labelled_pairs import Gradients, LabelledPairs, Needs, labelled_loss
from corelib.engines.strips import strips


class Strip(NamedTuple):
    """Pairs of a range of rows with a range of columns; those of one class lie in a ``band`` of these columns.

    ``sides`` are what the pairs of the band have in excess of the margin of positives, and all pairs in that of negatives.
    """

    rows: slice
    columns: slice
    band: slice
    distances: Tensor
    sides: tuple[Tensor, Tensor]

    def within(self, matrix: Tensor) -> Tensor:
        """The columns of the band."""
        return matrix[:, self.band.start - self.columns.start : self.band.stop - self.columns.start]


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
    costs = pairs.points.new_zeros((2, labels.shape[0]))
    active = [0, 0]
    factors = _shares(*pairs.counts()) if reduction == "mean" else (1.0, 1.0)
    wanted = any(needs) and not each
    gradients = [pairs.no_gradients(needs) for _ in costs] if wanted else [pairs.no_gradients((False, False))]
    late = False
    for strip in pairs.strips():
        pairs.add_costs(strip, costs, each)
        if reduction == "active":
            active = [
                a + pairs.times * int(side.count_nonzero())
                for a, side in zip(active, strip.sides, strict=True)
            ]
            factors = _shares(*active)
            late = (
                strip.rows.stop - strip.rows.start < labels.shape[0]
            )  # factors are known after the last strip
        if wanted and late:
            pairs.add_gradients_of_sides(strip, gradients)
        elif wanted:
            pairs.add_gradients_of(strip, factors, None, gradients[0])
    if each:
        losses = torch.empty_like(costs[0])
        losses[pairs.order] = costs.sum(0)
        return rounded(losses, embeddings.dtype), *pairs.pulled_back(gradients[0], (False, False))
    if wanted and late:
        gradients = [[factors[0] * p + factors[1] * q for p, q in zip(*gradients, strict=True)]]
    total = sum(factor * math.fsum(side) for factor, side in zip(factors, costs.tolist(), strict=True))
    loss = rounded_number(pairs.times * total, embeddings)
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
        pairs.add_gradients_of(strip, (1.0, 1.0), upstream[pairs.order], gradients)
    return pairs.pulled_back(gradients, needs)


def _shares(positive: float, negative: float) -> tuple[float, float]:
    """Of one pair in the means of either side."""
    return 1 / max(1, positive), 1 / max(1, negative)


contrastive = labelled_loss("corelib::contrastive", _loss, _gradients)


class _Pairs(LabelledPairs):
    """The pairs of anchors with each other, or with references, all of them in the order of their classes.

    Pairs of anchors have no order: a strip of rows meets only the columns from its first row on, and what it costs counts
    for both.
    """

    def __init__(self, embeddings, labels, references, reference_labels, near, far, measure, power) -> None:
        labels, self.order = labels.sort(stable=True)
        self.reference_order = self.order
        if references is not None:
            reference_labels, self.reference_order = reference_labels.sort(stable=True)
            references = references[self.reference_order]
        super().__init__(embeddings[self.order], labels, references, reference_labels, measure)
        self.first = torch.searchsorted(self.target_labels, labels)
        self.last = torch.searchsorted(self.target_labels, labels, right=True)
        self.times = 2 if self.itself else 1
        self.near, self.far, self.power = near, far, power

    def counts(self) -> tuple[int, int]:
        """How many positive and negative ordered pairs there are."""
        n, m = self.labels.shape[0], self.target_labels.shape[0]
        positive = int((self.last - self.first).sum()) - self.itself * n
        return positive, n * (m - self.itself) - positive

    def strips(self) -> Iterator[Strip]:
        n, m = self.labels.shape[0], self.target_labels.shape[0]
        several = min(8, max(1, n // 128)) if self.itself else 1  # the more, the less below the diagonal
        for start, stop in strips(n, m, self.points, several):
            rows, columns = slice(start, stop), slice(start if self.itself else 0, m)
            band = slice(start if self.itself else int(self.first[start]), int(self.last[stop - 1]))
            distances = self.measure.values(self.points[rows], self.targets[columns])
            strip = Strip(rows, columns, band, distances, ())
            positive = self.labels[rows, None] == self.target_labels[band]
            of_positive = torch.where(positive, strip.within(distances) - self.near, 0).clamp_min_(0)
            of_negative = (self.far - distances).clamp_min_(0)
            strip.within(of_negative).masked_fill_(positive, 0)
            if self.itself:  # a pair stands in the square twice, a row meets itself
                for side in (of_positive, of_negative):
                    side[:, : stop - start].triu_(1)
            yield strip._replace(sides=(of_positive, of_negative))

    def add_costs(self, strip: Strip, costs: Tensor, each: bool) -> None:
        """Those of a strip; a pair counts for the first of its anchors, or for both if ``each`` is asked for."""
        for cost, excess, columns in zip(costs, strip.sides, (strip.band, strip.columns), strict=True):
            excess = excess if self.power == 1 else excess.square().div_(2)
            cost[strip.rows] += excess.sum(1)
            if each and self.itself:
                cost[columns] += excess.sum(0)

    def add_gradients_of(
        self, strip: Strip, factors: tuple[float, float], upstream: Tensor | None, gradients: Gradients
    ) -> None:
        """Those of a strip, which is used up; ``factors`` weigh its sides and ``upstream`` the anchors, if it is given."""
        of_positive, slopes = self._slopes(strip)
        strip.within(slopes.mul_(factors[1])).add_(of_positive, alpha=factors[0])
        if upstream is not None:
            of_rows = upstream[strip.rows, None]
            slopes.mul_(of_rows + upstream[strip.columns] if self.itself else of_rows)
        self.add_gradients(strip.rows, strip.columns, slopes, strip.distances, gradients)

    def add_gradients_of_sides(self, strip: Strip, gradients: list[Gradients]) -> None:
        """Those of either side of a strip, which is used up, to the gradients of that side."""
        of_positive, of_negative = self._slopes(strip)
        in_band = strip.within(strip.distances)
        self.add_gradients(strip.rows, strip.band, of_positive, in_band, gradients[0])
        self.add_gradients(strip.rows, strip.columns, of_negative, strip.distances, gradients[1])

    def _slopes(self, strip: Strip) -> tuple[Tensor, Tensor]:
        """The derivatives of the costs by the distances, in the place of the excesses."""
        of_positive, of_negative = strip.sides
        if self.power == 1:
            of_positive.sign_(), of_negative.sign_()
        return of_positive, of_negative.neg_()

    def pulled_back(self, gradients: Gradients, needs: Needs, factor: float = 1.0) -> Gradients:
        """As that of all labelled pairs, in the order in which the rows were given."""
        pulled = super().pulled_back(gradients, needs, factor)
        return tuple(
            torch.empty_like(gradient).index_copy_(0, order, gradient) if needed else gradient
            for gradient, order, needed in zip(pulled, (self.order, self.reference_order), needs, strict=True)
        )

"""What the pairs of a labelled batch cost by their distance, beyond a margin of their own kind, and its gradient."""

import torch
from torch import Tensor

from corelib.engines.route import first_derivative_only
from corelib.engines.strips import strips


class _PairCosts(torch.autograd.Function):
    """Costs of the positive and of the negative pairs of each anchor, and how many pairs of each kind cost something.

    Pairs have no order: a strip of rows meets only the columns from its first row on.
    """

    @staticmethod
    def forward(ctx, points, labels, rule):
        ctx.save_for_backward(points, labels)
        ctx.rule = rule
        power, count = rule[2], rule[4]
        costs = points.new_zeros((2, len(points)))
        active = torch.zeros(2, dtype=torch.int64, device=points.device)
        for start, stop in strips(len(points), len(points), points):
            _, positive, excess = _excess(points, labels, start, stop, rule)
            if count:
                costly = excess > 0
                own = int((costly & positive).sum())
                active += torch.tensor([2 * own, 2 * (int(costly.sum()) - own)], device=active.device)
            cost = excess if power == 1 else excess.square_().div_(2)
            own = cost * positive
            for side, part in enumerate((own, cost.sub_(own))):
                costs[side, start:stop] += part.sum(1)
                costs[side, start:] += part.sum(0)
        ctx.mark_non_differentiable(*(counts := active.unbind()))
        return *costs.unbind(), *counts

    @staticmethod
    @first_derivative_only
    def backward(ctx, grad_pos, grad_neg, *_):
        points, labels = ctx.saved_tensors
        power, matrix = ctx.rule[2:4]
        gradient = torch.zeros_like(points)
        for start, stop in strips(len(points), len(points), points):
            distances, positive, excess = _excess(points, labels, start, stop, ctx.rule)
            slope = excess if power == 2 else (excess > 0).double()
            upstream = torch.where(
                positive,
                grad_pos[start:stop, None] + grad_pos[start:],
                (-grad_neg)[start:stop, None] - grad_neg[start:],
            )
            to_rows, to_columns = matrix.gradients(
                slope.mul_(upstream), distances, points[start:stop], points[start:]
            )
            gradient[start:stop] += to_rows
            gradient[start:] += to_columns
        return gradient, None, None


def _excess(
    points: Tensor, labels: Tensor, start: int, stop: int, rule: tuple
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances of rows ``start:stop`` to those from ``start`` on, which are positive, what each pair costs before p.

    A pair that stands in the strip twice, and that of a row with itself, cost nothing the second time.
    """
    near, far, _, matrix, _ = rule
    distances = matrix.values(points[start:stop], points[start:])
    positive = labels[start:stop, None] == labels[start:]
    excess = torch.where(positive, distances - near, far - distances).clamp_min_(0)
    excess[:, : stop - start].triu_(1)
    return distances, positive, excess


pair_costs = _PairCosts.apply

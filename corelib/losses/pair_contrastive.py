"""Contrastive loss: pairs of one class together, pairs of two classes a margin apart."""

import torch
from torch import Tensor

from corelib._checks import check_choice, check_int
from corelib._tensors import accepts_numpy
from corelib.losses._arguments import total_of
from corelib.losses._embedding_pairs import check_batch, check_threshold, prepared, rounded
from corelib.losses._torch_contrastive import strips


@accepts_numpy("embeddings", "labels")
def contrastive_loss(
    embeddings: Tensor,
    labels: Tensor,
    pos_margin: float = 0.0,
    neg_margin: float = 1.0,
    *,
    distance: str = "euclidean",
    power: int = 2,
    reduction: str = "mean",
) -> Tensor:
    r"""Contrastive loss of all pairs of a labelled batch (Hadsell et al. 2006).

    A pair at distance :math:`d` costs

    .. math:: \tfrac1p [d - m_+]_+^p \ \text{(same class)}, \qquad \tfrac1p [m_- - d]_+^p \ \text{(two classes)}.

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, d), float32 or float64
        One embedding a row; n and d at least 1. For "euclidean" they are taken as they are.
    labels : Tensor or ndarray of int64, shape (n,)
        Class of each row.
    pos_margin, neg_margin : float
        :math:`m_+`, below which positives are close enough, and :math:`m_-`, beyond which negatives are far enough.
    distance : {"euclidean", "cosine"}
        "cosine" is 1 minus the cosine: a negative costs from a cosine of 1 - ``neg_margin`` on.
    power : {1, 2}
        p.
    reduction : {"mean", "active", "sum", "none"}
        "mean": the mean over positive pairs plus the mean over negative pairs. "active": the same over the pairs that
        cost something. "sum": over all ordered pairs (i, j), so each pair twice; divided by n, the form of papers
        that sum over the pairs of an anchor. "none": that sum for each anchor.

    Returns
    -------
    Tensor, shape () or (n,), of the embeddings' dtype (a float or an array for arrays)
        A kind of which there is no pair adds 0. Computed in float64. Differentiable once for "euclidean"; two equal
        rows do not pull or push each other.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite, exceeds 1e140, or
        the loss overflows float32.

    Notes
    -----
    O(n^2 d) time, almost all of it in matrix products; O(n d) memory beside strips of a few MB, which the backward pass
    computes again. Distances are exact for near duplicates, too, where the matrix product would cancel.

    Hadsell et al. have ``pos_margin=0`` and ``power=2``; pytorch-metric-learning ``power=1`` and "active", and its
    margins for ``CosineSimilarity`` are 1 minus the ones here.

    References
    ----------
    R. Hadsell, S. Chopra, Y. LeCun. Dimensionality Reduction by Learning an Invariant Mapping. CVPR 2006, equation 4.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import contrastive_loss
    >>> x = torch.tensor([[0.0, 0.0], [0.6, 0.8], [0.0, 0.5]])
    >>> contrastive_loss(x, torch.tensor([0, 0, 1]), power=1)        # 1 + ((1 - 0.5) + (1 - 0.6708)) / 2
    tensor(1.4146)
    """
    check_batch(embeddings, labels)
    near, far = check_threshold(pos_margin, "pos_margin"), check_threshold(neg_margin, "neg_margin")
    check_choice(distance, "distance", ("euclidean", "cosine"))
    if check_int(power, "power", minimum=1) > 2:
        raise ValueError(f"power must be 1 or 2; got {power}")
    check_choice(reduction, "reduction", ("mean", "active", "sum", "none"))

    points, matrix = prepared(embeddings, distance)
    rule = (near, far, power, matrix, reduction == "active")
    pos, neg, pos_active, neg_active = _PairCosts.apply(points, labels, rule)
    if reduction == "none":
        return rounded(pos + neg, embeddings.dtype)
    if reduction == "sum":
        return rounded(total_of(pos + neg), embeddings.dtype)
    if reduction == "mean":
        sizes = labels.unique(return_counts=True)[1]
        pos_pairs = int((sizes * (sizes - 1)).sum())
        counts = pos_pairs, len(labels) * (len(labels) - 1) - pos_pairs
    else:
        counts = int(pos_active), int(neg_active)
    return rounded(total_of(pos) / max(1, counts[0]) + total_of(neg) / max(1, counts[1]), embeddings.dtype)


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
    @torch.autograd.function.once_differentiable
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


def _excess(points: Tensor, labels: Tensor, start: int, stop: int, rule: tuple) -> tuple[Tensor, Tensor, Tensor]:
    """Distances of rows ``start:stop`` to those from ``start`` on, which are positive, what each pair costs before p.

    A pair that stands in the strip twice, and that of a row with itself, cost nothing the second time.
    """
    near, far, _, matrix, _ = rule
    distances = matrix.values(points[start:stop], points[start:])
    positive = labels[start:stop, None] == labels[start:]
    excess = torch.where(positive, distances - near, far - distances).clamp_min_(0)
    excess[:, : stop - start].triu_(1)
    return distances, positive, excess

"""ICNN: how well the nearest neighbours of each point separate the classes, as a score and as a loss."""

import torch
from torch import Tensor

from corelib._checks import check_int
from corelib._front_end import front_end
from corelib._types import TensorOrArray
from corelib.engines.distances import check_magnitude, rounded
from corelib.engines.nearest import neighbours_and_other, paired_distances
from corelib.engines.route import breaks_graph
from corelib.losses.embeddings._batch import check_batch, check_references

_TINY = 1e-7  # keeps the nearest distance to another class from being a divisor of 0


@breaks_graph
@front_end("embeddings", "labels", "targets", "target_labels")
def icnn_score(
    embeddings: TensorOrArray,
    labels: TensorOrArray,
    k: int = 4,
    *,
    candidates: int | None = None,
    targets: TensorOrArray | None = None,
    target_labels: TensorOrArray | None = None,
) -> tuple[TensorOrArray, TensorOrArray, TensorOrArray, TensorOrArray]:
    r"""Inter and intra class nearest neighbours score (ICNN) of labelled points, in (0, 1].

    With :math:`d_{ir} = \sqrt{\|x_i - x_{(r)}\|^2 + 10^{-6}}` the distance to the r-th nearest neighbour,
    :math:`m_{ir} = 1` where it has the class of i (else 0), and :math:`\nu_i` the distance of the nearest point of
    another class,

    .. math::

        e_{ir} = \frac{d_{ir} / (\nu_i + 10^{-7})}{\max(1, \max_r d_{ir} / (\nu_i + 10^{-7}))}, \qquad
        g_{ir} = \frac{d_{ir}}{\max_{i, r: m_{ir} = 0} d_{ir}}, \qquad r \le k,

    .. math::

        \lambda_\mathrm{same} = 1 - \operatorname*{mean}_i \operatorname*{mean}_{r: m_{ir} = 1} e_{ir}, \quad
        \lambda_\mathrm{diff} = \operatorname*{mean}_i \operatorname*{mean}_{r: m_{ir} = 0} g_{ir}, \quad
        \gamma = \operatorname*{mean}_{i, r} m_{ir},

    .. math:: S = \tfrac12 \big(\tfrac12 (\lambda_\mathrm{same} + \lambda_\mathrm{diff}) + \gamma\big),

    where the outer means run over the points that have such a neighbour.

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, d), float32 or float64
        n and d at least 1.
    labels : Tensor or ndarray of int64, shape (n,)
        Class of each row.
    k : int
        Neighbours of each point, at most as many as it has.
    candidates : int, optional
        Look for :math:`\nu_i` only among this many nearest neighbours (at least k), as the published code does;
        infinite, so that e is 0, if none of them is of another class. By default among all points.
    targets, target_labels : Tensors or ndarrays, shapes (m, d) and (m,), optional
        Points among which neighbours are looked for, and their classes. By default the embeddings themselves, where a
        point is no neighbour of its own (told apart by index, so its exact duplicates are).

    Returns
    -------
    score, same, different, share : Tensor, 0-dimensional, of the embeddings' dtype (floats for arrays)
        S, :math:`\lambda_\mathrm{same}`, :math:`\lambda_\mathrm{diff}`, :math:`\gamma`. Computed in float64.
        Where no point has a neighbour of its class, ``same`` is 1; where none has one of another, ``different`` is 1.
        Differentiable once, with the choice of the neighbours, and so ``share``, as constants.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite or exceeds 1e140, or
        only one of ``targets`` and ``target_labels`` is given.

    Notes
    -----
    O(n m d) time; O((n + m) d + n k) memory beside strips of a few MB, where the published code makes the (n, m, d)
    differences. Of equally distant neighbours the lowest index comes first. The score jumps where neighbours change
    places.

    It does not change if the points are moved or turned, nor, but for the two small constants, if they are scaled.

    References
    ----------
    M. Mendez-Ruiz et al. SuSana Distancia is all you need: Enforcing class separability in metric learning via two
    novel distance-based loss functions for few-shot image classification. 2023, in the form that its code trains with.
    https://arxiv.org/abs/2305.09062

    Examples
    --------
    >>> import numpy as np
    >>> from corelib.losses import icnn_score
    >>> x = np.array([[0.0], [1.0], [9.0], [10.0]])
    >>> score, same, different, share = icnn_score(x, np.array([0, 0, 1, 1]), k=2)
    >>> print(f"{score:.3f} = (({same:.3f} + {different:.3f}) / 2 + {share}) / 2")
    0.707 = ((0.882 + 0.944) / 2 + 0.5) / 2
    """
    labels = check_batch(embeddings, labels)
    target_labels = check_references(targets, target_labels, embeddings, "targets")
    itself = targets is None
    if itself:
        targets, target_labels = embeddings, labels
    else:
        check_magnitude(targets, "targets")
    available = len(targets) - itself
    k = check_int(k, "k", minimum=1)
    if k > available:
        raise ValueError(f"k must be at most the number of neighbours of a point, {available}; got {k}")
    if candidates is not None and check_int(candidates, "candidates", minimum=1) < k:
        raise ValueError(f"candidates must be at least k, {k}; got {candidates}")

    x, t = embeddings.double(), targets.double()
    neighbours, other = neighbours_and_other(
        x.detach(), t.detach(), labels, target_labels, k, candidates, itself
    )
    distances = paired_distances(x, t, torch.cat([neighbours, other.clamp_min(0)[:, None]], dim=1))
    distances, nearest = distances[:, :k], distances[:, k:].masked_fill(other[:, None] < 0, torch.inf)
    match = labels[:, None] == target_labels[neighbours]
    relative = distances / (nearest + _TINY)
    relative = relative / relative.amax(1, keepdim=True).clamp_min(1)
    same = 1 - _mean_of_means(relative, match, empty=0.0)
    farthest = distances.masked_fill(match, 0).amax()
    different = _mean_of_means(distances / torch.where(farthest > 0, farthest, 1), ~match, empty=1.0)
    share = match.double().mean()
    score = ((same + different) / 2 + share) / 2
    return tuple(rounded(part, embeddings.dtype) for part in (score, same, different, share))


@breaks_graph
@front_end("embeddings", "labels", "targets", "target_labels")
def icnn_loss(
    embeddings: TensorOrArray,
    labels: TensorOrArray,
    k: int = 4,
    *,
    candidates: int | None = None,
    targets: TensorOrArray | None = None,
    target_labels: TensorOrArray | None = None,
) -> TensorOrArray:
    r"""ICNN loss, :math:`-\log S` with the score S of :func:`icnn_score`.

    Parameters
    ----------
    embeddings, labels, k, candidates, targets, target_labels
        As in :func:`icnn_score`.

    Returns
    -------
    Tensor, 0-dimensional, of the embeddings' dtype (a float for arrays)
        At least 0; 0 for collapsed, separated classes of more than k points. Differentiable once in ``embeddings`` and
        ``targets``.

    Raises
    ------
    TypeError, ValueError
        As :func:`icnn_score`.

    Notes
    -----
    Time, memory and source as :func:`icnn_score`. The loss cannot be lowered by scaling the embeddings.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import icnn_loss
    >>> x = torch.tensor([[0.0], [1.0], [9.0], [10.0]], requires_grad=True)
    >>> loss = icnn_loss(x, torch.tensor([0, 0, 1, 1]), k=2)
    >>> print(f"{loss.item():.4f}")
    0.3473
    >>> loss.backward()
    >>> x.grad.shape
    torch.Size([4, 1])
    """
    score, *_ = icnn_score(
        embeddings, labels, k, candidates=candidates, targets=targets, target_labels=target_labels
    )
    return -score.log()


def _mean_of_means(values: Tensor, mask: Tensor, empty: float) -> Tensor:
    """The mean over the rows of the mean under the mask, of those rows that have one; ``empty`` if none has."""
    counts = mask.sum(1)
    rows = int((counts > 0).sum())
    if rows == 0:
        return values.new_tensor(empty)
    return (values.masked_fill(~mask, 0).sum(1) / counts.clamp_min(1)).sum() / rows

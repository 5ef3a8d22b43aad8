"""General pair weighting: losses of an anchor's row of similarities, and the weight that each gives to a pair."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from corelib._checks import check_positive, check_real
from corelib._front_end import front_end
from corelib._tensors import check_integers
from corelib._types import TensorOrArray
from corelib.engines.anchor_rows import by_anchor
from corelib.engines.distances import rounded
from corelib.engines.route import breaks_graph
from corelib.engines.triplets import hinge_sums
from corelib.losses._reduction import check_reduction, reduce
from corelib.losses.embeddings._batch import check_batch, check_points, check_references, check_threshold

PairLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ContrastivePairs:
    r""":math:`\sum_j y_{ij} (1 - s_{ij}) + \sum_j (1 - y_{ij}) [s_{ij} - \mathrm{margin}]_+`.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import ContrastivePairs, pair_based_loss
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    >>> pair_based_loss(x, torch.tensor([0, 0, 1]), ContrastivePairs(margin=0.5), reduction="none")
    tensor([0.3000, 0.6600, 0.5600])
    """

    margin: float = 0.5

    def __post_init__(self) -> None:
        check_threshold(self.margin, "margin")

    def __call__(self, similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss of each row."""
        return (positive * (1 - similarity) + negative * (similarity - self.margin).clamp_min(0)).sum(1)


@dataclass(frozen=True)
class TripletPairs:
    r""":math:`\sum_{p, n} [s_{in} - s_{ip} + \mathrm{margin}]_+`, the sum over all triplets of the anchor, by sorting.

    It takes pairs that are positive or negative, not mixed ones.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import TripletPairs, pair_weights
    >>> s = torch.tensor([[1.0, 0.8, 0.2, 0.7], [0.8, 1.0, 0.5, 0.9], [0.2, 0.5, 1.0, 0.1], [0.7, 0.9, 0.1, 1.0]])
    >>> pair_weights(s, torch.tensor([0, 0, 1, 2]), TripletPairs(margin=0.2))     # each active triplet adds 1 to both
    tensor([[0., 1., 0., 1.],
            [1., 0., 0., 1.],
            [0., 0., 0., 0.],
            [0., 0., 0., 0.]])
    """

    margin: float = 0.1

    def __post_init__(self) -> None:
        check_threshold(self.margin, "margin")

    def __call__(self, similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss of each row."""
        for labels, name in ((positive, "positive"), (negative, "negative")):
            if bool(((labels != 0) & (labels != 1)).any()):
                raise ValueError(f"{name} must hold zeros and ones: a triplet has no mixed pairs")
        return hinge_sums(similarity, positive > 0, negative > 0, self.margin)


@dataclass(frozen=True)
class LiftedStructurePairs:
    r""":math:`[\log \sum_j y_{ij} e^{-s_{ij}} + \log \sum_j (1 - y_{ij}) e^{s_{ij}} + \mathrm{margin}]_+`.

    0 for an anchor without positives or without negatives. Oh Song et al., "Deep Metric Learning via Lifted Structured
    Feature Embedding" (CVPR 2016), in the batch form of Hermans et al. (arXiv 1703.07737, equation 8); Metrix writes -m
    for the margin.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import LiftedStructurePairs, pair_based_loss
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    >>> pair_based_loss(x, torch.tensor([0, 0, 1]), LiftedStructurePairs(margin=0.1), reduction="none")
    tensor([0.0000, 0.2600, 0.0000])
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        check_threshold(self.margin, "margin")

    def __call__(self, similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss of each row."""
        both = (positive > 0).any(1) & (negative > 0).any(1)
        pull, push = _log_sum(-similarity, positive), _log_sum(similarity, negative)
        return torch.where(both, pull + push + self.margin, 0).clamp_min(0)


@dataclass(frozen=True)
class BinomialDeviancePairs:
    r""":math:`\frac{\sum_j y_{ij} \log(1 + e^{-\alpha (s_{ij} - m)})}{\alpha \sum_j y_{ij}}
    + \frac{\sum_j (1 - y_{ij}) \log(1 + e^{\beta (s_{ij} - m)})}{\beta \sum_j (1 - y_{ij})}`, with m the ``base``.

    Yi et al., "Deep Metric Learning for Person Re-Identification" (arXiv 1407.4979), as a mean over each kind of pair;
    divided by the slopes, so that a pair that is far on the wrong side weighs the same on both.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import BinomialDeviancePairs, pair_based_loss
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    >>> print(f"{pair_based_loss(x, torch.tensor([0, 0, 1]), BinomialDeviancePairs()):.4f}")
    0.4259
    """

    alpha: float = 2.0
    beta: float = 50.0
    base: float = 0.5

    def __post_init__(self) -> None:
        _check_slopes(self)

    def __call__(self, similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss of each row."""
        above = similarity - self.base
        sides = ((-above, self.alpha, positive), (above, self.beta, negative))
        return sum(
            (weight * -F.logsigmoid(-slope * excess)).sum(1) / (slope * _positive_or_one(weight.sum(1)))
            for excess, slope, weight in sides
        )


@dataclass(frozen=True)
class MultiSimilarityPairs:
    r""":math:`\frac1\alpha \log\big(1 + \sum_j y_{ij} e^{-\alpha (s_{ij} - m)}\big)
    + \frac1\beta \log\big(1 + \sum_j (1 - y_{ij}) e^{\beta (s_{ij} - m)}\big)`, with m the ``base``.

    :func:`multi_similarity_loss` without its mining (``epsilon=None``), which is faster where the labels are 0 and 1.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import MultiSimilarityPairs, multi_similarity_loss, pair_based_loss
    >>> x, labels = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]]), torch.tensor([0, 0, 1])
    >>> loss, same = pair_based_loss(x, labels, MultiSimilarityPairs()), multi_similarity_loss(x, labels, epsilon=None)
    >>> print(f"{loss:.4f} {same:.4f}")
    0.4859 0.4859
    """

    alpha: float = 2.0
    beta: float = 50.0
    base: float = 0.5

    def __post_init__(self) -> None:
        _check_slopes(self)

    def __call__(self, similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss of each row."""
        above = similarity - self.base
        pull = _log_sum(-self.alpha * above, positive, plus_one=True) / self.alpha
        return pull + _log_sum(self.beta * above, negative, plus_one=True) / self.beta


@breaks_graph
@front_end("embeddings", "labels", "references", "reference_labels")
def pair_based_loss(
    embeddings: TensorOrArray,
    labels: TensorOrArray,
    loss: PairLoss,
    *,
    reduction: str = "mean",
    references: TensorOrArray | None = None,
    reference_labels: TensorOrArray | None = None,
) -> TensorOrArray:
    r"""Any loss that is a function of an anchor's similarities to the others, without the similarity matrix.

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, d), float32 or float64
        One embedding a row, taken as it is: :math:`s_{ij}` are inner products, so pass
        ``torch.nn.functional.normalize(x)`` for cosines. n and d at least 1.
    labels : Tensor or ndarray of int64, shape (n,)
        Class of each row.
    loss : callable
        ``loss(similarity, positive, negative)``, three float64 tensors of shape (rows, columns): rows of similarities;
        the pair labels y; and 1 - y (both 0 for the anchor itself). It returns the losses of the rows, shape (rows,),
        differentiable, each a function of its own row alone, as it gets the rows in strips. One of
        :class:`ContrastivePairs`, :class:`TripletPairs`, :class:`LiftedStructurePairs`,
        :class:`BinomialDeviancePairs`, :class:`MultiSimilarityPairs`, or a function of yours.
    reduction : {"mean", "sum", "none"}
        Over anchors.
    references, reference_labels : Tensors or ndarrays, shapes (m, d) and (m,), optional
        What the embeddings are compared with in place of each other, such as a memory bank, and its classes: anchors are
        the embeddings, their positives and negatives references. A bank that holds the batch itself pairs each
        anchor with itself.

    Returns
    -------
    Tensor, shape () or (n,), of the embeddings' dtype (a float or an array for arrays)
        Computed in float64.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite or exceeds 1e140, or
        if ``loss`` returns another shape, or what does not fit the embeddings' dtype.

    Notes
    -----
    O(n^2 d) time beside ``loss``; O(n d) memory beside strips of a few MB, which the backward pass computes again.

    A loss may be given by its weights alone, as :math:`\sum_j w_{ij} s_{ij}` over negatives minus that over positives
    with constant w, whose gradient is that of every loss with :math:`w_{ij} = |\partial L / \partial s_{ij}|`:
    ``lambda s, positive, negative: ((negative - positive) * weights(s).detach() * s).sum(1)``.

    References
    ----------
    X. Wang, X. Han, W. Huang, D. Dong, M. R. Scott. Multi-Similarity Loss with General Pair Weighting for
    Deep Metric Learning. CVPR 2019, section 3. https://arxiv.org/abs/1904.06627

    S. Venkataramanan et al. It Takes Two to Tango: Mixup for Deep Metric Learning. ICLR 2022, whose general form with
    pair labels the built-in losses follow. https://arxiv.org/abs/2106.04990

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import pair_based_loss
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    >>> def linear(similarity, positive, negative):
    ...     return ((negative - positive) * similarity).sum(1)
    >>> pair_based_loss(x, torch.tensor([0, 0, 1]), linear, reduction="none")
    tensor([-0.2000,  0.1600,  1.5600])
    """
    labels = check_batch(embeddings, labels)
    reference_labels = check_references(references, reference_labels, embeddings)
    check_loss(loss)
    check_reduction(reduction)
    losses = by_anchor(
        lambda *rows: losses_of_rows(loss, *rows),
        embeddings,
        labels,
        references,
        reference_labels,
    )
    return rounded(reduce(losses, reduction), embeddings.dtype)


@breaks_graph
@front_end("similarity", "labels")
def pair_weights(similarity: TensorOrArray, labels: TensorOrArray, loss: PairLoss) -> TensorOrArray:
    r"""How much a loss weighs each pair: the size of its derivative with respect to the pair's similarity.

    .. math::

        w_{ij} = \frac{\partial \ell_i}{\partial s_{ij}} \ (y_i \ne y_j), \qquad
        w_{ij} = -\frac{\partial \ell_i}{\partial s_{ij}} \ (y_i = y_j, i \ne j)

    with :math:`\ell_i` the loss of anchor i. A weight below 0 would mean that the loss moves the pair the wrong way.

    Parameters
    ----------
    similarity : Tensor or ndarray, shape (n, n), float32 or float64
        n at least 1; row i belongs to anchor i.
    labels : Tensor or ndarray of int64, shape (n,)
        Class of each row and column.
    loss : callable
        As in :func:`pair_based_loss`.

    Returns
    -------
    Tensor or ndarray, shape (n, n)
        Of the dtype of ``similarity``, without gradient; 0 on the diagonal.

    Raises
    ------
    TypeError, ValueError
        As :func:`pair_based_loss`.

    Notes
    -----
    O(n^2) time and memory; O(n^2 log n) time for :class:`TripletPairs`, whose weight of a pair is its number of active
    triplets. The weights are derivatives by automatic differentiation; source: Wang et al. (arXiv 1904.06627),
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from corelib.losses import ContrastivePairs, pair_weights
    >>> s = np.array([[1.0, 0.8, 0.6], [0.8, 1.0, 0.4], [0.6, 0.4, 1.0]])
    >>> pair_weights(s, np.array([0, 0, 1]), ContrastivePairs(margin=0.5))
    array([[0., 1., 1.],
           [1., 0., 0.],
           [1., 0., 0.]])
    """
    check_points(similarity, "similarity")
    n = len(similarity)
    if similarity.shape != (n, n):
        raise ValueError(f"similarity must be square; got shape {tuple(similarity.shape)}")
    labels = check_integers(labels, "labels", similarity, "similarity", shape=(n,))
    check_loss(loss)
    with torch.inference_mode(False), torch.enable_grad():
        labels = labels.clone()  # a normal tensor in inference mode, too
        positive = labels[:, None] == labels
        negative = ~positive
        positive.fill_diagonal_(False)
        s = similarity.detach().double().clone().requires_grad_()
        (slope,) = torch.autograd.grad(losses_of_rows(loss, s, positive, negative).sum(), s)
        return (slope * (negative.double() - positive.double())).to(similarity.dtype)


def losses_of_rows(loss: PairLoss, similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """What ``loss`` makes of the rows, if it is one number a row."""
    losses = loss(similarity, positive.double(), negative.double())
    if not isinstance(losses, Tensor) or losses.shape != similarity.shape[:1]:
        found = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
        raise ValueError(
            f"loss must return a tensor with one loss a row, shape ({len(similarity)},); got {found}"
        )
    return losses


def check_loss(loss: object) -> None:
    """A ``TypeError`` unless ``loss`` can be called."""
    if not callable(loss):
        raise TypeError(f"loss must be callable; got {type(loss).__name__}")


def _check_slopes(loss: BinomialDeviancePairs | MultiSimilarityPairs) -> None:
    check_positive(loss.alpha, "alpha"), check_positive(loss.beta, "beta")
    check_real(loss.base, "base")


def _positive_or_one(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, 1)


def _log_sum(exponent: Tensor, weight: Tensor, *, plus_one: bool = False) -> Tensor:
    """log of the weighted sum of exponentials of each row, or of 1 more; 0 for a row without weight."""
    exponent = exponent.masked_fill(weight == 0, -torch.inf)
    shift = exponent.detach().amax(1)
    shift = shift.clamp_min(0) if plus_one else shift.masked_fill(shift == -torch.inf, 0)
    total = (weight * (exponent - shift[:, None]).exp()).sum(1)
    return shift + (total + (-shift).exp() if plus_one else _positive_or_one(total)).log()

"""Metrix: pair losses of mixed examples, whose similarities to an anchor follow from those of what was mixed."""

import torch
from torch import Tensor

from corelib._checks import check_bool, check_choice, check_int, check_real
from corelib._front_end import front_end
from corelib._types import TensorOrArray
from corelib.engines.distances import rounded
from corelib.engines.route import breaks_graph
from corelib.engines.strips import in_tiles
from corelib.losses._reduction import total_of
from corelib.losses.embeddings._batch import check_batch
from corelib.losses.embeddings.pair_weighting import (
    MultiSimilarityPairs,
    PairLoss,
    check_loss,
    losses_of_rows,
)

_TILE_BYTES = 4 << 20
_CANCELLED = 1e-14  # squared length of a mix, in those of its parts, below which float64 knows nothing of it


@breaks_graph
@front_end("embeddings", "labels")
def mixed_pair_loss(
    embeddings: TensorOrArray,
    labels: TensorOrArray,
    mix: float,
    loss: PairLoss | None = None,
    *,
    pairs: str = "positive-negative",
    hardest: int | None = None,
    normalize: bool = True,
) -> TensorOrArray:
    r"""Loss of mixed examples (Metrix): each anchor against mixes of its positives, or itself, with its negatives.

    A mix :math:`v = \lambda x + (1 - \lambda) x'` of x (label 1) and a negative x' (label 0) of an anchor has the pair
    label :math:`\lambda`: the loss counts it as positive with weight :math:`\lambda`, as negative with weight
    :math:`1 - \lambda`. To be added to the loss of the batch itself:

    .. math:: E = \frac1n \sum_a \big(\ell(a) + w\, \tilde\ell(a)\big).

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, d), float32 or float64
        One embedding a row, taken as it is: pass unit vectors. n and d at least 1.
    labels : Tensor or ndarray of int64, shape (n,)
        Class of each row.
    mix : float
        :math:`\lambda` in 0..1; the paper draws one for each step from Beta(2, 2).
    loss : callable, optional
        As in :func:`pair_based_loss`; ``MultiSimilarityPairs()`` if left out.
    pairs : {"positive-negative", "anchor-negative"}
        x is each positive of the anchor, or the anchor itself. The paper tosses a coin in each step.
    hardest : int, optional
        Mix only with this many negatives of each anchor, those of largest inner product; by default with all.
    normalize : bool
        Whether mixes are scaled to length 1. A mix that cancels, one below 1e-7 of the length of its parts, has similarity
        0 and gradient 0.

    Returns
    -------
    Tensor, 0-dimensional, of the embeddings' dtype (a float for arrays)
        The mean of :math:`\tilde\ell(a)` over all n anchors; an anchor without mixes adds 0. Computed in float64. The
        choice of the hardest negatives counts as constant.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, is not finite or exceeds 1e140, or
        if ``loss`` returns another shape, or what does not fit the embeddings' dtype.

    Notes
    -----
    No mix is ever formed: with :math:`S` the inner products,

    .. math::

        \langle a, v \rangle = \lambda S_{ax} + (1 - \lambda) S_{ax'}, \qquad
        \|v\|^2 = \lambda^2 S_{xx} + (1 - \lambda)^2 S_{x'x'} + 2 \lambda (1 - \lambda) S_{xx'} .

    So M mixes take O(n^2 d + M) time, not O(M d); and O(n d) memory beside the inner products of a class with the batch
    and a tile of a few MB (or the mixes of one anchor, where they are more), which the backward pass computes again.

    The published code departs from the paper's equations, which hold here: it puts the mixed terms inside the same
    logarithm as the clean ones.

    References
    ----------
    S. Venkataramanan, B. Psomas, E. Kijak, L. Amsaleg, K. Karantzalos, Y. Avrithis. It Takes Two to Tango: Mixup for
    Deep Metric Learning. ICLR 2022. https://arxiv.org/abs/2106.04990

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import mixed_pair_loss, multi_similarity_loss
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    >>> labels = torch.tensor([0, 0, 1])
    >>> clean = multi_similarity_loss(x, labels, epsilon=None)
    >>> print(f"{clean + 0.4 * mixed_pair_loss(x, labels, 0.5):.4f}")
    0.6049
    """
    labels = check_batch(embeddings, labels)
    share = check_real(mix, "mix")
    if not 0 <= share <= 1:
        raise ValueError(f"mix must lie in 0..1; got {share}")
    loss = MultiSimilarityPairs() if loss is None else loss
    check_loss(loss)
    with_anchor = check_choice(pairs, "pairs", ("positive-negative", "anchor-negative")) == "anchor-negative"
    hardest = len(embeddings) if hardest is None else check_int(hardest, "hardest", minimum=1)
    check_bool(normalize, "normalize")

    n = len(embeddings)
    names, sizes = labels.unique(return_counts=True)
    negatives = (n - sizes).clamp_max(hardest)
    per_anchor = negatives if with_anchor else negatives * (sizes - 1)
    names, heights, per_anchor = (values[per_anchor > 0] for values in (names, sizes, per_anchor))

    def of_classes(points: Tensor, first: int, last: int) -> Tensor:
        return torch.cat([of_class(points, c) for c in range(first, last)])

    def of_class(points: Tensor, c: int) -> Tensor:
        member = labels == names[c]
        own, others = points[member], points[~member]
        within, across, lengths = own @ own.T, own @ others.T, others.square().sum(1)

        def of_anchors(_: Tensor, start: int, stop: int) -> Tensor:
            similarity, counts = _mixes(
                within, across, lengths, slice(start, stop), share, hardest, with_anchor, normalize
            )
            return losses_of_rows(loss, similarity, share * counts, (1 - share) * counts)

        return in_tiles(of_anchors, points, _tiles(per_anchor[c].expand(heights[c])))

    points = embeddings.double()
    if len(names) == 0:
        return (0 * embeddings).sum()
    return rounded(total_of(in_tiles(of_classes, points, _tiles(per_anchor * heights))) / n, embeddings.dtype)


def _tiles(mixes: Tensor) -> list[tuple[int, int]]:
    """Consecutive ranges of what makes so many mixes, as long as a tile holds them."""
    tiles, start, held = [], 0, 0
    for stop, count in enumerate(mixes.tolist(), start=1):
        held += count
        if held * 8 > _TILE_BYTES and stop - 1 > start:
            tiles.append((start, stop - 1))
            start, held = stop - 1, count
    return [*tiles, (start, len(mixes))]


def _mixes(
    within: Tensor,
    across: Tensor,
    lengths: Tensor,
    rows: slice,
    share: float,
    hardest: int,
    with_anchor: bool,
    normalize: bool,
) -> tuple[Tensor, Tensor]:
    """Similarities of anchors of a class with their mixes, one anchor a row, and 1 for the mixes that count.

    ``within`` holds the inner products of the class, ``across`` those with all others, whose squared lengths are
    ``lengths``.
    """
    to_negative, first_to_negative = across[rows][:, None], across
    if hardest < across.shape[1]:
        chosen = across[rows].detach().topk(hardest, dim=1).indices
        to_negative = to_negative.gather(2, chosen[:, None])
        lengths = lengths[chosen][:, None]
        first_to_negative = across[:, chosen].transpose(0, 1)
    if with_anchor:
        to_first = first_length = within.diagonal()[rows][:, None, None]
        first_to_negative = to_negative
        counts = torch.ones_like(to_first)
    else:
        to_first = within[rows][:, :, None]
        first_length = within.diagonal()[:, None]
        counts = 1 - torch.eye(len(within), dtype=within.dtype, device=within.device)[rows][:, :, None]
    similarity = share * to_first + (1 - share) * to_negative
    if normalize:
        parts = share**2 * first_length + (1 - share) ** 2 * lengths
        squared = parts + 2 * share * (1 - share) * first_to_negative
        gone = squared <= _CANCELLED * parts
        similarity = (similarity / squared.masked_fill(gone, 1).sqrt()).masked_fill(gone, 0)
    return similarity.flatten(1), counts.expand_as(similarity).flatten(1)

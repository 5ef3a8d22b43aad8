"""Groups of images and captions that differ in order or detail only: is each pair, or the whole matching, right?"""

import functools
from typing import NamedTuple

import numpy as np

from corelib._types import ArrayLike
from corelib.metrics._inputs import as_scores

_MOST_CAPTIONS = 16
_LARGEST = 1e300  # sums of 16 such numbers are finite
_BLOCK = 1 << 20


class GroupMetrics(NamedTuple):
    """What a model makes of groups of images and captions, one entry per group."""

    text_score: np.ndarray
    """bool, shape (groups,): every image prefers its own caption to each other caption."""
    image_score: np.ndarray
    """bool, shape (groups,): every caption of an image prefers that image to each other image."""
    group_score: np.ndarray
    """bool, shape (groups,): both of them."""
    group_match: np.ndarray
    """bool, shape (groups,): the true matching has a larger total similarity than each other matching."""
    margin: np.ndarray
    """float64, shape (groups,), at least 0: total similarity of the best matching less that of the second best."""
    truth_margin: np.ndarray
    """float64, shape (groups,): total similarity of the true matching less that of the best wrong one."""
    matching: np.ndarray
    """int64, shape (groups, images): the caption of each image in the best matching."""


def group_metrics(similarity: ArrayLike) -> GroupMetrics:
    r"""Text, image and group score, group match, and the best matching with its margin, of each group.

    Parameters
    ----------
    similarity : array_like, shape (groups, images, captions)
        ``similarity[g, i, j]`` of image i and caption j of group g, at most 1e300 in size. The caption of image i is
        caption i; with fewer images than captions the other captions belong to none. 2 to 16 captions, 1 image or
        more; for more images than captions swap the two axes, and with them the roles of text and image score.

    Returns
    -------
    GroupMetrics
        A named tuple of arrays; the mean of ``group_score`` is the GroupScore of the data set.

    Raises
    ------
    TypeError
        If ``similarity`` does not hold real numbers.
    ValueError
        If its shape is another one, or a number is not finite or too large.

    Notes
    -----
    With :math:`s` the similarities of a group [1]_ [2]_:

    - text score: :math:`s_{ii} > s_{ij}` for all :math:`j \ne i`; image score: :math:`s_{ii} > s_{ji}`;
      group score: both. A model without any skill reaches it with chance :math:`(k - 1)! / (2 k - 1)!` for k images
      and k captions.
    - group match: :math:`\sum_i s_{ii} > \sum_i s_{i \pi(i)}` for every matching :math:`\pi` (no caption twice) but
      the true one; by chance :math:`1 / k!`. It follows from the group score, and unlike it does not change when
      a number is added to a row or a column. For one image it is the group score.
    - ``margin`` is how sure the model is of its own matching and needs no labels. For two images and two captions it
      is :math:`|s_{11} + s_{22} - s_{12} - s_{21}|`.

    All comparisons are strict: a tie is wrong, and where ``margin`` is 0, ``matching`` is one of the best. Sums run in
    float64, image by image; equal totals that round differently are no tie. Exact for every size, by dynamic
    programming over sets of captions: time O(captions 2**captions) per group; many groups go through it at once, in
    blocks of about 2**20 numbers.

    References
    ----------
    .. [1] T. Thrush et al., Winoground: probing vision and language models for visio-linguistic compositionality,
       CVPR 2022, equations 1 to 3.
    .. [2] Y. Zhu, J. Zhang and F. Tang, Test-time matching: unlocking compositional reasoning in multimodal models,
       arXiv 2510.07632, section 3.

    Examples
    --------
    >>> found = group_metrics([[[0.6, 0.5], [0.8, 0.9]], [[0.1, 0.7], [0.2, 0.4]]])
    >>> found.group_score, found.group_match
    (array([False, False]), array([ True, False]))
    >>> found.matching
    array([[0, 1],
           [1, 0]])
    >>> found.margin.round(9)
    array([0.2, 0.4])
    """
    s = _checked(similarity)
    groups, images, captions = s.shape
    own = np.eye(images, captions, dtype=bool)
    truth = np.diagonal(s, axis1=1, axis2=2)
    text_score = ((truth[:, :, None] > s) | own).all((1, 2))
    image_score = ((truth[:, None, :] > s[:, :, :images]) | own[:, :images]).all((1, 2))

    best, second = np.empty(groups), np.empty(groups)
    matching = np.empty((groups, images), dtype=np.int64)
    rows = max(1, _BLOCK // max(column.size for _, column in _layers(images, captions)))
    for start in range(0, groups, rows):
        block = slice(start, start + rows)
        best[block], second[block], matching[block] = _two_best(s[block])
    found = (matching == np.arange(images)).all(1)
    # Summed image by image, like the totals that it is compared with.
    truth_margin = np.cumsum(truth, axis=1)[:, -1] - np.where(found, second, best)
    return GroupMetrics(
        text_score=text_score,
        image_score=image_score,
        group_score=text_score & image_score,
        group_match=truth_margin > 0,
        margin=best - second,
        truth_margin=truth_margin,
        matching=matching,
    )


def _two_best(s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The totals of the best and the second best matching of each group, and the best one itself."""
    groups, images, captions = s.shape
    layers = _layers(images, captions)
    best, second = np.zeros((groups, 1)), np.full((groups, 1), -np.inf)
    choices = []
    for image, (rest, column) in enumerate(layers):
        gain = s[:, image, column]
        choice, best, second = _merge(best[:, rest] + gain, second[:, rest] + gain)
        choices.append(choice)
    at, best, second = _merge(best, second)

    matching = np.empty((groups, images), dtype=np.int64)
    every = np.arange(groups)
    for image in reversed(range(images)):
        rest, column = layers[image]
        choice = choices[image][every, at]
        matching[:, image] = column[at, choice]
        at = rest[at, choice]
    return best, second, matching


def _merge(best: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where along the last axis the best of all stands, it, and the second best of all."""
    choice = best.argmax(-1)
    at = choice[..., None]
    first = np.take_along_axis(best, at, -1)[..., 0]
    # Its runner-up is another entry, or the second best of the same entry.
    np.put_along_axis(best, at, np.take_along_axis(second, at, -1), -1)
    return choice, first, best.max(-1)


@functools.cache
def _layers(images: int, captions: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For 1, 2, ... images the sets of as many captions: each caption of a set, and where the set without it stands.

    Both arrays have shape (sets, captions of a set); sets are bit masks in ascending order.
    """
    masks = np.arange(1 << captions)
    layers, previous = [], masks[:1]
    for size in range(1, images + 1):
        sets = masks[np.bitwise_count(masks) == size]
        column = np.nonzero(sets[:, None] >> np.arange(captions) & 1)[1].reshape(len(sets), size)
        layers.append((np.searchsorted(previous, sets[:, None] ^ (1 << column)), column))
        previous = sets
    return layers


def _checked(similarity: ArrayLike) -> np.ndarray:
    s = as_scores(similarity, "similarity").astype(np.float64, copy=False)
    if s.ndim != 3 or not 1 <= s.shape[1] <= s.shape[2] or not 2 <= s.shape[2] <= _MOST_CAPTIONS:
        raise ValueError(
            "similarity must have shape (groups, images, captions), with 2 to "
            f"{_MOST_CAPTIONS} captions and no more images than captions; got {s.shape}"
        )
    if (bad := np.argwhere(~(np.abs(s) <= _LARGEST))).size:
        place = tuple(bad[0].tolist())
        raise ValueError(
            f"similarity must be finite and at most 1e300 in size; similarity{list(place)} is {s[place]}"
        )
    return s

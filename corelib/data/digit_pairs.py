"""Two handwritten digits side by side, with a caption that names both in their order."""

import numpy as np

from corelib._checks import check_int, check_real
from corelib.data.caption_groups import CaptionGroups
from corelib.data.digits import digits

_TEST = 797
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digit_pairs(
    count: int = 6000, *, seed: int = 0, swapped: float = 0.0, noise: float = 0.15
) -> CaptionGroups:
    """Pairs of different training digits, each with its caption: groups of one.

    Made from real pictures, those of :func:`digits`; the pairing is ours.

    Parameters
    ----------
    count : int
        Number of pairs, at least 1.
    seed : int
        Of the digits, the noise and the captions, at least 0.
    swapped : float
        Share of the captions, from 0 to 1, that name the two digits in the wrong order: at 0.5 a caption says which
        digits there are, and nothing of where.
    noise : float
        Standard deviation of the Gaussian noise on pixels from 0 to 1; at least 0.

    Returns
    -------
    CaptionGroups
        ``images`` are float32 of shape (count, 1, 8, 16).

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError, ValueError
        If an argument has the wrong type or is out of its range.

    Examples
    --------
    >>> from corelib.data import digit_pairs
    >>> pairs = digit_pairs(3, seed=0)
    >>> pairs.images.shape, pairs.captions[0]
    ((3, 1, 8, 16), ('eight then one',))
    """
    count, rng, noise = _arguments(count, seed, noise)
    swapped = check_real(swapped, "swapped")
    if not 0 <= swapped <= 1:
        raise ValueError(f"swapped must lie in 0..1; got {swapped}")
    left, right = _different(count, rng)
    data = digits(test_size=_TEST)
    images = _side_by_side(data.train, data.train_labels, left, right, rng, noise)
    said = np.where(
        (rng.random(count) < swapped)[:, None], np.stack([right, left], 1), np.stack([left, right], 1)
    )
    return CaptionGroups(images=images[:, None], captions=tuple((_caption(*pair),) for pair in said))


def digit_groups(count: int = 300, *, seed: int = 0, noise: float = 0.15) -> CaptionGroups:
    """Groups of two pairs of test digits: the same two digits in both orders, each time in another handwriting.

    The construction of Winoground (see :func:`winoground`), for which these groups stand in.

    Parameters
    ----------
    count, seed, noise
        As in :func:`digit_pairs`, but for groups. No digit of a group is among the training digits there.

    Returns
    -------
    CaptionGroups
        ``images`` are float32 of shape (count, 2, 8, 16).

    Raises
    ------
    ImportError, TypeError, ValueError
        As in :func:`digit_pairs`.

    Examples
    --------
    >>> from corelib.data import digit_groups
    >>> groups = digit_groups(3, seed=0)
    >>> groups.images.shape, groups.captions[0]
    ((3, 2, 8, 16), ('eight then one', 'one then eight'))
    """
    count, rng, noise = _arguments(count, seed, noise)
    first, second = _different(count, rng)
    data = digits(test_size=_TEST)
    images = [
        _side_by_side(data.test, data.test_labels, left, right, rng, noise)
        for left, right in ((first, second), (second, first))
    ]
    captions = tuple((_caption(a, b), _caption(b, a)) for a, b in zip(first, second, strict=True))
    return CaptionGroups(images=np.stack(images, 1), captions=captions)


def _arguments(count: object, seed: object, noise: object) -> tuple[int, np.random.Generator, float]:
    rng = np.random.default_rng(check_int(seed, "seed", minimum=0))
    level = check_real(noise, "noise")
    if level < 0:
        raise ValueError(f"noise must not be negative; got {level}")
    return check_int(count, "count", minimum=1), rng, level


def _different(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    first = rng.integers(10, size=count)
    return first, (first + rng.integers(1, 10, size=count)) % 10


def _side_by_side(
    pixels: np.ndarray,
    labels: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    rng: np.random.Generator,
    noise: float,
) -> np.ndarray:
    """A random picture of each digit on the left beside one of each on the right, noisy: (n, 8, 16)."""
    halves = []
    for side in (left, right):
        chosen = np.empty(len(side), dtype=np.int64)
        for digit in range(10):
            here = side == digit
            chosen[here] = rng.choice(np.flatnonzero(labels == digit), here.sum())
        halves.append((pixels[chosen].reshape(-1, 8, 8) + 1) / 2)
    images = np.concatenate(halves, axis=2)
    return (images + noise * rng.standard_normal(images.shape)).astype(np.float32)


def _caption(left: int, right: int) -> str:
    return f"{_WORDS[left]} then {_WORDS[right]}"

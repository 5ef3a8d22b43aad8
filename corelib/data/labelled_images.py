"""Images with a class each: what every image data set of the book returns."""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from corelib._checks import check_int


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImages:
    """Images with a class each.

    Attributes
    ----------
    images : numpy.ndarray, shape (n, height, width) or (n, height, width, 3)
        Grey or RGB; float32 from 0 to 1, or uint8 from 0 to 255 where float32 would not fit into memory.
    labels : numpy.ndarray of int64, shape (n,)
        The class of each image: an index into ``names``.
    names : tuple of str
        The names of the classes.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def split_classes(self, seed: int, train: int | None = None) -> tuple[Self, Self]:
        """Part the *classes* at random: no class of the second part has an image in the first.

        Parameters
        ----------
        seed : int
            The classes are ordered by ``numpy.random.default_rng(seed).permutation``.
        train : int, optional
            Number of classes in the first part; by default half of them, rounded down.

        Returns
        -------
        train, test : LabelledImages
            Of the same type as ``self``. Labels and ``names`` stay as they were, and so does the order of the images.

        Raises
        ------
        TypeError, ValueError
            If an argument is no integer, the seed is negative, or a part would be empty.

        Examples
        --------
        >>> import numpy as np
        >>> from corelib.data import LabelledImages
        >>> pictures = LabelledImages(
        ...     images=np.zeros((4, 2, 2), np.float32), labels=np.array([0, 0, 1, 1]), names=("a", "b")
        ... )
        >>> train, test = pictures.split_classes(seed=0)
        >>> train.labels, test.labels
        (array([0, 0]), array([1, 1]))
        """
        seed = check_int(seed, "seed", minimum=0)
        classes = len(self.names)
        train = classes // 2 if train is None else check_int(train, "train", minimum=1)
        if not 1 <= train < classes:
            raise ValueError(
                f"train must leave classes on both sides of the split, of {classes}; got {train}"
            )
        chosen = np.random.default_rng(seed).permutation(classes)[:train]
        first = np.isin(self.labels, chosen)
        return self.select(first), self.select(~first)

    def select(self, rows: np.ndarray) -> Self:
        """Some of the images, in the order of ``rows``.

        Parameters
        ----------
        rows : numpy.ndarray
            A mask of shape (n,), or indices.

        Returns
        -------
        LabelledImages
            Of the same type as ``self``, with copies of the selected rows; ``names`` stay as they were.

        Examples
        --------
        >>> import numpy as np
        >>> from corelib.data import LabelledImages
        >>> pictures = LabelledImages(
        ...     images=np.zeros((3, 2, 2), np.float32), labels=np.array([0, 0, 1]), names=("a", "b")
        ... )
        >>> pictures.select(pictures.labels == 0).labels
        array([0, 0])
        """
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: a[rows] for name, a in arrays.items() if isinstance(a, np.ndarray)})

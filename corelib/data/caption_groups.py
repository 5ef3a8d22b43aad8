"""Groups of images with a caption each: what every image-and-text data set of the book returns."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionGroups:
    """Images with a caption each, in groups that belong together.

    Attributes
    ----------
    images : numpy.ndarray, shape (groups, k, height, width) or (groups, k, height, width, 3)
        Grey as float32, or RGB as uint8 from 0 to 255.
    captions : tuple of tuple of str
        ``captions[g][i]`` is the caption of ``images[g, i]``. In a group of two, both consist of the same words.
    """

    images: np.ndarray
    captions: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.images)

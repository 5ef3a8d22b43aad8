"""Pairs of answers, one preferred to the other: what every preference data set of the book returns."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class PreferencePairs:
    """Pairs of answers to a prompt, with the share of raters who prefer the one to the other.

    Attributes
    ----------
    prompts : tuple of str
        What was asked; empty where an answer stands alone.
    chosen, rejected : tuple of str
        The answer that most raters prefer, and the other one.
    agreement : numpy.ndarray of float64, shape (n,)
        Share of raters who prefer the chosen answer, above 0.5 and at most 1.
    split : numpy.ndarray of str, shape (n,)
        "train" or "dev".
    texts : tuple of str
        What a reference model is trained on; empty where a public model serves as the reference.
    """

    prompts: tuple[str, ...]
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    agreement: np.ndarray
    split: np.ndarray
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def rows(self, part: str) -> np.ndarray:
        """Indices of the pairs of a part.

        Parameters
        ----------
        part : {"train", "dev"}

        Returns
        -------
        numpy.ndarray of int64

        Raises
        ------
        ValueError
            If there is no such part.

        Examples
        --------
        >>> from corelib.data import word_preferences
        >>> word_preferences(seed=0).rows("dev")[:3]
        array([800, 801, 802])
        """
        if part not in ("train", "dev"):
            raise ValueError(f'part must be "train" or "dev"; got {part!r}')
        return np.flatnonzero(self.split == part)

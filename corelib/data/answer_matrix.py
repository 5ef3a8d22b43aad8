"""Answers of solvers to items: what every data set of item response theory in the book returns."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class AnswerMatrix:
    """Who solved what.

    Attributes
    ----------
    responses : numpy.ndarray of float64, shape (solvers, items)
        1 for right, 0 for wrong, NaN where the item was not asked: what :func:`corelib.ratings.fit_item_response` takes.
    solvers, items : tuple of str
        Their names, one a row and one a column.
    """

    responses: np.ndarray
    solvers: tuple[str, ...]
    items: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of solvers and of items."""
        return self.responses.shape

"""Ratings of items by users: what every recommendation data set of the book returns."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from corelib._checks import check_int


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemRatings:
    """Ratings of items by users, one entry a rating.

    Attributes
    ----------
    users, items : numpy.ndarray of int64, shape (n,)
        Who rated what: numbers from 0.
    values : numpy.ndarray of float64, shape (n,)
        From 0.5 or 1 to 5.
    shape : tuple of int
        Numbers of users and of items.
    split : numpy.ndarray of str, shape (n,)
        "train", or "test" for items that were shown at random.
    """

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]
    split: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def densest(self, *, users: int, items: int) -> Self:
        """The items with the most ratings, then the users with the most ratings of these.

        Parameters
        ----------
        users, items : int
            How many to keep. Among equals, those with the smaller numbers.

        Returns
        -------
        ItemRatings
            Users and items are numbered anew, in the order of their old numbers.

        Raises
        ------
        TypeError, ValueError
            If an argument is no integer, or not between 1 and what there is.

        Examples
        --------
        >>> from corelib.data import movielens
        >>> ratings = movielens().densest(users=250, items=400)
        >>> ratings.shape, len(ratings)
        ((250, 400), 29711)
        """
        for name, wanted, there in (("users", users, self.shape[0]), ("items", items, self.shape[1])):
            if check_int(wanted, name, minimum=1) > there:
                raise ValueError(f"{name} must be at most {there}; got {wanted}")
        kept_items = _most_frequent(self.items, self.shape[1], items)
        rows = np.isin(self.items, kept_items)
        kept_users = _most_frequent(self.users[rows], self.shape[0], users)
        rows &= np.isin(self.users, kept_users)
        return replace(
            self,
            users=np.searchsorted(kept_users, self.users[rows]),
            items=np.searchsorted(kept_items, self.items[rows]),
            values=self.values[rows],
            shape=(users, items),
            split=self.split[rows],
        )


def _most_frequent(numbers: np.ndarray, kinds: int, count: int) -> np.ndarray:
    """The ``count`` most frequent numbers, ascending."""
    frequency = np.bincount(numbers, minlength=kinds)
    return np.sort(np.argsort(-frequency, kind="stable")[:count])

"""Yahoo! R3: ratings of songs that users chose, and of songs that they were shown at random."""

from pathlib import Path

import numpy as np

from corelib.data.item_ratings import ItemRatings

FILES = {
    "train": "ydata-ymusic-rating-study-v1_0-train.txt",
    "test": "ydata-ymusic-rating-study-v1_0-test.txt",
}
SHAPE = (15_400, 1_000)


def yahoo_r3(folder: str | Path = "data") -> ItemRatings:
    """Yahoo! Music ratings for user-selected and randomly selected songs, version 1.0 ("R3").

    15,400 users rated songs of their choice (311,704 ratings, "train"); 5,400 of them also rated ten songs each that
    were drawn at random from 1,000 (54,000 ratings, "test"). It cannot be downloaded by a program: Yahoo! Webscope
    gives it to researchers on request.

    Parameters
    ----------
    folder : str or Path
        Where the two files ``ydata-ymusic-rating-study-v1_0-train.txt`` and ``...-test.txt`` lie.

    Returns
    -------
    ItemRatings
        The same type as ``movielens``, with both parts; the shape is always (15400, 1000).

    Raises
    ------
    FileNotFoundError
        If a file is not there; it says where to ask for it.
    ValueError
        If a file is not in the format of the public set.

    Examples
    --------
    >>> from corelib.data import yahoo_r3
    >>> ratings = yahoo_r3("data")  # doctest: +SKIP
    >>> (ratings.split == "test").sum()  # doctest: +SKIP
    54000
    """
    tables = {part: _read(Path(folder) / name) for part, name in FILES.items()}
    table = np.concatenate(list(tables.values()))
    return ItemRatings(
        users=table[:, 0] - 1,
        items=table[:, 1] - 1,
        values=table[:, 2].astype(np.float64),
        shape=SHAPE,
        split=np.repeat(list(tables), [len(part) for part in tables.values()]),
    )


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(
            f'no {path.name} in {path.parent}; ask for "R3 - Yahoo! Music ratings for User Selected and Randomly Selected '
            'songs" at Yahoo! Webscope and unpack it there'
        )
    wrong = f"{path} must have lines of user (1 to {SHAPE[0]}), song (1 to {SHAPE[1]}) and rating (1 to 5), parted by tabs"
    try:
        table = np.loadtxt(path, dtype=np.int64, delimiter="\t", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{wrong}: {error}") from error
    if table.shape[1] != 3 or (table < 1).any() or (table.max(axis=0) > [*SHAPE, 5]).any():
        raise ValueError(wrong)
    return table

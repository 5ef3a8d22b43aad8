"""The See Also corpus: find a function of NumPy, SciPy, scikit-learn or NetworkX, and its relatives, by its summary line.

The texts are the docstrings of the installed libraries and are read from there at run time. This project stores none of
their sentences, only which functions belong together and a hash of each text (``seealso_labels.json.gz``, made by
``tools/make_seealso_labels.py``).
"""

import gzip
import importlib
import importlib.metadata
import inspect
import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corelib.data.text_retrieval import TextHashes, TextRetrieval, text_hashes

VERSIONS = {"networkx": "3.6.1", "numpy": "2.4.6", "scikit-learn": "1.9.1", "scipy": "1.17.1"}
LABELS = Path(__file__).with_name("seealso_labels.json.gz")

MOST_CHARACTERS = 1000

_ROLE = re.compile(r":\w+:`~?([^`]*)`")
_MARKUP = re.compile(r"`{1,2}|\*{1,2}(?=\S)|(?<=\S)\*{1,2}")
_HEADING = re.compile(r"^([A-Z][A-Za-z ]+)\n[-=]{3,}[ \t]*$", flags=re.MULTILINE)
_SIGNATURE = re.compile(r"^[\w.]+\(.*\)", flags=re.DOTALL)


class Docstring(NamedTuple):
    """What the corpus takes from one docstring: plain summary, plain text, and "See Also" as it stands."""

    summary: str
    text: str
    see_also: str


def seealso() -> TextRetrieval:
    """Summary lines of functions as queries, the rest of their docstrings as documents: 2,068 queries, 2,154 documents.

    Nothing is downloaded: the docstrings are those of the installed libraries. A document is what follows the summary
    line, notes, parameters and return values, cut at 1,000 characters, without "See Also": that section makes the
    grades. Every query has several right answers, 4.3 in the mean and up to 24, which is what ``rhelp`` cannot offer.

    ======  =======================================================================================================
    grade   the document is
    ======  =======================================================================================================
    3       the function's own (several if the same line stands over different texts)
    2       of a function that names this one under "See Also" and is named by it
    1       of a function that names this one, or is named by it
    ======  =======================================================================================================

    1,287 queries train, 213 dev, 568 test, by a hash of the function's name: relatives may fall into different parts.

    Ids, grades and parts are stored and never change. Texts are those of the installed versions: if they are not the
    versions that were labelled (networkx 3.6.1, numpy 2.4.6, scikit-learn 1.9.1, scipy 1.17.1), a warning says how many
    texts differ. A text that no longer exists is empty. ``minilm_vectors`` returns the vectors of the labelled texts in
    any case. Takes three seconds, most of them for importing the libraries.

    Licence: all four libraries are under the BSD licence with three clauses. The project stores none of the texts.

    Returns
    -------
    TextRetrieval

    Raises
    ------
    ModuleNotFoundError
        If one of the libraries is missing.

    Warns
    -----
    UserWarning
        If some of the texts are not those that were labelled.

    Examples
    --------
    >>> from corelib.data import seealso
    >>> data = seealso()
    >>> data.relevance.shape, [len(data.rows(part)) for part in ("train", "dev", "test")]
    ((2068, 2154), [1287, 213, 568])
    >>> grades = data.relevance[data.query_ids.index("numpy.hanning")]
    >>> [data.document_ids[j].removeprefix("numpy.") for j in grades.nonzero()[0]]
    ['bartlett', 'blackman', 'hamming', 'hanning', 'kaiser']
    """
    labels = json.loads(gzip.decompress(LABELS.read_bytes()))
    names, queries = labels["documents"], labels["queries"]
    original = TextHashes(
        np.array(labels["query_hashes"], dtype=np.uint64),
        np.array(labels["document_hashes"], dtype=np.uint64),
    )
    docstrings = _installed(names)
    position = {name: i for i, name in enumerate(names)}
    relevance = np.zeros((len(queries), len(names)), dtype=np.int8)
    for row, query in zip(relevance, queries, strict=True):
        row[[int(document) for document in query["grades"]]] = list(query["grades"].values())
    corpus = TextRetrieval(
        name="seealso",
        document_ids=tuple(names),
        documents=tuple(docstring.text for docstring in docstrings),
        query_ids=tuple(query["id"] for query in queries),
        queries=tuple(docstrings[position[query["id"]]].summary for query in queries),
        relevance=relevance,
        split=np.array([query["part"] for query in queries]),
        original=original,
    )
    _say_what_changed(corpus)
    return corpus


def parse(docstring: str) -> Docstring:
    """Summary, text and "See Also" of a docstring in numpydoc form, as ``inspect.getdoc`` returns it."""
    head, *parts = _HEADING.split(docstring)
    sections: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        sections.setdefault(name.strip(), body)
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", head.strip()) if paragraph.strip()]
    while paragraphs and _SIGNATURE.match(paragraphs[0].replace("\n", " ")):
        paragraphs = paragraphs[1:]
    summary, *details = paragraphs or [""]
    notes = sections.get("Notes", "").split(">>>")[0].split("Array API Standard Support")[0]
    text = _plain(" ".join([*details, notes, sections.get("Parameters", ""), sections.get("Returns", "")]))
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS].rsplit(" ", 1)[0]
    return Docstring(_plain(summary), text, sections.get("See Also", ""))


def without_roles(text: str) -> str:
    """``text`` with the names that Sphinx roles refer to in place of the roles: ``:func:`~a.b``` becomes ``a.b``."""
    return _ROLE.sub(r"\1", text)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", _MARKUP.sub(" ", without_roles(text))).strip()


def _installed(names: Sequence[str]) -> list[Docstring]:
    """The docstrings of these functions and classes; empty where the installed library has none."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated names
        for name in names:
            function = _function(*name.rsplit(".", 1))
            found.append(parse("" if function is None else inspect.getdoc(function) or ""))
    return found


def _function(module: str, name: str) -> object | None:
    """The function or class, or None if the installed library no longer has it."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        if error.name in ("networkx", "numpy", "scipy", "sklearn"):
            raise ModuleNotFoundError(
                f"the docstrings of seealso come with the libraries; {error.name} is not installed: "
                'pip install "keeping-score[notebooks]"'
            ) from error
        return None


def _say_what_changed(corpus: TextRetrieval) -> None:
    changed = [
        np.count_nonzero(text_hashes(texts) != hashes)
        for texts, hashes in zip((corpus.queries, corpus.documents), corpus.original, strict=True)
    ]
    if any(changed):
        here = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS)
        there = ", ".join(f"{name} {version}" for name, version in VERSIONS.items())
        warnings.warn(
            f"{changed[0]} of {len(corpus.queries)} queries and {changed[1]} of {len(corpus.documents)} documents of seealso "
            f"are not the texts that were labelled and encoded: installed are {here}; labelled were {there}",
            stacklevel=3,
        )

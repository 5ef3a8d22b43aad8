"""TREC runs and qrels: read, written, and laid side by side as the arrays that the metrics take."""

import math
import numbers
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corelib._checks import check_choice

Run = dict[str, dict[str, float]]
Qrels = dict[str, dict[str, int]]
_WORD = re.compile(r"[^ \t\n\r\v\f\ud800-\udfff]+")


@dataclass(frozen=True, eq=False)
class AlignedRun:
    """A run and its judgements as ragged arrays: query i owns the entries ``indptr[i]:indptr[i + 1]``.

    Attributes
    ----------
    scores : ndarray of float64, shape (total,)
        The score of each document; ``-inf`` for one that was judged and not retrieved.
    relevance : ndarray of int64, shape (total,)
        Its judgement, 0 if there is none or if it is negative.
    judged : ndarray of bool, shape (total,)
        Whether it has a judgement of at least 0.
    indptr : ndarray of int64, shape (queries + 1,)
        Where each query begins and ends.
    queries : list of str
        The identifiers of the queries, in the order of the qrels.
    documents : list of str
        The identifiers of the documents, ascending within each query.
    """

    scores: np.ndarray
    relevance: np.ndarray
    judged: np.ndarray
    indptr: np.ndarray
    queries: list[str]
    documents: list[str]


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a TREC run: lines of query, "Q0", document, rank, score and tag, separated by blanks or tabs.

    Parameters
    ----------
    path : str or path
        A UTF-8 text file. Empty lines are passed over.

    Returns
    -------
    dict of str to dict of str to float
        The score of each document of each query, in the order of the file.

    Raises
    ------
    ValueError
        If a line has not six columns, its rank is no integer, its score is no finite number, its document was
        listed for its query before, or it is not UTF-8. The message begins with file and line:
        ``my.run:17: ...``.
    OSError
        If the file cannot be read.

    Notes
    -----
    As in ``trec_eval``, the second column, the ranks and the tag do not count: the order is that of the
    scores. O(lines).

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "my.run")
    >>> _ = path.write_text("q1 Q0 d7 1 3.5 mine\\nq1 Q0 d2 2 1.25 mine\\n")
    >>> read_run(path)
    {'q1': {'d7': 3.5, 'd2': 1.25}}
    """
    run: Run = {}
    for fields, fail in _lines(path, ("query", "Q0", "document", "rank", "score", "tag")):
        if _number(int, fields[3]) is None:
            fail(f"the rank must be an integer; got {_shown(fields[3])}")
        score = _number(float, fields[4])
        if score is None or not math.isfinite(score):
            fail(f"the score must be a finite number; got {_shown(fields[4])}")
        _add(run, fields[0], fields[2], score, fail)
    return run


def read_qrels(path: str | os.PathLike[str]) -> Qrels:
    """Read TREC relevance judgements: lines of query, iteration, document and relevance.

    Parameters
    ----------
    path : str or path
        A UTF-8 text file, with columns separated by blanks or tabs. Empty lines are passed over.

    Returns
    -------
    dict of str to dict of str to int
        The relevance of each judged document of each query, in the order of the file; negative values are
        kept.

    Raises
    ------
    ValueError
        If a line has not four columns, its relevance is no integer of 64 bits, its document was judged for
        its query before, or it is not UTF-8. The message begins with file and line.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "my.qrels")
    >>> _ = path.write_text("q1 0 d7 2\\nq1 0 d9 0\\n")
    >>> read_qrels(path)
    {'q1': {'d7': 2, 'd9': 0}}
    """
    qrels: Qrels = {}
    for fields, fail in _lines(path, ("query", "iteration", "document", "relevance")):
        relevance = _number(int, fields[3])
        if relevance is None or not -(2**63) <= relevance < 2**63:
            fail(f"the relevance must be an integer of 64 bits; got {_shown(fields[3])}")
        _add(qrels, fields[0], fields[2], relevance, fail)
    return qrels


def write_run(
    run: Mapping[str, Mapping[str, float]], path: str | os.PathLike[str], *, tag: str = "corelib"
) -> None:
    """Write a TREC run, each query from rank 1 on: by score, and by descending identifier among equal scores.

    Parameters
    ----------
    run : mapping of str to mapping of str to float
        The finite score of each document of each query; at least one document per query.
    path : str or path
        Replaced if it exists; not touched if the run is refused.
    tag : str
        The name of the run, in the last column.

    Raises
    ------
    TypeError
        If the run is not a mapping of mappings, an identifier is no string or a score no real number.
    ValueError
        If an identifier or the tag is empty or holds whitespace, a score is not finite or a query has no
        documents.
    OSError
        If the file cannot be written.

    Notes
    -----
    Scores are written with the fewest digits that give the same float64 back: ``read_run`` returns equal
    scores.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "my.run")
    >>> write_run({"q1": {"d1": 0.5, "d2": 0.5, "d3": 2}}, path, tag="mine")
    >>> print(path.read_text(), end="")
    q1 Q0 d3 1 2.0 mine
    q1 Q0 d2 2 0.5 mine
    q1 Q0 d1 3 0.5 mine
    """
    _check_table(run, "run", numbers.Real)
    _check_words([tag], "tag")
    _check_writable(run, "run")
    lines = []
    for query, scores in run.items():
        ranked = sorted(((float(score), document) for document, score in scores.items()), reverse=True)
        lines += [
            f"{query} Q0 {document} {rank} {score!r} {tag}\n"
            for rank, (score, document) in enumerate(ranked, 1)
        ]
    Path(path).write_bytes("".join(lines).encode())


def write_qrels(qrels: Mapping[str, Mapping[str, int]], path: str | os.PathLike[str]) -> None:
    """Write TREC relevance judgements, in the order of the mapping.

    Parameters
    ----------
    qrels : mapping of str to mapping of str to int
        The relevance of each judged document of each query; at least one document per query.
    path : str or path
        Replaced if it exists; not touched if the judgements are refused.

    Raises
    ------
    TypeError
        If ``qrels`` is not a mapping of mappings, an identifier is no string or a relevance no integer.
    ValueError
        If an identifier is empty or holds whitespace, or a query has no documents.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "my.qrels")
    >>> write_qrels({"q1": {"d7": 2, "d9": 0}}, path)
    >>> print(path.read_text(), end="")
    q1 0 d7 2
    q1 0 d9 0
    """
    _check_table(qrels, "qrels", numbers.Integral)
    _check_writable(qrels, "qrels")
    lines = [
        f"{query} 0 {document} {int(relevance)}\n"
        for query, judgements in qrels.items()
        for document, relevance in judgements.items()
    ]
    Path(path).write_bytes("".join(lines).encode())


def align_run(
    run: Mapping[str, Mapping[str, float]], qrels: Mapping[str, Mapping[str, int]], *, queries: str = "qrels"
) -> AlignedRun:
    """Lay a run and its judgements side by side as the ragged arrays that :func:`evaluate` takes.

    Parameters
    ----------
    run : mapping of str to mapping of str to float
        The finite score of each retrieved document of each query, as from :func:`read_run`.
    qrels : mapping of str to mapping of str to int
        The relevance of each judged document of each query, as from :func:`read_qrels`.
    queries : {"qrels", "both"}
        Which queries count: all that have judgements (a query that the run leaves out then counts 0, as with
        ``trec_eval -c``), or those that the run has too (what ``trec_eval`` does without ``-c``). A query
        without judgements never counts.

    Returns
    -------
    AlignedRun
        Scores, relevance, whether each document was judged, where each query begins, and the identifiers.

    Raises
    ------
    TypeError
        If an argument is not a mapping of mappings, an identifier is no string, a score no real number or a
        relevance no integer.
    ValueError
        If a score is not finite, a relevance does not fit 64 bits, or a choice is none of those above.

    Notes
    -----
    Documents stand in ascending order of their identifiers, so that ``ties="reverse"``, the default of the
    metrics, ranks equal scores as ``trec_eval`` does. That program compares scores in float32; to do the
    same, pass ``scores.astype(numpy.float32)``. Time O(n log n) in the documents of a query.

    Examples
    --------
    >>> from corelib.metrics import evaluate
    >>> run = {"q1": {"d1": 3.0, "d2": 2.0, "d3": 2.0}}
    >>> qrels = {"q1": {"d3": 1, "d9": 1}, "q2": {"d1": 1}}
    >>> both = align_run(run, qrels)
    >>> both.documents, both.scores
    (['d1', 'd2', 'd3', 'd9', 'd1'], array([  3.,   2.,   2., -inf, -inf]))
    >>> evaluate(both.scores, both.relevance, ["map", "recall@3"], indptr=both.indptr)
    {'map': array([0.25, 0.  ]), 'recall@3': array([0.5, 0. ])}
    """
    check_choice(queries, "queries", ("qrels", "both"))
    _check_table(run, "run", numbers.Real)
    _check_table(qrels, "qrels", numbers.Integral)
    chosen = [query for query in qrels if queries == "qrels" or query in run]
    documents: list[str] = []
    scores: list[float] = []
    relevance: list[int] = []
    indptr = [0]
    for query in chosen:
        retrieved, judgements = run.get(query, {}), qrels[query]
        both = sorted(retrieved.keys() | judgements.keys())
        documents += both
        scores += [retrieved.get(document, -math.inf) for document in both]
        relevance += [judgements.get(document, -1) for document in both]
        indptr.append(len(documents))
    grades = np.array(relevance, dtype=np.int64)
    return AlignedRun(
        scores=np.array(scores, dtype=np.float64),
        relevance=np.maximum(grades, 0),
        judged=grades >= 0,
        indptr=np.array(indptr, dtype=np.int64),
        queries=chosen,
        documents=documents,
    )


def _lines(
    path: str | os.PathLike[str], columns: tuple[str, ...]
) -> Iterator[tuple[list[bytes], Callable[[str], None]]]:
    """The fields of each line that is not empty, and what raises an error that names the line."""
    number = 0

    def fail(message: str) -> None:
        raise ValueError(f"{os.fspath(path)}:{number}: {message}")

    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if number == 1 and line.startswith(b"\xef\xbb\xbf"):
                fail("the file begins with a byte order mark; save it as UTF-8 without one")
            if len(fields) == len(columns):
                yield fields, fail
            elif fields:
                fail(f"a line must have {len(columns)} columns, {' '.join(columns)}; got {len(fields)}")


def _number(kind: type[int] | type[float], field: bytes) -> int | float | None:
    """The number that a field spells, without the underscores that Python allows."""
    try:
        return None if b"_" in field else kind(field)
    except ValueError:
        return None


def _add(table: dict, query: bytes, document: bytes, value: float, fail: Callable[[str], None]) -> None:
    try:
        key = document.decode()
        row = table.setdefault(query.decode(), {})
    except UnicodeDecodeError:
        fail("the identifiers must be UTF-8")
    if key in row:
        fail(f"document {key!r} stands twice under query {query.decode()!r}")
    row[key] = value


def _shown(field: bytes) -> str:
    return repr(field[:40].decode(errors="replace"))


def _check_table(table: object, name: str, kind: type) -> None:
    """An error unless ``table`` maps strings to mappings of strings to finite numbers of a kind."""
    if not isinstance(table, Mapping):
        raise TypeError(f"{name} must be a mapping of queries to mappings; got {type(table).__name__}")
    wanted = "integers" if kind is numbers.Integral else "real numbers up to float64"
    for query, row in table.items():
        if not isinstance(query, str):
            raise TypeError(f"the queries of {name} must be strings; got {query!r}")
        if not isinstance(row, Mapping):
            raise TypeError(
                f"{name}[{query!r}] must be a mapping of documents to {wanted}; got {type(row).__name__}"
            )
        for wrong in {type(document) for document in row if not isinstance(document, str)}:
            raise TypeError(f"the documents of {name}[{query!r}] must be strings; got {wrong.__name__}")
        for found in set(map(type, row.values())):
            if issubclass(found, bool | np.bool | np.longdouble) or not issubclass(found, kind):
                raise TypeError(f"{name}[{query!r}] must map documents to {wanted}; got {found.__name__}")
        for document, value in row.items():
            if kind is numbers.Real and not _is_finite(value):
                raise ValueError(f"{name}[{query!r}] must be finite; the score of {document!r} is {value}")
            if kind is numbers.Integral and not -(2**63) <= value < 2**63:
                raise ValueError(
                    f"{name}[{query!r}] must fit 64 bits; the relevance of {document!r} is {value}"
                )


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float64
        return False


def _check_writable(table: Mapping[str, Mapping[str, object]], name: str) -> None:
    _check_words(table, name)
    for query, row in table.items():
        if not row:
            raise ValueError(f"{name}[{query!r}] has no documents, for which the format has no line")
        _check_words(row, name)


def _check_words(words: Iterable[str], name: str) -> None:
    for word in words:
        if not isinstance(word, str):
            raise TypeError(f"{name} must be a string; got {type(word).__name__}")
        if _WORD.fullmatch(word) is None:
            raise ValueError(
                f"{name} must use identifiers that are not empty and hold no whitespace; got {word!r}"
            )

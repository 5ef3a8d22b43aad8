"""TREC runs and qrels: read, written, and laid side by side as the arrays that the metrics take."""

import gzip
import itertools
import math
import numbers
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corelib._checks import check_choice

Run = dict[str, dict[str, float]]
Qrels = dict[str, dict[str, int | float]]
_RUN_COLUMNS = ("query", "Q0", "document", "rank", "score", "tag")
_QRELS_COLUMNS = ("query", "iteration", "document", "relevance")
_TABLE_COLUMNS = ("query", "document", "relevance")
_GZIP = b"\x1f\x8b"
_WORD = re.compile(r"[^ \t\n\r\v\f\ud800-\udfff]+")


@dataclass(frozen=True, eq=False)
class AlignedRun:
    """A run and its judgements as ragged arrays: query i owns the entries ``indptr[i]:indptr[i + 1]``.

    Attributes
    ----------
    scores : ndarray of float64, shape (total,)
        The score of each document; ``-inf`` for one that was judged and not retrieved.
    relevance : ndarray of int64, or of float64 if a judgement is a fraction, shape (total,)
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
        A UTF-8 text file, also compressed by gzip. Empty lines are passed over.

    Returns
    -------
    dict of str to dict of str to float
        The score of each document of each query, in the order of the file.

    Raises
    ------
    ValueError
        If a line has not six columns, its score is no finite number, its document was listed for its query before, or
        it is not UTF-8, or the compressed file is damaged. The message begins with file and line: ``my.run:17: ...``.
    OSError
        If the file cannot be read.

    Notes
    -----
    As in ``trec_eval``, the second column, the ranks and the tag do not count, whatever they are: the order is that
    of the scores. O(lines).

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "my.run")
    >>> _ = path.write_text("q1 Q0 d7 1 3.5 mine\\nq1 Q0 d2 2 1.25 mine\\n")
    >>> read_run(path)
    {'q1': {'d7': 3.5, 'd2': 1.25}}
    """
    run: Run = {}
    for line, fail in _lines(path):
        fields = line.split()
        _check_columns(fields, _RUN_COLUMNS, fail)
        score = _number(float, fields[4])
        if score is None or not math.isfinite(score):
            fail(f"the score must be a finite number; got {_shown(fields[4])}")
        _add(run, fields[0], fields[2], score, fail)
    return run


def read_qrels(path: str | os.PathLike[str]) -> Qrels:
    """Read relevance judgements: TREC's lines of query, iteration, document and relevance, or BEIR's table.

    Parameters
    ----------
    path : str or path
        A UTF-8 text file, also compressed by gzip. Empty lines are passed over. TREC's columns are separated by blanks
        or tabs. A file that begins with a header of three columns, such as BEIR's ``query-id corpus-id score``, is a
        table of query, document and relevance, separated by tabs.

    Returns
    -------
    dict of str to dict of str to int or float
        The relevance of each judged document of each query, in the order of the file; negative values are
        kept. Whole numbers are integers, however they are written.

    Raises
    ------
    ValueError
        If a line has another number of columns, its relevance is no finite number (or an integer beyond 64 bits), its
        document was judged for its query before, or it is not UTF-8, or the compressed file is damaged. The message
        begins with file and line.
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
    split, columns = bytes.split, _QRELS_COLUMNS
    for at, (line, fail) in enumerate(_lines(path)):
        if at == 0 and len(header := _cells(line)) == 3 and _relevance(header[2]) is None:
            split, columns = _cells, _TABLE_COLUMNS
            continue
        fields = split(line)
        _check_columns(fields, columns, fail)
        relevance = _relevance(fields[-1])
        if relevance is None:
            fail(
                f"the relevance must be a finite number, an integer of at most 64 bits; got {_shown(fields[-1])}"
            )
        _add(qrels, fields[0], fields[-2], relevance, fail)
    return qrels


def write_run(
    run: Mapping[str | int, Mapping[str | int, float]], path: str | os.PathLike[str], *, tag: str = "corelib"
) -> None:
    """Write a TREC run, each query from rank 1 on: by score, and by descending identifier among equal scores.

    Parameters
    ----------
    run : mapping of str or int to mapping of str or int to float
        The finite score of each document of each query; at least one document per query. Integers are written as
        their digits.
    path : str or path
        Replaced if it exists; not touched if the run is refused.
    tag : str
        The name of the run, in the last column.

    Raises
    ------
    TypeError
        If the run is not a mapping of mappings, an identifier is no string or integer, or a score no real number.
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
    table = _table(run, "run", "score")
    _check_words([tag], "tag")
    _check_writable(table, "run")
    lines = []
    for query, scores in table.items():
        ranked = sorted(((float(score), document) for document, score in scores.items()), reverse=True)
        lines += [
            f"{query} Q0 {document} {rank} {score!r} {tag}\n"
            for rank, (score, document) in enumerate(ranked, 1)
        ]
    Path(path).write_bytes("".join(lines).encode())


def write_qrels(qrels: Mapping[str | int, Mapping[str | int, float]], path: str | os.PathLike[str]) -> None:
    """Write TREC relevance judgements, in the order of the mapping; ``trec_eval`` itself cuts fractions off.

    Parameters
    ----------
    qrels : mapping of str or int to mapping of str or int to int or float
        The relevance of each judged document of each query; at least one document per query.
    path : str or path
        Replaced if it exists; not touched if the judgements are refused.

    Raises
    ------
    TypeError
        If ``qrels`` is not a mapping of mappings, an identifier is no string or integer, or a relevance no real number.
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
    table = _table(qrels, "qrels", "relevance")
    _check_judgements(table)
    _check_writable(table, "qrels")
    lines = [
        f"{query} 0 {document} {int(relevance) if relevance == int(relevance) else float(relevance)!r}\n"
        for query, judgements in table.items()
        for document, relevance in judgements.items()
    ]
    Path(path).write_bytes("".join(lines).encode())


def align_run(
    run: Mapping[str | int, Mapping[str | int, float]],
    qrels: Mapping[str | int, Mapping[str | int, float]],
    *,
    queries: str = "qrels",
) -> AlignedRun:
    """Lay a run and its judgements side by side as the ragged arrays that :func:`evaluate` takes.

    Parameters
    ----------
    run : mapping of str or int to mapping of str or int to float
        The finite score of each retrieved document of each query, as from :func:`read_run`. Identifiers that are integers
        stand for their digits, so that 7 here is "7" in a file.
    qrels : mapping of str or int to mapping of str or int to int or float
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
        If an argument is not a mapping of mappings, an identifier is no string or integer, or a score or
        a relevance no real number.
    ValueError
        If a score is not finite, a relevance does not fit 64 bits, a choice is none of those above, or no query of the
        run has judgements.

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
    retrieved_for, judged_for = _table(run, "run", "score"), _table(qrels, "qrels", "relevance")
    _check_judgements(judged_for)
    if retrieved_for and retrieved_for.keys().isdisjoint(judged_for):
        raise ValueError(
            f"run and qrels must have a query in common; the run begins with {next(iter(retrieved_for))!r}, "
            + (f"the qrels with {next(iter(judged_for))!r}" if judged_for else "the qrels have none")
        )
    chosen = [query for query in judged_for if queries == "qrels" or query in retrieved_for]
    documents: list[str] = []
    scores: list[float] = []
    relevance: list[int | float] = []
    indptr = [0]
    for query in chosen:
        retrieved, judgements = retrieved_for.get(query, {}), judged_for[query]
        both = sorted(retrieved.keys() | judgements.keys())
        documents += both
        scores += [retrieved.get(document, -math.inf) for document in both]
        relevance += [judgements.get(document, -1) for document in both]
        indptr.append(len(documents))
    fractions = any(not isinstance(grade, numbers.Integral) for grade in relevance)
    grades = np.array(relevance, dtype=np.float64 if fractions else np.int64)
    return AlignedRun(
        scores=np.array(scores, dtype=np.float64),
        relevance=np.maximum(grades, 0),
        judged=grades >= 0,
        indptr=np.array(indptr, dtype=np.int64),
        queries=chosen,
        documents=documents,
    )


def _lines(path: str | os.PathLike[str]) -> Iterator[tuple[bytes, Callable[[str], None]]]:
    """Each line that is not empty, and what raises an error that names it."""
    number = 0

    def fail(message: str) -> None:
        raise ValueError(f"{os.fspath(path)}:{number}: {message}")

    with open(path, "rb") as file:
        compressed = file.peek(2).startswith(_GZIP)
        lines = iter(gzip.GzipFile(fileobj=file) if compressed else file)
        for number in itertools.count(1):
            try:
                line = next(lines, None)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                fail(f"the compressed file is damaged: {error}")
            if line is None:
                return
            if number == 1 and line.startswith(b"\xef\xbb\xbf"):
                fail("the file begins with a byte order mark; save it as UTF-8 without one")
            if line.strip():
                yield line, fail


def _cells(line: bytes) -> list[bytes]:
    return [cell.strip() for cell in line.split(b"\t")]


def _check_columns(fields: list[bytes], columns: tuple[str, ...], fail: Callable[[str], None]) -> None:
    if len(fields) != len(columns) or not all(fields):
        table = " (three below a header, separated by tabs, would do)" if columns is _QRELS_COLUMNS else ""
        fail(
            f"a line must have {len(columns)} columns, {' '.join(columns)}{table}; got {sum(map(bool, fields))}"
        )


def _relevance(field: bytes) -> int | float | None:
    """The number that a field spells, an integer if it is whole; None if it is none, or out of range."""
    whole = _number(int, field)
    if whole is None:
        value = _number(float, field)
        if value is None or not math.isfinite(value):
            return None
        if not value.is_integer():
            return value
        whole = int(value)
    return whole if -(2**63) <= whole < 2**63 else None


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


def _table(table: object, name: str, what: str) -> dict[str, dict[str, float]]:
    """``table`` with identifiers that are strings, or an error unless it maps queries to documents to finite numbers."""
    if not isinstance(table, Mapping):
        raise TypeError(f"{name} must be a mapping of queries to mappings; got {type(table).__name__}")
    checked = {}
    for query, row in _by_identifier(table, f"the queries of {name}").items():
        where = f"{name}[{query!r}]"
        if not isinstance(row, Mapping):
            raise TypeError(
                f"{where} must be a mapping of documents to real numbers up to float64; got {type(row).__name__}"
            )
        checked[query] = _by_identifier(row, f"the documents of {where}")
        for found in set(map(type, row.values())):
            if issubclass(found, bool | np.bool | np.longdouble) or not issubclass(found, numbers.Real):
                raise TypeError(
                    f"{where} must map documents to real numbers up to float64; got {found.__name__}"
                )
        for document, value in checked[query].items():
            if not _is_finite(value):
                raise ValueError(f"{where} must be finite; the {what} of {document!r} is {value}")
    return checked


def _by_identifier(row: Mapping, what: str) -> dict:
    """``row`` by strings; integers become those that a file would hold."""
    if all(type(key) is str for key in row):
        return dict(row)
    for wrong in {type(key) for key in row}:
        if issubclass(wrong, bool | np.bool) or not issubclass(wrong, str | numbers.Integral):
            raise TypeError(f"{what} must be strings or integers; got {wrong.__name__}")
    named = {str(key): value for key, value in row.items()}
    if len(named) < len(row):
        raise ValueError(f"{what} must differ as strings too; of {len(row)} only {len(named)} do")
    return named


def _check_judgements(qrels: dict[str, dict[str, float]]) -> None:
    for query, row in qrels.items():
        for document, value in row.items():
            if isinstance(value, numbers.Integral) and not -(2**63) <= value < 2**63:
                raise ValueError(
                    f"qrels[{query!r}] must fit 64 bits; the relevance of {document!r} is {value}"
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

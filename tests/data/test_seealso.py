"""The See Also corpus: exactly what the book's numbers were measured on, and a warning where it can no longer be."""

import gzip
import hashlib
import importlib.metadata
import importlib.util
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from encoder import needs_encoder
from retrieval_oracle import metrics_of_frozen_vectors

from corelib.data import TextRetrieval, minilm_vectors, seealso
from corelib.data.minilm import DOCUMENT_TOKENS, QUERY_TOKENS, MiniLM
from corelib.data.seealso import LABELS, VERSIONS, parse
from corelib.data.text_retrieval import text_hashes

seealso_module = sys.modules["corelib.data.seealso"]

JSON_SHA256 = "00007e0a6b5537c3a6e04c2e9444e57c50928c2378a291387acb55221be81208"

labelled_versions = pytest.mark.skipif(
    any(importlib.metadata.version(name) != version for name, version in VERSIONS.items()),
    reason=f"the docstrings are those of {VERSIONS}",
)


@pytest.fixture(scope="module")
def corpus() -> TextRetrieval:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other versions
        return seealso()


@pytest.fixture(scope="module")
def vectors(corpus):
    return minilm_vectors(corpus)


@pytest.fixture(scope="module")
def tool():
    path = Path(__file__).resolve().parents[2] / "tools" / "make_seealso_labels.py"
    spec = importlib.util.spec_from_file_location("make_seealso_labels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@labelled_versions
def test_the_corpus_is_the_reference_corpus(corpus):
    queries = [
        {
            "qid": identifier,
            "text": text,
            "own": own.nonzero()[0].tolist(),
            "rel": {str(j): int(grades[j]) for j in grades.nonzero()[0]},
            "split": str(part),
        }
        for identifier, text, own, grades, part in zip(
            corpus.query_ids, corpus.queries, corpus.own, corpus.relevance, corpus.split, strict=True
        )
    ]
    documents = [
        {"id": name, "text": text} for name, text in zip(corpus.document_ids, corpus.documents, strict=True)
    ]
    written = json.dumps(
        {"docs": documents, "queries": queries}, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    assert hashlib.sha256(written.encode()).hexdigest() == JSON_SHA256


@labelled_versions
def test_with_the_labelled_versions_nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seealso()


@labelled_versions
def test_the_stored_labels_are_those_of_the_docstrings(tool):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated names
        labels = tool.labels()
    assert json.loads(json.dumps(labels)) == json.loads(gzip.decompress(LABELS.read_bytes()))


def test_the_labels_hold_no_text():
    """The project stores nobody else's sentences: every stored string is a function's name or a part's."""
    labels = json.loads(gzip.decompress(LABELS.read_bytes()))
    assert labels.keys() == {"documents", "document_hashes", "queries", "query_hashes"}
    strings = [
        *labels["documents"],
        *(value for query in labels["queries"] for value in (query["id"], query["part"])),
    ]
    assert all(isinstance(string, str) and " " not in string and len(string) < 80 for string in strings)
    assert all(
        isinstance(number, int) for key in ("document_hashes", "query_hashes") for number in labels[key]
    )


def test_grades_say_who_names_whom(corpus):
    """argsort and sort name each other; take_along_axis names argsort, which does not name it."""
    row = corpus.relevance[corpus.query_ids.index("numpy.argsort")]
    assert {corpus.document_ids[j].removeprefix("numpy."): int(row[j]) for j in row.nonzero()[0]} == {
        "argsort": 3,
        "sort": 2,
        "argpartition": 2,
        "lexsort": 2,
        "permute_dims": 1,
        "take_along_axis": 1,
    }


def test_every_query_has_several_right_answers(corpus):
    relevant = (corpus.relevance > 0).sum(axis=1)
    assert relevant.min() >= 2 and relevant.max() == 24
    assert relevant.mean() == pytest.approx(4.30, abs=0.005)
    assert (corpus.own.sum(axis=1) >= 1).all()


def test_the_parts_are_disjoint_complete_and_of_the_published_sizes(corpus):
    rows = [corpus.rows(part) for part in ("train", "dev", "test")]
    assert [len(part) for part in rows] == [1287, 213, 568]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(len(corpus.queries)))


def test_a_docstring_is_taken_apart():
    docstring = (
        "frobnicate(x, *, y=None)\n\nFrobnicate an :class:`~numpy.ndarray` or ``x``.\n\nIn *two* ways.\n\n"
        "Parameters\n----------\nx : int\n    The *x*.\n\nSee Also\n--------\ngrobnicate : the other one\n\n"
        "Notes\n-----\nIt is slow.\n\n>>> frobnicate(2)\n"
    )
    summary, text, see_also = parse(docstring)
    assert summary == "Frobnicate an numpy.ndarray or x ."
    assert text == "In two ways. It is slow. x : int The x ."
    assert see_also.strip() == "grobnicate : the other one"
    assert parse("") == ("", "", "")


def test_a_long_text_ends_with_a_whole_word():
    text = parse("Sum of words.\n\n" + "word " * 400).text
    assert len(text) <= 1000 and set(text.split()) == {"word"}


def test_names_in_see_also_are_told_from_their_descriptions(tool):
    section = ":func:`~numpy.mean`, average : the mean\n    of all things\nnanmean : without nan\n\nmedian"
    assert list(tool._mentions(section)) == ["numpy.mean", "average", "nanmean", "median"]


def test_texts_of_another_version_are_counted_and_said_and_keep_their_labels_and_vectors(
    corpus, vectors, monkeypatch
):
    installed = seealso_module._function

    def another_version(module, name):
        if (module, name) == ("numpy", "mean"):
            return type("mean", (), {"__doc__": "Compute another mean.\n\n" + "A changed text. " * 10})
        return None if (module, name) == ("numpy", "median") else installed(module, name)

    monkeypatch.setattr(seealso_module, "_function", another_version)
    unchanged = np.ones(len(corpus.documents), dtype=bool)
    unchanged[[corpus.document_ids.index(name) for name in ("numpy.mean", "numpy.median")]] = False
    with pytest.warns(
        UserWarning, match=r"of 2068 queries and \d+ of 2154 documents of seealso are not the texts"
    ):
        later = seealso()
    assert later.documents[corpus.document_ids.index("numpy.median")] == ""
    assert [a == b for a, b in zip(later.documents, corpus.documents, strict=True)] == unchanged.tolist()
    np.testing.assert_array_equal(later.relevance, corpus.relevance)
    np.testing.assert_array_equal(later.split, corpus.split)
    np.testing.assert_array_equal(minilm_vectors(later).documents, vectors.documents)
    assert later.sha256 != corpus.sha256


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(
        ModuleNotFoundError, match=r'networkx is not installed: pip install "keeping-score\[notebooks\]"'
    ):
        seealso()


@labelled_versions
def test_the_hashes_tell_all_texts_apart(corpus):
    for texts, hashes in zip((corpus.queries, corpus.documents), corpus.original, strict=True):
        np.testing.assert_array_equal(text_hashes(texts), hashes)
        assert len(np.unique(hashes)) == len(texts)


def test_vectors_are_unit_rows(vectors):
    for rows, count in zip(vectors, (2068, 2154), strict=True):
        assert rows.shape == (count, 384) and rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_frozen_minilm_has_the_reference_metrics(corpus, vectors):
    """Plain NumPy, over the full ranking of every test query: what the corpus was published with in the book's plan."""
    expected = {"nDCG@10": 0.618, "MRR@10": 0.577, "R@10": 0.620, "R@1": 0.451}
    assert metrics_of_frozen_vectors(corpus, vectors) == expected


@labelled_versions
@needs_encoder
def test_stored_vectors_are_those_of_the_model(corpus, vectors):
    """A sample of rows, which no other row's error can hide; float16 rounds a component by at most 6.1e-5."""
    encoder, rng = MiniLM(), np.random.default_rng(0)
    for texts, stored, tokens in (
        (corpus.queries, vectors.queries, QUERY_TOKENS),
        (corpus.documents, vectors.documents, DOCUMENT_TOKENS),
    ):
        rows = rng.choice(len(texts), 20, replace=False)
        np.testing.assert_allclose(encoder.encode([texts[i] for i in rows], tokens), stored[rows], atol=2e-4)

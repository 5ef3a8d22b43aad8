"""The loader of BEIR sets, on a miniature in the form in which the set is published: corpus, queries, judgements."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from corelib.data import TextRetrieval, beir

CORPUS = [{"_id": f"d{i}", "title": f"Title {i}" if i else "", "text": f"Text {i}."} for i in range(6)]
QUERIES = [{"_id": str(i), "title": "", "text": f"Question {i}?"} for i in range(9)]


def judgement(query: int, document: int, score: int) -> dict:
    return {"query-id": query, "corpus-id": f"d{document}", "score": score}


QRELS = {
    "train": [judgement(i, i % 6, 1) for i in range(5)]
    + [judgement(0, 3, 2), judgement(0, 4, 0), judgement(99, 0, 1)],
    "dev": [judgement(5, 1, 1), judgement(5, 77, 1)],
    "test": [judgement(6, 2, 1), judgement(6, 5, 1)],
}


def published(splits, fail=None):
    def load_dataset(path, name, *, split):
        if fail:
            raise fail
        return {
            ("mteb/scifact", "corpus", "corpus"): CORPUS,
            ("mteb/scifact", "queries", "queries"): QUERIES,
            **{("mteb/scifact", "default", part): QRELS[part] for part in splits},
        }[path, name, split]

    return SimpleNamespace(load_dataset=load_dataset, get_dataset_split_names=lambda path, name: list(splits))


def test_every_judged_query_has_its_documents(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", published(("train", "dev", "test")))
    data = beir("scifact")
    assert isinstance(data, TextRetrieval)
    assert data.query_ids == ("0", "1", "2", "3", "4", "5", "6")  # without the unknown query 99
    assert data.queries[6] == "Question 6?"
    assert data.documents[:2] == ("Text 0.", "Title 1 Text 1.")
    np.testing.assert_array_equal(
        data.relevance[0], [1, 0, 0, 3, 0, 0]
    )  # the highest grade is 3; 0 is no answer
    np.testing.assert_array_equal(data.relevance[5], [0, 3, 0, 0, 0, 0])  # without the unknown document 77
    np.testing.assert_array_equal(data.relevance[6], [0, 0, 3, 0, 0, 3])
    assert data.own.any(axis=1).all()
    assert [len(data.rows(part)) for part in ("train", "dev", "test")] == [5, 1, 1]


def test_a_set_without_validation_queries_gives_some_training_queries_to_dev(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", published(("train", "test")))
    data = beir("scifact")
    assert [len(data.rows(part)) for part in ("train", "dev", "test")] == [4, 1, 1]


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="name must be one of 'fiqa', 'nfcorpus', 'scifact'; got 'msmarco'"):
        beir("msmarco")


def test_without_the_internet_the_error_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", published((), fail=ConnectionError("no route")))
    with pytest.raises(OSError, match=r"scifact could not be loaded: it needs the internet once.*no route"):
        beir("scifact")


def test_without_datasets_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match="pip install datasets"):
        beir("scifact")

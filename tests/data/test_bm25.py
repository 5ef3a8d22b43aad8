"""BM25 is the sum that its docstring says, word by word."""

import math
import re
import sys

import numpy as np
import pytest

from corelib.data import bm25_scores, rhelp

DOCUMENTS = [
    "Fuel use of 32 cars, and the weight of cars.",
    "Heights of 31 cherry trees.",
    "",
    "Cars cars cars",
    "The yield of two trees",
]


def by_hand(queries, documents, k1, b, stop):
    def words(text):
        return [word for word in re.findall(r"\w\w+", text.lower()) if word not in stop]

    split = [words(text) for text in documents]
    mean = sum(map(len, split)) / len(split)
    scores = np.zeros((len(queries), len(documents)))
    for i, query in enumerate(queries):
        for word in words(query):
            holding = sum(word in text for text in split)
            for j, text in enumerate(split):
                if count := text.count(word):
                    idf = math.log(1 + (len(split) - holding + 0.5) / (holding + 0.5))
                    scores[i, j] += idf * count / (count + k1 * (1 - b + b * len(text) / mean))
    return scores


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.4, 0.0), (5.0, 1.0)])
@pytest.mark.parametrize("stop_words", ["en", None])
def test_against_the_sum_by_hand(k1, b, stop_words):
    queries = ["the weight of cars", "trees trees", "", "of", "zebra", "CARS and cherry"]
    stop = {"the", "of", "and"} if stop_words else set()
    scores = bm25_scores(queries, DOCUMENTS, k1=k1, b=b, stop_words=stop_words)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, by_hand(queries, DOCUMENTS, k1, b, stop), rtol=1e-6)


def test_it_finds_the_page_of_a_title():
    corpus = rhelp()
    scores = bm25_scores(corpus.queries[:200], corpus.documents)
    assert 0.55 < np.mean(corpus.own[np.arange(200), scores.argmax(axis=1)]) < 0.75


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"queries": "cars"}, TypeError, "queries must be a sequence of str; got str"),
        ({"documents": ["a", 3]}, TypeError, r"documents\[1\] must be a str; got int"),
        ({"documents": ["of the", ""]}, ValueError, "documents must hold at least one word"),
        ({"k1": 0}, ValueError, "k1 must"),
        ({"b": 1.5}, ValueError, "b must be between 0 and 1; got 1.5"),
        ({"b": float("nan")}, ValueError, "b must"),
        ({"stop_words": "de"}, ValueError, "stop_words must"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        bm25_scores(**{"queries": ["cars"], "documents": DOCUMENTS} | change)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(ModuleNotFoundError, match=r"bm25s: pip install .*notebooks"):
        bm25_scores(["cars"], DOCUMENTS)

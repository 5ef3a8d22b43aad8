"""SQuAD as a retrieval task, on a miniature of the downloaded set: rows become queries, contexts documents."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from corelib.data import TextRetrieval, squad


def row(number: int, title: str) -> dict:
    return {
        "id": f"q{number}",
        "title": title,
        "context": f"Paragraph {number // 2} of {title}.",
        "question": f"Question {number}?",
        "answers": {"text": ["an answer"], "answer_start": [0]},
    }


ROWS = {
    "train": [row(number, "Training") for number in range(10)],
    "validation": [row(number, f"Article {number // 4}") for number in range(40)],
}


@pytest.fixture
def miniature(monkeypatch):
    load = SimpleNamespace(load_dataset=lambda name, split: {"rajpurkar/squad": ROWS}[name][split])
    monkeypatch.setitem(sys.modules, "datasets", load)


def test_every_question_has_its_paragraph_and_no_other(miniature):
    data = squad()
    assert isinstance(data, TextRetrieval)
    assert data.relevance.shape == (50, 25) and data.relevance.dtype == np.int8
    rows = [*ROWS["train"], *ROWS["validation"]]
    for number, source in enumerate(rows):
        (own,) = np.flatnonzero(data.relevance[number])
        assert data.relevance[number, own] == 3
        assert data.documents[own] == source["context"]
        assert (data.query_ids[number], data.queries[number]) == (source["id"], source["question"])
    assert len(set(data.documents)) == len(data.documents) == len(set(data.document_ids))


def test_the_parts_come_from_the_right_set_and_share_no_article(miniature):
    data = squad()
    np.testing.assert_array_equal(data.rows("train"), np.arange(10))
    part_of = {}
    for source, part in zip(ROWS["validation"], data.split[10:], strict=True):
        assert part_of.setdefault(source["title"], part) == part
    assert set(part_of.values()) == {"dev", "test"}


def test_the_training_set_can_be_cut_by_paragraphs(miniature):
    data = squad(train_paragraphs=2)
    train = data.rows("train")
    assert len(train) == 4  # two questions a paragraph
    assert len(np.unique(data.own[train].argmax(axis=1))) == 2
    assert len(data.queries) == 44


def test_the_count_of_paragraphs_is_checked(miniature):
    with pytest.raises(ValueError, match="train_paragraphs must be at least 1; got 0"):
        squad(train_paragraphs=0)


def test_without_datasets_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match="pip install datasets"):
        squad()

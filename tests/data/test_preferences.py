"""Preference pairs: the lexicon's numbers, the shares of raters by brute force, and AlpacaFarm from a tiny file."""

import itertools
import json
import sys

import numpy as np
import pytest

from corelib.data import PreferencePairs, alpaca_farm, rated_words, word_preferences

words_module = sys.modules["corelib.data.word_preferences"]
farm_module = sys.modules["corelib.data.alpaca_farm"]


def test_the_lexicon_is_the_one_the_book_was_measured_on():
    rated = rated_words()
    assert len(rated) == len(set(rated.words)) == 7027 and rated.ratings.shape == (7027, 10)
    assert rated.ratings.min() == -4 and rated.ratings.max() == 4
    assert all(word.isalpha() and word.islower() and 3 <= len(word) <= 14 for word in rated.words)
    assert round(float(rated.ratings.mean()), 6) == -0.206987


def test_a_word_that_stands_twice_counts_once():
    words, ratings = words_module._parse(
        "sob\t-2.8\t1.0\t[-3, -4]\n:-)\t1\t1\t[1, 1]\nsob\t-1\t1\t[1, 2]\nJoy\t1\t1\t[1, 2]\njoy\t1\t1\t[4, 3]\n"
    )
    assert words == ("sob", "joy")
    np.testing.assert_array_equal(ratings, [[-3, -4], [4, 3]])


def test_agreement_counts_all_pairs_of_ratings():
    data, rated = word_preferences(seed=3, pairs=40), rated_words()
    rows = dict(zip(rated.words, rated.ratings.tolist(), strict=True))
    for chosen, rejected, share in zip(data.chosen, data.rejected, data.agreement, strict=True):
        wins = [(a > b) + (a == b) / 2 for a, b in itertools.product(rows[chosen], rows[rejected])]
        assert share == pytest.approx(sum(wins) / 100, abs=1e-12) and share >= 0.6


def test_words_to_read_and_words_to_compare_are_apart_and_no_pair_occurs_twice():
    data = word_preferences(seed=1)
    assert isinstance(data, PreferencePairs) and len(data) == 1000
    assert not set(data.texts) & {*data.chosen, *data.rejected}
    assert len({frozenset(pair) for pair in zip(data.chosen, data.rejected, strict=True)}) == 1000
    np.testing.assert_array_equal(data.rows("train"), np.arange(800))
    np.testing.assert_array_equal(data.rows("dev"), np.arange(800, 1000))
    with pytest.raises(ValueError, match='part must be "train" or "dev"'):
        data.rows("test")


def test_the_seed_decides():
    first, again, other = (word_preferences(seed=seed, pairs=20) for seed in (0, 0, 1))
    assert first.chosen == again.chosen and first.texts == again.texts
    assert first.chosen != other.chosen and first.texts != other.texts


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"seed": 0.5}, TypeError, "seed must be an integer"),
        ({"pairs": 0}, ValueError, "pairs must be at least 1"),
        ({"pairs": 100_001}, ValueError, "pairs must be at most 100,000; got 100001"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        word_preferences(**arguments)


def test_a_missing_or_another_lexicon_is_named(monkeypatch):
    monkeypatch.setattr(words_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install vaderSentiment==3.3.2"):
        rated_words()
    monkeypatch.undo()
    monkeypatch.setattr(words_module, "LEXICON_SHA256", "0")
    with pytest.raises(RuntimeError, match="another lexicon"):
        rated_words()


def judgement(number, preference, text=""):
    return {
        "instruction": f"Instruction {number}",
        "input": text,
        "output_1": f"first of {number}",
        "output_2": f"second of {number}",
        "preference": preference,
        "annotator_index": 0,
        "dataset": "helpful_base",
        "datasplit": "eval",
    }


ROWS = [
    *(judgement(0, vote) for vote in (1, 1, 2, 1)),
    *(judgement(1, vote, text="given") for vote in (2, 2, 2, 2)),
    *(judgement(2, vote) for vote in (1, 2, 1, 2)),
    *(judgement(number, 1) for number in range(3, 7)),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / farm_module.FILE).write_text(json.dumps(ROWS), encoding="utf-8")
    return tmp_path


def test_votes_become_shares_and_a_balance_is_left_out(folder):
    pairs = alpaca_farm(folder)
    assert isinstance(pairs, PreferencePairs) and len(pairs) == 6 and pairs.texts == ()
    assert pairs.chosen[:2] == ("first of 0", "second of 1")
    assert pairs.rejected[:2] == ("second of 0", "first of 1")
    np.testing.assert_array_equal(pairs.agreement[:3], [0.75, 1, 1])
    assert pairs.prompts[0] == "### Instruction:\nInstruction 0\n\n### Response:\n"
    assert pairs.prompts[1] == "### Instruction:\nInstruction 1\n\n### Input:\ngiven\n\n### Response:\n"
    assert pairs.chosen[2] == "first of 3"
    assert pairs.split.tolist() == ["train"] * 5 + ["dev"]


def test_nothing_is_fetched_unasked(tmp_path):
    with pytest.raises(FileNotFoundError, match="pass download=True"):
        alpaca_farm(tmp_path)
    with pytest.raises(TypeError, match="download must be"):
        alpaca_farm(tmp_path, download=1)


def test_a_download_lands_in_the_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(farm_module, "URL", (folder / farm_module.FILE).as_uri())
    target = tmp_path / "new" / "data"
    assert len(alpaca_farm(target, download=True)) == 6
    assert [path.name for path in target.iterdir()] == [farm_module.FILE]


@pytest.mark.parametrize(
    "content", ["<html>", "[1]", '[{"instruction": "a"}]', json.dumps([judgement(0, 3)])]
)
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / farm_module.FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="must be a JSON list of objects with instruction"):
        alpaca_farm(tmp_path)

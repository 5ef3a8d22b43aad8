"""Answers of solvers: the digits against classifiers fitted by hand, logs of the public format from tiny files."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from corelib.data import AnswerMatrix, answer_log, digit_answers
from corelib.ratings import fit_item_response

TRAIN, TEST = np.arange(0, 900), np.arange(900, 1100)


def test_the_answers_are_those_of_classifiers_fitted_by_hand():
    """With all training digits and all pixels, nothing is drawn: a nearest neighbour has one answer sheet."""
    exam = digit_answers(TRAIN, TEST, sizes=(900,), pixels=(64,), seed=3)
    assert isinstance(exam, AnswerMatrix) and exam.shape == (5, 200) and exam.responses.dtype == np.float64
    assert exam.items == tuple(map(str, TEST))
    images, labels = load_digits(return_X_y=True)
    by_hand = KNeighborsClassifier(1).fit(images[TRAIN], labels[TRAIN]).predict(images[TEST]) == labels[TEST]
    assert exam.solvers[1] == "neighbour, 900 digits, 64 pixels"
    np.testing.assert_array_equal(exam.responses[1], by_hand)


def test_a_seed_fixes_the_draws_and_more_training_helps():
    exam = digit_answers(TRAIN, TEST, sizes=(40, 800), pixels=(8, 64), seed=1)
    again = digit_answers(TRAIN, TEST, sizes=(40, 800), pixels=(8, 64), seed=1)
    np.testing.assert_array_equal(exam.responses, again.responses)
    other = digit_answers(TRAIN, TEST, sizes=(40, 800), pixels=(8, 64), seed=2)
    assert (exam.responses != other.responses).any()
    accuracy = exam.responses.mean(1).reshape(5, 2, 2)
    assert (accuracy[:, 1, 1] > accuracy[:, 0, 0]).all()


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"train": TRAIN * 1.0}, TypeError, "train must be"),
        ({"test": TEST[:0]}, ValueError, "test must hold"),
        ({"test": TEST + 1000}, ValueError, "test must lie in 0..1796"),
        ({"sizes": (901,)}, ValueError, "sizes must be at most 900"),
        ({"sizes": [40]}, TypeError, "sizes must be a tuple"),
        ({"pixels": (65,)}, ValueError, "pixels must be at most 64"),
        ({"pixels": ()}, TypeError, "pixels must be a tuple"),
        ({"seed": -1}, ValueError, "seed"),
        ({"train": np.zeros(50, dtype=int)}, ValueError, "several classes"),
    ],
)
def test_bad_arguments_are_named(change, error, match):
    with pytest.raises(error, match=match):
        digit_answers(**{"train": TRAIN, "test": TEST, "sizes": (40,), "pixels": (8,), **change})


def write(folder, *lines):
    file = folder / "squad.jsonlines"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return file


def test_a_log_in_the_public_format(tmp_path):
    file = write(
        tmp_path,
        {"subject_id": "BERT", "responses": {"q1": 1, "q2": 0}},
        "",
        {"subject_id": "BiDAF", "responses": {"q3": 0, "q1": 0.0, "q2": False}},
    )
    log = answer_log(file)
    assert log.solvers == ("BERT", "BiDAF") and log.items == ("q1", "q2", "q3") and log.shape == (2, 3)
    np.testing.assert_array_equal(log.responses, [[1, 0, np.nan], [0, 0, 0]])
    assert fit_item_response(log.responses).ability.argmax() == 0


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (["not json"], "line 1: is no JSON"),
        (["[1, 2]"], 'the text "subject_id"'),
        ([{"subject_id": 3, "responses": {}}], 'the text "subject_id"'),
        ([{"subject_id": "a"}], 'the object "responses"'),
        ([{"subject_id": "a", "responses": {"q": 2}}], "'q' must be 0 or 1; got 2"),
        ([{"subject_id": "a", "responses": {"q": None}}], "must be 0 or 1; got None"),
        ([{"subject_id": "a", "responses": {"q": 1}}] * 2, "line 2: the solver 'a' comes twice"),
        ([{"subject_id": "a", "responses": {}}], "at least one answer"),
    ],
)
def test_a_wrong_log_is_named_with_its_line(tmp_path, lines, match):
    with pytest.raises(ValueError, match=match):
        answer_log(write(tmp_path, *lines))


def test_a_missing_log_says_what_to_put_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="one line a solver"):
        answer_log(tmp_path / "none.jsonlines")

"""Protects the promise that a number behind ≈ moves only a little, a time as it likes, and that a win stays no loss."""

import re

import pytest

from corelib.lab.evidence import RELATION
from tools.compare import SANITIZE, changed, moved


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("AUC ≈ 0.931", "AUC ≈ 0.931"),
        ("AUC ≈ 0.900", "AUC ≈ 0.944"),
        ("AUC ≈ 0.900 ± 0.010", "AUC ≈ 0.919 ± 0.017"),
        ("gap ≈ 0.001 (within 0.005)", "gap ≈ -0.004 (within 0.005)"),
        ("≈ 0", "≈ 0"),
        ("≈ 3", "≈ 3"),
        ("≈ 0.0", "≈ 0.1"),
        ("≈ 0.50 ± 0.00010", "≈ 0.50 ± 0.00090"),
        ("≈ 1.2e-5", "≈ 1.3e-5"),
        ("takes ◷ 3.1 ms", "takes ◷ 77 ms"),
        ("no number", "no number"),
    ],
)
def test_a_number_that_stays_near_is_the_same(stored, fresh):
    assert list(moved(stored, fresh)) == []


@pytest.mark.parametrize(
    ("stored", "fresh", "complaint"),
    [
        ("≈ 0.900", "≈ 0.950", "stored ≈ 0.900, computed ≈ 0.950: moved by more than 0.045"),
        ("≈ 0.900", "≈ -0.900", "moved by more than"),
        ("≈ 0.900 ± 0.010", "≈ 0.922 ± 0.010", "moved by more than 0.02"),
        ("≈ 0.900 ± 0.010", "≈ 0.900 ± 0.060", "standard deviations differ by more than a factor of 5"),
        ("≈ 0.900 ± 0.060", "≈ 0.900 ± 0.010", "standard deviations differ by more than a factor of 5"),
        ("≈ 0.001 (within 0.005)", "≈ 0.0071 (within 0.005)", "moved by more than 0.005"),
        ("≈ 0.9 ± 0.1", "≈ 0.9", "one has a spread or a tolerance, the other has not"),
        ("≈ 3", "≈ 4", "moved by more than 0.15"),
        ("≈ 1.2e-5", "≈ 1.5e-5", "moved by more than"),
        ("≈ 0.9, ≈ 0.8", "≈ 0.9", "2 measured numbers are stored, 1 were computed"),
        ("≈ 0.9, ≈ 0.5", "≈ 0.5, ≈ 0.9", "stored ≈ 0.9, computed ≈ 0.5"),
    ],
)
def test_a_number_that_moved_is_named(stored, fresh, complaint):
    assert any(complaint in found for found in moved(stored, fresh)), list(moved(stored, fresh))


@pytest.mark.parametrize(
    ("stored", "fresh", "complaints"),
    [
        ("wins on 5 of 6 draws", "wins on 6 of 6 draws", []),
        ("a tie within 0.01; loses on 5 of 5 draws", "unclear after 5 draws; unclear after 5 draws", []),
        ("unclear after 5 draws", "wins on 5 of 5 draws", []),
        (
            "wins on 5 of 5 draws",
            "a tie within 0.01",
            ['stored "wins on 5 of 5 draws", computed "a tie within 0.01"'],
        ),
        (
            "wins on 5 of 5 draws",
            "loses on 5 of 5 draws",
            ['stored "wins on 5 of 5 draws", computed "loses on 5 of 5 draws"'],
        ),
        ("a tie within 0.01", "level", ["1 relations are stored, 0 were computed"]),
    ],
)
def test_a_relation_may_become_unclear_but_no_other_relation(stored, fresh, complaints):
    assert list(changed(stored, fresh)) == complaints


def test_the_words_of_a_relation_are_masked_whole():
    masks = re.findall(r"regex: (.+)\nreplace: \(relation\)", SANITIZE.read_text(encoding="utf-8"))
    (mask,) = masks
    text = "wins on 5 of 6 draws, loses on 6 of 6 draws; a tie within 0.005. A tie within 1e-05 | unclear after 8 draws, wins"
    masked = re.sub(mask, "(relation)", text.replace("A tie", "a tie"))
    assert masked == "(relation), (relation); (relation). (relation) | (relation), wins"
    assert RELATION.sub("(relation)", text.replace("A tie", "a tie")) == masked

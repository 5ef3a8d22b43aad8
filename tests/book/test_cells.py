"""Protects the wide runs: they are stale when the code that their claims depend on has changed, and only then."""

import nbformat
import pytest

from tools.cells import bound, claims_hash, code, needed
from tools.compare import ROOT

GREEN = ROOT / "tests" / "fixtures" / "book" / "pairs" / "green.ipynb"

CELLS = [
    "import numpy as np",
    "steps = 5",
    "results = {}\ndef run(seed):\n    results[seed] = steps * seed",
    "unused = 3",
    "for seed in range(3):\n    run(seed)",
    "values = []",
    "values.append(results[0])",
    "with lab.figure('x') as (fig, ax):\n    ax.plot(values)",
    'claims.ours("a", "b", found=lab.measure(values))',
]


def notebook(cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("x = 1", {"x"}),
        ("x, (y, *z) = 1, (2, 3)", {"x", "y", "z"}),
        ("x[0] = x.y = 1", {"x"}),
        ("def f(a):\n    b = a", {"f"}),
        ("class A: pass", {"A"}),
        ("import a.b, c as d\nfrom e import f", {"a", "d", "f"}),
        ("for i in range(3):\n    x = i", {"i", "x"}),
        ("if a:\n    x = 1\nelse:\n    y = 1", {"x", "y"}),
        ("x.append(1)\nlab.say('s')", {"x"}),
        ("y = (z := 3)", {"y", "z"}),
        ("%pip install x\nx = 1", {"x"}),
        ("not python", set()),
    ],
)
def test_names_that_a_cell_binds(source, names):
    assert bound(source, {}) == names


def test_a_cell_needs_what_binds_or_changes_its_names():
    assert needed(CELLS, [8]) == [1, 2, 4, 5, 6, 8]
    assert needed(CELLS, [4]) == [1, 2, 4]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps = 5", "steps = 6"),
        ("range(3)", "range(4)"),
        ("steps * seed", "steps + seed"),
        ("lab.measure(values)", "lab.measure(values[1:])"),
    ],
)
def test_other_code_has_another_hash(old, new):
    changed = [source.replace(old, new) for source in CELLS]
    assert changed != CELLS
    assert claims_hash(notebook(changed)) != claims_hash(notebook(CELLS))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps = 5", "steps  =  5  # a comment"),
        ("unused = 3", "unused = 4"),
        ("'x'", "'another title'"),
        ('"b"', '"a better statement"'),
        ("found=", 'band=(0, 1), why="so", found='),
        ("results = {}", "lab.say('a sentence')\nresults = {}"),
        ("def run(seed):\n", 'def run(seed):\n    """A docstring."""\n'),
    ],
)
def test_words_and_figures_have_the_same_hash(old, new):
    changed = [source.replace(old, new) for source in CELLS]
    assert changed != CELLS
    assert claims_hash(notebook(changed)) == claims_hash(notebook(CELLS))


def test_the_example_needs_its_numbers_and_no_figure():
    sources = code(nbformat.read(GREEN, as_version=4))
    claims = next(i for i, source in enumerate(sources) if "claims.paper" in source)
    chosen = needed(sources, [claims])
    assert claims in chosen
    assert not any("lab.figure" in sources[index] for index in chosen)

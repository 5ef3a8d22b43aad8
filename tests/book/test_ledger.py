"""Protects the ledger: every stored claim stands in it once, counted under its status, in the book's order."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from corelib.lab.ledger import Entry, collect, escape, main, page

from corelib.lab.claims import render

GREEN = Path(__file__).parent / "fixtures" / "book" / "pairs" / "green.ipynb"


def report(title, *statuses, verdict="held", statement="A statement"):
    card = {
        **dict.fromkeys(
            ("slug", "paper", "url", "level", "data", "claimed", "reproduced", "easy", "hard"), "-"
        ),
        "title": title,
        "authors": "A. Author",
        "year": 2025,
        "minutes": 1,
        "verdict": verdict,
        "distances": [{"what": "gain", "paper": "+0.06", "here": "≈ 0.05"}],
    }
    claims = [
        {
            "name": f"claim-{i}",
            "statement": statement,
            "status": status,
            "paper": "" if status == "exact" else "0.85 -> 0.91",
            "measured": "≈ 0.9",
            "condition": "gap > 0",
            "holds": True,
            "reason": "" if status in ("exact", "reproduced") else "small data",
        }
        for i, status in enumerate(statuses)
    ]
    return {"card": card, "claims": claims}


PAGES = {"A": "pairs/a.ipynb", "B": "scores/b.ipynb", "C": "pairs/c.ipynb"}


def rows(text):
    """The cells of every table row, without their escapes."""
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| ")]
    return [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in line] for line in lines]


def test_the_ledger_lists_and_counts_every_claim():
    text = page(
        [
            Entry("Pairs", "pairs/a.ipynb", report("Chapter A", "exact", "reproduced", "reproduced")),
            Entry("Scores", "scores/b.ipynb", report("Chapter B", "not reproduced", verdict="not")),
            Entry("Pairs", "pairs/c.ipynb", report("Chapter C", "in part", "exact", verdict="in part")),
        ]
    )
    table = rows(text)
    assert ["[Pairs](#ledger-pairs)", "2", "2", "2", "1", "0"] in table
    assert ["[Scores](#ledger-scores)", "1", "0", "0", "0", "1"] in table
    assert ["**Total**", "3", "2", "2", "1", "1"] in table
    sections = dict(section.split("\n", 1) for section in text.split("\n### ")[1:])
    of_a, of_b, of_c = (sections[f"[Chapter {name}]({page})"] for name, page in PAGES.items())
    assert rows(of_a).count(["A statement", "0.85 -> 0.91", "≈ 0.9", "reproduced"]) == 2
    assert ["A statement", "-", "≈ 0.9", "exact"] in rows(of_a)
    assert ["A statement", "0.85 -> 0.91", "≈ 0.9", "in part: small data"] in rows(of_c)
    assert "After A. Author (2025): did not hold here." in of_b
    assert text.count("\n## Pairs") == text.count("\n## Scores") == 1


def test_text_is_shown_as_it_is():
    from markdown_it import MarkdownIt

    text = r"a|b *c* _d_ `e` $f$ [g](h) <i> #j {k} ~l~ m^2 n\o & @p %q -> +0.06 1. x"
    html = MarkdownIt("commonmark").enable("table").render(f"| {escape(text)} |\n|---|\n")
    cell = re.search(r"<th>(.*)</th>", html)[1]
    assert cell == text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@pytest.fixture
def book(tmp_path):
    """A book of two parts and three chapters, whose contents name them in an order of their own."""
    folder = tmp_path / "book"
    for name in ("pairs/a", "pairs/b", "metric-learning/c"):
        path = folder / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        notebook = nbformat.v4.new_notebook()
        data = render(report(f"Chapter {path.stem}", "reproduced"))
        cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])
        notebook.cells = [cell]
        nbformat.write(notebook, path)
    (folder / "pairs" / "index.md").write_text("# All pairs\n\nText.\n")
    (tmp_path / "_toc.yml").write_text(
        "root: book/intro\nparts:\n  - file: book/pairs/b\n  - file: book/pairs/a.ipynb\n"
    )
    return folder


def test_chapters_come_in_the_order_of_the_contents_and_unlisted_ones_last(book):
    entries = [(entry.part, entry.page) for entry in collect(book)]
    assert entries == [
        ("All pairs", "pairs/b.ipynb"),
        ("All pairs", "pairs/a.ipynb"),
        ("Metric learning", "metric-learning/c.ipynb"),
    ]


def test_a_chapter_without_a_report_is_an_error(book):
    nbformat.write(nbformat.v4.new_notebook(), book / "pairs" / "empty.ipynb")
    with pytest.raises(ValueError, match=r"empty\.ipynb must store one claims report; found 0"):
        collect(book)


def test_the_command_writes_the_page_and_leaves_an_unchanged_one_alone(book):
    target = book / "ledger.md"
    assert main([str(book), str(target)]) == 0
    assert target.read_text(encoding="utf-8") == page(collect(book))
    before = target.stat().st_mtime_ns
    main([str(book), str(target)])
    assert target.stat().st_mtime_ns == before


def test_the_example_can_be_entered(tmp_path):
    shutil.copytree(GREEN.parent, tmp_path / "book" / "pairs")
    assert "A chapter in miniature" in page(collect(tmp_path / "book"))

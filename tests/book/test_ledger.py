"""Protects the ledger: every claim stands in it once, under its origin and outcome, in the book's order."""

import re
import shutil
from html.parser import HTMLParser

import nbformat
import pytest

from corelib.lab import record
from corelib.lab.report import render
from tools.compare import ROOT
from tools.entries import Entry, collect, guides
from tools.ledger import ledger, markdown, self_tests, trust
from tools.pages import main

CONFIG = """
html: {baseurl: "https://example.org/"}
repository: {url: "https://github.com/x/y", branch: colab}
launch_buttons: {colab_url: "https://colab.example.org"}
"""
GREEN = ROOT / "tests" / "fixtures" / "book" / "pairs" / "green.ipynb"


def claim(name, origin, outcome, **changes):
    given = {
        "name": name,
        "origin": origin,
        "main": False,
        "statement": f"Statement of {name}",
        "paper": "0.85 -> 0.91" if origin == "paper" else "",
        "measured": "≈ 0.9 ± 0.1",
        "condition": "wins",
        "outcome": outcome,
        "reason": "" if outcome == "holds" else "small data",
        "draws": 5,
        "band": [0.75, 1.2],
        "wide": None,
        "problem": "",
    }
    return given | changes


def report(title, *claims):
    card = dict.fromkeys(("slug", "paper", "url", "level", "data", "claimed", "found"), "-")
    card |= {
        "title": title,
        "authors": "A. Author",
        "year": 2025,
        "minutes": 10,
        "verdict": None,
        "distances": [],
    }
    return {"card": card, "claims": list(claims)}


class _Rows(HTMLParser):
    """The texts of the cells of every table row."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True
        elif tag == "br":
            self.handle_data(" / ")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data.replace("\n", "")


def rows(text):
    return _Rows(text).rows


ENTRIES = [
    Entry(
        "Pairs",
        "pairs/a.ipynb",
        "Chapter A",
        report(
            "Chapter A",
            claim("side", "paper", "holds"),
            claim("core", "paper", "a simpler rival ties", main=True),
            claim("self", "library", "holds"),
        ),
    ),
    Entry(
        "Scores",
        "scores/b.ipynb",
        "Chapter B",
        report("Chapter B", claim("core", "paper", "fails here", main=True)),
    ),
    Entry(
        "Pairs",
        "pairs/c.ipynb",
        "Chapter C",
        report(
            "Chapter C",
            claim("core", "paper", "◷(holds with a condition)", main=True),
            claim("mine", "ours", "does not hold"),
        ),
    ),
]


def test_the_ledger_counts_the_papers_claims_and_nothing_else():
    table = rows(ledger(ENTRIES))
    assert table[0] == [
        "Part",
        "Chapters",
        "✓ holds",
        "◐ holds with a condition",
        "≃ a simpler rival ties",
        "✗ fails here",
        "? untestable here",
    ]
    assert table[1:4] == [
        ["Pairs", "2", "1", "1", "1", "0", "0"],
        ["Scores", "1", "0", "0", "0", "1", "0"],
        ["All", "3", "1", "1", "1", "1", "0"],
    ]


def test_every_claim_stands_under_its_chapter_and_origin():
    text = ledger(ENTRIES)
    sections = dict(section.split("\n", 1) for section in text.split("\n### ")[1:])
    of_a, of_b, of_c = (
        sections[f"[Chapter {name}]({page})"]
        for name, page in (("A", "pairs/a.ipynb"), ("B", "scores/b.ipynb"), ("C", "pairs/c.ipynb"))
    )
    core, side = rows(of_a)[1:]
    assert core == [
        "≃ a simpler rival ties",
        "Statement of core (main) / Paper: 0.85 -> 0.91 / Here: ≈ 0.9 ± 0.1 / Why: small data / Condition (5 draws): wins",
    ]
    assert side == [
        "✓ holds",
        "Statement of side / Paper: 0.85 -> 0.91 / Here: ≈ 0.9 ± 0.1 / Condition (5 draws): wins",
    ]
    assert "**≃ a simpler rival ties.**" in of_a and "**✗ fails here.**" in of_b
    assert "**◐ holds with a condition ◷.**" in of_c
    assert "Our own controls (1)" in of_c and "Statement of mine" in of_c
    assert "Statement of self" not in text
    assert text.count("\n## Pairs") == text.count("\n## Scores") == 1


def test_every_claim_has_an_anchor_and_leads_to_its_place():
    assert '<a id="a-core" href="pairs/a.html#claim-core">' in ledger(ENTRIES)


def test_self_tests_have_a_page_of_their_own():
    text = self_tests(ENTRIES)
    assert rows(text) == [
        ["What must hold", "Measured", "Condition"],
        ["Statement of self", "≈ 0.9 ± 0.1", "wins"],
    ]
    assert "Chapter B" not in text


def test_a_wide_run_stands_beside_the_small_one():
    wide = {"measured": "≈ 0.8", "outcome": "fails here", "draws": 15}
    entry = Entry(
        "Pairs",
        "pairs/a.ipynb",
        "Chapter A",
        report("A", claim("core", "paper", "fails here", main=True, wide=wide)),
    )
    assert (
        "Here: ≈ 0.9 ± 0.1 / Wide run, 15 draws: ≈ 0.8 / Why: small data / " in rows(ledger([entry]))[-1][1]
    )


RUN = {"date": "2026-11-27", "machine": "a machine", "seconds": 40, "code": "abc"}
TRIED = [
    {"kind": "leak", "name": "test data", "noticed": True},
    {"kind": "trivial", "name": "a constant", "noticed": False},
]


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        ({}, "The nearest end of a condition lies 1.5 to 1.5 sd away (median 1.5)."),
        ({"small": RUN}, "Ran whole 2026-11-27 on a machine, 40 s; the nearest"),
        (
            {"mutations": {"code": "abc", "tried": TRIED}, "small": RUN},
            "sabotages noticed: 1 of 2; missed: trivial: a constant.",
        ),
        (
            {"mutations": {"code": "old", "tried": TRIED[:1]}, "small": RUN},
            "sabotages noticed (on an earlier version): 1 of 1.",
        ),
    ],
)
def test_the_trust_line_says_what_is_known(kept, text):
    entry = ENTRIES[0]
    assert text in trust(Entry(entry.part, entry.page, entry.title, entry.report, kept))


def test_text_is_shown_as_it_is():
    from markdown_it import MarkdownIt

    text = r"a|b *c* _d_ `e` $f$ [g](h) <i> #j {k} ~l~ m^2 n\o & @p %q -> +0.06 1. x"
    html = MarkdownIt("commonmark").enable("table").render(f"| {markdown(text)} |\n|---|\n")
    cell = re.search(r"<th>(.*)</th>", html)[1]
    assert cell == text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    hostile = Entry(
        "P", "p/a.ipynb", "<b>&", report("<b>&", claim("a", "paper", "holds", statement="<script>x</script>"))
    )
    assert "<script>" not in ledger([hostile])


@pytest.fixture
def book(tmp_path):
    """A book of two parts and three chapters, whose contents name them in an order of their own."""
    folder = tmp_path / "book"
    for name in ("pairs/a", "pairs/b", "metric-learning/c", "guide"):
        path = folder / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        notebook = nbformat.v4.new_notebook()
        data = render(report(f"Chapter {path.stem}", claim("core", "paper", "holds", main=True)))
        cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])
        notebook.cells = [nbformat.v4.new_markdown_cell(f"# Chapter {path.stem}"), cell]
        nbformat.write(notebook, path)
    (folder / "pairs" / "index.md").write_text("# All pairs\n\nText.\n")
    (tmp_path / "_config.yml").write_text(CONFIG)
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
    assert [entry.page for entry in guides(book)] == ["guide.ipynb"]


def test_a_chapter_without_a_report_is_an_error(book):
    empty = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Empty")])
    nbformat.write(empty, book / "pairs" / "empty.ipynb")
    with pytest.raises(ValueError, match=r"empty\.ipynb must store one claims report; found 0"):
        collect(book)


def test_the_command_writes_both_pages_and_leaves_unchanged_ones_alone(book):
    assert main([str(book)]) == 0
    assert (book / "ledger.md").read_text(encoding="utf-8") == ledger(collect(book))
    before = (book / "ledger.md").stat().st_mtime_ns, (book / "self-tests.md").stat().st_mtime_ns
    main([str(book)])
    assert before == ((book / "ledger.md").stat().st_mtime_ns, (book / "self-tests.md").stat().st_mtime_ns)


def test_the_example_can_be_entered(tmp_path):
    shutil.copytree(GREEN.parent, tmp_path / "book" / "pairs")
    text = ledger(collect(tmp_path / "book"))
    assert "A chapter in miniature" in text
    assert f"Ran whole {record.load(GREEN)['small']['date']}" in text.replace("\\", "")

"""Protects the front page: every chapter has its card, what cards say is what notebooks store, ten of them come first."""

import io
import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import nbformat
import pytest
from PIL import Image
from test_ledger import ENTRIES, claim, report

from corelib.lab.outcomes import OF_PAPERS
from tools.compare import ROOT
from tools.entries import Entry, Picture, collect
from tools.feed import dates, feed
from tools.front import cards, outcomes, thumbnail
from tools.map import PATHS, drawing

BOOK = ROOT / "book"


def png(width, height):
    made = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(made, "png")
    return made.getvalue()


@pytest.fixture(scope="module")
def chapters():
    return collect(BOOK)


def test_ten_chapters_are_the_surprises(chapters):
    chosen = [entry for entry in chapters if entry.surprise]
    assert len(chosen) == 10
    assert len({entry.part for entry in chosen}) == 7, "every part has one"


def test_every_chapter_has_a_teaser_and_a_picture(chapters):
    assert [entry.slug for entry in chapters if not entry.teaser or not entry.picture] == []


def test_the_outcomes_are_those_of_the_ledger():
    text = outcomes(ENTRIES)
    assert "4 claims of 3 papers" in text
    counts = dict(re.findall(r"</span> ([a-z ]+): (\d+)</a>", text))
    assert counts == dict(zip(OF_PAPERS, "11110", strict=True))
    assert 'href="ledger.html?outcome=a+simpler+rival+ties"' in text
    assert "ks-untestable-here" not in text.partition("</div>")[0], "no empty piece of the bar"


def test_a_card_has_its_link_and_its_outcomes_and_a_teaser_if_wanted():
    entry = Entry("Pairs", "pairs/a.ipynb", "A *star*", ENTRIES[0].report, teaser="It is so.")
    short, long = cards([entry], teasers=False), cards([entry], teasers=True)
    assert ":link: /book/pairs/a\n" in short and r"A \*star\*" in short
    assert "It is so." in long and "It is so." not in short
    assert 'data-outcome="a simpler rival ties"' in short, "a chapter's outcome is that of its central claim"
    assert 'aria-label="Claims of the paper: 1 holds, 1 a simpler rival ties"' in short
    assert short.count("ks-badge") == 2, "controls and self-tests are not counted"


def test_a_picture_is_told_in_one_sentence():
    picture = Picture(png(960, 640), "Dots rise", "Dots rise. There are two panels.")
    entry = Entry("Pairs", "pairs/a.ipynb", "A", report("A", claim("c", "paper", "holds")), picture=picture)
    assert ":img-alt: Dots rise.\n" in cards([entry], teasers=False)
    assert Image.open(io.BytesIO(thumbnail(entry))).size == (480, 320)


def test_teaser_and_picture_are_the_first_of_the_notebook(tmp_path):
    path = tmp_path / "book" / "pairs" / "a.ipynb"
    path.parent.mkdir(parents=True)
    stored = collect(BOOK)[0]
    notebook = nbformat.read(BOOK / stored.page, as_version=4)
    notebook.cells[0].source = "# Title\n\n*One line\nand $a^*$ another.*\n\nMore."
    notebook.cells[0].metadata["tags"] = ["surprise"]
    nbformat.write(notebook, path)
    (entry,) = collect(tmp_path / "book")
    assert entry.title == "Title" and entry.teaser == "One line and $a^*$ another." and entry.surprise
    assert entry.picture == stored.picture


def test_the_reading_paths_lead_through_chapters_that_are_there(chapters):
    slugs = {entry.slug for entry in chapters}
    assert [slug for _, path in PATHS.values() for slug in path if slug not in slugs] == []


def test_the_map_has_every_chapter_and_every_link_once(chapters):
    text = drawing(chapters)
    assert re.findall(r'<a href="([\w/-]+\.html)"', text) == [entry.html for entry in chapters]
    ends = [tuple(pair.split()) for pair in re.findall(r'data-ends="([\w -]+)"', text)]
    assert len({frozenset(pair) for pair in ends}) == len(ends) > 30
    assert ("mw-loss", "cosine-adapter") in ends


def test_the_feed_has_every_chapter_the_newest_first(chapters):
    when = datetime(2026, 11, 28, 12, tzinfo=UTC)
    added = {chapters[1].slug: when, chapters[0].slug: when.replace(hour=11)}
    channel = ElementTree.fromstring(feed(chapters, "https://x/", added)).find("channel")
    items = channel.findall("item")
    assert len(items) == len(chapters)
    assert [item.findtext("title") for item in items[:2]] == [chapters[1].title, chapters[0].title]
    assert items[0].findtext("link") == f"https://x/book/{chapters[1].html}"
    assert items[0].findtext("pubDate") == "Sat, 28 Nov 2026 12:00:00 +0000"
    assert items[2].find("pubDate") is None


def test_where_there_is_no_git_no_chapter_has_a_date(tmp_path):
    assert dates(tmp_path) == {}

"""Protects the printed book: every page in its order, whole, with links that lead somewhere from a desk."""

import os

import pytest
import yaml
from playwright.sync_api import sync_playwright
from pypdf import PdfReader

from tools.browser import executable
from tools.compare import ROOT
from tools.entries import contents
from tools.pdf import SITE, chapters, main

PAGES = ("book/how-to-cite", "book/pairs/index", "book/pairs/mw-loss")
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]


def test_the_order_is_that_of_the_table_of_contents():
    depths = chapters()
    assert list(depths) == contents(ROOT / "book")
    assert (depths["book/intro"], depths["book/pairs/index"], depths["book/pairs/mw-loss"]) == (0, 0, 1)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    with sync_playwright() as playwright:
        able = executable(playwright) and SITE.exists()
    if not able:
        required = os.environ.get("KEEPING_SCORE_REQUIRE_BROWSER") == "1"
        (pytest.fail if required else pytest.skip)("needs the built book and Chromium")
    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    main([str(path), *PAGES])
    return PdfReader(path)


def test_pages_are_whole_with_code_answers_and_mathematics(book):
    text = "\n".join(page.extract_text() for page in book.pages)
    assert "How to cite it" in text and "@incollection{keepingscore-lebed" in text, "what is folded is open"
    assert "from corelib.data import minilm_vectors, rhelp" in text
    first, part, inside = book.outline
    assert (first.title, part.title) == ("How to cite it", "1. Pairs")
    assert [mark.title for mark in inside] == ["One threshold for all queries: the Mann-Whitney loss"]
    assert sum(len(page.images) for page in book.pages) >= 3


def test_links_lead_to_the_published_book(book):
    targets = {
        annotation.get_object()["/A"]["/URI"]
        for page in book.pages
        for annotation in page.get("/Annots", ())
        if "/URI" in annotation.get_object().get("/A", {})
    }
    assert f"{ADDRESS}book/core-in-twenty-minutes.html" in targets
    assert not [target for target in targets if not target.startswith(("http://", "https://"))]

"""Protects readers of the built book: every page in a real browser, light and dark, on a phone, from a USB stick.

Needs the book (``make book``) and a Chromium; without one of them the tests are skipped, or fail if the environment
variable ``KEEPING_SCORE_REQUIRE_BROWSER`` is 1.
"""

import os
import re
import tomllib
from pathlib import Path
from urllib.parse import urljoin

import pytest
import site_inspector
import yaml
from playwright.sync_api import expect, sync_playwright
from site_inspector import PHONE, QUIET, SITE, Visitor, served

from tools.browser import executable

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = site_inspector.pages(SITE)
NOTEBOOKS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "book").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
FIRST = "book/intro.html"


def _missing(what: str) -> None:
    required = os.environ.get("KEEPING_SCORE_REQUIRE_BROWSER") == "1"
    (pytest.fail if required else pytest.skip)(what)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        path = executable(playwright)
        if path is None:
            _missing("no Chromium on this machine (Debian: apt install chromium)")
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def home():
    if not PAGES:
        _missing("the book is not built (make book)")
    with served(SITE) as address:
        yield address


def _visitor(**context):
    @pytest.fixture(scope="module")
    def visitor(browser, home):
        visitor = Visitor(browser, home, **context)
        yield visitor
        visitor.close()

    return visitor


light = _visitor(color_scheme="light")
dark = _visitor(color_scheme="dark")
phone = _visitor(**PHONE)


def test_the_book_is_built(browser, home):
    assert FIRST in PAGES


@pytest.mark.parametrize("page", PAGES)
def test_a_page_in_the_light(light, page):
    assert light.check(page) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_in_the_dark(dark, page):
    assert dark.check(page) == []
    assert dark.page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_on_a_phone_needs_no_sideways_scrolling(phone, page):
    assert phone.check_width(page) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_what_it_shows_and_no_more(light, page):
    weights = light.weights(page)
    assert sum(weights.values()) < 1_000_000, weights
    maths = any("mathjax" in address.lower() for address in weights)
    assert maths == (light.page.locator("mjx-container").count() > 0)
    assert any("searchindex" in address for address in weights) == (page == "search.html")


def test_the_site_opens_at_its_first_page(light):
    light.page.goto(light.home)
    light.page.wait_for_url(f"**/{FIRST}")


def test_search_by_keyboard_finds_a_page(light):
    light.open(FIRST)
    light.page.keyboard.press("Control+k")
    light.page.keyboard.type("propensity")
    light.page.keyboard.press("Enter")
    light.page.locator("#search-results a", has_text="Pairs").first.click()
    expect(light.page.locator("article")).to_contain_text("propensity")
    assert light.noted() == []


QUERIES = tomllib.loads(Path(__file__).with_name("queries.toml").read_text(encoding="utf-8"))


def test_what_readers_look_for_stands_first_or_second(light):
    missed = {}
    for query, pages in QUERIES.items():
        light.open("search.html?q=" + query.replace(" ", "+"))
        summary = light.page.locator("#search-results p.search-summary")
        expect(summary).to_have_text(re.compile("found|did not match"))
        hits = light.page.eval_on_selector_all(
            "#search-results li > a", "all => all.slice(0, 2).map(a => a.getAttribute('href'))"
        )
        if not any(hit.startswith(f"book/{page}.html") for hit in hits for page in pages):
            missed[query] = hits
    assert len(QUERIES) == 25 and len(missed) <= 3, missed


def test_a_copy_on_a_stick_has_search_and_mathematics(browser, home):
    visitor = Visitor(browser, SITE.as_uri() + "/")
    assert visitor.check("book/how-to-read.html") == []
    assert visitor.page.locator("mjx-container").count() > 0
    assert visitor.open("search.html?q=propensity") == []
    visitor.page.locator("#search-results li a").first.wait_for()
    assert visitor.noted() == []
    visitor.close()


def test_the_first_stop_of_the_tabulator_leads_to_the_text(light):
    light.open(FIRST)
    light.page.keyboard.press("Tab")
    assert light.page.evaluate("document.activeElement.getAttribute('href')") == "#main-content"


def test_paper_shows_the_text_alone(light):
    light.open(FIRST)
    light.page.emulate_media(media="print")
    hidden = (".bd-sidebar-primary", ".bd-sidebar-secondary", ".prev-next-footer")
    shown = [selector for selector in hidden if light.page.locator(selector).first.is_visible()]
    light.page.emulate_media(media="screen")
    assert shown == []


def test_every_page_is_two_clicks_away(light, home):
    def links(path):
        light.open(path)
        return {
            address.partition("#")[0].removeprefix(home)
            for address in light.page.eval_on_selector_all(
                "a[href]", "all => all.map(a => new URL(a.getAttribute('href'), location).href)"
            )
            if address.startswith(home)
        }

    first = links(FIRST)
    reached = first.union(*(links(path) for path in sorted(first) if path.endswith(".html")))
    assert {page for page in PAGES if page.startswith("book/")} <= reached


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_chapter_can_be_launched_and_downloaded(light, home, notebook):
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    owner_and_name = repository["url"].removeprefix("https://github.com/")
    page = notebook.replace(".ipynb", ".html")
    light.open(page)
    addresses = light.page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
    colab = (
        f"https://colab.research.google.com/github/{owner_and_name}/blob/{repository['branch']}/{notebook}"
    )
    assert colab in addresses
    downloads = [
        urljoin(home + page, address).removeprefix(home)
        for address in addresses
        if address.endswith(".ipynb")
    ]
    assert any((SITE / download).is_file() for download in downloads)


BAD_PAGE = """<!doctype html><html><head><title>Bad</title>
<script src="https://example.invalid/tracker.js"></script><script src="gone.js"></script></head>
<body><article><img src="data:," alt="../_images/3f2a.png"><p style="color: #ccc; background: #fff">Pale.</p>
<p>Here is $x^2$.</p><span class="math">x</span><div style="width: 800px">Wide.</div></article>
<style>i::before { content: "\\f004"; font: 900 1rem "Keeping Score Icons" }</style><i></i><style>.pale { outline: none }</style><button class="pale">No ring</button>
<script>undefined_function()</script></body></html>"""


def test_each_kind_of_problem_is_noticed(browser, tmp_path):
    (tmp_path / "bad.html").write_text(BAD_PAGE, encoding="utf-8")
    with served(tmp_path) as address:
        visitor = Visitor(browser, address, **PHONE)
        found = "\n".join(visitor.check("bad.html") + visitor.check_width("bad.html"))
        visitor.close()
    for problem in (
        "request to another host: https://example.invalid/tracker.js",
        "missing (404)",
        "script error",
        "formula left as text: $x^2$",
        "formula that was not set",
        "alternative text is no sentence",
        "icon that is not in the book's fonts (tools/make_icons.py): f004",
        "focus that one does not see: button pale",
        "color-contrast",
        "pixels wide on a screen of 390",
    ):
        assert problem in found


@pytest.mark.parametrize("visitor", ["light", "phone"])
def test_a_figure_to_touch_moves_by_keyboard(visitor, request):
    """What it says at each stop is what the table of the notebook says, which is there without scripts, too."""
    visitor = request.getfixturevalue(visitor)
    visitor.open("book/pairs/aft.html")
    page = visitor.page
    slider, figure = page.locator(".ks-slider input").first, page.locator(".ks-slider").first
    rows = page.locator(".ks-slider + details tbody").first.locator("tr")
    slider.focus()
    page.keyboard.press("Home")
    for at in range(rows.count()):
        value, *cells = rows.nth(at).locator("th, td").all_text_contents()
        assert figure.locator("output").text_content() == value
        assert figure.locator(".ks-value").all_text_contents() == cells
        assert slider.get_attribute("aria-valuetext").startswith(value)
        page.keyboard.press("ArrowRight")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert visitor.check_width("book/pairs/aft.html") == []


def test_a_table_to_touch_is_a_table_without_scripts(browser, home):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(home + "book/pairs/aft.html")
    assert page.locator(".ks-slider").count() == 0
    assert page.locator("table", has_text="By weight of the loss").is_visible()
    context.close()


@pytest.mark.parametrize("visitor", ["light", "dark", "phone"])
def test_the_front_figure_moves_by_keyboard(visitor, request):
    visitor = request.getfixturevalue(visitor)
    visitor.open(FIRST)
    page = visitor.page
    slider = page.locator(".ks-flow-figure input")
    picture = "document.querySelector('.ks-flow-canvas').toDataURL()"
    slider.focus()
    seen = set()
    page.keyboard.press("Home")
    for level in ("4", "2.7", "1.8"):
        assert page.locator(".ks-flow-figure output").text_content() == level
        assert slider.get_attribute("aria-valuetext") == f"noise level {level}"
        seen.add(page.evaluate(picture))
        page.keyboard.press("ArrowRight")
    assert len(seen) == 3
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert visitor.noted() == []


def test_the_front_page_is_whole_without_scripts(browser, home):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(home + FIRST)
    assert page.locator("img.ks-flow-static").is_visible()
    assert page.locator(".ks-filter select").count() == 0
    ready = sum(1 for notebook in NOTEBOOKS if notebook.count("/") == 2)
    assert page.locator("#all-chapters .sd-card").count() == ready
    context.close()


@pytest.mark.parametrize("visitor", ["light", "phone"])
def test_an_outcome_of_the_front_page_leads_to_its_claims(visitor, request):
    visitor = request.getfixturevalue(visitor)
    visitor.open(FIRST)
    page = visitor.page
    link = page.locator(".ks-outcomes a", has_text="fails here")
    count = link.text_content().rpartition(" ")[2]
    link.click()
    page.wait_for_url("**/ledger.html?outcome=fails+here")
    expect(page.locator(".ks-filter output")).to_contain_text(f"{count} of ")
    rows = page.locator("tr[data-outcome]:visible")
    assert rows.count() == int(count)
    assert set(rows.evaluate_all("all => all.map(row => row.dataset.outcome)")) == {"fails here"}


def test_filters_go_together_and_can_be_linked_to(light):
    light.open("book/ledger.html")
    page = light.page
    everything = page.locator("tr[data-outcome]").count()
    page.get_by_label("origin").select_option("our control")
    page.get_by_label("part").select_option("Pairs")
    page.get_by_label("text").fill("TEMPERATURE")
    rows = page.locator("tr[data-outcome]:visible")
    assert 0 < rows.count() < everything, "controls are unfolded when they are asked for"
    assert all("temperature" in text.lower() for text in rows.all_text_contents())
    assert page.locator("article section h2:visible").all_text_contents() == ["Pairs#"]
    assert page.url.endswith("?origin=our+control&part=Pairs&text=TEMPERATURE")
    shown = rows.count()
    page.reload()
    assert page.locator("tr[data-outcome]:visible").count() == shown
    page.get_by_label("text").fill("no claim says this")
    expect(page.locator(".ks-filter output")).to_have_text(f"0 of {everything} claims")
    assert light.noted() == []


def test_cards_are_filtered_by_part_and_outcome(light):
    light.open(FIRST)
    page, cards = light.page, light.page.locator("#all-chapters .sd-card:visible")
    everything = cards.count()
    page.get_by_label("part").select_option("Retrieval")
    assert 0 < cards.count() < everything
    assert all("Retrieval · " in text for text in cards.all_text_contents())
    assert page.locator("#ten-surprises .sd-card:visible").count() == 10
    page.get_by_label("part").select_option("all")
    assert cards.count() == everything


def test_a_function_and_its_chapters_are_linked(light):
    light.open("book/api/losses/pairs.html")
    entry = light.page.locator("dl.function", has=light.page.locator("#corelib\\.losses\\.mann_whitney_loss"))
    entry.locator("p", has_text="Used in").first.wait_for()
    entry.get_by_role("link", name="One threshold for all queries").click()
    light.page.wait_for_url("**/book/pairs/mw-loss.html")


ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("book/")])
def test_a_page_can_be_found_and_shared(light, page):
    light.open(page)
    content = "all => Object.fromEntries(all.map(e => [e.getAttribute('property') ?? e.name, e.content]))"
    tags = light.page.eval_on_selector_all("meta[content]", content)
    assert light.page.locator("link[rel=canonical]").get_attribute("href") == ADDRESS + page
    assert tags["og:url"] == ADDRESS + page and tags["og:site_name"] == "Keeping Score"
    assert tags["og:title"] and len(tags["description"]) > 20
    if "og:image" in tags:
        assert (SITE / tags["og:image"].removeprefix(ADDRESS)).is_file()
    feed = light.page.locator("link[rel=alternate]").get_attribute("href").removeprefix(ADDRESS)
    assert (SITE / feed).read_text(encoding="utf-8").startswith("<?xml")
    assert f"<loc>{ADDRESS}{page}</loc>" in (SITE / "sitemap.xml").read_text(encoding="utf-8")


def test_a_formula_shrinks_to_fit_a_phone_or_scrolls_in_its_box(phone):
    phone.open("book/pairs/aft.html")
    found = phone.page.evaluate("""() => [...document.querySelectorAll("div.math > mjx-container")].map(e =>
      [parseFloat(e.style.fontSize) / parseFloat(e.dataset.size), e.scrollWidth, e.clientWidth])""")
    assert any(share < 1 for share, *_ in found) and any(share == 1 for share, *_ in found)
    for share, needed, given in found:
        assert 0.69 < share and (needed <= given or share < 0.71)


def test_a_page_that_is_missing_leads_home(light):
    light.page.set_content((SITE / "404.html").read_text(encoding="utf-8"))
    folder = "/" + ADDRESS.partition("//")[2].partition("/")[2]
    addresses = light.page.eval_on_selector_all(
        "link[rel=stylesheet], script[src], nav a.internal",
        "all => all.map(e => e.getAttribute('href') ?? e.getAttribute('src'))",
    )
    own = [address for address in addresses if address.startswith(folder)]
    assert len(own) > 20
    assert [
        address
        for address in own
        if not (SITE / address.removeprefix(folder).partition("?")[0].partition("#")[0]).is_file()
    ] == []


def test_a_chapter_of_the_map_shows_its_own_links(light):
    light.open("book/map.html")
    page = light.page
    chapter = page.locator('.ks-map a[data-slug="mw-loss"]')
    chapter.focus()
    own = page.locator(".ks-map path.ks-own").evaluate_all(
        "all => all.map(arc => arc.dataset.ends.split(' '))"
    )
    assert own and all("mw-loss" in ends for ends in own)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.slug") == "preference-ranking"
    page.keyboard.press("Enter")
    page.wait_for_url("**/preference-ranking.html")
    assert light.noted() == []


@pytest.mark.parametrize("visitor", ["light", "phone"])
def test_all_code_of_a_chapter_is_shown_or_hidden_at_once(visitor, request):
    visitor = request.getfixturevalue(visitor)
    visitor.open("book/pairs/mw-loss.html")
    page = visitor.page
    code, answers = (
        page.locator("article .cell:not(.tag_hide-cell) .cell_input"),
        page.locator(".tag_hide-cell .cell_input"),
    )
    as_written = code.filter(visible=True).count()
    assert 0 < as_written < code.count()
    choice = page.get_by_label("Show code")
    choice.select_option("all of it")
    assert code.filter(visible=True).count() == code.count()
    choice.select_option("none")
    assert code.filter(visible=True).count() == 0
    assert page.locator("article img:visible").count() > 1, "figures stay"
    choice.select_option("the short cells")
    assert code.filter(visible=True).count() == as_written
    assert answers.filter(visible=True).count() == 0
    assert visitor.noted() == []

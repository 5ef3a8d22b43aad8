"""Print the built book as one PDF: ``python -m tools.pdf OUT.pdf``.

A browser prints every page of the table of contents, folded code and answers open; the prints are joined, with the table of
contents as bookmarks. Links lead to the published book. Needs ``make book`` and Chromium.
"""

import argparse
import io
import sys
from pathlib import Path

import yaml
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter

from tools.browser import MATHS_IS_DONE, executable
from tools.entries import contents
from tools.settings import address

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
PREPARE = """address => {
  for (const details of document.querySelectorAll("article details")) details.open = true;
  for (const link of document.querySelectorAll("article a[href]")) {
    const target = new URL(link.getAttribute("href"), address);
    link.setAttribute("href", target.href);
  }
  const title = document.querySelector("article h1").cloneNode(true);
  title.querySelector(".headerlink")?.remove();
  return title.textContent.trim();
}"""


def chapters() -> dict[str, int]:
    """The pages of the table of contents and how deep each stands in it."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    depths: dict[str, int] = {toc["root"]: 0}

    def walk(entries: list[dict], depth: int) -> None:
        for entry in entries:
            depths[entry["file"].removesuffix(".ipynb")] = depth
            walk(entry.get("sections", []), depth + 1)

    for part in toc["parts"]:
        walk(part["chapters"], 0)
    return depths


def printed(page: Page, name: str, address: str) -> tuple[str, PdfReader]:
    """The title of a page of the site, and its print."""
    page.goto((SITE / f"{name}.html").as_uri(), wait_until="load")
    page.wait_for_function(MATHS_IS_DONE)
    title = page.evaluate(PREPARE, f"{address}{name}.html")
    margin = {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}
    pdf = page.pdf(format="A4", margin=margin, scale=0.8, print_background=True)
    return title, PdfReader(io.BytesIO(pdf))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.pdf", description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the PDF")
    parser.add_argument("pages", nargs="*", help="only these pages, as book/pairs/mw-loss")
    given = parser.parse_args(arguments)
    published = address(ROOT)
    depths = chapters()
    wanted = [name for name in contents(ROOT / "book") if not given.pages or name in given.pages]
    book, above = PdfWriter(), {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(playwright), args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light")
        for name in wanted:
            title, pages = printed(page, name, published)
            first = len(book.pages)
            for one in pages.pages:
                book.add_page(one)
            depth = depths[name]
            above[depth] = book.add_outline_item(title=title, page_number=first, parent=above.get(depth - 1))
        browser.close()
    book.add_metadata({"/Title": "Keeping Score", "/Author": "The Keeping Score authors"})
    book.compress_identical_objects()
    book.write(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

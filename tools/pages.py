"""Write the pages that are made from what the notebooks store: ``python -m tools.pages book``.

These are the ledger, the page of self-tests, and the pieces of the front page and of the parts in ``book/_made``, so no
number and no sentence about a chapter stands twice. A page that has not changed is left alone.
"""

import argparse
import json
import sys
from pathlib import Path

from tools.course import downloads, syllabus, units
from tools.entries import collect, contents, guides
from tools.feed import dates, feed
from tools.front import cards, citations, outcomes, thumbnail
from tools.ledger import ledger, self_tests
from tools.map import drawing, paths
from tools.search import scorer
from tools.settings import address, settings
from tools.usage import usage


def pages(book: Path) -> dict[str, bytes]:
    """All pages, pictures and data, by their place in the book."""
    chapters, others, published = collect(book), guides(book), address(book.parent)
    texts = {
        "ledger.md": ledger(chapters),
        "self-tests.md": self_tests([*chapters, *others]),
        "_made/outcomes.html": outcomes(chapters),
        "_made/surprises.md": cards([entry for entry in chapters if entry.surprise], teasers=True),
        "_made/chapters.md": cards(chapters, teasers=False),
        "_made/map.html": drawing(chapters),
        "_made/paths.md": paths(chapters),
        "_made/citations.md": citations(chapters, published),
        "_made/units.md": units(),
        "_made/syllabus.md": syllabus(chapters),
        "_made/downloads.md": downloads(_on_colab(book.parent)),
        "_made/sitemap.xml": sitemap(contents(book), published),
        "_made/feed.xml": feed(chapters, published, dates(book)),
        "_made/scorer.js": scorer(chapters),
        "_made/usage.json": json.dumps(usage([*chapters, *others]), ensure_ascii=False, indent=1),
    }
    for folder in {entry.folder for entry in chapters}:
        of_part = [entry for entry in chapters if entry.folder == folder]
        texts[f"_made/{folder}.md"] = cards(of_part, teasers=False)
    pictures = {f"_made/{entry.slug}.webp": thumbnail(entry) for entry in chapters if entry.picture}
    return {name: text.encode() for name, text in texts.items()} | pictures


def sitemap(names: list[str], address: str) -> str:
    """The addresses of all pages, for search engines."""
    lines = (f"<url><loc>{address}{name}.html</loc></url>" for name in names)
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    )
    return "\n".join([head, *lines, "</urlset>", ""])


def _on_colab(root: Path) -> str:
    """Where Colab opens a student's notebook."""
    said = settings(root)
    repository, branch = said["repository"]["url"], said["repository"]["branch"]
    colab = said["launch_buttons"]["colab_url"]
    return f"{colab}/github/{repository.removeprefix('https://github.com/')}/blob/{branch}/course"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.pages", description=__doc__.partition("\n")[0])
    parser.add_argument("book", type=Path, help="folder of the book, in which the pages are written")
    book = parser.parse_args(arguments).book
    made = pages(book)
    for old in (book / "_made").glob("*"):
        if f"_made/{old.name}" not in made:
            old.unlink()
    for name, content in made.items():
        page = book / name
        if not page.exists() or page.read_bytes() != content:
            page.parent.mkdir(exist_ok=True)
            page.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the front page and the pages of the parts show of all chapters: the outcomes counted, and a card for each chapter."""

import io
import re
from collections import Counter
from html import escape
from urllib.parse import urlencode

from PIL import Image

from corelib.lab.outcomes import OF_PAPERS, SYMBOLS, plain
from tools.entries import Entry
from tools.ledger import markdown

PICTURE_WIDTH = 480  # pixels: a card is at most 360 wide


def outcomes(entries: list[Entry]) -> str:
    """A bar of the papers' claims by outcome, and the same as a list of links into the ledger."""
    counts = sum((entry.counts for entry in entries), Counter())
    bar = "".join(
        f'<span class="ks-{_css(name)}" style="flex-grow: {counts[name]}"></span>'
        for name in OF_PAPERS
        if counts[name]
    )
    links = "".join(
        f'<li><a href="ledger.html?{urlencode({"outcome": name})}">{_badge(name)} {escape(name)}: {counts[name]}</a></li>'
        for name in OF_PAPERS
    )
    said = f"{counts.total()} claims of {len(entries)} papers, and what came of them here:"
    return f'<p>{said}</p><div class="ks-bar" aria-hidden="true">{bar}</div><ul class="ks-outcomes">{links}</ul>\n'


def cards(entries: list[Entry], *, teasers: bool) -> str:
    """A grid of cards, one per chapter: its opening picture, its title, its teaser if wanted, its outcomes."""
    columns = "1 2 2 2" if teasers else "2 2 3 3"
    lines = [f"::::{{grid}} {columns}", ":gutter: 3", ":class-container: ks-cards", ""]
    for entry in entries:
        lines += [
            ":::{grid-item-card} " + markdown(entry.title),
            f":link: /{entry.document}",
            ":link-type: doc",
            *_picture(entry),
            "",
            *([entry.teaser, ""] if teasers else []),
            _strip(entry),
            ":::",
            "",
        ]
    return "\n".join([*lines, "::::", ""])


def citations(entries: list[Entry], address: str) -> str:
    """A folded BibTeX entry for every chapter; ``address`` is where the book is published."""
    lines = []
    for entry in entries:
        bibtex = (
            f"@incollection{{keepingscore-{entry.slug},\n  title     = {{{entry.title}}},\n"
            "  author    = {{The Keeping Score authors}},\n"
            "  booktitle = {Keeping Score: Losses, Score Functions and Rankings, One Paper at a Time},\n"
            f"  year      = {{2026}},\n  url       = {{{address}book/{entry.html}}},\n}}"
        )
        lines += [f"::::{{dropdown}} {markdown(entry.title)}", "```bibtex", bibtex, "```", "::::", ""]
    return "\n".join(lines)


def thumbnail(entry: Entry) -> bytes:
    """The chapter's first figure, small, as WebP."""
    picture = Image.open(io.BytesIO(entry.picture.png)).convert("RGB")
    height = round(picture.height * PICTURE_WIDTH / picture.width)
    made = io.BytesIO()
    picture.resize((PICTURE_WIDTH, height), Image.Resampling.LANCZOS).save(made, "webp", quality=70, method=6)
    return made.getvalue()


def _picture(entry: Entry) -> list[str]:
    if entry.picture is None:
        return []
    first_sentence = re.match(r".*?[.!?](?=\s|$)|.*", entry.picture.alternative)[0]
    return [f":img-top: /book/_made/{entry.slug}.webp", f":img-alt: {first_sentence}"]


def _strip(entry: Entry) -> str:
    """A line with the part, the minutes and the outcomes of the paper's claims, and what a filter asks for."""
    main = plain(entry.main["outcome"]) if entry.main else ""
    minutes = entry.report["card"]["minutes"]
    said = ", ".join(f"{entry.counts[name]} {name}" for name in OF_PAPERS if entry.counts[name])
    badges = "".join(_badge(name) * entry.counts[name] for name in OF_PAPERS)
    return (
        f'<span class="ks-strip" data-part="{escape(entry.part)}" data-outcome="{escape(main)}">'
        f"<span>{escape(entry.part)}{f' · {minutes} min' if minutes else ''}</span>"
        f'<span role="img" aria-label="Claims of the paper: {escape(said)}">{badges}</span></span>'
    )


def _badge(outcome: str) -> str:
    return f'<span class="ks-badge ks-{_css(outcome)}" aria-hidden="true">{SYMBOLS[outcome]}</span>'


def _css(outcome: str) -> str:
    return outcome.replace(" ", "-")

"""The map of the book: every chapter, the links between their texts, and paths to read along."""

import re
from html import escape

from tools.entries import Entry
from tools.ledger import markdown

PATHS = {
    "One evening": (
        "a first course in machine learning",
        ("mw-loss", "self-positioning", "data-diet", "lebed"),
    ),
    "A search engine that works": (
        "gradient descent, softmax; some information retrieval helps",
        ("mw-loss", "peg", "lg-anna", "unime-v2", "sft-vs-cl", "cosine-adapter", "lol-prf", "huixiangdou2"),
    ),
    "What diffusion models learn": (
        "probability densities, gradients, a little linear algebra",
        ("regularized-autoencoders", "gaussian-score", "score-estimation-ntk", "score-aug"),
    ),
    "Whom to believe: evaluation": (
        "means, variances, a first course in machine learning",
        (
            "easy2hard",
            "gve",
            "test-time-matching",
            "disc-vs-gen",
            "pass-at-n",
            "qalign",
            "deqa-score",
            "ts-guessing",
            "lebed",
        ),
    ),
}
"""Reading paths: what one should know, and the chapters in their order."""

ROW, LABELS, RADIUS = 24, 520, 180
LINK = re.compile(r"\]\((?:\.\./)?(?:[\w-]+/)?([\w-]+)\.ipynb\)")


def paths(entries: list[Entry]) -> str:
    """The reading paths, with the minutes of their chapters."""
    by_slug = {entry.slug: entry for entry in entries}
    lines = []
    for name, (known, slugs) in PATHS.items():
        steps = [by_slug[slug] for slug in slugs if slug in by_slug]
        minutes = sum(entry.report["card"]["minutes"] for entry in steps)
        lines += [f"### {name}", "", f"*{len(steps)} chapters, {_hours(minutes)}; you need {known}.*", ""]
        lines += [
            f"{place}. [{markdown(entry.title)}]({entry.page}), {entry.report['card']['minutes']} min"
            for place, entry in enumerate(steps, 1)
        ]
        lines.append("")
    return "\n".join(lines)


def drawing(entries: list[Entry]) -> str:
    """All chapters below each other, by part, and an arc for every two whose texts are linked; an SVG of links."""
    place, y, last = {}, 0, None
    titles = []
    for entry in entries:
        if entry.part != last:
            y += ROW * (1.6 if last else 1)
            titles.append(f'<text class="ks-map-part" x="{RADIUS}" y="{y:.0f}">{escape(entry.part)}</text>')
            last = entry.part
        y += ROW
        place[entry.slug] = y
    height = y + ROW / 2
    arcs = []
    for first, second in _links(entries):
        low, high = sorted((place[first], place[second]))
        reach = RADIUS * 1.25 * ((high - low) / height) ** 0.6
        x, bend = RADIUS - 8, 0.14 * (high - low)
        arcs.append(
            f'<path data-ends="{first} {second}" d="M{x} {low - 5:.0f}C{x - reach:.0f} {low - 5 + bend / 2:.0f} '
            f'{x - reach:.0f} {high - 5 - bend / 2:.0f} {x} {high - 5:.0f}"/>'
        )
    nodes = [
        f'<a href="{entry.html}" data-slug="{entry.slug}"><text x="{RADIUS}" y="{place[entry.slug]:.0f}">'
        f"{escape(entry.title)}</text></a>"
        for entry in entries
    ]
    return (
        f'<div class="ks-map" role="region" aria-label="Map of the chapters" tabindex="0">'
        f'<svg viewBox="0 0 {LABELS + RADIUS} {height:.0f}">{"".join([*titles, *arcs, *nodes])}</svg></div>\n'
    )


def _links(entries: list[Entry]) -> list[tuple[str, str]]:
    """Pairs of chapters of which one names the other in its text."""
    order = {entry.slug: place for place, entry in enumerate(entries)}
    found = set()
    for entry in entries:
        for other in LINK.findall(entry.words):
            if other in order and other != entry.slug:
                found.add(tuple(sorted((entry.slug, other), key=order.get)))
    return sorted(found, key=lambda pair: (order[pair[0]], order[pair[1]]))


def _hours(minutes: int) -> str:
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"

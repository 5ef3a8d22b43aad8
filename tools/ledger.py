"""The reproduction ledger and the page of self-tests, as MyST pages."""

import re
from collections import Counter
from collections.abc import Iterable
from html import escape
from statistics import median

from corelib.lab.numbers import MEASURED
from corelib.lab.outcomes import OF_PAPERS, SYMBOLS, plain
from corelib.lab.report import anchor, claim_lines
from corelib.lab.table import to_html
from tools.entries import Entry

LEDGER_INTRODUCTION = """\
# The reproduction ledger

What every paper says, what its chapter measured, and what came of it. A chapter's verdict is that of its paper's central
claim. Each line comes from what the chapter's notebook stores when it runs, and a test runs every chapter again and
compares; the link leads to the place on the page where the claim is measured.

| Outcome | Meaning |
|---|---|
| ✓ holds | what the paper says is so here too, under the condition that stands beside it |
| ◐ holds with a condition | it is so in the paper's setting, and not, or not clearly, when that is changed |
| ≃ a simpler rival ties | it is so, and a simpler method does as well or better |
| ✗ fails here | measured here, it is not so |
| ? untestable here | the scale of a chapter cannot tell; that is no failure |

A number behind ≈ may move a little from machine to machine, behind ± stands its standard deviation over the draws, and
what stands behind ◷ is a matter of timing. A *wide* run has more draws, other splits and three times the budget; where it
contradicts the small run, the outcome is the wide one's. Our own controls were never the paper's claims, and do not count
in the totals. Identities and tests of the library stand on [a page of their own](self-tests.md).
"""

FILTER = '<div class="ks-filter" data-of="claims" data-filters="outcome origin part text"></div>'


SELF_TESTS_INTRODUCTION = """\
# Self-tests

What each notebook checks about the library and about its own code: that a formula written from scratch and the library's
fast version agree, that a shortcut is exact. Nothing here is a claim of a paper, and all of it must hold.
"""


def ledger(entries: list[Entry]) -> str:
    """The ledger as a MyST page: totals, then each chapter's verdict, trust line and claims."""
    parts: dict[str, list[Entry]] = {}
    for entry in entries:
        parts.setdefault(entry.part, []).append(entry)
    lines = [LEDGER_INTRODUCTION, _totals(parts), "", FILTER, ""]
    for part, chapters in parts.items():
        lines += [f"({_anchor(part)})=", f"## {markdown(part)}", ""]
        for entry in chapters:
            lines += _chapter(entry)
    return "\n".join(lines)


def self_tests(entries: list[Entry]) -> str:
    """The page of identities and self-tests."""
    lines = [SELF_TESTS_INTRODUCTION]
    for entry in entries:
        tests = entry.claims("library")
        if tests:
            lines += [f"## [{markdown(entry.title)}]({entry.page})", ""]
            rows = [
                [_link(entry, test), escape(test["measured"]), escape(test["condition"])] for test in tests
            ]
            lines += [_table(("What must hold", "Measured", "Condition"), rows), ""]
    return "\n".join(lines)


def _totals(parts: dict[str, list[Entry]]) -> str:
    """How many claims of papers have each outcome, by part; narrow enough for a phone."""
    rows = [(f'<a href="#{_anchor(part)}">{escape(part)}</a>', chapters) for part, chapters in parts.items()]
    rows.append(("<strong>All</strong>", [entry for chapters in parts.values() for entry in chapters]))
    signs = (f'{SYMBOLS[outcome]}<span class="visually-hidden"> {outcome}</span>' for outcome in OF_PAPERS)
    lines = ['<table class="ks-totals">', "<caption>The papers' claims, counted</caption>", "<thead><tr>"]
    lines += [f'<th scope="col">{name}</th>' for name in ("Part", "Chapters", *signs)]
    lines += ["</tr></thead>", "<tbody>"]
    for name, chapters in rows:
        counts = sum((entry.counts for entry in chapters), Counter())
        cells = (len(chapters), *(counts[outcome] for outcome in OF_PAPERS))
        lines.append(f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    return "\n".join([*lines, "</tbody></table>"])


def _chapter(entry: Entry) -> list[str]:
    card = entry.report["card"]
    verdict = _outcome(entry.main) if entry.main else "no claim of the paper"
    source = f"{card['authors']} ({card['year']}), {card['paper'].rstrip('.')}"
    lines = [
        f"### [{markdown(entry.title)}]({entry.page})",
        "",
        f"**{verdict}.** *The paper:* {_sentence(card['claimed'])} *We found:* {_sentence(card['found'])}",
        "",
        f"After {markdown(source)}.",
        "",
    ]
    papers = sorted(entry.claims("paper"), key=lambda claim: not claim["main"])
    lines += [_claims(entry, papers, "Claim of the paper"), ""]
    ours = entry.claims("ours")
    if ours:
        table = _claims(entry, ours, "Our control")
        lines += [f"<details><summary>Our own controls ({len(ours)})</summary>{table}</details>", ""]
    return [*lines, f"*{markdown(trust(entry))}*", ""]


def _claims(entry: Entry, claims: list[dict], whose: str) -> str:
    kinds = [
        {"part": entry.part, "origin": whose.lower(), "outcome": plain(claim["outcome"])} for claim in claims
    ]
    return _table(("Outcome", whose), [_row(entry, claim) for claim in claims], kinds)


def _row(entry: Entry, claim: dict) -> list[str]:
    main = " <em>(main)</em>" if claim["main"] else ""
    draws = f" ({claim['draws']} draw{'s' if claim['draws'] != 1 else ''})" if claim["draws"] else ""
    lines = [
        _link(entry, claim) + main,
        *claim_lines(claim),
        f"Condition{draws}: {to_html(claim['condition'])}",
    ]
    return [_outcome(claim), "<br>".join(lines)]


def _sentence(text: str) -> str:
    return markdown(text[0].upper() + text[1:].rstrip(".") + ".")


def trust(entry: Entry) -> str:
    """When and on what the chapter last ran whole, how tight its conditions are, what it noticed when broken."""
    kept = entry.record
    texts = []
    for section, words in (("small", "ran whole"), ("wide", "wide run")):
        if section in kept:
            run = kept[section]
            texts.append(f"{words} {run['date']} on {run['machine']}, {run['seconds']} s")
    sds = [distance for claim in entry.report["claims"] if (distance := _to_the_nearest_end(claim))]
    if sds:
        texts.append(
            f"the nearest end of a condition lies {min(sds):.2g} to {max(sds):.2g} sd away (median {median(sds):.2g})"
        )
    if "mutations" in kept:
        tried = kept["mutations"]["tried"]
        noticed = [one for one in tried if one["noticed"]]
        missed = [f"{one['kind']}: {one['name']}" for one in tried if not one["noticed"]]
        old = (
            ""
            if kept["mutations"]["code"] == kept.get("small", {}).get("code")
            else " (on an earlier version)"
        )
        text = f"sabotages noticed{old}: {len(noticed)} of {len(tried)}"
        texts.append(f"{text}; missed: {', '.join(missed)}" if missed else text)
    line = "; ".join(texts) or "no run is recorded"
    return line[0].upper() + line[1:] + "."


def _to_the_nearest_end(claim: dict) -> float | None:
    """How far the mean lies from the nearer end of its band, in standard deviations over the draws."""
    measured = MEASURED.match(claim["measured"])
    if claim["band"] is None or measured is None or not float(measured["sd"] or 0):
        return None
    return min(abs(float(measured["value"]) - end) for end in claim["band"]) / float(measured["sd"])


def _outcome(claim: dict) -> str:
    outcome = plain(claim["outcome"])
    return f"{SYMBOLS[outcome]} {outcome}" + (" ◷" if outcome != claim["outcome"] else "")


def _link(entry: Entry, claim: dict) -> str:
    name = f"{entry.slug}-{claim['name']}"
    return f'<a id="{name}" href="{entry.html}#{anchor(claim)}">{to_html(claim["statement"])}</a>'


def _table(head: Iterable[str], rows: list[list[str]], kinds: list[dict[str, str]] | None = None) -> str:
    """An HTML table whose rows turn into cards on a phone, by the style sheet and the labels of the cells.

    ``kinds`` says of each row what the page's filters ask for.
    """
    head = list(head)
    lines = ['<table class="ks-ledger">', "<thead><tr>"]
    lines += [f'<th scope="col">{escape(text)}</th>' for text in head]
    lines += ["</tr></thead>", "<tbody>"]
    for (first, *rest), kind in zip(rows, kinds or [{}] * len(rows), strict=True):
        data = "".join(f' data-{key}="{escape(value)}"' for key, value in kind.items())
        cells = "".join(
            f'<td data-label="{escape(label)}">{cell}</td>'
            for label, cell in zip(head[1:], rest, strict=True)
        )
        lines.append(f'<tr{data}><th scope="row">{first}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody></table>"])


def markdown(text: str) -> str:
    """Plain text as MyST Markdown that shows it unchanged, also in a table."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~^@&%+=-])", r"\\\1", text)


def _anchor(part: str) -> str:
    return "ledger-" + re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-")

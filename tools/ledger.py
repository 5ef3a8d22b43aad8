"""Write the reproduction ledger: ``python -m corelib.lab.ledger book book/ledger.md``.

The page is made from the claims that the chapters' notebooks store, so no number is typed twice.
"""

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nbformat
from corelib.lab.guard import stored_reports

from corelib.lab.card import VERDICTS
from corelib.lab.claims import STATUSES

_INTRODUCTION = """\
# The reproduction ledger

What every paper claims, what its chapter measured, and whether the claim held. Each line comes from the claims that the
chapter's notebook stores when it runs; this page is made from them, and a test runs every chapter again and compares.

| Status | Meaning |
|---|---|
| exact | an identity or a bound that holds up to rounding, within a stated tolerance |
| reproduced | the paper's finding holds here, at the scale of the chapter |
| in part | some of it holds here; the reason stands beside it |
| not reproduced | it does not hold here; the reason stands beside it |

A number behind ≈ may move a little from machine to machine.
"""


@dataclass(frozen=True)
class Entry:
    """The report of one chapter, and where the chapter stands in the book."""

    part: str
    page: str
    report: dict

    @property
    def counts(self) -> Counter:
        """How many of the chapter's claims have each status."""
        return Counter(claim["status"] for claim in self.report["claims"])


def collect(book: Path) -> list[Entry]:
    """The reports of all chapters ``book/<part>/<slug>.ipynb``, in the order of the book's table of contents.

    Raises
    ------
    ValueError
        If a chapter does not store exactly one report.
    """
    entries = []
    for path in sorted(book.glob("*/*.ipynb"), key=_position(book)):
        reports = stored_reports(nbformat.read(path, as_version=4))
        if len(reports) != 1:
            raise ValueError(f"{path} must store one claims report; found {len(reports)}")
        entries.append(Entry(_part_title(path.parent), path.relative_to(book).as_posix(), reports[0]))
    return entries


def page(entries: list[Entry]) -> str:
    """The ledger as a MyST page: totals, then one table per chapter."""
    parts: dict[str, list[Entry]] = {}
    for entry in entries:
        parts.setdefault(entry.part, []).append(entry)
    tables = (line for part, chapters in parts.items() for line in _part_lines(part, chapters))
    return "\n".join([_INTRODUCTION, *_totals(parts), *tables])


def _totals(parts: dict[str, list[Entry]]) -> list[str]:
    rows = [(f"[{escape(part)}](#{_anchor(part)})", chapters) for part, chapters in parts.items()]
    rows.append(("**Total**", [entry for chapters in parts.values() for entry in chapters]))
    lines = [
        "## Totals",
        "",
        _row("Part", "Chapters", *STATUSES),
        _row("---", *["--:"] * (1 + len(STATUSES))),
    ]
    for name, chapters in rows:
        counts = sum((entry.counts for entry in chapters), Counter())
        lines.append(_row(name, str(len(chapters)), *(str(counts[status]) for status in STATUSES)))
    return [*lines, ""]


def _part_lines(part: str, chapters: list[Entry]) -> list[str]:
    lines = [f"({_anchor(part)})=", f"## {escape(part)}", ""]
    for entry in chapters:
        lines += _chapter_lines(entry)
    return lines


def _chapter_lines(entry: Entry) -> list[str]:
    card = entry.report["card"]
    lines = [
        f"### [{escape(card['title'])}]({entry.page})",
        "",
        f"After {escape(card['authors'])} ({card['year']}): {VERDICTS[card['verdict']]}.",
    ]
    lines += [
        f"Distance in {escape(d['what'])}: paper {escape(d['paper'])}, here {escape(d['here'])}."
        for d in card["distances"]
    ]
    lines += ["", _row("Claim", "The paper", "Measured here", "Status"), _row(*["---"] * 4)]
    for claim in entry.report["claims"]:
        status = claim["status"] + (f": {claim['reason']}" if claim["reason"] else "")
        cells = (claim["statement"], claim["paper"] or "-", claim["measured"], status)
        lines.append(_row(*map(escape, cells)))
    return [*lines, ""]


def escape(text: str) -> str:
    """Plain text as MyST Markdown that shows it unchanged, also in a table."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~^@&%+=-])", r"\\\1", text)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _anchor(part: str) -> str:
    return "ledger-" + re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-")


def _part_title(folder: Path) -> str:
    """The heading of the part's page, or else the name of its folder."""
    index = folder / "index.md"
    heading = (
        re.search(r"^# (.+)$", index.read_text(encoding="utf-8"), re.MULTILINE) if index.exists() else None
    )
    return heading[1].strip() if heading else folder.name.replace("-", " ").capitalize()


def _position(book: Path):
    """A sort key: where the table of contents names the page; pages that it does not name come last."""
    contents = book.parent / "_toc.yml"
    pages = re.findall(r"file:\s*(\S+)", contents.read_text(encoding="utf-8")) if contents.exists() else []
    order = {Path(name).with_suffix("").as_posix(): index for index, name in enumerate(pages)}

    def key(path: Path) -> tuple[int, str]:
        name = path.relative_to(book.parent).with_suffix("").as_posix()
        return order.get(name, len(order)), name

    return key


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m corelib.lab.ledger", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("book", type=Path, help="folder of the book")
    parser.add_argument("page", type=Path, help="the page to write")
    options = parser.parse_args(arguments)
    text = page(collect(options.book))
    if not options.page.exists() or options.page.read_text(encoding="utf-8") != text:
        options.page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

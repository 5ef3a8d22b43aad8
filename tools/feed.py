"""The chapters as a feed, newest first, for readers who want to hear of a new one."""

import re
import subprocess
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from xml.sax.saxutils import escape

from tools.entries import Entry


def feed(entries: list[Entry], address: str, added: dict[str, datetime]) -> str:
    """RSS 2.0; a chapter without a date comes last and says none.

    Parameters
    ----------
    entries : list of Entry
    address : str
        Where the book is published, with a slash at the end.
    added : dict
        When a chapter came into the book, by its slug, with time zone.
    """
    newest = sorted(
        entries, key=lambda entry: added[entry.slug].timestamp() if entry.slug in added else 0, reverse=True
    )
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>',
        f"<title>Keeping Score</title><link>{address}</link><language>en</language>",
        "<description>Losses, score functions and rankings, one paper at a time</description>",
        f'<atom:link href="{address}feed.xml" rel="self" type="application/rss+xml"/>',
    ]
    for entry in newest:
        page = f"{address}book/{entry.html}"
        date = f"<pubDate>{format_datetime(added[entry.slug])}</pubDate>" if entry.slug in added else ""
        lines.append(
            f"<item><title>{escape(entry.title)}</title><link>{page}</link><guid>{page}</guid>{date}"
            f"<description>{escape(entry.teaser)}</description></item>"
        )
    return "\n".join([*lines, "</channel></rss>", ""])


def dates(book: Path) -> dict[str, datetime]:
    """When git first saw each chapter; empty where there is no git."""
    command = ["git", "log", "--diff-filter=A", "--format=%aI", "--name-only", "--", "*.ipynb"]
    try:
        told = subprocess.run(command, cwd=book, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    found: dict[str, datetime] = {}
    date = None
    for line in told.split():
        if re.match(r"\d{4}-\d\d-\d\dT", line):
            date = datetime.fromisoformat(line)
        else:
            found[Path(line).stem] = date
    return found

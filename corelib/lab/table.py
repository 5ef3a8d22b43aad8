"""Accessible tables that take the colours of the page they stand on."""

import numbers
import re
from collections.abc import Sequence
from html import escape

from corelib.lab.display import show
from corelib.lab.numbers import MEASURED, SIGN, TIMED, TIMING
from corelib.lab.text import check_line

_CELL = 'style="text-align: left; vertical-align: top; padding: 0.3em 0.6em"'


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str | int]]) -> None:
    """Display a table whose first column holds the row headings.

    Parameters
    ----------
    caption : str
        What the table shows, in one line.
    columns : sequence of str
        The column headings.
    rows : sequence of sequences of str or int
        One sequence per row, as long as ``columns``. Floats are refused: a number that may move between machines goes
        through ``approx``, any other through a format of your choice.

    Raises
    ------
    TypeError, ValueError
        If a text is no string, a cell neither string nor integer, or a row not as long as ``columns``.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.table("Pooled AUC", ["loss", "pairs", "AUC"], [["MW", 12, lab.approx(0.9312)]])
    Pooled AUC
    loss  pairs  AUC
    MW    12     ≈ 0.931
    """
    check_line(caption, "caption")
    head = [check_line(text, f"columns[{i}]") for i, text in enumerate(columns)]
    body = [[_cell_text(cell, f"rows[{i}][{j}]") for j, cell in enumerate(row)] for i, row in enumerate(rows)]
    for i, row in enumerate(body):
        if len(row) != len(head):
            raise ValueError(f"rows[{i}] must have {len(head)} cells, one per column; got {len(row)}")
    show({"text/html": html_table(caption, head, body), "text/plain": plain_table(caption, head, body)})


def plain_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same in plain text, in columns as wide as their cells."""
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True))
        for row in (head, *rows)
    ]
    return "\n".join([caption, *(line.rstrip() for line in lines)])


def html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column holds the row headings, inside its own scrolling container.

    No colours of its own and no random ids: ``class="dataframe"`` is what the theme of the book, JupyterLab and Colab
    style in light and dark. ``caption`` and ``head`` may be empty. Cells are plain text, or ``Markup`` that is inserted
    as it is.
    """
    region = f'role="region" tabindex="0" aria-label="{escape(caption)}" ' if caption else ""
    lines = [
        f'<div {region}style="overflow-x: auto; max-width: 100%">',
        '<table class="dataframe" style="width: 100%">',
    ]
    if caption:
        title = f"<strong>{escape(caption)}</strong>"
        lines.append(f'<caption style="text-align: left; caption-side: top">{title}</caption>')
    if head:
        cells = "".join(f'<th scope="col" {_CELL}>{_html(text)}</th>' for text in head)
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    lines.append("<tbody>")
    for first, *rest in rows:
        cells = "".join(f"<td {_CELL}>{_html(text)}</td>" for text in rest)
        lines.append(f'<tr><th scope="row" {_CELL}>{_html(first)}</th>{cells}</tr>')
    lines += ["</tbody>", "</table>", "</div>"]
    return "\n".join(lines)


class Markup(str):
    """Text that is HTML already."""


def link(text: str, url: str) -> Markup:
    """A hyperlink."""
    return Markup(f'<a href="{escape(url)}">{escape(text)}</a>')


def with_break(first: Markup, second: str) -> Markup:
    """Two pieces of HTML, one below the other."""
    return Markup(f"{first}<br>{second}")


def folded(summary: str, html: str) -> Markup:
    """HTML that opens with a click on ``summary``."""
    return Markup(f'<details style="margin: 0.3em 0"><summary>{escape(summary)}</summary>{html}</details>')


def to_html(text: str) -> str:
    """Plain text as HTML in which no line breaks inside a measured number."""
    return re.sub(
        f"{MEASURED.pattern}|{TIMING.pattern}",
        r'<span style="white-space: nowrap">\g<0></span>',
        escape(text, quote=False),
    )


def _html(text: str) -> str:
    return text if isinstance(text, Markup) else to_html(text)


def _width(text: str) -> int:
    """Characters of ``text``, a measured number counted as one: its length may differ between machines."""
    return len(TIMING.sub(f"{TIMED} #", MEASURED.sub(f"{SIGN} #", text)))


def _cell_text(cell: object, name: str) -> str:
    if isinstance(cell, bool) or not isinstance(cell, str | numbers.Integral):
        raise TypeError(
            f"{name} must be a str or an int (use approx for a measured number); got {type(cell).__name__}"
        )
    return str(cell)

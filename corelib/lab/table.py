"""Accessible tables that take the colours of the page they stand on."""

import numbers
import re
from collections.abc import Sequence
from html import escape

from corelib.lab.display import show
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
    widths = [max(map(_width, column)) for column in zip(head, *body, strict=True)]
    lines = [
        "  ".join(text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True))
        for row in (head, *body)
    ]
    text = "\n".join([caption, *(line.rstrip() for line in lines)])
    show({"text/html": html_table(caption, head, body), "text/plain": text})


def html_table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, min_width: str | None = None
) -> str:
    """A table with a caption, whose first column holds the row headings, inside its own scrolling container.

    No colours of its own and no random ids: ``class="dataframe"`` is what the theme of the book, JupyterLab and Colab
    style in light and dark. ``head`` may be empty. Cells are plain text, or ``Markup`` that is inserted as it is.
    """
    width = f"; min-width: {min_width}" if min_width else ""
    lines = [
        f'<div role="region" tabindex="0" aria-label="{escape(caption)}" style="overflow-x: auto; max-width: 100%">',
        f'<table class="dataframe" style="width: 100%{width}">',
        f'<caption style="text-align: left; caption-side: top"><strong>{escape(caption)}</strong></caption>',
    ]
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


def to_html(text: str) -> str:
    """Plain text as HTML in which no line breaks between ``≈`` and the end of its number."""
    return re.sub(
        r"≈ [^\s,;)]+", r'<span style="white-space: nowrap">\g<0></span>', escape(text, quote=False)
    )


def _html(text: str) -> str:
    return text if isinstance(text, Markup) else to_html(text)


def _width(text: str) -> int:
    """Characters of ``text``, a measured number counted as one: the test masks it, and must not see its length."""
    return len(re.sub(r"≈ [^\s,;)]+", "≈ #", text))


def _cell_text(cell: object, name: str) -> str:
    if isinstance(cell, bool) or not isinstance(cell, str | numbers.Integral):
        raise TypeError(
            f"{name} must be a str or an int (use approx for a measured number); got {type(cell).__name__}"
        )
    return str(cell)

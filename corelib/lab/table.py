"""Accessible HTML tables that take the colours of the page they stand on."""

from collections.abc import Sequence
from html import escape

_CELL = 'style="text-align: left; vertical-align: top; white-space: normal"'


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
        f'<caption style="text-align: left"><strong>{escape(caption)}</strong></caption>',
    ]
    if head:
        cells = "".join(f'<th scope="col" {_CELL}>{_cell(text)}</th>' for text in head)
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    lines.append("<tbody>")
    for first, *rest in rows:
        cells = "".join(f"<td {_CELL}>{_cell(text)}</td>" for text in rest)
        lines.append(f'<tr><th scope="row" {_CELL}>{_cell(first)}</th>{cells}</tr>')
    lines += ["</tbody>", "</table>", "</div>"]
    return "\n".join(lines)


class Markup(str):
    """Text that is HTML already."""


def link(text: str, url: str) -> Markup:
    """A hyperlink."""
    return Markup(f'<a href="{escape(url)}">{escape(text)}</a>')


def _cell(text: str) -> str:
    return text if isinstance(text, Markup) else escape(text, quote=False)

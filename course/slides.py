"""Slides of a chapter, made from what its notebook stores: its question, a slide per figure, and what came of its claims.

PowerPoint's format, so that a teacher changes them in whatever program he has. The figures are those of the page, with their
alternative texts; the notes hold what the page says before each.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from PIL import Image
from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.util import Inches, Pt

from corelib.lab.outcomes import SYMBOLS, plain
from tools.entries import Entry, Picture, pictures

WIDTH, HEIGHT, EDGE = Inches(13.333), Inches(7.5), Inches(0.6)
INK, GREY = RGBColor(0x22, 0x22, 0x22), RGBColor(0x59, 0x59, 0x59)
TITLE_ONLY = 5  # the layout of python-pptx's own template
CLAIMS = "what-the-paper-says-what-we-measured"  # the heading's anchor
ROWS = 3  # claims on a slide
LONG = 600  # characters of a question, which then stands in smaller letters
LICENCE = "Figures and text: The Keeping Score authors, CC BY 4.0"


@dataclass(frozen=True)
class Figure:
    """A figure of a chapter, with where it stands and what is said before it."""

    picture: Picture
    heading: str
    before: str


def figures(path: Path) -> list[Figure]:
    """All figures that a notebook stores, in their order."""
    found, heading, before = [], "", ""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            headings = re.findall(r"^#{1,3} (.+)$", cell.source, re.MULTILINE)
            heading, before = (headings or [heading])[-1], paragraphs(cell.source)
            continue
        found += [Figure(picture, speech(heading), "\n\n".join(before)) for picture in pictures(cell)]
    return found


def speech(markdown: str) -> str:
    """Markdown as one says it: without links, citations, marks and line ends; formulas stay as TeX."""
    text = re.sub(r"\s*\{cite[^}]*\}`[^`]*`", "", markdown)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(?<![\w\\])[*_]{1,3}(?=\S)(.+?)(?<=\S)[*_]{1,3}(?!\w)", r"\1", text, flags=re.DOTALL)
    return " ".join(text.replace("`", "").split())


def paragraphs(markdown: str) -> list[str]:
    """The paragraphs of a text as one says them, without headings."""
    blocks = re.split(r"\n\s*\n", re.sub(r"^#+ .*$", "", markdown, flags=re.MULTILINE))
    return [
        speech(block) for block in blocks if block.strip() and not block.lstrip().startswith(("|", ":::"))
    ]


def slides(entry: Entry, shown: list[Figure], address: str) -> bytes:
    """The slides of a chapter as a PowerPoint file.

    Parameters
    ----------
    entry : Entry
    shown : list of Figure
    address : str
        Where the book is published, with a slash at the end.
    """
    deck = Presentation()
    deck.slide_width, deck.slide_height = WIDTH, HEIGHT
    deck.core_properties.title, deck.core_properties.author = entry.title, "The Keeping Score authors"
    page, card = f"{address}book/{entry.html}", entry.report["card"]
    first = _slide(deck, entry.title, f"{page}\n{LICENCE}", size=44, top=Inches(2.2))
    paper = f"After {card['authors']}: {card['paper']} ({card['year']})"
    _text(first, [paper, page], Inches(4.2), size=18, colour=GREY)
    question = paragraphs(_section(entry, "The question"))
    sayable = [text for text in question if "$" not in text] or question
    asked = _slide(deck, "The question", "\n\n".join(question))
    said = next((text for text in sayable if "?" in text), sayable[0])
    _text(asked, [said], Inches(1.7), size=26 if len(said) < LONG else 20)
    for figure in shown:
        picture = figure.picture
        made = _slide(deck, figure.heading, f"{picture.finding}\n\n{picture.alternative}\n\n{figure.before}")
        _picture(made, picture)
    claims = entry.claims("paper")
    for start in range(0, len(claims), ROWS):
        made = _slide(deck, "What the paper says, what we measured", f"{page}#{CLAIMS}")
        _claims(made, claims[start : start + ROWS])
    last = _slide(deck, "What we found", page)
    _text(last, [speech(entry.teaser)], Inches(1.7), size=26)
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def _section(entry: Entry, heading: str) -> str:
    match = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", entry.words, re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


def _slide(deck, title: str, notes: str, *, size: int = 32, top=EDGE):
    made = deck.slides.add_slide(deck.slide_layouts[TITLE_ONLY])
    box = made.shapes.title
    box.left, box.top, box.width, box.height = EDGE, top, WIDTH - 2 * EDGE, Inches(0.9)
    box.text = title
    _letters(box.text_frame.paragraphs[0], size, INK)
    made.notes_slide.notes_text_frame.text = notes
    return made


def _text(slide, texts: list[str], top, *, size: int, colour=INK) -> None:
    frame = slide.shapes.add_textbox(EDGE, top, WIDTH - 2 * EDGE, HEIGHT - top - EDGE).text_frame
    frame.word_wrap = True
    for place, text in enumerate(texts):
        paragraph = frame.paragraphs[0] if place == 0 else frame.add_paragraph()
        paragraph.text = text
        _letters(paragraph, size, colour)


def _letters(paragraph, size: int, colour) -> None:
    paragraph.alignment = 1  # left
    paragraph.font.size, paragraph.font.color.rgb = Pt(size), colour


def _picture(slide, picture: Picture) -> None:
    """The figure as large as the slide lets it be, in the middle."""
    top = Inches(1.5)
    width, height = Image.open(io.BytesIO(picture.png)).size
    scale = min((WIDTH - 2 * EDGE) / width, (HEIGHT - top - Inches(0.2)) / height)
    shape = slide.shapes.add_picture(
        io.BytesIO(picture.png),
        int((WIDTH - width * scale) / 2),
        top,
        int(width * scale),
        int(height * scale),
    )
    shape._element._nvXxPr.cNvPr.set("descr", picture.alternative)


def _claims(slide, claims: list[dict]) -> None:
    """What the paper says, the first of what was measured, and the outcome."""
    size = (len(claims) + 1, 3)
    table = slide.shapes.add_table(*size, EDGE, Inches(1.6), WIDTH - 2 * EDGE, Inches(0.5)).table
    for column, share in enumerate((0.4, 0.42, 0.18)):
        table.columns[column].width = int((WIDTH - 2 * EDGE) * share)
    head = ("The paper", "Measured here", "Outcome")
    rows = [
        (
            claim["statement"],
            claim["measured"],
            f"{SYMBOLS[plain(claim['outcome'])]} {plain(claim['outcome'])}",
        )
        for claim in claims
    ]
    for row, texts in enumerate((head, *rows)):
        for column, text in enumerate(texts):
            table.cell(row, column).text = speech(text)
            table.cell(row, column).text_frame.paragraphs[0].font.size = Pt(16)

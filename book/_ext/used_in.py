"""Under every function of the library, the chapters that use it, as ``tools.usage`` found them."""

import json
from pathlib import Path

MADE = "book/_made/usage.json"


def add_chapters(app, what, name, obj, options, lines):
    made = Path(app.srcdir, MADE)
    app.env.note_dependency(str(made))
    chapters = json.loads(made.read_text(encoding="utf-8")).get(name, ()) if made.exists() else ()
    if chapters and what in ("class", "function"):
        links = ", ".join(f":doc:`{chapter['title']} <{chapter['page']}>`" for chapter in chapters)
        lines += ["", ".. rubric:: Used in", "", links, ""]


def setup(app):
    app.connect("autodoc-process-docstring", add_chapters, priority=950)
    return {"parallel_read_safe": True}

"""Docstrings as people write them, on one page together.

``[1]_`` and ``.. [1]`` become plain text: in a docstring the numbers are a convention of numpydoc, to Sphinx they are
footnotes, whose numbers must be unique on a page. And what stands before the first colon of a property's docstring stays
where it is: napoleon takes it for the name of a class to link.
"""

import re

NAPOLEON_HAS_SPOKEN = 900


def plain_references(app, what, name, obj, options, lines):
    for i, line in enumerate(lines):
        line = re.sub(r"\[(\d+)\]_(?!\w)", r"[\1]", line)
        lines[i] = re.sub(r"^(\s*)\.\. \[(\d+)\] ", r"\1[\2] ", line)


def plain_types(app, what, name, obj, options, lines):
    if what not in ("attribute", "data", "property"):
        return
    for i, line in enumerate(lines):
        if line.startswith(":type: "):
            lines[0] = f"{line.removeprefix(':type: ')}: {lines[0]}"
            del lines[i]
            return


def setup(app):
    app.connect("autodoc-process-docstring", plain_references, priority=NAPOLEON_HAS_SPOKEN)
    app.connect("autodoc-process-docstring", plain_types, priority=NAPOLEON_HAS_SPOKEN)
    return {"parallel_read_safe": True}

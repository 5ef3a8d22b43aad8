"""Lets many docstrings with numbered references share a page: ``[1]_`` and ``.. [1]`` become plain text.

In a docstring the numbers are a convention of numpydoc; to Sphinx they are footnotes, whose numbers must be unique on a page.
"""

import re


def plain(app, what, name, obj, options, lines):
    for i, line in enumerate(lines):
        line = re.sub(r"\[(\d+)\]_(?!\w)", r"[\1]", line)
        lines[i] = re.sub(r"^(\s*)\.\. \[(\d+)\] ", r"\1[\2] ", line)


def setup(app):
    app.connect("autodoc-process-docstring", plain, priority=900)  # after napoleon
    return {"parallel_read_safe": True}

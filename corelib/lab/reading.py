"""How long a chapter takes to read, counted and not claimed."""

import json
import math
import re
from pathlib import Path

WORDS_PER_MINUTE = 200
LINES_PER_MINUTE = 15  # of code
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


def prose_words(cells: list[dict]) -> int:
    """Words of the Markdown cells, a formula or a piece of code counted as one."""
    text = "\n".join(_source(cell) for cell in cells if cell["cell_type"] == "markdown")
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`", " x ", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)|<[^>]*>|\{\w+(?::\w+)*\}", " ", text)
    return len(re.findall(r"[^\W_][\w'’.-]*", text))


def visible_lines(cell: dict) -> int:
    """Lines of code, not blank, that a reader of the page sees without a click."""
    if cell["cell_type"] != "code" or FOLDED & set(cell["metadata"].get("tags", [])):
        return 0
    return sum(bool(line.strip()) for line in _source(cell).split("\n"))


def minutes(notebook: Path) -> int | None:
    """Minutes to read a notebook, to the next five; None if the file is not there (on Colab, for instance)."""
    if not notebook.exists():
        return None
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    time = prose_words(cells) / WORDS_PER_MINUTE + sum(map(visible_lines, cells)) / LINES_PER_MINUTE
    return 5 * math.ceil(time / 5)


def _source(cell: dict) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)

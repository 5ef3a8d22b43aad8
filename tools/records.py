"""Writing the record that lies beside a notebook."""

import json
from pathlib import Path

from corelib.lab import record


def update(notebook: Path, section: str, entry: object) -> None:
    """Replace one section of the record of ``notebook``: ``small``, ``wide`` or ``mutations``."""
    content = record.load(notebook) | {section: entry}
    text = json.dumps(dict(sorted(content.items())), ensure_ascii=False, indent=1)
    record.path_of(notebook).write_text(text + "\n", encoding="utf-8")

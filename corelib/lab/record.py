"""What tools wrote beside a notebook: its wide run, when and where it last ran whole, which sabotages it noticed."""

import json
from pathlib import Path


def path_of(notebook: Path) -> Path:
    """Where the record of a notebook lies."""
    return notebook.with_name(f"{notebook.stem}.record.json")


def load(notebook: Path) -> dict:
    """The record of a notebook, empty if there is none."""
    path = path_of(notebook)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

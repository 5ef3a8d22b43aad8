"""The settings of the book, from the file that Jupyter Book reads."""

from pathlib import Path

import yaml


def settings(root: Path) -> dict:
    """What ``_config.yml`` in the root of the project says."""
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))


def address(root: Path) -> str:
    """Where the book is published, with a slash at the end."""
    return settings(root)["html"]["baseurl"]

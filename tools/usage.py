"""Which chapters use which function of the library: read from the imports of their notebooks."""

import ast

from tools.cells import parse
from tools.entries import Entry

PACKAGES = ("data", "losses", "metrics", "ratings", "score", "search")
"""What of the library is about the matter of a chapter; every chapter uses ``corelib.lab``."""


def usage(entries: list[Entry]) -> dict[str, list[dict[str, str]]]:
    """Per full name, as ``corelib.losses.info_nce``, the titles and pages of the chapters that import it, in their order."""
    found: dict[str, list[dict[str, str]]] = {}
    for entry in entries:
        names = set().union(*(_imported(parse(source)) for source in entry.sources))
        for name in sorted(names):
            chapter = {"title": entry.title, "page": f"/{entry.document}"}
            found.setdefault(name, []).append(chapter)
    return found


def _imported(tree: ast.Module | None) -> set[str]:
    """The public names of the library that a cell imports or takes from an imported package."""
    if tree is None:
        return set()
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    taken = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    starts = tuple(f"corelib.{package}." for package in PACKAGES)
    return {name for name in imported | taken if name.startswith(starts) and name.count(".") == 2}

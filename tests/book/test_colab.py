"""Protects the notebooks as Colab gets them: whole, readable without the book's tools, and they run.

``make test`` runs these with Colab's IPython, its kernel and its NumPy (``colab.txt``) in front of the environment's own.
"""

import re
from pathlib import Path

import IPython
import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from pybtex.database import parse_file

from tools.colab import YOURS, main
from tools.compare import ROOT
from tools.entries import contents

VERSIONS = dict(
    re.findall(
        r"^(ipython|ipykernel)==(\S+)", Path(__file__).with_name("colab.txt").read_text(), re.MULTILINE
    )
)
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "book").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("colab")
    main([str(out)])
    return {page: nbformat.read(out / page, as_version=4) for page in PAGES}


@pytest.mark.parametrize("page", PAGES)
def test_a_rendering_is_a_notebook_whose_words_stand_alone(rendered, page):
    notebook = rendered[page]
    nbformat.validate(notebook)
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert not re.findall(r"\{\w+(?::\w+)?\}`", words), "no role that only Sphinx knows"
    links = re.findall(r"\]\(([^)\s]+)\)", words)
    assert all(link.startswith(("https://", "http://")) for link in links), links
    own = {link.removeprefix(ADDRESS).partition("#")[0] for link in links if link.startswith(ADDRESS)}
    assert own <= {f"{name}.html" for name in contents(ROOT / "book")}


@pytest.mark.parametrize("page", PAGES)
def test_code_that_the_book_folds_is_a_form_and_every_cell_can_be_read(rendered, page):
    stored, notebook = nbformat.read(ROOT / page, as_version=4), rendered[page]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert '"small"  # @param ["small", "wide", "full"]' in code[0].source, (
        "the scale, before anything is imported"
    )
    for cell in code:
        compile(TransformerManager().transform_cell(cell.source), page, "exec")
        assert (cell.metadata.get("cellView") == "form") == cell.source.startswith("# @title ")
    folded = {"hide-input", "hide-cell", "remove-input"}
    count = sum(bool(folded & set(cell.metadata.get("tags", ()))) for cell in stored.cells)
    assert sum("cellView" in cell.metadata for cell in code) == count + 1
    answers = [place for place, cell in enumerate(code) if cell.source.startswith("# @title An answer")]
    assert all(code[place - 1].source == YOURS for place in answers)
    assert len(answers) == sum("hide-cell" in cell.metadata.get("tags", ()) for cell in stored.cells)


@pytest.mark.parametrize("page", PAGES)
def test_what_was_printed_stays(rendered, page):
    def texts(notebook):
        outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
        return [output.get("data", {}).get("text/plain", output.get("text")) for output in outputs]

    stored = nbformat.read(ROOT / page, as_version=4)
    assert texts(rendered[page]) == texts(stored)
    assert "keeping-score.claims" not in nbformat.writes(rendered[page])


def test_a_citation_is_told_by_name_and_year():
    from tools.colab import _words

    sources = parse_file(ROOT / "book" / "references.bib").entries
    text = _words(
        "See {cite:t}`saito2020relmf`, {cite:p}`zhu2022lol,saito2020relmf`.",
        "book/a/b.ipynb",
        ADDRESS,
        sources,
    )
    saito, zhu = "https://arxiv.org/abs/1909.03601", sources["zhu2022lol"].fields["eprint"]
    assert f"See [Saito et al. (2020)]({saito}), ([Zhu et al., 2022](https://arxiv.org/abs/{zhu}); " in text
    with pytest.raises(KeyError):
        _words("{cite}`nobody1900`", "book/a/b.ipynb", ADDRESS, sources)


@pytest.mark.skipif(
    IPython.__version__ != VERSIONS["ipython"], reason="not Colab's IPython (make test brings it)"
)
def test_the_kernel_is_that_of_colab():
    look = "import IPython, ipykernel; print(IPython.__version__, ipykernel.__version__, end='')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(look)])
    NotebookClient(notebook, kernel_name="python3").execute()
    assert notebook.cells[0].outputs[0].text == f"{VERSIONS['ipython']} {VERSIONS['ipykernel']}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", ["book/core-in-twenty-minutes.ipynb", "book/retrieval/gve.ipynb"])
def test_a_rendering_runs(rendered, page, monkeypatch):
    monkeypatch.delenv("KEEPING_SCORE_SCALE", raising=False)
    NotebookClient(rendered[page], timeout=200, kernel_name="python3").execute(cwd=str(ROOT / "book"))

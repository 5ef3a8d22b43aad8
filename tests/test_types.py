"""Protects users of a type checker: mypy --strict sees what is right and what is wrong, and ``help`` can be read."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import corelib

IMPORTS = """\
import numpy as np
import torch
import corelib
from corelib.losses import info_nce, mann_whitney_loss
from corelib.metrics import ndcg
from corelib.ratings import fit_item_response
from corelib.score import empirical_score
x, y = torch.zeros(3, 2, requires_grad=True), torch.ones(3, 2)
"""
RIGHT = """\
loss = mann_whitney_loss(x[:, 0], x[:, 1], temperature=torch.tensor(0.5, requires_grad=True)) + info_nce(x, y)
(gradient,) = torch.autograd.grad(loss, x)
print(gradient.shape)
print(ndcg([[0.9, 0.2]], torch.tensor([[0, 1]]), k=1, reduce="mean"))
print(fit_item_response([[1, 0], [0, 1]], model="2pl").difficulty.round(1))
print(empirical_score(x, y, sigma=1.0).detach(), empirical_score(np.zeros((1, 2)), np.ones((3, 2)), sigma=1.0).round(1))
print(corelib.metrics.ndcg([1.0], [1]), corelib.info()["corelib"], corelib.__version__.upper())
"""
MISTAKES = {
    "a misspelt keyword": ("mann_whitney_loss(x[:, 0], x[:, 1], temprature=0.5)", "call-arg"),
    "a temperature in quotes": ('info_nce(x, y, temperature="0.05")', "arg-type"),
    "a score used as text": ("text: str = empirical_score(x, y, sigma=1.0)", "assignment"),
    "an array beside a tensor": ("empirical_score(x, np.ones((3, 2)), sigma=1.0)", "type-var"),
    "a cut-off in quotes": ('ndcg([[0.9, 0.2]], [[0, 1]], k="10")', "arg-type"),
    "text instead of numbers": ('ndcg("high", "low")', "arg-type"),
    "words instead of answers": ('fit_item_response([["right", "wrong"]])', "arg-type"),
    "a misspelt field": ("fit_item_response([[1, 0]]).dificulty", "attr-defined"),
    "a misspelt function": ("corelib.metrics.ndgc([1.0], [1])", "attr-defined"),
    "a misspelt package": ("corelib.loses.info_nce(x, y)", "attr-defined"),
}


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> dict[str, str]:
    """What mypy says about the right script and about each mistake, by name."""
    folder = tmp_path_factory.mktemp("types")
    files = {"right": folder / "right.py"} | {
        name: folder / f"{name.replace(' ', '_')}.py" for name in MISTAKES
    }
    for name, file in files.items():
        file.write_text(IMPORTS + (RIGHT if name == "right" else MISTAKES[name][0] + "\n"), encoding="utf-8")
    options = ["--strict", "--follow-imports=silent", "--cache-dir=cache", "--no-pretty"]
    result = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *(file.name for file in files.values())],
        cwd=folder,
        env=os.environ | {"MYPYPATH": str(Path(corelib.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if ": error: " in line]
    return {
        name: "\n".join(line for line in lines if line.startswith(file.name)) for name, file in files.items()
    }


def test_what_is_right_is_accepted_and_runs(reported):
    assert reported["right"] == ""
    exec(IMPORTS + RIGHT, {})  # noqa: S102


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_where_it_stands(mistake, reported):
    _, code = MISTAKES[mistake]
    errors = reported[mistake].splitlines()
    line = len(IMPORTS.splitlines()) + 1
    assert errors
    assert all(f".py:{line}: error: " in error and error.endswith(f"[{code}]") for error in errors)


@pytest.mark.parametrize("package", ["losses", "metrics", "ratings", "score"])
def test_every_signature_has_its_types_and_can_be_read(package):
    module = getattr(corelib, package)
    functions = [f for name in module.__all__ if isinstance(f := getattr(module, name), FunctionType)]
    assert functions
    for function in functions:
        signature = inspect.signature(function)
        annotations = [parameter.annotation for parameter in signature.parameters.values()]
        assert inspect.Signature.empty not in [*annotations, signature.return_annotation], function.__name__
        assert max(len(inspect.formatannotation(a)) for a in annotations) <= 90, signature

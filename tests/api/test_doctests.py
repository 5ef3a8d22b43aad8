"""Every example in a docstring runs and shows what it says."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import corelib

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(corelib.__path__, "corelib.")
    if not module.name.startswith("corelib.kernels.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_every_public_function_has_an_example():
    missing = [
        f"corelib.{package}.{name}"
        for package in ("losses", "score", "metrics", "ratings", "data", "lab")
        for name in importlib.import_module(f"corelib.{package}").__all__
        if inspect.isfunction(thing := getattr(importlib.import_module(f"corelib.{package}"), name))
        and ">>>" not in (thing.__doc__ or "")
    ]
    assert not missing

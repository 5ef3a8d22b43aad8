"""Every example in a docstring runs and shows what it says."""

import doctest
import importlib
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
        for package in ("losses", "score", "metrics", "data", "lab")
        for name in importlib.import_module(f"corelib.{package}").__all__
        if callable(thing := getattr(importlib.import_module(f"corelib.{package}"), name))
        and not (isinstance(thing, type) and issubclass(thing, Exception))
        and ">>>" not in (thing.__doc__ or "")
    ]
    assert not missing

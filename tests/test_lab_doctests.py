"""Protects the examples in the docstrings of ``corelib.lab``."""

import doctest
import importlib
import pkgutil

import pytest

import corelib.lab

MODULES = [module.name for module in pkgutil.iter_modules(corelib.lab.__path__, "corelib.lab.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_every_public_function_has_an_example():
    for name in ("approx", "say", "table", "figure", "seed_everything", "setup", "time_ratio", "Claims"):
        assert ">>> " in getattr(corelib.lab, name).__doc__, name

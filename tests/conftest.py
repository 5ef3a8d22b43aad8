"""Shared by all tests."""

import os
from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--all-mutations", action="store_true", help="try every mutation, not only this commit's"
    )


def _same_examples_in_every_run():
    """Hypothesis also tries constants that it finds in the source of whatever is imported, so that an edit anywhere, or
    another order of the tests, changes the examples of a test that is meant to be the same every time."""
    from hypothesis.internal.conjecture import providers

    providers._get_local_constants = providers.Constants


def pytest_configure(config):
    if not os.environ.get("CORELIB_FUZZ_EXAMPLES"):
        _same_examples_in_every_run()
    config.addinivalue_line("markers", "mutation: breaks a copy of the library and runs a chapter against it")
    expected = os.environ.get("CORELIB_EXPECTED")
    if expected:  # a wheel, or a build with sanitizers
        import corelib

        if not Path(corelib.__file__).is_relative_to(Path(expected).resolve()):
            pytest.exit(
                f"corelib was to be tested in {expected}, but it comes from {corelib.__file__}", returncode=2
            )


@pytest.fixture(params=["compiled", "torch"])
def backend(request):
    """Both implementations, in turn."""
    import corelib

    before = corelib.get_backend()
    corelib.set_backend(request.param)
    yield request.param
    corelib.set_backend(before)


@pytest.fixture(params=["one strip", "strips of 16 rows"])
def strips(request, monkeypatch):
    """Similarities all at once, and in strips that are as short as they get."""
    from corelib.engines import strips

    if request.param != "one strip":
        monkeypatch.setattr(strips, "_BYTES", {"cpu": 1})

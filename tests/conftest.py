"""Shared by all tests."""

import os
from pathlib import Path

import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "mutation: breaks a copy of the library and runs a chapter against it")
    expected = os.environ.get("CORELIB_EXPECTED")
    if expected:  # a wheel, or a build with sanitizers
        import corelib

        if not Path(corelib.__file__).is_relative_to(Path(expected).resolve()):
            pytest.exit(f"corelib was to be tested in {expected}, but it comes from {corelib.__file__}", returncode=2)

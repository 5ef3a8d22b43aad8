import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def setup():
    """setup.py as a module."""
    pytest.importorskip("Cython")
    path = Path(__file__).parents[2] / "setup.py"
    spec = importlib.util.spec_from_file_location("setup_of_corelib", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

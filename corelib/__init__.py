"""corelib: pairwise losses, score functions and ranking metrics, made fast by better algorithms.

``corelib.losses``   what you minimise (torch or NumPy in, the same out)
``corelib.score``    score functions of noised data (torch or NumPy in, the same out)
``corelib.search``   nearest neighbours by inner product, hard negatives (torch or NumPy in, the same out)
``corelib.metrics``  what you report (array-likes in, NumPy out)
``corelib.ratings``  who is strong and what is hard (array-likes in, NumPy out)
``corelib.data``     data sets: one function each, offline by default
``corelib.lab``      what every notebook of the book imports

Sub-packages load on first use, so that ``corelib.metrics`` never waits for torch.
"""

import importlib
from typing import TYPE_CHECKING

from corelib._backend import get_backend, set_backend, using
from corelib._info import info
from corelib._version import __version__ as __version__

__all__ = [
    "data",
    "get_backend",
    "info",
    "lab",
    "losses",
    "metrics",
    "ratings",
    "score",
    "search",
    "set_backend",
    "using",
]

_SUBPACKAGES = ("data", "lab", "losses", "metrics", "ratings", "score", "search")

if TYPE_CHECKING:
    from corelib import data, lab, losses, metrics, ratings, score, search
else:

    def __getattr__(name):
        if name in _SUBPACKAGES:
            return importlib.import_module(f"corelib.{name}")
        raise AttributeError(f"module 'corelib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__ + ["__version__"])

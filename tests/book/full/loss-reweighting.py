"""Eighty words in the place of WikiText-103, and a transformer of one narrow layer."""

import numpy as np

import corelib.data

OVERRIDES = {
    "BIG": {
        "length": 16,
        "width": 12,
        "layers": 1,
        "batch": 4,
        "steps": 22,
        "tests": 60,
        "rates": (1e-3, 1e-2),
        "seeds": 2,
    }
}


def prepare() -> None:
    rng = np.random.default_rng(0)

    def texts(number: int) -> list[list[str]]:
        return [[f"Word-{i}" for i in rng.integers(80, size=100)] for _ in range(number)]

    tiny = corelib.data.WordCorpus.from_words("tiny", train=texts(20), dev=texts(3), test=texts(3))
    corelib.data.wikitext103 = lambda: tiny

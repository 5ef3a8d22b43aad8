"""A vocabulary of 60 words and a narrow network in the place of WikiText-103."""

import numpy as np

import corelib.data

OVERRIDES = {"FULL": {"embed": 8, "widths": (16, 8), "context": 9}, "FULL_TEST": 200}


def prepare() -> None:
    rng = np.random.default_rng(0)

    def texts(number: int) -> list[list[str]]:
        return [[f"word{i}" for i in rng.integers(59, size=120)] for _ in range(number)]

    tiny = corelib.data.WordCorpus.from_words("tiny", train=texts(20), dev=texts(3), test=texts(3))
    corelib.data.wikitext103 = lambda: tiny

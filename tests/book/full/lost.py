"""Texts of a few made-up words in the place of WikiText-103, and networks of width 16."""

import numpy as np

import corelib.data

OVERRIDES = {
    "BIG": {
        "width": 16,
        "layers": 1,
        "heads": 2,
        "context": 12,
        "small": 10,
        "share": 0.14,
        "batch": 4,
        "steps": (2, 4),
        "judged": 400,
    }
}


def prepare() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefg"), size=5)) for _ in range(30)]

    def texts(number: int) -> list[list[str]]:
        return [[words[i] for i in rng.integers(len(words), size=120)] for _ in range(number)]

    tiny = corelib.data.WordCorpus.from_words("tiny", train=texts(20), dev=texts(3), test=texts(3))
    corelib.data.wikitext103 = lambda: tiny

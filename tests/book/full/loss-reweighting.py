"""Eighty words in the place of WikiText-103, and a transformer of one narrow layer."""

import stand_ins

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
    stand_ins.wikitext103([f"Word-{i}" for i in range(80)], 100)

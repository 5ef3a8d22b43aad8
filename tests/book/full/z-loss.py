"""A vocabulary of 60 words and a narrow network in the place of WikiText-103."""

import stand_ins

OVERRIDES = {"FULL": {"embed": 8, "widths": (16, 8), "context": 9}, "FULL_TEST": 200}


def prepare() -> None:
    stand_ins.wikitext103([f"word{i}" for i in range(59)], 120)

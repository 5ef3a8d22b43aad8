"""Forty random queries and sixty documents in the place of FiQA, and random unit vectors for their texts."""

import stand_ins

OVERRIDES = {"SEEDS": range(2), "STEPS": 2, "REVISIONS": 16}


def prepare() -> None:
    stand_ins.beir(share=0.5, own=True)
    stand_ins.sentence_transformers()

"""Forty random queries and sixty documents in the place of FiQA, and random unit vectors for their texts."""

import stand_ins

OVERRIDES = {
    "FULL_SEEDS": range(2),
    "FULL_STEPS": 2,
    "FULL_BATCH": 8,
    "SOURCES": {"far": {"skip": 4, "stride": 1, "pool": 15}, "asked": {"pool": 7}},
}


def prepare() -> None:
    stand_ins.beir(share=0.0, own=True)
    stand_ins.sentence_transformers()

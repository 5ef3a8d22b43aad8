"""A tiny FiQA and a tiny transformer: what the full-scale branch of the chapter on hard negatives needs."""

import numpy as np
import stand_ins

import corelib.data
from corelib.data import TextRetrieval

OVERRIDES = {"FULL_STEPS": 2, "FULL_BATCH": 8}

WORDS = 40


def tiny(name):
    rng = np.random.default_rng(0)
    documents = [" ".join(map(str, rng.integers(WORDS, size=4))) for _ in range(60)]
    relevance = np.zeros((36, 60), dtype=np.int8)
    relevance[np.arange(36), np.arange(36)] = 3
    relevance[np.arange(36), np.arange(36) + 1] = 1
    return TextRetrieval(
        name=name,
        document_ids=tuple(map(str, range(60))),
        documents=tuple(documents),
        query_ids=tuple(map(str, range(36))),
        queries=tuple(documents[:36]),
        relevance=relevance,
        split=np.array(["train"] * 24 + ["dev"] * 6 + ["test"] * 6),
    )


def prepare():
    corelib.data.beir = tiny
    stand_ins.transformers(lambda text: [int(word) for word in text.split()], WORDS)

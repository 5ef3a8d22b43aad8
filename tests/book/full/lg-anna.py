"""A tiny SciFact, a teacher that knows it, and a tiny transformer: the full scale of the chapter on lying negatives."""

import sys
import types

import numpy as np
import stand_ins

OVERRIDES = {"FULL_STEPS": 2, "FULL_BATCH": 8, "FULL_SEEDS": (0, 1), "FULL_RATES": (1e-4, 1e-3)}


def number(text):
    return int(text.split()[-1])


class SentenceTransformer:
    """Query i lies near document i."""

    def __init__(self, name):
        directions = np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32)
        self.directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)

    def encode(self, texts, normalize_embeddings):
        return self.directions[[number(text) for text in texts]]


def prepare():
    stand_ins.beir(share=0.0, own=True)
    sys.modules["sentence_transformers"] = types.SimpleNamespace(SentenceTransformer=SentenceTransformer)
    stand_ins.transformers(lambda text: [number(text), 60 + text.startswith("query")], 62)

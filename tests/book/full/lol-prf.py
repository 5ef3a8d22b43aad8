"""Forty random queries and sixty documents in the place of FiQA, and random unit vectors for their texts."""

import sys
import types

import numpy as np

OVERRIDES = {"SEEDS": range(2), "STEPS": 2, "REVISIONS": 16}


def prepare() -> None:
    import corelib.data
    from corelib.data import TextRetrieval

    rng = np.random.default_rng(0)
    relevance = np.where(rng.random((40, 60)) < 0.5, 3, 0).astype(np.int8)
    relevance[np.arange(40), np.arange(40)] = 3
    tiny = TextRetrieval(
        name="tiny",
        document_ids=tuple(f"d{i}" for i in range(60)),
        documents=tuple(f"document {i}" for i in range(60)),
        query_ids=tuple(f"q{i}" for i in range(40)),
        queries=tuple(f"query {i}" for i in range(40)),
        relevance=relevance,
        split=np.repeat(["train", "dev", "test"], [20, 8, 12]),
    )
    corelib.data.beir = lambda name: tiny
    stub = types.ModuleType("sentence_transformers")
    stub.SentenceTransformer = Encoder
    sys.modules["sentence_transformers"] = stub


class Encoder:
    def __init__(self, name: str) -> None:
        self.rng = np.random.default_rng(1)

    def encode(self, texts: list[str], **options: object) -> np.ndarray:
        vectors = self.rng.standard_normal((len(texts), 16)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

"""A tiny FiQA and a tiny transformer: what the full-scale branch of the chapter on hard negatives needs."""

import sys
import types

import numpy as np
import torch
from torch import nn

import corelib.data
from corelib.data import TextRetrieval

OVERRIDES = {"FULL_STEPS": 2, "FULL_BATCH": 8}

WORDS = 40


class Tokens(dict):
    def to(self, device):
        return self


class AutoTokenizer:
    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def __call__(self, texts, **options):
        ids = torch.tensor([[int(word) for word in text.split()] for text in texts])
        return Tokens(input_ids=ids, attention_mask=torch.ones_like(ids))


class AutoModel(nn.Module):
    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 8)

    def forward(self, input_ids, attention_mask):
        return types.SimpleNamespace(last_hidden_state=self.words(input_ids))


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
    sys.modules["transformers"] = types.SimpleNamespace(AutoModel=AutoModel, AutoTokenizer=AutoTokenizer)

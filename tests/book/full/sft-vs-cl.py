"""A tiny NFCorpus and a tiny language model for the full-scale branch of sft-vs-cl."""

import sys
from types import SimpleNamespace

import numpy as np
import stand_ins
import torch
from torch import nn

import corelib.data
from corelib.data import TextRetrieval

OVERRIDES = {"FULL_STEPS": 2, "FULL_QUERIES": 2, "FULL_TOP": 12, "FULL_SEEDS": range(2)}
VOCABULARY = 60
WORDS = ["river", "stone", "cloud", "bread", "window", "garden", "letter", "music", "winter", "summer"]


class AutoTokenizer:
    @classmethod
    def from_pretrained(cls, name, padding_side):
        assert padding_side == "left"
        return cls()

    def encode(self, text):
        return [sum(map(ord, text.strip())) % VOCABULARY]

    def __call__(self, prompts, **options):
        longest = max(len(prompt.split()) for prompt in prompts)
        ids = [[self.encode(word)[0] for word in prompt.split()] for prompt in prompts]
        return stand_ins.Tokens(input_ids=torch.tensor([[0] * (longest - len(row)) + row for row in ids]))


class AutoModelForCausalLM(nn.Module):
    device = torch.device("cpu")

    @classmethod
    def from_pretrained(cls, name, dtype):
        return cls()

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 8)
        self.middle = nn.Linear(8, 8)
        self.head = nn.Linear(8, VOCABULARY, bias=False)

    def get_output_embeddings(self):
        return self.head

    def forward(self, input_ids, logits_to_keep):
        assert logits_to_keep == 1
        return SimpleNamespace(logits=self.head(self.middle(self.words(input_ids).mean(dim=1, keepdim=True))))


def tiny(name):
    rng = np.random.default_rng(0)
    documents = [" ".join(rng.choice(WORDS, size=8)) for _ in range(40)]
    relevance = np.zeros((16, 40), dtype=np.int8)
    relevance[np.arange(16), np.arange(16)] = 3
    relevance[np.arange(16), np.arange(16) + 1] = 1
    return TextRetrieval(
        name=name,
        document_ids=tuple(f"d{k}" for k in range(40)),
        documents=tuple(documents),
        query_ids=tuple(f"q{k}" for k in range(16)),
        queries=tuple(" ".join(text.split()[:4]) for text in documents[:16]),
        relevance=relevance,
        split=np.array(["train"] * 8 + ["dev"] * 4 + ["test"] * 4),
    )


def prepare():
    corelib.data.beir = tiny
    sys.modules["transformers"] = SimpleNamespace(
        AutoModelForCausalLM=AutoModelForCausalLM, AutoTokenizer=AutoTokenizer
    )

"""A tiny stand-in for SQuAD and for the encoder: what the full-scale branch of the chapter needs, in seconds."""

import sys
import types

import numpy as np
import torch

OVERRIDES = {"FULL_EPOCHS": 1, "FULL_POOL": 5}
WORDS = 50


class Tokens(dict):
    """What a tokenizer returns."""

    def to(self, device):
        return Tokens({name: tensor.to(device) for name, tensor in self.items()})


class Tokenizer:
    """A number for each word, by its letters."""

    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def __call__(self, texts, **settings):
        rows = [[sum(map(ord, word)) % WORDS for word in text.split()] for text in texts]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        return Tokens(input_ids=ids, attention_mask=mask)


class Model(torch.nn.Module):
    """One vector for each word."""

    @classmethod
    def from_pretrained(cls, name):
        return cls()

    def __init__(self):
        super().__init__()
        self.vectors = torch.nn.Embedding(WORDS, 8)

    def forward(self, input_ids, attention_mask):
        return types.SimpleNamespace(last_hidden_state=self.vectors(input_ids))


def tiny():
    import corelib.data
    from corelib.data import TextRetrieval

    rng = np.random.default_rng(0)
    documents = tuple(" ".join(f"w{word}" for word in rng.integers(0, 99, 12)) for _ in range(40))
    return TextRetrieval(
        name="tiny",
        document_ids=tuple(f"d{i}" for i in range(40)),
        documents=documents,
        query_ids=tuple(f"q{i}" for i in range(160)),
        queries=tuple(" ".join(rng.choice(documents[i % 40].split(), 5)) for i in range(160)),
        relevance=(np.arange(160)[:, None] % 40 == np.arange(40)).astype(np.int8)
        * corelib.data.text_retrieval.OWN,
        split=np.array(["train"] * 130 + ["dev"] * 10 + ["test"] * 20),
    )


def prepare():
    """Replace SQuAD and the package transformers."""
    import corelib.data

    corelib.data.squad = tiny
    stub = types.ModuleType("transformers")
    stub.AutoModel, stub.AutoTokenizer = Model, Tokenizer
    sys.modules["transformers"] = stub

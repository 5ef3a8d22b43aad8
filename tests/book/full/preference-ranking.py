"""A tiny GPT-2 and a tiny AlpacaFarm for the full-scale branch of preference-ranking."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from torch import nn

OVERRIDES = {"BIG_EPOCHS": 1}
VOCABULARY = 40


class Tokenizer:
    eos_token_id = VOCABULARY - 1

    def __call__(self, text):
        return SimpleNamespace(input_ids=[ord(letter) % (VOCABULARY - 1) for letter in text])


class Model(nn.Module):
    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.head = nn.Linear(8, VOCABULARY)

    def forward(self, ids):
        return SimpleNamespace(logits=self.head(self.embedding(ids)))


def farm(folder, *, download):
    from corelib.data.preference_pairs import PreferencePairs

    rng = np.random.default_rng(0)
    chosen, rejected = (
        tuple("".join(rng.choice(list("abcdefgh"), size=5)) for _ in range(30)) for _ in range(2)
    )
    return PreferencePairs(
        prompts=("Say something.",) * 30,
        chosen=chosen,
        rejected=rejected,
        agreement=rng.choice([0.75, 1.0], size=30),
        split=np.array(["train"] * 24 + ["dev"] * 6),
        texts=(),
    )


def prepare():
    import corelib.data

    corelib.data.alpaca_farm = farm
    transformers = ModuleType("transformers")
    transformers.AutoTokenizer = SimpleNamespace(from_pretrained=lambda name: Tokenizer())
    transformers.AutoModelForCausalLM = SimpleNamespace(from_pretrained=lambda name: Model())
    sys.modules["transformers"] = transformers

"""Forty questions of few words in the place of MMLU, and a network of ten letters, for the full-scale branch of ts-guessing."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from stand_ins import LetterModel, Tokens

OVERRIDES = {"BIG": SimpleNamespace(model="tiny", items=8, epochs=1, rate=1e-3)}
LETTERS = 10


class Tokenizer:
    def __call__(self, text):
        return Tokens(input_ids=[ord(letter) % LETTERS for letter in text])


def load_dataset(name, configuration, *, split):
    words = [f"word{i}" for i in range(200)]
    rng = np.random.default_rng(0)
    return [
        {
            "subject": f"subject {i % 2}",
            "question": " ".join(words[k] for k in rng.integers(200, size=6)),
            "choices": [" ".join(words[k] for k in rng.integers(200, size=2)) for _ in range(4)],
            "answer": int(rng.integers(4)),
        }
        for i in range(40)
    ]


def prepare():
    torch.manual_seed(0)
    transformers, datasets = ModuleType("transformers"), ModuleType("datasets")
    transformers.AutoTokenizer = SimpleNamespace(from_pretrained=lambda name: Tokenizer())
    transformers.AutoModelForCausalLM = SimpleNamespace(from_pretrained=lambda name: LetterModel(LETTERS))
    datasets.load_dataset = load_dataset
    sys.modules.update(transformers=transformers, datasets=datasets)

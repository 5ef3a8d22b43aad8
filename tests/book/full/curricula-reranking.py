"""A tiny ANTIQUE and a tiny cross-encoder for the full-scale branch of curricula-reranking."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import stand_ins
import torch
from torch import nn

OVERRIDES = {"BIG_EPOCHS": 2, "BIG_BATCHES": 3, "BIG_TOP": 12, "BIG_SEEDS": range(2), "BIG_WATCHED": (1, 6)}
WORDS = ["river", "stone", "cloud", "bread", "window", "garden", "letter", "music", "winter", "summer"]


class Part:
    def __init__(self, seed, questions):
        rng = np.random.default_rng(seed)
        self.questions = [" ".join(rng.choice(WORDS, size=4)) for _ in range(questions)]
        self.grades = rng.integers(1, 5, size=(questions, 40))

    def docs_iter(self):
        rng = np.random.default_rng(0)
        for number in range(40):
            yield SimpleNamespace(doc_id=f"d{number}", text=" ".join(rng.choice(WORDS, size=8)))

    def queries_iter(self):
        for number, text in enumerate(self.questions):
            yield SimpleNamespace(query_id=f"q{number}", text=text)

    def qrels_iter(self):
        for query, row in enumerate(self.grades):
            for document, grade in enumerate(row):
                yield SimpleNamespace(query_id=f"q{query}", doc_id=f"d{document}", relevance=int(grade))


class Tokenizer:
    def __call__(self, questions, answers, **how):
        texts = [f"{question} {answer}" for question, answer in zip(questions, answers, strict=True)]
        ids = [[WORDS.index(word) for word in text.split()] for text in texts]
        return stand_ins.Tokens(input_ids=torch.tensor(ids))


class Model(nn.Module):
    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.encoder = nn.EmbeddingBag(len(WORDS), 8)
        self.classifier = nn.Linear(8, 1)

    def forward(self, input_ids):
        return SimpleNamespace(logits=self.classifier(self.encoder(input_ids)))


def prepare():
    parts = {"antique": Part(0, 1), "antique/train": Part(1, 20), "antique/test": Part(2, 5)}
    ir_datasets = ModuleType("ir_datasets")
    ir_datasets.load = parts.__getitem__
    sys.modules["ir_datasets"] = ir_datasets
    transformers = ModuleType("transformers")
    transformers.AutoTokenizer = SimpleNamespace(from_pretrained=lambda name: Tokenizer())
    transformers.AutoModelForSequenceClassification = SimpleNamespace(
        from_pretrained=lambda name, num_labels: Model()
    )
    sys.modules["transformers"] = transformers

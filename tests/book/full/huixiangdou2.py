"""A tiny NFCorpus and a language model that names random entities: what the full-scale branch on graphs needs."""

import sys
import types

import numpy as np
import stand_ins
import torch

OVERRIDES = {"FULL_BATCH": 16, "LONGEST": 18}


class AutoTokenizer:
    @classmethod
    def from_pretrained(cls, name, **options):
        return cls()

    def apply_chat_template(self, messages, tokenize, add_generation_prompt):
        return messages[0]["content"]

    def __call__(self, texts, return_tensors, padding):
        return stand_ins.Tokens(input_ids=torch.zeros(len(texts), 3, dtype=torch.int64))

    def batch_decode(self, rows, skip_special_tokens):
        return ["; ".join(f"entity {number}" for number in row.tolist()) for row in rows]


class AutoModelForCausalLM:
    device = "cpu"

    @classmethod
    def from_pretrained(cls, name, **options):
        return cls()

    def generate(self, input_ids, max_new_tokens, do_sample):
        named = np.random.default_rng(len(input_ids)).integers(20, size=(len(input_ids), 3))
        return torch.cat([input_ids, torch.from_numpy(named)], dim=1)


def prepare() -> None:
    stand_ins.beir(share=0.1, own=True)
    stand_ins.sentence_transformers()
    sys.modules["transformers"] = types.SimpleNamespace(
        AutoTokenizer=AutoTokenizer, AutoModelForCausalLM=AutoModelForCausalLM
    )

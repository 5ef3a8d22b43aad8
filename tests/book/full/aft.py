"""Three sums as school problems, and a language model of a few letters, for the full-scale branch of aft."""

import sys
from types import ModuleType, SimpleNamespace

import torch
from stand_ins import LetterModel, Tokens

OVERRIDES = {
    "BIG": SimpleNamespace(model="tiny", train=6, align=6, test=4, count=3, tokens=6, batch=3, rate=1e-3)
}
LETTERS = " #0123456789"


class Tokenizer:
    eos_token_id = len(LETTERS)

    def __call__(self, text, return_tensors=None, padding=False):
        if isinstance(text, str):
            return Tokens(input_ids=[max(LETTERS.find(letter), 0) for letter in text])
        rows = [self(one).input_ids for one in text]
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
        return Tokens(input_ids=ids, attention_mask=torch.ones_like(ids))

    def batch_decode(self, ids, skip_special_tokens):
        return ["".join(LETTERS[k] for k in row if k < len(LETTERS)) for row in ids.tolist()]


class Model(LetterModel):
    def generate(self, input_ids, attention_mask, do_sample, max_new_tokens, pad_token_id, **style):
        """The result 7 for every other row, 3 for the others."""
        ends = [[LETTERS.index(letter) for letter in f"#### {digit}"] for digit in "73"]
        rows = [ends[k % 2] for k in range(len(input_ids))]
        return torch.cat([input_ids, torch.tensor(rows)], dim=1)


def load_dataset(name, configuration, *, split):
    size = int(split.partition("[:")[2].rstrip("]"))
    return [{"question": f"{k} + {7 - k}", "answer": f"{k} {7 - k} #### 7"} for k in range(size)]


def prepare():
    transformers, datasets = ModuleType("transformers"), ModuleType("datasets")
    transformers.AutoTokenizer = SimpleNamespace(from_pretrained=lambda name, padding_side: Tokenizer())
    transformers.AutoModelForCausalLM = SimpleNamespace(from_pretrained=lambda name: Model(len(LETTERS)))
    datasets.load_dataset = load_dataset
    sys.modules.update(transformers=transformers, datasets=datasets)

"""A dozen sums as school problems, and a language model of a few letters, for the full-scale branch of pass-at-n."""

import sys
from types import ModuleType, SimpleNamespace

from stand_ins import LetterModel

OVERRIDES = {
    "BIG": SimpleNamespace(
        model="tiny", dev=3, train=9, test=4, epochs=1, batch=3, rate=1e-3, seeds=2, losses=(1, 16)
    )
}
LETTERS = " 0123456789"


class Tokenizer:
    eos_token_id = len(LETTERS)

    def __call__(self, text):
        return SimpleNamespace(input_ids=[max(LETTERS.find(letter), 0) for letter in text])


def load_dataset(name, configuration, *, split):
    begin, end = map(int, split[split.index("[") + 1 : -1].split(":"))
    return [{"question": f"{k} + {k}", "answer": f"twice #### {2 * k}"} for k in range(begin, end)]


def prepare():
    transformers, datasets = ModuleType("transformers"), ModuleType("datasets")
    transformers.AutoTokenizer = SimpleNamespace(from_pretrained=lambda name: Tokenizer())
    transformers.AutoModelForCausalLM = SimpleNamespace(
        from_pretrained=lambda name: LetterModel(len(LETTERS))
    )
    datasets.load_dataset = load_dataset
    sys.modules.update(transformers=transformers, datasets=datasets)

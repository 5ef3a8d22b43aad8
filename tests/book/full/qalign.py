"""Three sums in the place of GSM8K, and a model and a judge of a few letters, for the full-scale branch of qalign."""

import sys
from types import ModuleType, SimpleNamespace

import torch
from stand_ins import Tokens

OVERRIDES = {
    "BIG": SimpleNamespace(model="tiny", judge="tiny", problems=3, answers=4, tokens=6),
    "BETAS": (0.5, 2.0),
    "GROUPS": (2, 4),
}
LETTERS = " #0123456789"
STOP = len(LETTERS)


class Tokenizer:
    eos_token_id = STOP

    def __call__(self, text, return_tensors=None):
        ids = [max(LETTERS.find(letter), 0) for letter in text]
        return Tokens(input_ids=torch.tensor([ids]) if return_tensors else ids)

    def apply_chat_template(self, talk, tokenize, add_generation_prompt=False):
        return " ".join(turn["content"] for turn in talk)

    def decode(self, tokens, skip_special_tokens):
        assert tokens[-1] == STOP and STOP not in tokens[:-1]
        return "".join(LETTERS[k] for k in tokens[:-1])


class Model:
    device = torch.device("cpu")

    def to(self, device):
        return self

    def eval(self):
        return self

    def generate(self, input_ids, attention_mask, max_new_tokens, **style):
        """One to six random digits, then stop signs."""
        rows = torch.randint(2, STOP, (len(input_ids), max_new_tokens))
        ends = torch.randint(1, max_new_tokens + 1, (len(rows), 1))
        rows[torch.arange(max_new_tokens) >= ends] = STOP
        return torch.cat([input_ids, rows], dim=1)


class Judge(Model):
    def __call__(self, input_ids):
        return SimpleNamespace(logits=input_ids.float().mean(1, keepdim=True))


def load_dataset(name, configuration, *, split):
    size = int(split.partition("[:")[2].rstrip("]"))
    return [{"question": f"{k} + {7 - k}", "answer": f"{k} {7 - k} #### 7"} for k in range(size)]


def prepare():
    torch.manual_seed(0)
    transformers, datasets = ModuleType("transformers"), ModuleType("datasets")
    transformers.AutoTokenizer = SimpleNamespace(from_pretrained=lambda name: Tokenizer())
    transformers.AutoModelForCausalLM = SimpleNamespace(from_pretrained=lambda name: Model())
    transformers.AutoModelForSequenceClassification = SimpleNamespace(
        from_pretrained=lambda name, num_labels: Judge()
    )
    datasets.load_dataset = load_dataset
    sys.modules.update(transformers=transformers, datasets=datasets)

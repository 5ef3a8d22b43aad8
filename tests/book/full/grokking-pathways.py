"""Mixtures of random weights in the place of OLMoE's checkpoints, and a few words in the place of SQuAD."""

import sys
import types

import numpy as np
import stand_ins
import torch

OVERRIDES = {"FULL": {"model": "tiny", "texts": 12, "words": 8, "checkpoints": 3, "used": 2}}
LAYERS, EXPERTS, WORDS = 2, 5, 30


class Mixture:
    """Logits and router logits of the right shapes; another one at every checkpoint."""

    device = "cpu"

    def __init__(self, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.words = torch.randn(WORDS, WORDS, generator=draw)
        self.routers = torch.randn(LAYERS, WORDS, EXPERTS, generator=draw)

    def to(self, device: str) -> "Mixture":
        return self

    def __call__(self, input_ids: torch.Tensor, output_router_logits: bool) -> types.SimpleNamespace:
        routed = tuple(router[input_ids[0]] for router in self.routers)
        return types.SimpleNamespace(logits=self.words[input_ids], router_logits=routed)


def tokenize(text: str, return_tensors: str) -> stand_ins.Tokens:
    return stand_ins.Tokens(input_ids=torch.tensor([[len(word) % WORDS for word in text.split()]]))


def prepare() -> None:
    import corelib.data

    rng = np.random.default_rng(0)
    texts = tuple(" ".join("w" * n for n in rng.integers(1, WORDS, 10)) for _ in range(40))
    corelib.data.squad = lambda: types.SimpleNamespace(documents=texts)
    models = types.ModuleType("transformers")
    models.AutoTokenizer = types.SimpleNamespace(from_pretrained=lambda name: tokenize)
    models.AutoModelForCausalLM = types.SimpleNamespace(
        from_pretrained=lambda name, revision, dtype: Mixture(int(revision.split("-")[0][4:]))
    )
    hub = types.ModuleType("huggingface_hub")
    names = (
        "main",
        "step5000-tokens20B",
        "step10000-tokens41B",
        "step15000-tokens62B",
        "step20000-tokens83B",
    )
    branches = [types.SimpleNamespace(name=name) for name in names]
    hub.list_repo_refs = lambda model: types.SimpleNamespace(branches=branches)
    sys.modules |= {"transformers": models, "huggingface_hub": hub}

"""A tiny stand-in for CLIP and for EuroSAT: what the full-scale branch of the chapter needs, in seconds."""

import sys
import types

import torch

OVERRIDES = {
    "FULL_STEPS": 2,
    "FULL_SHOTS": 2,
    "FULL_TEST": 5,
    "FULL_RATES": (0.01, 0.03),
    "DRAWS": range(2),
}
LENGTH, WORDS, WIDTH = 24, 60, 8


def tokenizer(texts):
    """A number for each word, by its letters; the largest number ends the text."""
    ids = torch.zeros(len(texts), LENGTH, dtype=torch.int64)
    for row, text in zip(ids, texts, strict=True):
        words = [WORDS - 2, *(sum(map(ord, word)) % (WORDS - 3) + 1 for word in text.split()[: LENGTH - 2])]
        row[: len(words) + 1] = torch.tensor([*words, WORDS - 1])
    return ids


class Model(torch.nn.Module):
    """The parts of CLIP that the chapter names, each as small as can be."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.token_embedding = torch.nn.Embedding(WORDS, WIDTH)
        self.positional_embedding = torch.nn.Parameter(torch.randn(LENGTH, WIDTH))
        self.text_projection = torch.nn.Parameter(torch.randn(WIDTH, 4))
        self.picture_projection = torch.nn.Parameter(torch.randn(6, 4))
        self.ln_final = torch.nn.LayerNorm(WIDTH)
        self.attn_mask = torch.full((LENGTH, LENGTH), -torch.inf).triu(1)

    def transformer(self, hidden, attn_mask):
        return hidden + torch.softmax(attn_mask, dim=-1) @ hidden

    def encode_text(self, tokens):
        hidden = self.transformer(self.token_embedding(tokens) + self.positional_embedding, self.attn_mask)
        last = self.ln_final(hidden)[torch.arange(len(tokens)), tokens.argmax(dim=-1)]
        return last @ self.text_projection

    def encode_image(self, pictures):
        return pictures @ self.picture_projection


class Pictures:
    """Ten classes of nine pictures, which are six numbers each."""

    def __init__(self, root, transform, download):
        self.targets = [number % 10 for number in range(90)]
        self.numbers = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))

    def __getitem__(self, index):
        return self.numbers[index], self.targets[index]


def prepare():
    """Replace the packages open_clip and torchvision."""
    clip, vision = types.ModuleType("open_clip"), types.ModuleType("torchvision")
    clip.create_model_and_transforms = lambda name, pretrained: (Model(), None, None)
    clip.get_tokenizer = lambda name: tokenizer
    vision.datasets = types.SimpleNamespace(EuroSAT=Pictures)
    sys.modules |= {"open_clip": clip, "torchvision": vision}

"""What stands in for public data and models when a test runs the full scale of a chapter."""

import sys
import types
from collections.abc import Callable

import numpy as np
import torch


def cifar10() -> None:
    """Random pictures in the place of CIFAR-10: 160 to train on and 40 to test on."""
    import corelib.data

    rng = np.random.default_rng(0)
    tiny = types.SimpleNamespace(
        train=rng.random((160, 3072), dtype=np.float32),
        train_labels=rng.integers(0, 10, 160),
        test=rng.random((40, 3072), dtype=np.float32),
        test_labels=rng.integers(0, 10, 40),
    )
    corelib.data.cifar10 = lambda download=False: tiny


def cub200(species: int, each: int, size: int) -> None:
    """Tiny noise pictures in the place of CUB-200-2011: so many of each species."""
    import corelib.data

    birds = corelib.data.LabelledImages(
        images=np.random.default_rng(0).integers(0, 256, (species * each, size, size, 3), dtype=np.uint8),
        labels=np.repeat(np.arange(species), each),
        names=tuple(f"species {i}" for i in range(species)),
    )
    corelib.data.cub200 = lambda **options: birds


def resnet50(crop: int) -> None:
    """A layer of batch normalisation and a linear one in the place of torchvision's ResNet-50."""
    models = types.ModuleType("torchvision.models")
    models.resnet50 = lambda weights: _Network(crop)
    sys.modules["torchvision"] = types.ModuleType("torchvision")
    sys.modules["torchvision.models"] = models


class _Network(torch.nn.Module):
    """A layer of batch normalisation, and ``fc``, which the chapters replace."""

    def __init__(self, crop: int) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.fc = torch.nn.Linear(3 * crop * crop, 1000)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(pictures).flatten(1))


def beir(share: float, *, own: bool = False) -> None:
    """Forty queries and sixty documents in the place of BEIR's, relevant at random; with ``own``, i for i at least."""
    import corelib.data

    relevance = np.where(np.random.default_rng(0).random((40, 60)) < share, 3, 0).astype(np.int8)
    if own:
        relevance[np.arange(40), np.arange(40)] = 3
    tiny = corelib.data.TextRetrieval(
        name="tiny",
        document_ids=tuple(f"d{i}" for i in range(60)),
        documents=tuple(f"document {i}" for i in range(60)),
        query_ids=tuple(f"q{i}" for i in range(40)),
        queries=tuple(f"query {i}" for i in range(40)),
        relevance=relevance,
        split=np.repeat(["train", "dev", "test"], [20, 8, 12]),
    )
    corelib.data.beir = lambda name: tiny


def sentence_transformers() -> None:
    """Random unit vectors in the place of an encoder's."""
    stub = types.ModuleType("sentence_transformers")
    stub.SentenceTransformer = _Encoder
    sys.modules["sentence_transformers"] = stub


class _Encoder:
    def __init__(self, name: str) -> None:
        self.rng = np.random.default_rng(1)

    def encode(self, texts: list[str], **options: object) -> np.ndarray:
        vectors = self.rng.standard_normal((len(texts), 16)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def transformers(tokens: Callable[[str], list[int]], words: int) -> None:
    """An embedding of ``words`` words in the place of a transformer; ``tokens`` gives the words of a text, equally many of each."""
    models = types.SimpleNamespace(
        AutoTokenizer=types.SimpleNamespace(from_pretrained=lambda name: _Tokenizer(tokens)),
        AutoModel=types.SimpleNamespace(from_pretrained=lambda name: _Words(words)),
    )
    sys.modules["transformers"] = models


class Tokens(dict):
    """What a tokenizer returns."""

    def to(self, device: object) -> "Tokens":
        return self

    def __getattr__(self, name: str) -> object:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class LetterModel(torch.nn.Module):
    """A language model of so many letters and one sign to stop."""

    device = torch.device("cpu")

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(letters + 1, 8)
        self.head = torch.nn.Linear(8, letters + 1)

    def forward(self, ids: torch.Tensor) -> types.SimpleNamespace:
        return types.SimpleNamespace(logits=self.head(self.embedding(ids)))


def wikitext103(words: list[str], length: int) -> None:
    """Twenty-six texts of random words in the place of WikiText-103."""
    import corelib.data

    rng = np.random.default_rng(0)

    def texts(number: int) -> list[list[str]]:
        return [[words[i] for i in rng.integers(len(words), size=length)] for _ in range(number)]

    tiny = corelib.data.WordCorpus.from_words("tiny", train=texts(20), dev=texts(3), test=texts(3))
    corelib.data.wikitext103 = lambda: tiny


class _Tokenizer:
    def __init__(self, tokens: Callable[[str], list[int]]) -> None:
        self.tokens = tokens

    def __call__(self, texts: list[str], **options: object) -> Tokens:
        ids = torch.tensor([self.tokens(text) for text in texts])
        return Tokens(input_ids=ids, attention_mask=torch.ones_like(ids))


class _Words(torch.nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(words, 8)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> types.SimpleNamespace:
        return types.SimpleNamespace(last_hidden_state=self.words(input_ids))

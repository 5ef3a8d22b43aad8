"""Losses, forward and backward."""

import numpy as np
import torch

from benchmarks.case import Case, Peer, Work
from corelib import losses

TINY_CALLS = 100


def stepped(loss, *leaves: torch.Tensor) -> Work:
    """Forward and backward of ``loss()``; its value and the norms of the gradients."""

    def work():
        for leaf in leaves:
            leaf.grad = None
        value = loss()
        value.backward()
        return [value.item(), *(leaf.grad.norm().item() for leaf in leaves)]

    return work


def repeated(loss, *leaves: torch.Tensor) -> Work:
    """A hundred times forward and backward, for losses so small that the way to the kernel is most of their time."""
    step = stepped(loss, *leaves)

    def work():
        for _ in range(TINY_CALLS - 1):
            loss().backward()
        return step()

    return work


def leaf(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float32, requires_grad=True)


def two_sides(positives: int, negatives: int, temperature: float):
    def make(full: bool) -> dict:
        rng = np.random.default_rng(0)
        shares = (positives, negatives) if full else (40, 60)
        return {
            "pos": leaf(rng.normal(loc=1, size=shares[0])),
            "neg": leaf(rng.normal(size=shares[1])),
            "temperature": temperature,
        }

    return make


def mann_whitney(data: dict) -> Work:
    return stepped(lambda: losses.mann_whitney_loss(**data), data["pos"], data["neg"])


def with_broadcast(data: dict) -> Work:
    pos, neg, temperature = data.values()
    softplus = torch.nn.functional.softplus
    return stepped(lambda: softplus((neg[None, :] - pos[:, None]) / temperature).mean(), pos, neg)


def squared_hinge(data: dict) -> Work:
    pos, neg = data["pos"], data["neg"]
    return stepped(lambda: losses.pairwise_squared_hinge_loss(pos, neg, margin=1.0), pos, neg)


def with_sort(data: dict) -> Work:
    scores = torch.cat([data["pos"], data["neg"]]).detach().numpy()
    return lambda: np.sort(scores)


def tiny_mann_whitney(data: dict) -> Work:
    return repeated(lambda: losses.mann_whitney_loss(**data), data["pos"], data["neg"])


def tiny_with_broadcast(data: dict) -> Work:
    pos, neg, temperature = data.values()
    softplus = torch.nn.functional.softplus
    return repeated(lambda: softplus((neg[None, :] - pos[:, None]) / temperature).mean(), pos, neg)


def tiny_queries(full: bool) -> dict:
    rng = np.random.default_rng(0)
    return {"queries": leaf(rng.normal(size=(8, 8))), "keys": leaf(rng.normal(size=(8, 8)))}


def tiny_info_nce(data: dict) -> Work:
    return repeated(lambda: losses.info_nce(**data, temperature=1.0), *data.values())


def tiny_with_cross_entropy(data: dict) -> Work:
    queries, keys = data.values()
    own = torch.arange(8)
    return repeated(lambda: torch.nn.functional.cross_entropy(queries @ keys.T, own), queries, keys)


def class_batch(rows: int, dimensions: int, classes: int):
    def make(full: bool) -> dict:
        rng = np.random.default_rng(0)
        n = rows if full else 32
        labels = np.arange(n) % classes if full else np.arange(n) % 4
        centres = rng.normal(size=(classes, dimensions))
        vectors = centres[labels] + 2 * rng.normal(size=(n, dimensions))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return {"embeddings": leaf(vectors), "labels": torch.from_numpy(labels)}

    return make


def multi_similarity(data: dict) -> Work:
    return stepped(lambda: losses.multi_similarity_loss(**data), data["embeddings"])


def with_similarity_matrix(data: dict) -> Work:
    x = data["embeddings"].detach()
    return lambda: x @ x.T


def with_pytorch_metric_learning(data: dict) -> Work:
    from pytorch_metric_learning.distances import DotProductSimilarity
    from pytorch_metric_learning.losses import MultiSimilarityLoss
    from pytorch_metric_learning.miners import MultiSimilarityMiner

    distance = DotProductSimilarity(normalize_embeddings=False)
    miner, loss = MultiSimilarityMiner(epsilon=0.1, distance=distance), MultiSimilarityLoss(distance=distance)
    x, labels = data["embeddings"], data["labels"]
    return stepped(lambda: loss(x, labels, miner(x, labels)), x)


def pairs(rows: int, dimensions: int):
    def make(full: bool) -> dict:
        rng = np.random.default_rng(0)
        # few pairs of many dimensions would be told apart so well that the loss is of the size of float32's rounding
        keys = rng.normal(size=(rows, dimensions) if full else (32, 8))
        queries = keys + rng.normal(size=keys.shape)
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, keys)]
        return {"queries": leaf(unit[0]), "keys": leaf(unit[1])}

    return make


def info_nce(data: dict) -> Work:
    return stepped(lambda: losses.info_nce(**data, temperature=0.05), *data.values())


def with_cross_entropy(data: dict) -> Work:
    queries, keys = data.values()
    diagonal = torch.arange(len(queries))
    cross_entropy = torch.nn.functional.cross_entropy
    return stepped(lambda: cross_entropy(queries @ keys.T / 0.05, diagonal), queries, keys)


CASES = (
    Case(
        "mann-whitney",
        "Mann-Whitney loss",
        "4,000 x 16,000 float32 scores, temperature 1",
        two_sides(4000, 16_000, 1.0),
        mann_whitney,
        (
            Peer(
                "torch, all pairs by broadcasting",
                with_broadcast,
                500,
                tolerance=1e-4,
                reason="The prediction allowed 60 ns for each score, the boxes need 20: float32 results need short "
                "polynomials only.",
            ),
        ),
    ),
    Case(
        "mann-whitney-million",
        "Mann-Whitney loss",
        "1,000,000 x 1,000,000 float32 scores, temperature 1",
        two_sides(1_000_000, 1_000_000, 1.0),
        mann_whitney,
        (
            Peer(
                "numpy.sort of the 2,000,000 scores",
                with_sort,
                4,
                yardstick=True,
                reason="NumPy sorts float32 by vector instructions by now, in a tenth of the time that the prediction took "
                "for granted. The loss takes some 2 ns for each score, forward and backward, where it allowed 9.",
            ),
        ),
    ),
    Case(
        "mann-whitney-million-cold",
        "Mann-Whitney loss",
        "1,000,000 x 1,000,000 float32 scores, temperature 0.01",
        two_sides(1_000_000, 1_000_000, 0.01),
        mann_whitney,
        (
            Peer(
                "numpy.sort of the 2,000,000 scores",
                with_sort,
                2.5,
                yardstick=True,
                reason="As at temperature 1.",
            ),
        ),
    ),
    Case(
        "squared-hinge-million",
        "Squared hinge loss",
        "1,000,000 x 1,000,000 float32 scores, margin 1",
        two_sides(1_000_000, 1_000_000, 1.0),
        squared_hinge,
        (
            Peer(
                "numpy.sort of the 2,000,000 scores",
                with_sort,
                1.5,
                yardstick=True,
                reason="NumPy sorts float32 by vector instructions by now, in a tenth of the time that the prediction took "
                "for granted; our sort carries weights and places along and is not vectorised.",
            ),
        ),
    ),
    Case(
        "multi-similarity",
        "Multi-similarity loss with its miner",
        "1,024 x 128, 256 classes",
        class_batch(1024, 128, 256),
        multi_similarity,
        (
            Peer(
                "pytorch-metric-learning",
                with_pytorch_metric_learning,
                10,
                needs=("pytorch_metric_learning",),
                tolerance=1e-4,
            ),
        ),
    ),
    Case(
        "multi-similarity-large",
        "Multi-similarity loss with its miner",
        "16,384 x 128, 4,096 classes",
        class_batch(16_384, 128, 4096),
        multi_similarity,
        (Peer("torch, the similarity matrix alone", with_similarity_matrix, 0.4, yardstick=True),),
    ),
    Case(
        "info-nce-wide",
        "InfoNCE",
        "4,096 pairs x 256",
        pairs(4096, 256),
        info_nce,
        (Peer("torch, cross_entropy(a @ b.T)", with_cross_entropy, 1.3, tolerance=1e-4),),
    ),
    Case(
        "info-nce-many",
        "InfoNCE",
        "16,384 pairs x 64",
        pairs(16_384, 64),
        info_nce,
        (
            Peer(
                "torch, cross_entropy(a @ b.T)",
                with_cross_entropy,
                2,
                tolerance=1e-4,
                reason="torch makes three matrices of 1 GB; fetching them, which the prediction left out, takes longer "
                "than the products.",
            ),
        ),
    ),
    Case(
        "mann-whitney-tiny",
        "Mann-Whitney loss, a hundred calls",
        "8 x 8 float32 scores, temperature 1",
        two_sides(8, 8, 1.0),
        tiny_mann_whitney,
        (Peer("torch, all pairs by broadcasting", tiny_with_broadcast, 0.6, tolerance=1e-4),),
    ),
    Case(
        "info-nce-tiny",
        "InfoNCE, a hundred calls",
        "8 queries and keys x 8 float32",
        tiny_queries,
        tiny_info_nce,
        (
            Peer(
                "torch, cross-entropy of the matrix",
                tiny_with_cross_entropy,
                0.6,
                tolerance=1e-4,
                reason="Embeddings, labels, masks and ids are checked and strips laid out in Python, whatever the size; "
                "from some hundred rows on this no longer shows.",
            ),
        ),
    ),
)

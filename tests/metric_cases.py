"""Random arguments for the metrics that stay on a GPU: many ties, empty queries, documents that were not retrieved."""

import math

import torch

from corelib import metrics

RANKED = {
    "ndcg": metrics.ndcg,
    "dcg": metrics.dcg,
    "average_precision": metrics.average_precision,
    "reciprocal_rank": metrics.reciprocal_rank,
    "hit_rate": metrics.hit_rate,
    "precision_at": metrics.precision_at,
    "recall_at": metrics.recall_at,
    "r_precision": metrics.r_precision,
    "evaluate": metrics.evaluate,
}
BINARY = {"roc_auc": metrics.roc_auc, "pooled_average_precision": metrics.pooled_average_precision}
ALL = RANKED | BINARY
NAMES = ["ndcg@10", "ndcg", "dcg@3", "map", "map@7", "mrr", "mrr@2", "hit_rate@4", "p@5", "recall@20", "r_precision"]  # fmt: skip
FORMS = ("single", "dense", "ragged")
TIES = ("reverse", "order", "average")
SCORES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint16)
GRADES = (torch.int64, torch.int32, torch.uint8, torch.float32, torch.float64, torch.float16, torch.bool)


class Draw:
    """Choices from one seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high, shape, generator=self.generator)

    def uniform(self, *shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def one_of(self, choices):
        return choices[int(self.integers(0, len(choices), 1))]


def arguments(name: str, seed: int, *, form: str | None = None) -> dict:
    """Tensors on the CPU and options, as keywords."""
    draw = Draw(seed)
    form = form or draw.one_of(FORMS)
    if name == "pooled_average_precision":
        form = "single"
    given = {}
    lengths = draw.integers(0, draw.one_of((2, 6, 40)), draw.one_of((1, 2, 7)))
    shape = (int(lengths.sum()),)
    if form == "ragged":
        given["indptr"] = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    else:
        width = draw.one_of((0, 1, 2, 5, 17, 100, 300, 1000))
        shape = (width,) if form == "single" else (1 if width == 1 else draw.one_of((1, 2, 5)), width)
    queries = len(lengths) if form == "ragged" else shape[0] if form == "dense" else 1
    scores = draw.integers(0, draw.one_of((1, 2, 6, 100)), *shape).to(draw.one_of(SCORES))
    if scores.is_floating_point():
        if draw.one_of((True, False)):
            scores = scores * torch.where(draw.uniform(*shape) < 0.5, -1, 1)  # a negative zero among them
        scores = scores.masked_fill(draw.uniform(*shape) < draw.one_of((0.0, 0.3, 0.3, 1.0)), -math.inf)
    given["scores"] = scores
    wanted = draw.uniform(*shape) < draw.one_of((0.0, 0.03, 0.3, 1.0))
    mean = draw.one_of((True, False))
    if mean and name != "pooled_average_precision":
        given["reduce"] = "mean"
    if name in BINARY:
        given["labels"] = wanted.to(draw.one_of(GRADES))
        given["empty"] = draw.one_of((math.nan, 0.25))
        if draw.one_of((True, False)):
            given["sample_weight"] = draw.uniform(*shape) * draw.integers(0, 3, *shape)
        return given
    grades = draw.integers(1, draw.one_of((2, 5)), *shape) * wanted
    given["relevance"] = grades.to(draw.one_of(GRADES))
    if given["relevance"].dtype == torch.float64:
        given["relevance"] = given["relevance"] * draw.one_of((1.0, 0.7, 1e-9))
    given["ties"] = draw.one_of(TIES)
    k = draw.one_of((1, 2, 5, 10, 100, 10**30))
    if name in ("hit_rate", "precision_at", "recall_at"):
        given["k"] = k
    elif name not in ("r_precision", "evaluate"):
        given["k"] = draw.one_of((None, k))
    if name in ("ndcg", "dcg", "evaluate"):
        given["gain"] = draw.one_of(("linear", "exponential"))
    if name not in ("ndcg", "dcg"):
        given["min_relevance"] = draw.one_of((1.0, 2.0, 0.5))
    if name != "dcg":
        given["empty"] = draw.one_of((0.0, 1.0, math.nan))
    if name == "evaluate":
        given["metrics"] = NAMES
    if mean and draw.one_of((True, False)):
        given["sample_weight"] = draw.uniform(queries) + 0.01
    return given


def elsewhere(given: dict, device: str) -> dict:
    """The same arguments with every tensor on another device."""
    return {name: v.to(device) if isinstance(v, torch.Tensor) else v for name, v in given.items()}


def parts(result) -> list:
    """What a metric returned, without names."""
    return list(result.values()) if isinstance(result, dict) else [result]

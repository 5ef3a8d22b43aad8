"""Scores of noised data."""

import numpy as np
import torch

from benchmarks.case import Case, Peer, Work
from corelib import score


def points(full: bool) -> dict:
    rng = np.random.default_rng(0)
    count, size = (1024, 20_000) if full else (16, 64)
    data = rng.normal(size=(size, 64)).astype(np.float32)
    x = data[rng.integers(0, size, count)] + 0.5 * rng.normal(size=(count, 64)).astype(np.float32)
    return {"x": torch.from_numpy(x), "data": torch.from_numpy(data), "sigma": 0.5}


def empirical_score(data: dict) -> Work:
    return lambda: score.empirical_score(**data).numpy()


def with_softmax(data: dict) -> Work:
    x, points, sigma = data.values()

    def work():
        squared = (x * x).sum(1)[:, None] - 2 * x @ points.T + (points * points).sum(1)
        weights = torch.softmax(squared / (-2 * sigma**2), dim=1)
        return ((weights @ points - x) / sigma**2).numpy()

    return work


def with_keops(data: dict) -> Work:
    import pykeops

    pykeops.set_verbose(False)
    from pykeops.torch import LazyTensor

    x, points, sigma = data.values()

    def work():
        squared = ((LazyTensor(x[:, None, :]) - LazyTensor(points[None, :, :])) ** 2).sum(-1)
        mean = (squared / (-2 * sigma**2)).sumsoftmaxweight(LazyTensor(points[None, :, :]), dim=1)
        return ((mean - x) / sigma**2).numpy()

    return work


CASES = (
    Case(
        "empirical-score",
        "Empirical score",
        "1,024 points x 20,000 data x 64 dimensions, float32",
        points,
        empirical_score,
        (
            Peer(
                "torch, matrix product and softmax",
                with_softmax,
                2,
                tolerance=1e-3,
                reason="torch writes and fetches its 82 MB of weights at every operation of the softmax; the prediction "
                "counted the two products alone.",
            ),
            Peer(
                "KeOps, compiled for the CPU",
                with_keops,
                1,
                needs=("pykeops",),
                tolerance=1e-3,
                reason="KeOps is made for GPUs: its C++ for the CPU sums each distance by itself, without a matrix product.",
            ),
        ),
    ),
)

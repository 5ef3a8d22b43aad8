"""The engines over the CUDA core, which is compiled for the CPU here: beside the CPU's own engines, on random arguments."""

import numpy as np
import pytest
import torch

from corelib.engines import gpu
from corelib.losses import approx_ndcg, mann_whitney_loss, smooth_ap, soft_rank
from tests.cuda_on_cpu import cuda_on_cpu, needs_compiler

pytestmark = needs_compiler
__all__ = ["cuda_on_cpu"]


def both_ways(loss, leaves, monkeypatch):
    """Values and gradients: by the CUDA core in float32, and by the CPU's in float64."""
    results = []
    for dtype in (torch.float32, torch.float64):
        parts = [leaf.detach().to(dtype).requires_grad_() for leaf in leaves]
        value = loss(*parts)
        direction = torch.linspace(1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
        gradients = torch.autograd.grad(value, parts, direction)
        results.append((value.detach(), *gradients))
    return results


def assert_same(results, rtol=2e-6):
    for got, want in zip(*results, strict=True):
        assert got.dtype == torch.float32
        assert torch.linalg.vector_norm(got - want) <= rtol * torch.linalg.vector_norm(want) + 1e-30


def groups(rng, sizes):
    return torch.from_numpy(np.r_[0, np.cumsum(sizes)])


@pytest.mark.parametrize("seed", range(40))
def test_mann_whitney(seed, cuda_on_cpu, monkeypatch):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 400, 2)
    grouped, weighted = seed % 2, seed % 3 == 0
    options = {"temperature": float(10.0 ** rng.uniform(-3, 1)), "margin": float(seed % 5 == 0) * 0.3}
    options["reduction"] = ["mean", "sum", "none"][seed % 3] if grouped else ["mean", "sum"][seed // 2 % 2]
    if grouped:
        sizes = [rng.multinomial(size, np.full(8, 1 / 8)) for size in (n, m)]
        options |= {"pos_indptr": groups(rng, sizes[0]), "neg_indptr": groups(rng, sizes[1])}
    weights = [torch.from_numpy(rng.uniform(0, 3, size)) for size in (n, m)]

    def loss(pos, neg):
        given = {f"{side}_weight": w.to(pos.dtype) for side, w in zip(("pos", "neg"), weights, strict=True)}
        return mann_whitney_loss(pos, neg, **options, **(given if weighted else {}))

    leaves = [torch.from_numpy(rng.normal(size=size)).float() for size in (n, m)]
    assert_same(both_ways(loss, leaves, monkeypatch), rtol=1e-4 if options["margin"] else 2e-6)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["soft_rank", "smooth_ap", "approx_ndcg"])
def test_soft_ranks(name, seed, cuda_on_cpu, monkeypatch):
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.normal(size=(6, 50))).float()
    relevance = torch.from_numpy(rng.integers(0, 3, (6, 50))) * (torch.arange(6)[:, None] > 0) + (torch.arange(50) == 3)
    loss = {
        "soft_rank": lambda s: soft_rank(s, 0.1),
        "smooth_ap": lambda s: smooth_ap(s, (relevance > 0).to(s.dtype), 0.1),
        "approx_ndcg": lambda s: approx_ndcg(s, relevance.to(s.dtype), 0.1),
    }[name]
    assert_same(both_ways(loss, [scores], monkeypatch), rtol=1e-5)


def test_no_gpu_takes_nothing():
    assert not gpu.takes(torch.ones(3))

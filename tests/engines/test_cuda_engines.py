"""The engines over the CUDA core, which is compiled for the CPU here: beside the CPU's own engines, on random arguments."""

import numpy as np
import pytest
import torch

from corelib.engines import gpu, info_nce_cuda, multi_similarity_cuda, strips_cuda
from corelib.losses import (
    approx_ndcg,
    info_nce,
    mann_whitney_loss,
    multi_similarity_loss,
    pairwise_hinge_loss,
    pairwise_squared_hinge_loss,
    smooth_ap,
    soft_rank,
    weighted_info_nce,
)
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


def chance(rng, p):
    return rng.random() < p


def groups(sizes):
    return torch.from_numpy(np.r_[0, np.cumsum(sizes)])


@pytest.mark.parametrize("seed", range(60))
def test_losses_over_pairs(seed, cuda_on_cpu, monkeypatch):
    function = [mann_whitney_loss, pairwise_hinge_loss, pairwise_squared_hinge_loss][seed % 3]
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 400, 2)
    grouped, weighted = seed % 2, chance(rng, 0.4)
    options = {"margin": float(seed % 5 == 0) * 0.25}
    if function is mann_whitney_loss:
        options["temperature"] = float(10.0 ** rng.uniform(-3, 1))
    options["reduction"] = ["mean", "sum", "none"][seed // 6 % 3] if grouped else ["mean", "sum"][seed // 2 % 2]
    if grouped:
        sizes = [rng.multinomial(size, np.full(8, 1 / 8)) for size in (n, m)]
        options |= {"pos_indptr": groups(sizes[0]), "neg_indptr": groups(sizes[1])}
    weights = [torch.from_numpy(rng.uniform(0, 3, size)) for size in (n, m)]

    def loss(pos, neg):
        given = {f"{side}_weight": w.to(pos.dtype) for side, w in zip(("pos", "neg"), weights, strict=True)}
        return function(pos, neg, **options, **(given if weighted else {}))

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


@pytest.fixture(params=["whole", "strips", "16 bits"])
def products(request, monkeypatch):
    """Everything in one strip, in several, or in several with weights in 16 bits; and how exact gradients then are."""
    if request.param != "whole":
        monkeypatch.setattr(strips_cuda, "_LEAST", 0)
        monkeypatch.setattr(strips_cuda, "_MOST", 64)
    monkeypatch.setattr(strips_cuda, "half_pays", lambda *_: request.param == "16 bits")
    for engine in (info_nce_cuda, multi_similarity_cuda):
        monkeypatch.setattr(engine, "half_pays", strips_cuda.half_pays)
    return 1e-3 if request.param == "16 bits" else 3e-6


@pytest.mark.parametrize("seed", range(40))
def test_info_nce(seed, products, cuda_on_cpu, monkeypatch):
    rng = np.random.default_rng(seed)
    n, d, h = rng.integers(1, 150), int(rng.integers(1, 24)), int(rng.integers(1, 5))
    m = n + int(rng.integers(0, 100))
    size = float(10.0 ** rng.uniform(-3, 3))  # of the embeddings: 16 bits must be scaled
    draw = lambda *shape: torch.from_numpy(size * rng.normal(size=shape) / np.sqrt(d)).float()
    queries, keys = draw(n, d), draw(m, d)
    keys[: n] = keys[: n] + queries
    options = {"temperature": float(rng.uniform(0.05, 2)) * size**2}
    leaves = [queries, keys]
    symmetric = chance(rng, 0.4)
    if symmetric:
        options["symmetric"] = True
    elif chance(rng, 0.5):
        options["labels"] = torch.from_numpy(rng.integers(0, m, n))
    if chance(rng, 0.4):
        options["mask"] = torch.from_numpy(rng.random((n, m)) < 0.3)
    if chance(rng, 0.4):
        options["key_ids"] = torch.from_numpy(rng.integers(0, max(m // 3, 1), m))
    hard = chance(rng, 0.4)
    if hard:
        leaves.append(draw(n, h, d))
        if chance(rng, 0.5):
            options["hard_mask"] = torch.from_numpy(rng.random((n, h)) < 0.3)

    def loss(*parts):
        return info_nce(*parts[:2], **options, **({"hard_negatives": parts[2]} if hard else {}))

    assert_same(both_ways(loss, leaves, monkeypatch), rtol=products)


@pytest.mark.parametrize("seed", range(30))
def test_weighted_info_nce(seed, products, cuda_on_cpu, monkeypatch):
    rng = np.random.default_rng(seed)
    n, m, d = 60, 90, 8
    options = {
        "temperature": 0.3,
        "beta": float(rng.choice([0, 1.5, -1, -6])),
        "gamma": float(rng.choice([0, 0.5, 2])),
        "detach": bool(chance(rng, 0.5)),
    }
    mask = torch.from_numpy(rng.random((n, m)) < 0.2) if chance(rng, 0.5) else None
    weight = torch.from_numpy(rng.uniform(0, 50, n)) if chance(rng, 0.5) else None
    leaves = [torch.from_numpy(rng.normal(size=(k, d)) / np.sqrt(d)).float() for k in (n, m)]

    def loss(queries, keys):
        w = None if weight is None else weight.to(queries.dtype)
        return weighted_info_nce(queries, keys, mask=mask, weight=w, **options)

    assert_same(both_ways(loss, leaves, monkeypatch), rtol=products)


@pytest.mark.parametrize("seed", range(30))
def test_multi_similarity(seed, products, cuda_on_cpu, monkeypatch):
    rng = np.random.default_rng(seed)
    n, m, d = int(rng.integers(1, 150)), int(rng.integers(1, 150)), 8
    unit = lambda k: torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(k, d))).float(), dim=1)
    labels, other = (torch.from_numpy(rng.integers(0, 6, k)) for k in (n, m))
    leaves, given = [unit(n)], {"epsilon": rng.choice([None, 0.1])}
    if chance(rng, 0.5):
        leaves.append(unit(m))

    def loss(*parts):
        more = {"references": parts[1], "reference_labels": other} if len(parts) > 1 else {}
        return multi_similarity_loss(parts[0], labels, **more, **given)

    assert_same(both_ways(loss, leaves, monkeypatch), rtol=products)


def test_no_gpu_takes_nothing():
    assert not gpu.takes(torch.ones(3))

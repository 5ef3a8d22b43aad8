"""The CUDA core on a GPU: ``make test-gpu``. What runs without one stands in tests/engines and tests/kernels."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import corelib
from corelib.engines import gpu
from corelib.losses import info_nce, mann_whitney_loss, multi_similarity_loss, pairwise_hinge_loss, soft_rank
from tests.cuda_cases import CASES, assert_as_in_float64

if not torch.cuda.is_available():
    pytest.skip("there is no GPU", allow_module_level=True)
if reason := gpu.why_not(torch.cuda.current_device()):
    pytest.skip(reason, allow_module_level=True)

DEVICE = torch.device("cuda")
EDGES = (
    1,
    2,
    31,
    32,
    33,
    127,
    128,
    129,
    255,
    256,
    257,
    1023,
    1024,
    1025,
    4096,
    4097,
    8191,
    8192,
    8193,
    16384,
    16385,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, device=DEVICE, generator=torch.Generator(DEVICE).manual_seed(seed))


def unit(*shape, seed=0):
    return F.normalize(normal(*shape, seed=seed), dim=1)


def labels(n, classes=40):
    return torch.arange(n, device=DEVICE) % classes


STEPS = {
    "pairs, few": (lambda p, n: mann_whitney_loss(p, n, 0.1), (700,), (900,)),
    "pairs, by boxes": (lambda p, n: mann_whitney_loss(p, n, 0.1), (70_000,), (90_000,)),
    "pairs in groups": (
        lambda p, n: mann_whitney_loss(p, n, 0.1, pos_indptr=EVEN * 7, neg_indptr=EVEN * 9),
        (70_000,),
        (90_000,),
    ),
    "hinge": (lambda p, n: pairwise_hinge_loss(p, n, 0.2), (70_000,), (90_000,)),
    "soft ranks": (lambda s: soft_rank(s, 0.1).square().mean(), (300, 400)),
    "InfoNCE": (lambda q, k: info_nce(q, k, 0.05), (1500, 64), (2000, 64)),
    "InfoNCE, both ways": (lambda q, k: info_nce(q, k, 0.05, symmetric=True), (1500, 64), (1500, 64)),
    "multi-similarity": (lambda e: multi_similarity_loss(e, labels(len(e))), (1500, 64)),
}
EVEN = torch.arange(0, 10_001, 10, device=DEVICE)


def leaves_of(name, seed=0):
    shapes = STEPS[name][1:]
    make = unit if len(shapes[0]) == 2 and shapes[0][1] == 64 else normal
    return [make(*shape, seed=seed + i).requires_grad_() for i, shape in enumerate(shapes)]


def gradients(name, leaves):
    loss = STEPS[name][0](*leaves)
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


def relative(got, want):
    return float(torch.linalg.vector_norm(got.double() - want) / torch.linalg.vector_norm(want.double()))


@pytest.mark.parametrize("block", range(4))
@pytest.mark.parametrize("name", CASES)
def test_random_arguments(name, block):
    for seed in range(50 * block, 50 * block + 50):
        loss, leaves, tolerance = CASES[name](np.random.default_rng(seed))
        assert_as_in_float64(loss, leaves, DEVICE, tolerance)


@pytest.mark.parametrize("n", EDGES)
def test_sizes_around_every_tile(n):
    for m in (n, n + 1, n + 5):
        q, k = unit(min(n, 64), 16).requires_grad_(), unit(m, 16, seed=1).requires_grad_()
        got = torch.autograd.grad(info_nce(q[: min(n, m)], k, 0.05), (q, k))
        wide = [x.detach().double().requires_grad_() for x in (q, k)]
        logits = wide[0][: min(n, m)] @ wide[1].T / 0.05
        want = torch.autograd.grad(F.cross_entropy(logits, torch.arange(len(logits), device=DEVICE)), wide)
        for g, w in zip(got, want, strict=True):
            assert torch.linalg.vector_norm(g - w) <= 5e-6 * torch.linalg.vector_norm(w) + 1e-9


def test_more_than_two_to_the_31_pairs():
    pos, neg = normal(300_000).requires_grad_(), normal(400_000, seed=1).requires_grad_()
    got = mann_whitney_loss(pos, neg, 0.05)
    got.backward()
    on_cpu = [x.detach().cpu().double().requires_grad_() for x in (pos, neg)]
    want = mann_whitney_loss(*on_cpu, 0.05)
    want.backward()
    assert abs(float(got) - float(want)) <= 1e-6 * float(want)
    for leaf, reference in zip((pos, neg), on_cpu, strict=True):
        assert relative(leaf.grad.cpu(), reference.grad) < 1e-6


@pytest.mark.parametrize("name", STEPS)
def test_the_same_in_every_run(name):
    leaves = leaves_of(name)
    first = gradients(name, leaves)
    for _ in range(3):
        for a, b in zip(first, gradients(name, leaves), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", STEPS)
def test_nothing_waits(name):
    leaves = leaves_of(name)
    gradients(name, leaves)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        gradients(name, leaves)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", STEPS)
def test_in_a_graph(name):
    """Captured once, replayed on other numbers: what the step itself gives on these, bit for bit."""
    leaves = leaves_of(name)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        gradients(name, leaves)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = gradients(name, leaves)
    others = leaves_of(name, seed=10)
    with torch.no_grad():
        for leaf, other in zip(leaves, others, strict=True):
            leaf.copy_(other)
    graph.replay()
    for a, b in zip(captured, gradients(name, others), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", STEPS)
def test_on_another_stream(name):
    leaves = leaves_of(name)
    want = gradients(name, leaves)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        got = gradients(name, leaves)
    side.synchronize()
    for a, b in zip(got, want, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", STEPS)
def test_compiled_whole(name):
    leaves = leaves_of(name)
    compiled = torch.compile(STEPS[name][0], fullgraph=True)
    loss = compiled(*leaves)
    got = [loss.detach(), *torch.autograd.grad(loss, leaves)]
    for g, w in zip(got, gradients(name, leaves), strict=True):
        assert relative(g, w) < 1e-5


@pytest.mark.parametrize("name", STEPS)
def test_views_with_strides(name):
    leaves = leaves_of(name)
    spread = [torch.stack([leaf.detach()] * 3, dim=-1)[..., 1].requires_grad_() for leaf in leaves]
    for a, b in zip(gradients(name, spread), gradients(name, leaves), strict=True):
        assert relative(a, b) < 1e-6


@pytest.mark.parametrize("name", STEPS)
def test_nan_comes_out_where_nan_goes_in(name):
    leaves = leaves_of(name)
    with torch.no_grad():
        leaves[0].view(-1)[5] = torch.nan
    assert gradients(name, leaves)[0].isnan()


def test_checks_where_they_are_wanted():
    pos = normal(10)
    pos[3] = torch.nan
    assert mann_whitney_loss(pos, normal(10)).isnan()
    before = corelib.get_backend()
    corelib.set_backend(before, check=True)
    try:
        with pytest.raises(ValueError, match="pos must be finite"):
            mann_whitney_loss(pos, normal(10))
    finally:
        corelib.set_backend(before, check=False)


def test_a_label_out_of_range_gives_nan():
    bad = torch.tensor([0, 7], device=DEVICE)
    assert info_nce(unit(2, 8), unit(3, 8, seed=1), labels=bad).isnan()


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_tf32_errs_as_torch_does(size, monkeypatch):
    """Weights in 16 bits where TF32 is allowed: gradients as close to float64 as those of plain torch in TF32."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    q, k = ((size * unit(5000, 64, seed=seed)).requires_grad_() for seed in (0, 1))
    target, tau = torch.arange(5000, device=DEVICE), 0.05 * size**2
    wide = [x.detach().double().requires_grad_() for x in (q, k)]
    want = torch.autograd.grad(F.cross_entropy(wide[0] @ wide[1].T / tau, target), wide)
    eager = torch.autograd.grad(F.cross_entropy(q @ k.T / tau, target), (q, k))
    ours = torch.autograd.grad(info_nce(q, k, tau), (q, k))
    for a, b, w in zip(ours, eager, want, strict=True):
        assert relative(a, w) <= 2 * relative(b, w)


@pytest.mark.parametrize(
    "name, mebibytes", [("pairs, by boxes", 60), ("InfoNCE", 100), ("multi-similarity", 100)]
)
def test_memory(name, mebibytes):
    leaves = leaves_of(name)
    gradients(name, leaves)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    gradients(name, leaves)
    assert torch.cuda.max_memory_allocated() - before < mebibytes * 2**20


def test_info_says_what_runs():
    assert corelib.info()["CUDA core"].startswith("in use")

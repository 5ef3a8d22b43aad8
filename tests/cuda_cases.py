"""Random arguments of the losses that the CUDA core computes: a loss of float tensors on any device, and where to take it."""

import numpy as np
import torch

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
from corelib.score import empirical_score


def chance(rng, p) -> bool:
    return bool(rng.random() < p)


def like(leaf, options):
    """The options with their tensors on the device of ``leaf``, floating ones in its dtype."""
    place = lambda t: t.to(leaf.device, leaf.dtype if t.is_floating_point() else t.dtype)
    return {
        name: place(value) if isinstance(value, torch.Tensor) else value for name, value in options.items()
    }


def floats(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape)).float()


def over_pairs(rng):
    function = [mann_whitney_loss, pairwise_hinge_loss, pairwise_squared_hinge_loss][rng.integers(3)]
    n, m = (int(k) for k in 2 ** rng.uniform(0, 11, 2))
    options = {"margin": 0.25 * chance(rng, 0.2)}
    if function is mann_whitney_loss:
        options["temperature"] = float(10.0 ** rng.uniform(-3, 1))
    reductions = ["mean", "sum"]
    if chance(rng, 0.5):
        groups = int(rng.integers(1, 30))
        for side, size in (("pos", n), ("neg", m)):
            sizes = rng.multinomial(size, rng.dirichlet(np.ones(groups)))
            options[f"{side}_indptr"] = torch.from_numpy(np.r_[0, sizes.cumsum()])
        reductions.append("none")
    options["reduction"] = str(rng.choice(reductions))
    if chance(rng, 0.4):
        for side, size in (("pos", n), ("neg", m)):
            options[f"{side}_weight"] = torch.from_numpy(rng.uniform(0, 3, size)).float()
    # a margin is added in float32, and its rounding counts in temperatures
    tolerance = 2e-6 + 1e-6 * bool(options["margin"]) / options.get("temperature", 1.0)
    return (
        lambda pos, neg: function(pos, neg, **like(pos, options)),
        [floats(rng, n), floats(rng, m)],
        tolerance,
    )


def soft_ranks(rng):
    scores = floats(rng, 6, int(rng.integers(5, 200)))
    grades = torch.from_numpy(rng.integers(0, 3, scores.shape))
    grades[:, 3] = 2
    temperature = float(10.0 ** rng.uniform(-2, 0))
    function = {
        "soft_rank": lambda s: soft_rank(s, temperature),
        "smooth_ap": lambda s: smooth_ap(s, (grades > 0).to(s.device), temperature),
        "approx_ndcg": lambda s: approx_ndcg(s, grades.to(s.device), temperature),
    }[str(rng.choice(["soft_rank", "smooth_ap", "approx_ndcg"]))]
    return function, [scores], 1e-5


def contrasts(rng):
    n, d, h = int(2 ** rng.uniform(0, 9)), int(2 ** rng.uniform(0, 6)), int(rng.integers(1, 5))
    m = n + int(rng.integers(0, 300))
    size = float(10.0 ** rng.uniform(-3, 3))  # of the embeddings, which 16 bits have to be scaled for
    queries, keys = (size * floats(rng, k, d) / d**0.5 for k in (n, m))
    keys[:n] += queries
    options, leaves = {"temperature": float(rng.uniform(0.05, 2)) * size**2}, [queries, keys]
    function = info_nce
    if chance(rng, 0.3):
        options["symmetric"] = True
    else:
        if chance(rng, 0.5):
            options["labels"] = torch.from_numpy(rng.integers(0, m, n))
        if chance(rng, 0.5):
            function = weighted_info_nce
            options |= {
                "beta": float(rng.choice([0, 1.5, -1, -6])) / size**2,
                "gamma": float(rng.choice([0, 0.5, 2])),
                "detach": chance(rng, 0.5),
            }
            if chance(rng, 0.5):
                options["weight"] = torch.from_numpy(rng.uniform(0, 50, n)).float()
    if chance(rng, 0.4):
        options["mask"] = torch.from_numpy(rng.random((n, m)) < 0.3)
    if chance(rng, 0.4):
        options["key_ids"] = torch.from_numpy(rng.integers(0, max(m // 3, 1), m))
    hard = chance(rng, 0.4)
    if hard:
        leaves.append(size * floats(rng, n, h, d) / d**0.5)
        if chance(rng, 0.5):
            options["hard_mask"] = torch.from_numpy(rng.random((n, h)) < 0.3)

    def loss(*parts):
        given = like(parts[0], options) | ({"hard_negatives": parts[2]} if hard else {})
        return function(*parts[:2], **given)

    return loss, leaves, 5e-6


def multi_similarity(rng):
    n, m, d = (int(2 ** rng.uniform(0, 8)) for _ in range(3))
    unit = lambda k: torch.nn.functional.normalize(floats(rng, k, d), dim=1)
    labels, other = (torch.from_numpy(rng.integers(0, 6, k)) for k in (n, m))
    leaves, given = [unit(n)], {"epsilon": [None, 0.1][rng.integers(2)]}
    if chance(rng, 0.5):
        leaves.append(unit(m))

    def loss(*parts):
        more = (
            {"references": parts[1], "reference_labels": other.to(parts[0].device)} if len(parts) > 1 else {}
        )
        return multi_similarity_loss(parts[0], labels.to(parts[0].device), **more, **given)

    return loss, leaves, 5e-6


def scores(rng):
    rows, n, d = (int(k) for k in 2 ** rng.uniform(0, 8, 3))
    data = floats(rng, n, d) + float(rng.choice([0, 100]))
    sigma = torch.from_numpy(10.0 ** rng.uniform(-2, 2, rows)).float()
    x = data[torch.from_numpy(rng.integers(0, n, rows))] + sigma[:, None] * floats(rng, rows, d)
    weights = torch.from_numpy(rng.uniform(0, 2, n)).float() if chance(rng, 0.5) else None

    def score(at):
        return empirical_score(at, **like(at, {"data": data, "sigma": sigma, "weights": weights}))

    return score, [x], 2e-5


CASES = {case.__name__: case for case in (over_pairs, soft_ranks, contrasts, multi_similarity, scores)}


def value_and_gradients(loss, leaves, device, dtype):
    """By float64 on the CPU, of what ``loss`` and its gradients are in a dtype on a device."""
    parts = [leaf.detach().to(device, dtype).requires_grad_() for leaf in leaves]
    value = loss(*parts)
    direction = torch.linspace(1, 2, value.numel(), dtype=value.dtype, device=device).reshape(value.shape)
    gradients = torch.autograd.grad(value, parts, direction)
    return [part.detach().to("cpu", torch.float64) for part in (value, *gradients)]


def assert_as_in_float64(loss, leaves, device, tolerance, floor=1e-30):
    """Float32 on the device beside float64 on the CPU: norms of the differences over norms, which count from ``floor`` on."""
    got = value_and_gradients(loss, leaves, device, torch.float32)
    want = value_and_gradients(loss, leaves, "cpu", torch.float64)
    for g, w in zip(got, want, strict=True):
        assert torch.linalg.vector_norm(g - w) <= tolerance * torch.linalg.vector_norm(w) + floor

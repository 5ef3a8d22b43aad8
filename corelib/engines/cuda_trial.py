"""Each kernel of the CUDA core on a few numbers, beside plain torch: once a process, before it is used."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from corelib.engines import (
    info_nce_cuda,
    mixtures_cuda,
    multi_similarity_cuda,
    multi_similarity_torch,
    pair_sums_cuda,
    pair_sums_torch,
)
from corelib.engines.info_nce_candidates import Candidates


def worst_error(device: torch.device) -> float:
    """The largest error of a value or gradient, by norms; infinite if one is not finite."""
    with torch.inference_mode(False):  # the first call may come from within one, where nothing has a gradient
        numbers = torch.sin(torch.arange(12_000, device=device, dtype=torch.float64) * 1.7).float()
        pairs = [*_pair_sums(numbers), *_info_nce(numbers), *_multi_similarity(numbers), *_scores(numbers)]
        errors = [
            float(torch.linalg.vector_norm(got - want) / torch.linalg.vector_norm(want))
            for got, want in pairs
        ]
    return max(error if math.isfinite(error) else math.inf for error in errors)


def _pair_sums(numbers: Tensor):
    for kind, n in (
        ("softplus", 60),
        ("sigmoid", 60),
        ("softplus", 6000),
        ("hinge", 60),
        ("squared_hinge", 60),
    ):
        x, y = numbers[:n], numbers[-n:]
        for parts in (1, 3):
            indptr = torch.arange(parts + 1, device=x.device) * (n // parts)
            factor = torch.ones(parts, dtype=torch.float64, device=x.device)
            groups = (None, None) if parts == 1 else (indptr, indptr)
            got = pair_sums_cuda.pair_sum(kind, x, y, None, None, *groups, 1.0, factor, True, True)
            want = pair_sums_torch.pair_sum(
                kind, x, y, None, None, indptr, indptr, 1.0, 0.0, factor, True, True
            )
            yield from zip(got, want, strict=True)


def _info_nce(numbers: Tensor):
    queries, keys = numbers[:96].view(12, 8), numbers[96:296].view(25, 8)
    own = torch.arange(12, device=numbers.device)
    candidates = Candidates(queries, keys, own, None, None, None, None)
    got = info_nce_cuda.one_way(candidates, None, 0.5, 0.0, 0.0, True, (True, True, False))
    both = info_nce_cuda.both_ways(candidates, 0.5, (True, True, False))
    wide = [x.double().requires_grad_() for x in (queries, keys)]
    with torch.enable_grad():
        logits = wide[0] @ wide[1].T / 0.5
        forth, back = F.cross_entropy(logits, own), F.cross_entropy(logits.T[:12], own)
        for found, loss in ((got, forth), (both, 0.5 * (forth + back))):
            want = torch.autograd.grad(loss, wide, retain_graph=True)
            yield from zip(found[:3], (loss.detach(), *want), strict=True)


def _multi_similarity(numbers: Tensor):
    embeddings = F.normalize(numbers[:240].view(30, 8), dim=1)
    labels = torch.arange(30, device=numbers.device) % 4
    arguments = (embeddings, labels, None, None, 2.0, 50.0, 0.5, 0.1, True, True)
    got = multi_similarity_cuda.multi_similarity(*arguments)
    want = multi_similarity_torch.multi_similarity(embeddings.double(), *arguments[1:])
    yield from zip(got[:2], want[:2], strict=True)


def _scores(numbers: Tensor):
    """Of rows that take a product, and of rows that take differences."""
    x, data = numbers[:96].view(12, 8), numbers[96:296].view(25, 8)
    sigma = torch.logspace(-2, 1, 12, dtype=torch.float64, device=x.device)
    centre = torch.zeros(8, dtype=torch.float64, device=x.device)
    points = (data, centre, torch.full((25,), -math.log(25), dtype=torch.float64, device=x.device))
    got = mixtures_cuda.forward(x, sigma, *points, mixtures_cuda.centred(data, centre))
    logits = torch.cdist(x.double(), data.double()).square() / (-2 * sigma[:, None] ** 2) - math.log(25)
    mean = logits.softmax(1) @ data.double()
    yield from zip(got, ((mean - x) / sigma[:, None] ** 2, logits.logsumexp(1)), strict=True)

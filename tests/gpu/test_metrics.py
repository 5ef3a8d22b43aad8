"""Metrics of tensors on a GPU: ``make test-gpu``. That the code is right is tested in tests/metrics, on other tensors."""

import numpy as np
import pytest
import torch

import corelib
from corelib import metrics
from tests.metric_cases import ALL, FORMS, TIES, arguments, elsewhere, parts

if not torch.cuda.is_available():
    pytest.skip("there is no GPU", allow_module_level=True)

DEVICE = torch.device("cuda")


@pytest.mark.parametrize("block", range(4))
@pytest.mark.parametrize("name", ALL)
def test_as_the_compiled_kernels(name, block):
    for seed in range(50 * block, 50 * block + 50):
        given = arguments(name, seed)
        want = parts(ALL[name](**given))
        for got, w in zip(parts(ALL[name](**elsewhere(given, "cuda"))), want, strict=True):
            assert got.device.type == "cuda" and got.dtype == torch.float64 and got.shape == np.shape(w)
            np.testing.assert_allclose(got.cpu(), w, rtol=1e-11, atol=1e-14, err_msg=f"seed {seed}: {given}")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ALL)
def test_nothing_waits(name, form):
    for seed in range(20):
        given = elsewhere(arguments(name, seed, form=form), "cuda")
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            ALL[name](**given)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ALL)
def test_under_deterministic_algorithms(name):
    """Nothing raises, and twice the same comes out."""
    torch.use_deterministic_algorithms(True)
    try:
        for seed in range(20):
            given = elsewhere(arguments(name, seed), "cuda")
            for one, two in zip(parts(ALL[name](**given)), parts(ALL[name](**given)), strict=True):
                torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)
    finally:
        torch.use_deterministic_algorithms(False)


def large(seed=0):
    generator = torch.Generator(DEVICE).manual_seed(seed)
    scores = torch.randn(2000, 300, device=DEVICE, generator=generator)
    return scores, torch.randint(0, 3, scores.shape, device=DEVICE, generator=generator)


@pytest.mark.parametrize("ties", TIES)
def test_in_a_graph(ties):
    """Captured once, replayed on other numbers."""
    data = large()
    indptr = torch.arange(0, 600_001, 300, device=DEVICE)

    def measure(scores, relevance):
        return torch.stack(
            [
                metrics.ndcg(scores, relevance, 10, ties=ties, reduce="mean"),
                metrics.average_precision(
                    scores.ravel(), relevance.ravel(), indptr=indptr, ties=ties, reduce="mean"
                ),
                metrics.roc_auc(scores.ravel(), relevance.ravel() > 1),
            ]
        )

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        measure(*data)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = measure(*data)
    for mine, other in zip(data, large(1), strict=True):
        mine.copy_(other)
    graph.replay()
    torch.testing.assert_close(captured, measure(*large(1)), rtol=1e-12, atol=0)


def test_compiled_whole():
    step = lambda s, r: metrics.ndcg(s, r, 10, reduce="mean")
    data = large()
    torch.testing.assert_close(torch.compile(step, fullgraph=True)(*data), step(*data), rtol=1e-12, atol=0)


def test_a_million_scores():
    scores, relevance = large()
    scores = scores.round(decimals=3)  # ties
    for weight in (None, torch.rand_like(scores)):
        host = None if weight is None else weight.cpu()
        for metric in (metrics.roc_auc, metrics.pooled_average_precision):
            got = metric(
                scores.ravel(),
                relevance.ravel() > 1,
                sample_weight=None if weight is None else weight.ravel(),
            )
            want = metric(
                scores.ravel().cpu(),
                relevance.ravel().cpu() > 1,
                sample_weight=None if host is None else host.ravel(),
            )
            assert abs(float(got) - want) < 1e-12


def test_checks_where_they_are_wanted():
    scores, relevance = large()
    scores[7, 3] = torch.nan
    assert metrics.ndcg(scores, relevance).isnan().nonzero().tolist() == [[7]]
    before = corelib.get_backend()
    corelib.set_backend(before, check=True)
    try:
        with pytest.raises(ValueError, match="scores must not be NaN; 1 of 300 scores of query 7 are"):
            metrics.ndcg(scores, relevance)
    finally:
        corelib.set_backend(before, check=False)


def test_one_device():
    scores, relevance = large()
    with pytest.raises(
        ValueError, match="scores and relevance must be on the same device; got cuda:0 and cpu"
    ):
        metrics.ndcg(scores, relevance.cpu())
    with pytest.raises(TypeError, match="relevance must be a tensor on cuda:0, as scores is; got ndarray"):
        metrics.ndcg(scores, relevance.cpu().numpy())
    with pytest.raises(
        TypeError, match="scores must be a tensor on a GPU where another argument is; got list"
    ):
        metrics.ndcg([1.0], relevance)


def test_other_metrics_go_by_the_host():
    scores, relevance = large()
    assert isinstance(metrics.rank_biased_precision(scores, relevance), np.ndarray)
    assert isinstance(metrics.evaluate(scores, relevance, ["ndcg", "rbp"])["ndcg"], np.ndarray)

"""Metrics that stay on a GPU against the compiled kernels. Tensors on the CPU stand in for those on a GPU: the code is
the same, and one predicate tells them apart."""

import math
import re

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import corelib
from corelib import _arrays, metrics
from tests.metric_cases import ALL, BINARY, FORMS, NAMES, RANKED, TIES, arguments, elsewhere, parts

NAN, INF = math.nan, math.inf


@pytest.fixture
def there(monkeypatch):
    """Every tensor counts as one on a GPU."""
    monkeypatch.setattr(_arrays, "on_gpu", lambda value: isinstance(value, torch.Tensor))


@pytest.fixture
def checked():
    before = corelib.get_backend()
    corelib.set_backend(before, check=True)
    yield
    corelib.set_backend(before, check=False)


def both_ways(name, given, monkeypatch):
    want = parts(ALL[name](**given))
    with monkeypatch.context() as patch:
        patch.setattr(_arrays, "on_gpu", lambda value: isinstance(value, torch.Tensor))
        got = parts(ALL[name](**given))
    return got, want


@pytest.mark.parametrize("block", range(4))
@pytest.mark.parametrize("name", ALL)
def test_as_the_compiled_kernels(name, block, monkeypatch):
    for seed in range(100 * block, 100 * block + 100):
        given = arguments(name, seed)
        got, want = both_ways(name, given, monkeypatch)
        for g, w in zip(got, want, strict=True):
            assert isinstance(g, torch.Tensor) and g.dtype == torch.float64
            assert g.shape == np.shape(w)
            np.testing.assert_allclose(g.numpy(), w, rtol=1e-12, atol=1e-15, err_msg=f"seed {seed}: {given}")


@pytest.mark.parametrize("name", RANKED)
def test_long_lists_of_few_scores(name, monkeypatch):
    """Groups of thousands of equal scores, where the sums over their ranks lose digits if they are differences."""
    generator = torch.Generator().manual_seed(1)
    for levels in (3, 40_000):
        scores = torch.randint(0, levels, (1, 100_000), generator=generator).float()
        relevance = (torch.rand(1, 100_000, generator=generator) < 1e-4).long()
        given = arguments(name, 0) | {
            "scores": scores,
            "relevance": relevance,
            "ties": "average",
            "empty": 0.0,
        }
        given.pop("indptr", None)
        given.pop("sample_weight", None)
        if name == "dcg":
            del given["empty"]
        for g, w in zip(*both_ways(name, given, monkeypatch), strict=True):
            np.testing.assert_allclose(g.numpy(), w, rtol=1e-12)


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("name", RANKED)
def test_large_groups_mostly_relevant(name, share, monkeypatch):
    """Of which the first relevant one cannot stand far from the top."""
    relevance = (torch.arange(6000) % 100 < 100 * share).long()
    given = {"scores": torch.ones(6000), "relevance": relevance, "ties": "average"}
    given["indptr"] = torch.tensor([0, 2500, 6000])
    if name in ("hit_rate", "precision_at", "recall_at"):
        given["k"] = 3
    if name == "evaluate":
        given["metrics"] = NAMES
    for g, w in zip(*both_ways(name, given, monkeypatch), strict=True):
        np.testing.assert_allclose(g.numpy(), w, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 7, 20])
@pytest.mark.parametrize("ties", ["reverse", "order"])
def test_a_selection_ranks_as_a_sort_does(ties, k, monkeypatch):
    generator = torch.Generator().manual_seed(2)
    values = torch.tensor([-INF, -3.4e38, -1.5, -1e-45, -0.0, 0.0, 1e-45, 1.5, 3.4e38, INF])
    scores = values[torch.randint(0, len(values), (50, 200), generator=generator)]
    relevance = torch.randint(0, 3, scores.shape, generator=generator)
    for name in ("ndcg", "average_precision", "recall_at"):
        given = dict(scores=scores, relevance=relevance, k=k, ties=ties)
        (got,), (want,) = both_ways(name, given, monkeypatch)
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)


WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique", "bincount")
BY_ONE_BLOCK = (
    "cummax",
    "cummin",
)  # whose CUDA kernels take a row by one block, and a million scores in milliseconds


class NothingWaits(TorchDispatchMode):
    """An error where a value would have to reach the host."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        assert not name.startswith(WAITS), f"the host waits for {name}"
        assert name not in BY_ONE_BLOCK, f"a long list waits for one block of {name}"
        if name == "index":
            assert all(i is None or i.dtype != torch.bool for i in args[1]), "the host waits for a mask"
        if name == "_to_copy":
            assert (kwargs or {}).get("device") is None, "a copy to another device"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ALL)
def test_the_host_never_waits(name, form, there):
    for seed in range(30):
        given = arguments(name, seed, form=form)
        with NothingWaits():
            ALL[name](**given)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ALL)
def test_on_tensors_without_values(name, form, there):
    for seed in range(30):
        given = arguments(name, seed, form=form)
        want = parts(ALL[name](**given))
        for got, w in zip(parts(ALL[name](**elsewhere(given, "meta"))), want, strict=True):
            assert got.device.type == "meta" and got.dtype == torch.float64 and got.shape == w.shape


@pytest.mark.parametrize("form", ["dense", "ragged"])
@pytest.mark.parametrize("name", ALL)
def test_compiled_whole(name, form, there):
    torch._dynamo.reset()
    generator = torch.Generator().manual_seed(3)
    scores = torch.randint(0, 5, (4, 30), generator=generator).float()
    other = torch.randint(0, 2, (4, 30), generator=generator)
    options = [{}] if name in BINARY else [{"ties": ties, "reduce": "mean"} for ties in TIES]
    if name in ("hit_rate", "precision_at", "recall_at"):
        options = [given | {"k": 3} for given in options]
    if name == "evaluate":
        options = [given | {"metrics": NAMES} for given in options]
    if name == "pooled_average_precision":
        scores, other = scores.ravel(), other.ravel()
    elif form == "ragged":
        scores, other = scores.ravel(), other.ravel()
        options = [given | {"indptr": torch.tensor([0, 50, 50, 120]), "empty": 0.5} for given in options]
        if name == "dcg":
            options = [{n: v for n, v in given.items() if n != "empty"} for given in options]
    for given in options:
        step = lambda s, o, given=given: ALL[name](s, o, **given)
        compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
        for g, w in zip(parts(compiled(scores, other)), parts(step(scores, other)), strict=True):
            torch.testing.assert_close(g, w, rtol=1e-12, atol=0, equal_nan=True)


BAD = {
    "a score that is NaN": ("scores", NAN),
    "a relevance that is NaN": ("relevance", NAN),
    "a negative relevance": ("relevance", -1.0),
    "an infinite relevance": ("relevance", INF),
}


@pytest.mark.parametrize("change", BAD)
@pytest.mark.parametrize("form", ["dense", "ragged"])
@pytest.mark.parametrize("name", RANKED)
def test_nan_comes_out_of_the_query_where_nan_goes_in(name, form, change, there):
    which, value = BAD[change]
    generator = torch.Generator().manual_seed(4)
    good = {
        "scores": torch.rand(4, 60, generator=generator),
        "relevance": torch.randint(0, 2, (4, 60), generator=generator).float(),
    }
    more = {"metrics": ["ndcg@5", "map", "p@3"]} if name == "evaluate" else {}
    if name in ("hit_rate", "precision_at", "recall_at"):
        more["k"] = 3
    if form == "ragged":
        more["indptr"] = torch.tensor([0, 60, 60, 120, 240])
    bad = good | {which: good[which].clone()}
    bad[which][1, 7] = value
    flat = lambda data: {n: v.ravel() for n, v in data.items()} if form == "ragged" else data
    at = 2 if form == "ragged" else 1
    for ties in TIES:
        want, got = (parts(RANKED[name](**flat(data), **more, ties=ties)) for data in (good, bad))
        for g, w in zip(got, want, strict=True):
            assert g[at].isnan() and not w.isnan().any()
            assert torch.equal(g[torch.arange(len(g)) != at], w[torch.arange(len(w)) != at])
        for mean in parts(RANKED[name](**flat(bad), **more, ties=ties, reduce="mean")):
            assert mean.isnan()


@pytest.mark.parametrize("change", ["scores", "labels", "negative", "infinite"])
def test_nan_comes_out_of_areas(change, there):
    scores, labels, weight = torch.rand(3, 20).double(), torch.arange(60).view(3, 20) % 2, torch.ones(3, 20)
    want = metrics.roc_auc(scores, labels, sample_weight=weight)
    if change == "scores":
        scores[1, 2] = NAN
    elif change == "labels":
        labels[1, 2] = 2
    else:
        weight[1, 2] = -1.0 if change == "negative" else INF
    indptr = torch.tensor([0, 20, 40, 60])
    for got in (
        metrics.roc_auc(scores, labels, sample_weight=weight),
        metrics.roc_auc(scores.ravel(), labels.ravel(), sample_weight=weight.ravel(), indptr=indptr),
    ):
        assert got[1].isnan()
        torch.testing.assert_close(got[[0, 2]], want[[0, 2]], rtol=1e-13, atol=0)
    assert metrics.pooled_average_precision(scores[1], labels[1], sample_weight=weight[1]).isnan()
    assert metrics.roc_auc(scores, labels, sample_weight=weight, reduce="mean", empty=NAN).isnan()


def test_one_class_is_nan_unless_it_has_a_value(there):
    scores, labels = torch.rand(2, 5), torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1]])
    assert metrics.roc_auc(scores, labels).isnan().tolist() == [True, False]
    assert metrics.roc_auc(scores, labels, reduce="mean").isnan()
    assert not metrics.roc_auc(scores, labels, reduce="mean", empty=NAN).isnan()
    assert metrics.roc_auc(scores, labels, empty=0.5)[0] == 0.5
    none = torch.zeros(5)
    assert metrics.pooled_average_precision(scores[0], none).isnan()
    assert metrics.pooled_average_precision(scores[0], none, empty=0.5) == 0.5
    assert metrics.pooled_average_precision(torch.ones(0), torch.ones(0)).isnan()


def test_integers_that_float64_does_not_hold(there):
    for dtype in (torch.int64, torch.uint64):
        scores = torch.tensor([[2**53 + 1, 3], [2**53, 2**53 - 1]], dtype=torch.int64).to(dtype)
        got = metrics.ndcg(scores, torch.tensor([[1, 0], [1, 0]]))
        assert got.isnan().tolist() == [True, False] and got[1] == 1


@pytest.mark.parametrize(
    "indptr", [[0, 3, 5], [1, 3, 6], [0, 4, 2, 6], [0, 9, 6], [0, -1, 6], [0, 2**62, 6], [6, 0]]
)
def test_boundaries_that_do_not_fit_give_nan_and_read_no_other_memory(indptr, there):
    data, bounds = (torch.rand(6), torch.arange(6) % 2), torch.tensor(indptr)
    for ties in TIES:
        assert metrics.ndcg(*data, indptr=bounds, ties=ties).isnan().all()
        assert metrics.reciprocal_rank(*data, indptr=bounds, ties=ties, reduce="mean").isnan()
    assert metrics.roc_auc(*data, indptr=bounds, empty=0.0).isnan().all()


ON_REQUEST = [
    (lambda: metrics.ndcg(torch.tensor([[0.1, NAN], [1, 2]]), torch.ones(2, 2)), "scores must not be NaN; 1 of 2 scores of query 0 are, the first at index 1"),
    (lambda: metrics.dcg(torch.ones(3), torch.tensor([1, 2, -1])), "relevance must be between 0 .* index 2 is -1"),
    (lambda: metrics.ndcg(torch.ones(2), torch.tensor([1, 2000]), gain="exponential"), "relevance must be between 0 and 1000"),
    (lambda: metrics.dcg(torch.ones(3), torch.ones(3), indptr=torch.tensor([0, 2, 1, 3])), r"indptr must not decrease; indptr\[1\] is 2"),
    (lambda: metrics.dcg(torch.ones(3), torch.ones(3), indptr=torch.tensor([0, 2])), "indptr must begin with 0 and end with the number of scores, 3"),
    (lambda: metrics.ndcg(torch.ones(2, 2), torch.ones(2, 2), reduce="mean", sample_weight=torch.tensor([1.0, -1.0])), r"sample_weight must be finite and not negative; sample_weight\[1\] is -1"),
    (lambda: metrics.ndcg(torch.ones(2, 2), torch.ones(2, 2), reduce="mean", sample_weight=torch.zeros(2)), "sample_weight must be greater than 0 for at least one query"),
    (lambda: metrics.ndcg(torch.tensor([2**53 + 1, 1]), torch.ones(2)), r"integer scores must not exceed 2\*\*53"),
    (lambda: metrics.roc_auc(torch.ones(2), torch.tensor([1, 2])), r"labels must be 0 or 1; labels\[1\] is 2"),
    (lambda: metrics.roc_auc(torch.ones(2), torch.ones(2)), "labels must hold both classes"),
    (lambda: metrics.roc_auc(torch.tensor([NAN, 1]), torch.tensor([0, 1])), "scores must not be NaN"),
    (lambda: metrics.pooled_average_precision(torch.ones(2), torch.zeros(2)), r"labels must hold a 1 \(with weight\)"),
    (lambda: metrics.pooled_average_precision(torch.ones(2), torch.ones(2), sample_weight=torch.tensor([1.0, NAN])), "sample_weight must be finite"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ON_REQUEST)
def test_checks_where_they_are_wanted(call, message, there, checked):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ALL)
def test_checks_let_good_values_pass(name, there, checked):
    for seed in range(60):
        for value in parts(ALL[name](**arguments(name, seed))):
            assert isinstance(value, torch.Tensor)


S, R = torch.rand(2, 3), torch.ones(2, 3)
REFUSED = [
    (dict(relevance=R.numpy()), TypeError, "relevance must be a tensor on cpu, as scores is; got ndarray"),
    (dict(relevance=[[1, 0, 1]] * 2), TypeError, "relevance must be a tensor on cpu, as scores is; got list"),
    (dict(scores=S.numpy()), TypeError, "scores must be a tensor on a GPU where another argument is; got ndarray"),
    (dict(relevance=R.to("meta")), ValueError, "scores and relevance must be on the same device; got cpu and meta"),
    (dict(relevance=R.to_sparse()), TypeError, "relevance must be a dense tensor; got layout torch.sparse"),
    (dict(scores=S + 0j), TypeError, "scores must hold bool, integer or float numbers; got dtype complex64"),
    (dict(scores=S[:1]), ValueError, "scores and relevance must have the same shape; got (1, 3) and (2, 3)"),
    (dict(scores=S[0, 0], relevance=R[0, 0]), ValueError, "scores must have shape (documents,), (queries, documents)"),
    (dict(scores=S[:, :1], relevance=R[:, :1]), ValueError, "scores of shape (2, 1) are 2 queries of one document each"),
    (dict(indptr=torch.tensor([0, 3, 6])), ValueError, "scores must be flat, shape (total,), when indptr is given; got shape (2, 3)"),
    (dict(scores=S[0], relevance=R[0], indptr=[0, 3]), TypeError, "indptr must be a tensor on cpu, as scores is; got list"),
    (dict(scores=S[0], relevance=R[0], indptr=torch.tensor([0.0, 3])), TypeError, "indptr must hold integers; got dtype float32"),
    (dict(scores=S[0], relevance=R[0], indptr=torch.zeros(0).long()), ValueError, "indptr must have shape (queries + 1,)"),
    (dict(scores=S[0], relevance=R[0], indptr=torch.tensor([0])), ValueError, "indptr must end with the number of scores, 3"),
    (dict(k=0), ValueError, "k must be at least 1; got 0"),
    (dict(ties="worst"), ValueError, "ties must be one of"),
    (dict(empty="nan"), TypeError, "empty must be a real number or NaN"),
    (dict(reduce="sum"), ValueError, "reduce must be one of 'mean'"),
    (dict(scores=S[:0], relevance=R[:0], reduce="mean"), ValueError, 'reduce="mean" needs at least one query'),
    (dict(sample_weight=torch.ones(2)), ValueError, 'pass reduce="mean" with it'),
    (dict(sample_weight=torch.ones(3), reduce="mean"), ValueError, "sample_weight must have shape (2,), one weight for each query; got (3,)"),
    (dict(sample_weight=[1, 1], reduce="mean"), TypeError, "sample_weight must be a tensor on cpu, as scores is; got list"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_is_refused_without_a_look_at_values(change, error, message, there):
    with pytest.raises(error, match=re.escape(message)):
        metrics.ndcg(**({"scores": S, "relevance": R} | change))


def test_what_is_refused_of_labels(there):
    with pytest.raises(TypeError, match="labels must be a tensor on cpu, as scores is; got ndarray"):
        metrics.roc_auc(S, R.numpy())
    with pytest.raises(
        ValueError, match=r"sample_weight must have shape \(2, 3\), one weight for each score; got \(2,\)"
    ):
        metrics.roc_auc(S, R, sample_weight=torch.ones(2))
    with pytest.raises(ValueError, match=r"scores must have shape \(n,\), pooled; got \(2, 3\)"):
        metrics.pooled_average_precision(S, R)


def test_shapes_of_the_results(there):
    one = metrics.ndcg(torch.tensor([1.0, 2.0]), torch.tensor([0, 1]))
    assert one.shape == () and one.dtype == torch.float64 and float(one) == 1.0
    assert metrics.ndcg(torch.ones(0, 5), torch.ones(0, 5)).shape == (0,)
    assert metrics.ndcg(torch.ones(4, 0), torch.ones(4, 0), empty=0.5).tolist() == [0.5] * 4
    assert metrics.ndcg(torch.ones(0), torch.ones(0), indptr=torch.zeros(1).long()).shape == (0,)
    assert metrics.ndcg(torch.ones(0), torch.ones(0), indptr=torch.zeros(3).int()).tolist() == [0, 0]
    assert metrics.roc_auc(torch.tensor([1.0, 2.0]), torch.tensor([0, 1])).shape == ()
    assert metrics.roc_auc(torch.ones(0, 5), torch.ones(0, 5)).shape == (0,)
    assert metrics.pooled_average_precision(torch.tensor([1.0, 2.0]), torch.tensor([0, 1])).shape == ()


def test_a_perfect_ranking_gets_exactly_one(there):
    generator = torch.Generator().manual_seed(5)
    relevance = torch.rand(200, 57, generator=generator)
    for k in (None, 3, 40):
        assert (metrics.ndcg(relevance, relevance, k) == 1).all()
    assert (metrics.roc_auc(relevance, (relevance > 0.5).long()) == 1).all()


@pytest.mark.parametrize("name", ALL)
def test_no_gradient_no_autocast_no_change_of_the_input(name, there):
    for seed in range(20):
        given = arguments(name, seed)
        want = parts(ALL[name](**given))
        if given["scores"].is_floating_point():
            given["scores"].requires_grad_()
        before = {n: v.detach().clone() for n, v in given.items() if isinstance(v, torch.Tensor)}
        with torch.autocast("cpu"):
            got = parts(ALL[name](**given))
        for g, w in zip(got, want, strict=True):
            assert not g.requires_grad
            torch.testing.assert_close(g, w, rtol=0, atol=0, equal_nan=True)
        for n, value in before.items():
            assert torch.equal(given[n], value)
    with torch.inference_mode():
        ALL[name](**arguments(name, 1))


def test_views_with_strides(there):
    generator = torch.Generator().manual_seed(6)
    wide = torch.rand(12, 40, 2, generator=generator)
    scores, relevance = wide[::2, :, 0].T[:30].T, (wide[1::2, 10:, 1] > 0.5).long()
    for ties in TIES:
        want = metrics.ndcg(scores.contiguous(), relevance, 2, ties=ties)
        assert torch.equal(metrics.ndcg(scores, relevance, 2, ties=ties), want)


def test_what_stays_on_the_host(there):
    scores, relevance = torch.rand(2, 5), torch.ones(2, 5)
    assert isinstance(metrics.rank_biased_precision(scores, relevance), np.ndarray)
    assert isinstance(metrics.expected_reciprocal_rank(scores, relevance, max_relevance=1), np.ndarray)
    assert isinstance(metrics.bpref(scores, relevance, relevance), np.ndarray)
    mixed = metrics.evaluate(scores, relevance, ["ndcg", "rbp"])
    assert all(isinstance(value, np.ndarray) for value in mixed.values())


def test_tensors_on_the_cpu_give_arrays():
    scores, relevance = torch.rand(2, 5), torch.ones(2, 5)
    assert isinstance(metrics.ndcg(scores, relevance), np.ndarray)
    assert isinstance(metrics.roc_auc(scores, torch.arange(10).view(2, 5) % 2, reduce="mean"), float)


def test_every_kind_that_stays_is_known_to_the_engine(there):
    found = metrics.evaluate(torch.rand(2, 5), torch.ones(2, 5), ["p@1", "r_precision"])
    assert set(found) == {"p@1", "r_precision"}
    assert BINARY.keys().isdisjoint(RANKED)

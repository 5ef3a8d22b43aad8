"""What training loops do with a loss of embeddings: second derivatives, half precision, autocast, inference mode, compile."""

import functools
import warnings

import pytest
import torch
from batches import batch

from corelib.engines.pair_costs import contrastive
from corelib.engines.triplets import triplets
from corelib.losses import (
    BinomialDeviancePairs,
    InfoNCELoss,
    MultiSimilarityLoss,
    TripletPairs,
    class_means,
    contrastive_loss,
    icnn_loss,
    info_nce,
    matryoshka_info_nce,
    mixed_pair_loss,
    multi_similarity_loss,
    multi_similarity_miner,
    pair_based_loss,
    pair_weights,
    proto_triplet_loss,
    triplet_loss,
    weighted_info_nce,
)
from corelib.search import hard_negatives, top_inner_products

X, Y = batch(12, 4, 3, seed=1)
Z, W = batch(8, 4, 3, seed=2)
W[:4] = torch.arange(4)
BANK = {"references": Z, "reference_labels": W}


def banked(function, **options):
    def call(x):
        return function(x, Y, references=Z.to(x.dtype), reference_labels=W, **options)

    return call


LOSSES = {
    "contrastive": lambda x: contrastive_loss(x, Y, neg_margin=3.0),
    "contrastive, power 1": lambda x: contrastive_loss(x, Y, 0.2, 3.0, power=1, reduction="active"),
    "contrastive, cosine": lambda x: contrastive_loss(x, Y, distance="cosine"),
    "contrastive of anchors": lambda x: (
        contrastive_loss(x, Y, neg_margin=3.0, reduction="none").square().sum()
    ),
    "contrastive, bank": banked(contrastive_loss, neg_margin=3.0),
    "triplet": lambda x: triplet_loss(x, Y),
    "triplet, cosine": lambda x: triplet_loss(x, Y, distance="cosine"),
    "triplet, hard": lambda x: triplet_loss(x, Y, mining="hard", margin=1.0),
    "triplet, semi-hard": lambda x: triplet_loss(x, Y, mining="semihard", margin=1.0, reduction="active"),
    "triplet of anchors": lambda x: triplet_loss(x, Y, mining="hard", reduction="none").square().sum(),
    "triplet, bank": banked(triplet_loss),
    "icnn": lambda x: icnn_loss(x, Y, 3),
    "proto-triplet": lambda x: proto_triplet_loss(x, Z[:4].to(x.dtype), Y),
    "class means": lambda x: class_means(x, Y).square().sum(),
    "pair-based": lambda x: pair_based_loss(x, Y, BinomialDeviancePairs()),
    "pair-based triplets": lambda x: pair_based_loss(x, Y, TripletPairs()),
    "pair-based, bank": banked(pair_based_loss, loss=BinomialDeviancePairs()),
    "mixed": lambda x: mixed_pair_loss(x, Y, 0.4, hardest=3),
    "multi-similarity": lambda x: multi_similarity_loss(x, Y),
    "multi-similarity, bank": banked(multi_similarity_loss),
    "multi-similarity, module": lambda x: MultiSimilarityLoss()(x, Y),
    "info_nce": lambda x: info_nce(x, x.roll(1, 1), 0.3),
    "info_nce, symmetric": lambda x: info_nce(x, x.roll(1, 1), 0.3, symmetric=True),
    "info_nce, learned temperature": lambda x: info_nce(x, x.roll(1, 1), 1 + x.square().mean().float()),
    "info_nce, module": lambda x: InfoNCELoss(0.3)(x, x.roll(1, 1)),
    "weighted_info_nce": lambda x: weighted_info_nce(x, x.roll(1, 1), 0.3, beta=1.0, gamma=0.5),
    "matryoshka": lambda x: matryoshka_info_nce(x, x.roll(1, 1), (2, 4), 0.3),
}
TWICE = {"proto-triplet", "class means", "pair-based", "pair-based, bank", "mixed"}
WHOLE_GRAPH = [
    name
    for name in LOSSES
    if not name.startswith(("icnn", "proto", "class", "pair-based", "mixed", "info_nce, learned"))
]


def value_and_gradient(loss, x):
    leaf = x.detach().clone().requires_grad_()
    value = loss(leaf)
    value.backward()
    return value.detach(), leaf.grad


def penalised(loss, x):
    """What a gradient penalty, or meta-learning, does."""
    leaf = x.detach().clone().requires_grad_()
    value = loss(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
    (value + 10 * gradient.square().sum()).backward()
    return leaf.grad


@pytest.mark.parametrize("name", LOSSES)
def test_a_second_derivative_is_right_or_refused(strips, name):
    loss = LOSSES[name]
    if name not in TWICE:
        with pytest.raises(NotImplementedError, match="no second derivative"):
            penalised(loss, X)
        return
    direction, step = torch.randn(X.shape, generator=torch.Generator().manual_seed(3), dtype=X.dtype), 1e-5

    def total(x):
        value, gradient = value_and_gradient(loss, x)
        return value + 10 * gradient.square().sum()

    expected = (total(X + step * direction) - total(X - step * direction)) / (2 * step)
    torch.testing.assert_close((penalised(loss, X) * direction).sum(), expected, rtol=1e-5, atol=1e-7)


def test_a_second_derivative_by_references_is_refused():
    z = Z.clone().requires_grad_()
    for function in (contrastive_loss, triplet_loss, multi_similarity_loss):
        with pytest.raises(NotImplementedError, match="no second derivative"):
            penalised(lambda z, f=function: f(X, Y, references=z, reference_labels=W), z)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(backend, name, dtype):
    half = X.to(dtype)
    value, gradient = value_and_gradient(LOSSES[name], half)
    expected, expected_gradient = value_and_gradient(LOSSES[name], half.float())
    assert value.dtype == torch.float32 and gradient.dtype == dtype
    torch.testing.assert_close(
        value, expected, rtol=2e-2, atol=1e-3
    )  # references and temperatures are rounded, too
    torch.testing.assert_close(gradient.float(), expected_gradient, rtol=5e-2, atol=2e-2)


@pytest.mark.parametrize("name", LOSSES)
def test_inside_of_autocast_the_numbers_are_those_outside(backend, name):
    x = X.float()
    expected = value_and_gradient(LOSSES[name], x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = value_and_gradient(LOSSES[name], x)
        projected = x.clone().requires_grad_() @ torch.eye(4)
        assert projected.dtype == torch.bfloat16
        loss = LOSSES[name](projected)
        loss.backward()
    for ours, reference in zip(inside, expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, reference, rtol=1e-6, atol=1e-7)
    assert loss.dtype == torch.float32


def test_searches_find_the_same_rows_inside_of_autocast():
    queries, keys = torch.randn(20, 16), torch.randn(200, 16)
    own = torch.arange(20)
    expected = top_inner_products(queries, keys, 7)
    negatives = hard_negatives(queries, keys, own, 5, rule="relative", margin=0.05)
    pairs = multi_similarity_miner(queries, own % 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for ours, reference in zip(top_inner_products(queries, keys, 7), expected, strict=True):
            assert torch.equal(ours, reference)
        assert torch.equal(hard_negatives(queries, keys, own, 5, rule="relative", margin=0.05), negatives)
        for ours, reference in zip(multi_similarity_miner(queries, own % 4), pairs, strict=True):
            assert torch.equal(ours, reference)
    for dtype in (torch.float16, torch.bfloat16):
        half = queries.to(dtype), keys.to(dtype)
        full = [value.float() for value in half]
        assert torch.equal(top_inner_products(*half, 7)[1], top_inner_products(*full, 7)[1])
        assert torch.equal(hard_negatives(*half, own, 5), hard_negatives(*full, own, 5))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_values_without_gradients(name, mode):
    expected = LOSSES[name](X)
    with mode():
        torch.testing.assert_close(LOSSES[name](X), expected)
        torch.testing.assert_close(LOSSES[name](X.clone()), expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("loss", [BinomialDeviancePairs(), TripletPairs()])
def test_pair_weights_without_gradients(mode, loss):
    s = X @ X.T
    expected = pair_weights(s, Y, loss)
    with mode():
        torch.testing.assert_close(pair_weights(s, Y, loss), expected)
        torch.testing.assert_close(pair_weights(X @ X.T, Y.clone(), loss), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_compiled_numbers_are_those_of_eager(name):
    torch._dynamo.reset()
    expected = value_and_gradient(LOSSES[name], X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(LOSSES[name], fullgraph=name in WHOLE_GRAPH, backend="aot_eager")
        for ours, reference in zip(value_and_gradient(compiled, X), expected, strict=True):
            torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("bank", [False, True])
@pytest.mark.parametrize(
    ("operator", "rule"),
    [
        (contrastive, (0.0, 3.0, "cosine", 2)),
        (triplets, (0.2, "all", "euclidean")),
        (triplets, (0.2, "hard", "cosine")),
    ],
)
def test_operators_are_registered_properly(operator, rule, bank, reduction):
    x, z = X.clone().requires_grad_(), Z.clone().requires_grad_()
    sets = (x, Y, z, W) if bank else (x, Y, None, None)
    torch.library.opcheck(
        operator.traced,
        (x.mT.clone(memory_format=torch.contiguous_format).mT, *sets[1:], *rule, reduction, True, bank),
    )
    torch.library.opcheck(operator.traced, (*sets, *rule, reduction, True, bank))


@pytest.mark.parametrize(
    "loss",
    [
        functools.partial(triplet_loss, labels=Y, distance="cosine", reduction="sum"),
        functools.partial(contrastive_loss, labels=Y, distance="cosine", reduction="sum"),
        lambda x: matryoshka_info_nce(x, x.roll(1, 0), (2, 4), 0.3),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_of_zeros_has_no_direction_to_turn(loss, dtype):
    x = X.to(dtype, copy=True)
    x[3] = 0
    value, gradient = value_and_gradient(loss, x)
    assert value.isfinite() and (gradient[3] == 0).all() and gradient.abs().max() < 1e3
    x[3] = 1e-40 if dtype == torch.float32 else 1e-300
    tiny, gradient = value_and_gradient(loss, x)
    assert tiny.isfinite() and (gradient[3] == 0).all() and gradient.abs().max() < 1e3
    x[3] = 1.0
    expected, whole = value_and_gradient(loss, x)
    torch.testing.assert_close(tiny, expected)  # a row has its direction however short it is
    x[3] = 1e-6
    short, gradient = value_and_gradient(loss, x)
    torch.testing.assert_close(short, expected)
    torch.testing.assert_close(gradient[3], 1e6 * whole[3], rtol=1e-4, atol=1.0)


def test_mixes_that_cancel_have_no_direction_to_turn():
    x = X.clone()
    x[1], x[2] = -x[0], 0
    labels = torch.arange(12) % 2
    for dtype in (torch.float32, torch.float64):
        value, gradient = value_and_gradient(lambda x: mixed_pair_loss(x, labels, 0.5), x.to(dtype))
        assert value.isfinite() and gradient.abs().max() < 1e3


def test_inputs_stay_as_they_are():
    for loss in LOSSES.values():
        x = X.clone().requires_grad_()
        loss(x).backward()
        assert torch.equal(x.detach(), X)

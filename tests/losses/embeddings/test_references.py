"""Losses of a batch against references: the off-diagonal block of the batch of both as the oracle, brute force, a peer."""

import pytest
import torch
from batches import batch, distances
from pytorch_metric_learning import losses as peers
from pytorch_metric_learning.distances import DotProductSimilarity, LpDistance
from pytorch_metric_learning.miners import MultiSimilarityMiner
from pytorch_metric_learning.reducers import MeanReducer

from corelib.losses import (
    BinomialDeviancePairs,
    MultiSimilarityLoss,
    TripletPairs,
    contrastive_loss,
    multi_similarity_loss,
    pair_based_loss,
    triplet_loss,
)

LOSSES = {
    "contrastive": (contrastive_loss, {"neg_margin": 2.0}),
    "multi-similarity": (multi_similarity_loss, {}),
    "pair-based": (pair_based_loss, {"loss": BinomialDeviancePairs()}),
    "triplet": (triplet_loss, {}),
}


def sets(seed=0):
    (x, y), (z, l) = batch(13, 3, 4, seed), batch(21, 3, 4, seed + 1)
    return x, y, z, l


def compare(call, oracle):
    """Value and gradients by both sets, with unequal upstream gradients where there are several values."""
    x, y, z, labels = sets()
    results = []
    for function in (call, oracle):
        leaves = [value.clone().requires_grad_() for value in (x, z)]
        value = function(leaves[0], y, leaves[1], labels)
        upstream = torch.linspace(1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
        results.append((value, *torch.autograd.grad((value * upstream).sum(), leaves)))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-10)


def block(x, z, measure):
    """Distances of the rows of x to those of z."""
    return distances(torch.cat([x, z]), measure)[: len(x), len(x) :]


@pytest.mark.parametrize("reduction", ["mean", "active", "sum", "none"])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("measure", ["euclidean", "cosine"])
def test_contrastive_equals_the_formula(strips, measure, power, reduction):
    def oracle(x, y, z, labels):
        d = block(x, z, measure)
        sides = []
        for mask, cost in ((y[:, None] == labels, d - 0.4), (y[:, None] != labels, 1.3 - d)):
            sides.append((mask, cost.clamp_min(0) ** power / power * mask))
        if reduction in ("none", "sum"):
            each = sum(cost.sum(1) for _, cost in sides)
            return each if reduction == "none" else each.sum()
        counts = [(mask if reduction == "mean" else cost > 0).sum() for mask, cost in sides]
        return sum(cost.sum() / count for (_, cost), count in zip(sides, counts, strict=True))

    options = {"distance": measure, "power": power, "reduction": reduction}
    compare(
        lambda x, y, z, l: contrastive_loss(x, y, 0.4, 1.3, references=z, reference_labels=l, **options),
        oracle,
    )


@pytest.mark.parametrize("reduction", ["mean", "active", "sum", "none"])
@pytest.mark.parametrize("measure", ["euclidean", "cosine"])
@pytest.mark.parametrize("mining", ["all", "hard"])
def test_triplet_equals_the_formula(strips, mining, measure, reduction):
    def oracle(x, y, z, labels):
        d = block(x, z, measure)
        positive = y[:, None] == labels
        if mining == "all":
            taken = positive[:, :, None] & ~positive[:, None, :]
            cost = (d[:, :, None] - d[:, None, :] + 0.2).clamp_min(0) * taken
        else:
            taken = (positive.any(1) & (~positive).any(1))[:, None]
            far = d.masked_fill(~positive, -torch.inf).amax(1)
            near = d.masked_fill(positive, torch.inf).amin(1)
            cost = (far - near + 0.2).clamp_min(0)[:, None].masked_fill(~taken, 0)
        each = cost.flatten(1).sum(1)
        if reduction == "none":
            return each
        return each.sum() / {"sum": 1, "mean": taken.sum(), "active": (cost > 0).sum()}[reduction]

    options = {"mining": mining, "distance": measure, "reduction": reduction}
    compare(lambda x, y, z, l: triplet_loss(x, y, 0.2, references=z, reference_labels=l, **options), oracle)


@pytest.mark.parametrize("epsilon", [0.1, None])
def test_multi_similarity_equals_the_formula(backend, strips, epsilon):
    def oracle(x, y, z, labels):
        s = x @ z.T
        positive = y[:, None] == labels
        negative = ~positive
        if epsilon is not None:
            lowest = s.masked_fill(negative, torch.inf).amin(1, keepdim=True)
            highest = s.masked_fill(positive, -torch.inf).amax(1, keepdim=True)
            positive, negative = positive & (s - epsilon < highest), negative & (s + epsilon > lowest)
        pull = (1 + ((-2 * (s - 0.5)).exp() * positive).sum(1)).log() / 2
        return (pull + (1 + ((5 * (s - 0.5)).exp() * negative).sum(1)).log() / 5).mean()

    module = MultiSimilarityLoss(2.0, 5.0, 0.5, epsilon)
    compare(lambda x, y, z, l: module(x, y, references=z, reference_labels=l), oracle)


@pytest.mark.parametrize("loss", [BinomialDeviancePairs(2.0, 5.0, 0.3), TripletPairs(0.2)])
def test_pair_based_equals_the_loss_of_the_whole_matrix(strips, loss):
    compare(
        lambda x, y, z, l: pair_based_loss(x, y, loss, references=z, reference_labels=l),
        lambda x, y, z, l: loss(x @ z.T, (y[:, None] == l).double(), (y[:, None] != l).double()).mean(),
    )


def test_peers():
    """pytorch-metric-learning calls them ref_emb and ref_labels."""
    x, y, z, labels = sets(5)
    given = {"references": z, "reference_labels": labels}
    known = {"ref_emb": z, "ref_labels": labels}
    plain = LpDistance(normalize_embeddings=False)
    inner = DotProductSimilarity(normalize_embeddings=False)
    peer = peers.ContrastiveLoss(0.5, 2.0, distance=plain, reducer=MeanReducer())
    torch.testing.assert_close(contrastive_loss(x, y, 0.5, 2.0, power=1, **given), peer(x, y, **known))
    peer = peers.TripletMarginLoss(0.2, distance=plain)
    torch.testing.assert_close(triplet_loss(x, y, reduction="active", **given), peer(x, y, **known))
    miner = MultiSimilarityMiner(0.1, distance=inner)
    pairs = miner(x, y, z, labels)
    peer = peers.MultiSimilarityLoss(distance=inner)
    torch.testing.assert_close(multi_similarity_loss(x, y, **given), peer(x, y, pairs, **known))


@pytest.mark.parametrize("name", LOSSES)
def test_the_same_rows_as_references_are_no_longer_oneself(name):
    """Each row then has itself as a positive, which costs nothing where it is a distance."""
    function, options = LOSSES[name]
    x, y = batch(9, 3, 3, scale=0.05)
    y[:] = torch.arange(9)  # no positives but oneself
    alone = function(x, y, **options)
    with_itself = function(x, y, **options, references=x, reference_labels=y)
    assert alone.isfinite() and with_itself.isfinite()
    if name == "contrastive":
        torch.testing.assert_close(alone, with_itself)
    else:
        assert alone != with_itself


@pytest.mark.parametrize("name", LOSSES)
def test_only_the_gradients_that_are_asked_for(name):
    function, options = LOSSES[name]
    x, y, z, labels = sets()
    for ours, theirs in ((True, False), (False, True)):
        a, b = x.clone().requires_grad_(ours), z.clone().requires_grad_(theirs)
        function(a, y, **options, references=b, reference_labels=labels).backward()
        assert (a.grad is not None) == ours and (b.grad is not None) == theirs
    arrays = [
        value.float().numpy() if value.is_floating_point() else value.numpy() for value in (x, y, z, labels)
    ]
    assert isinstance(
        function(*arrays[:2], **options, references=arrays[2], reference_labels=arrays[3]), float
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"reference_labels": None}, ValueError, "references and reference_labels must be given together"),
        (
            {"references": torch.zeros(4, 2).double()},
            ValueError,
            "references must have as many columns as embeddings, 3; got 2",
        ),
        ({"references": torch.zeros(21, 3)}, TypeError, "embeddings and references must have the same dtype"),
        ({"references": torch.full((21, 3), torch.nan).double()}, ValueError, "references must be finite"),
        (
            {"reference_labels": torch.zeros(3).long()},
            ValueError,
            r"reference_labels must have shape \(21,\); got \(3,\)",
        ),
    ],
)
def test_refusals_name_the_argument(name, change, error, message):
    function, options = LOSSES[name]
    x, y, z, labels = sets()
    with pytest.raises(error, match=message):
        function(x, y, **options, **{"references": z, "reference_labels": labels, **change})

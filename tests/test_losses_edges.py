"""Edge loss by cosines: against plain torch in float64, its bounds, its gradient, and nodes that have no direction."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from corelib.losses import edge_cosine_bce
from corelib.losses import edges as module


def plain(z, pos, neg, reduction="mean"):
    """The official code: cosine_similarity of gathered rows, then BCE with logits."""
    pairs = torch.cat([pos, neg], dim=1)
    target = torch.cat([torch.ones(pos.shape[1]), torch.zeros(neg.shape[1])]).to(z)
    cosines = F.cosine_similarity(z[pairs[0]], z[pairs[1]], dim=1, eps=0)
    return F.binary_cross_entropy_with_logits(cosines, target, reduction=reduction)


def case(seed, n=30, e=5, m=60, k=45, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, e, dtype=dtype, generator=generator)
    pos, neg = (torch.randint(n, (2, pairs), generator=generator) for pairs in (m, k))
    return z, pos, neg


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 12), e=st.integers(1, 6), m=st.integers(0, 20), k=st.integers(0, 20),
    reduction=st.sampled_from(["mean", "sum", "none"]), chunk=st.sampled_from([1, 3, 1000]),
)
def test_it_is_the_plain_loss(seed, n, e, m, k, reduction, chunk):
    if m + k == 0:
        return
    z, pos, neg = case(seed, n, e, m, k)
    weights = torch.randn(m + k if reduction == "none" else (), dtype=z.dtype, generator=torch.Generator().manual_seed(1))
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_BYTES", 8 * e * chunk)
        for way in (plain, edge_cosine_bce):
            point = z.clone().requires_grad_()
            loss = way(point, pos, neg, reduction=reduction)
            (loss * weights).sum().backward()
            results.append((loss.detach(), point.grad))
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_gradcheck():
    z, pos, neg = case(3, n=6, e=3, m=8, k=8)
    assert torch.autograd.gradcheck(lambda z: edge_cosine_bce(z, pos, neg, reduction="none"), z.requires_grad_())


def test_the_two_extreme_embeddings_reach_the_bounds():
    one = torch.tensor([[1.0, 0.0], [2.0, 0.0], [-3.0, 0.0]], dtype=torch.float64)
    same, opposite, none = torch.tensor([[0], [1]]), torch.tensor([[0], [2]]), torch.empty(2, 0, dtype=torch.int64)
    low, high = math.log1p(math.exp(-1)), math.log1p(math.e)
    for pos, neg, expected in ((same, opposite, low), (opposite, same, high), (same, none, low), (none, same, high)):
        assert float(edge_cosine_bce(one, pos, neg)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_lengths_do_not_count(dtype, scale):
    z, pos, neg = case(4, dtype=dtype)
    lengths = scale * torch.linspace(1, 7, len(z), dtype=dtype)[:, None]
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(
        edge_cosine_bce(z * lengths, pos, neg, reduction="none"), edge_cosine_bce(z, pos, neg, reduction="none"),
        rtol=tolerance, atol=tolerance,
    )


def test_the_gradient_shrinks_as_the_length_grows_and_has_no_part_along_the_row():
    z, pos, neg = case(5)
    grads = []
    for factor in (1.0, 10.0):
        point = (factor * z).requires_grad_()
        edge_cosine_bce(point, pos, neg).backward()
        grads.append(point.grad)
    torch.testing.assert_close(grads[1] * 10, grads[0], rtol=1e-12, atol=1e-15)
    assert (grads[0] * z).sum(1).abs().max() < 1e-15


@pytest.mark.parametrize("nothing", [0.0, 1e-300])
def test_a_node_without_direction_costs_log_2_and_has_no_gradient(nothing):
    z, pos, neg = case(6)
    z[3] = nothing
    z.requires_grad_()
    costs = edge_cosine_bce(z, pos, neg, reduction="none")
    touched = (torch.cat([pos, neg], dim=1) == 3).any(0)
    assert touched.any() and (costs[touched] == math.log(2)).all()
    costs.sum().backward()
    assert bool(z.grad.isfinite().all()) and not z.grad[3].any() and z.grad.any()


def test_float32_is_the_rounded_float64_result():
    z, pos, neg = case(7, dtype=torch.float32)
    got = edge_cosine_bce(z, pos, neg)
    assert got.dtype == torch.float32
    assert float(got) == pytest.approx(float(edge_cosine_bce(z.double(), pos, neg)), rel=1e-7)


def test_numpy_strided_and_read_only_arrays():
    z, pos, neg = (value.numpy() for value in case(8))
    wide = np.zeros((60, 10))
    wide[::2, ::2] = z
    view = wide[::2, ::2]
    view.flags.writeable = False
    assert edge_cosine_bce(view, pos, np.asfortranarray(neg)) == edge_cosine_bce(z, pos, neg)
    assert isinstance(edge_cosine_bce(z, pos, neg), float)
    assert edge_cosine_bce(z, pos, neg, reduction="none").shape == (105,)


def test_the_order_of_nodes_and_of_ends_does_not_matter():
    z, pos, neg = case(9)
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    expected = edge_cosine_bce(z, pos, neg, reduction="none")
    torch.testing.assert_close(edge_cosine_bce(z[order], place[pos], place[neg].flip(0), reduction="none"), expected)


def test_memory_does_not_hold_matrices_of_pairs():
    """What the backward pass keeps is of the size of the nodes and of a few numbers per pair."""
    z, pos, neg = case(10, n=50, e=64, m=4000, k=4000)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        edge_cosine_bce(z.requires_grad_(), pos, neg)
    assert max(kept) <= 2 * 8000


Z, EDGE = torch.eye(3), torch.tensor([[0], [1]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Z, EDGE, EDGE + 2), ValueError, r"neg_edges must lie in 0..2; got 2..3"),
        ((Z, EDGE - 1, EDGE), ValueError, r"pos_edges must lie in 0..2; got -1..0"),
        ((Z, EDGE.T[..., None], EDGE), ValueError, r"pos_edges must have shape \(2, pairs\)"),
        ((Z, EDGE, EDGE.T.repeat(2, 1).T.repeat(2, 1)), ValueError, r"neg_edges must have shape \(2, pairs\)"),
        ((Z, EDGE.int(), EDGE), TypeError, "pos_edges must be int64"),
        ((Z, EDGE, [[0], [1]]), TypeError, "neg_edges must be a torch.Tensor"),
        ((Z, EDGE[:, :0], EDGE[:, :0]), ValueError, "at least one pair"),
        ((Z * torch.nan, EDGE, EDGE), ValueError, "embeddings must be finite"),
        ((Z.int(), EDGE, EDGE), TypeError, "embeddings must be float32 or float64"),
        ((Z[0], EDGE, EDGE), ValueError, "embeddings must be 2-dimensional"),
        ((Z.numpy(), EDGE, EDGE), TypeError, "pass all arrays in one of the two"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        edge_cosine_bce(*arguments)


def test_a_second_derivative_is_refused():
    z, pos, neg = case(11)
    (grad,) = torch.autograd.grad(edge_cosine_bce(z.requires_grad_(), pos, neg), z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()

"""Multi-similarity, its miner, and InfoNCE: every path against loops written from the papers' formulas, and against peers."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import MultiSimilarityLoss as PeerLoss
from pytorch_metric_learning.losses import NTXentLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner as PeerMiner

from corelib.engines import multi_similarity as engine
from corelib.kernels import contrastive as kernel
from corelib.kernels import cpu
from corelib.losses import (
    InfoNCELoss,
    MultiSimilarityLoss,
    info_nce,
    multi_similarity_loss,
    multi_similarity_miner,
)

LONG = np.longdouble


def batch(n=37, d=6, classes=8, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = F.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64)).to(dtype)
    return x, torch.randint(classes, (n,), generator=generator)


def naive_multi_similarity(x, labels, alpha=2.0, beta=50.0, base=0.5, epsilon=0.1):
    """Loss, d loss / d S, and the kept pairs, anchor by anchor in extended precision, straight from the paper."""
    s = x.double().numpy() @ x.double().numpy().T
    n = len(s)
    loss, weights, kept_pos, kept_neg = LONG(0), np.zeros((n, n)), [], []
    for i in range(n):
        pos = [j for j in range(n) if j != i and labels[j] == labels[i]]
        neg = [j for j in range(n) if labels[j] != labels[i]]
        if epsilon is not None:
            hardest_neg = max((s[i, k] for k in neg), default=-np.inf)
            hardest_pos = min((s[i, k] for k in pos), default=np.inf)
            pos = [j for j in pos if s[i, j] - epsilon < hardest_neg]
            neg = [j for j in neg if s[i, j] + epsilon > hardest_pos]
        kept_pos += [(i, j) for j in pos]
        kept_neg += [(i, j) for j in neg]
        for side, slope, sign in ((pos, LONG(alpha), -1), (neg, LONG(beta), 1)):
            terms = [np.exp(sign * slope * (LONG(s[i, k]) - LONG(base))) for k in side]
            denominator = 1 + sum(terms, LONG(0))
            loss += np.log(denominator) / slope
            for k, term in zip(side, terms, strict=True):
                weights[i, k] = sign * term / denominator / n
    return float(loss / n), weights, kept_pos, kept_neg


def naive_info_nce(queries, keys, temperature, labels=None):
    s = (queries.double().numpy() @ keys.double().numpy().T).astype(LONG) / LONG(temperature)
    targets = range(len(s)) if labels is None else labels.tolist()
    return float(
        sum(
            np.log(np.exp(row - row.max()).sum()) + row.max() - row[t]
            for row, t in zip(s, targets, strict=True)
        )
        / len(s)
    )


def tolerance(dtype):
    rtol, atol = (1e-12, 1e-14) if dtype == torch.float64 else (3e-5, 1e-6)
    return {"rtol": rtol, "atol": atol}


# ---- multi-similarity: the value, the pairs, the gradient


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("epsilon", [0.1, 0.5, 0.0, -0.2, None])
def test_multi_similarity_equals_the_loop(backend, strips, dtype, epsilon):
    x, y = batch(dtype=dtype)
    x.requires_grad_()
    value = multi_similarity_loss(x, y, 1.5, 30.0, 0.4, epsilon)
    expected, weights, *_ = naive_multi_similarity(x.detach(), y, 1.5, 30.0, 0.4, epsilon)
    assert value.dtype == dtype and value.shape == ()
    np.testing.assert_allclose(value.item(), expected, **tolerance(dtype))
    value.backward()
    gradient = (weights + weights.T) @ x.detach().double().numpy()
    np.testing.assert_allclose(x.grad.numpy(), gradient, **tolerance(dtype))


def test_pair_weights_are_the_closed_forms(backend):
    """With n independent rows in n dimensions, the gradient determines the symmetric part of d loss / d S."""
    x = torch.eye(12, dtype=torch.float64) * 0.9 + 0.1 * batch(12, 12)[0]
    y = torch.arange(12) % 4
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(multi_similarity_loss(x, y, base=0.1), x)
    weights = naive_multi_similarity(x.detach(), y, base=0.1)[1]
    assert not np.allclose(weights, weights.T)
    np.testing.assert_allclose(
        gradient.numpy() @ np.linalg.inv(x.detach().numpy()), weights + weights.T, atol=1e-14
    )


@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 60), classes=st.integers(1, 6), steepness=st.floats(0.5, 50)
)
@settings(max_examples=40, deadline=None)
def test_kernel_weights_of_a_row_sum_to_less_than_one(seed, n, classes, steepness):
    """The 1 in the denominator of the paper's weights; and the diagonal never weighs anything."""
    x, y = batch(n, 3, classes, seed=seed)
    y = y.sort().values.numpy()
    s = (x @ x.T).numpy()
    first, last = np.searchsorted(y, y), np.searchsorted(y, y, side="right")
    kernel.multi_similarity(s, 0, first, last, steepness / 20, steepness, 0.5, None, 1.0, np.empty(n))
    assert (np.where(s > 0, s, 0).sum(axis=1) < 1).all()
    assert (np.where(s < 0, -s, 0).sum(axis=1) < 1).all()
    assert (np.diag(s) == 0).all()


@pytest.mark.parametrize(("n", "classes"), [(64, 8), (64, 3), (50, 40), (12, 1)])
def test_multi_similarity_equals_pytorch_metric_learning(backend, n, classes):
    """On unit vectors the two agree in value; the peer normalises inside, so its gradient is the tangential part."""
    x, y = batch(n, 8, classes)
    x.requires_grad_()
    peer = PeerLoss(alpha=2, beta=50, base=0.5)(x, y, PeerMiner(epsilon=0.1)(x, y))
    ours = multi_similarity_loss(x, y)
    np.testing.assert_allclose(ours.item(), peer.item(), rtol=1e-12)
    if peer.item():
        (peer_gradient,) = torch.autograd.grad(peer, x)
        (gradient,) = torch.autograd.grad(ours, x)
        tangential = gradient - (gradient * x).sum(dim=1, keepdim=True) * x
        torch.testing.assert_close(tangential, peer_gradient, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("epsilon", [0.1, 0.0, 0.4, -0.3])
def test_miner_equals_the_loop_and_the_peer(backend, strips, epsilon):
    x, y = batch()
    mined = multi_similarity_miner(x, y, epsilon)
    assert all(part.dtype == torch.int64 for part in mined)
    pos, neg = (list(zip(a.tolist(), b.tolist(), strict=True)) for a, b in (mined[:2], mined[2:]))
    _, _, kept_pos, kept_neg = naive_multi_similarity(x, y, epsilon=epsilon)
    assert (pos, neg) == (kept_pos, kept_neg)
    assert 0 < len(pos) + len(neg) < len(y) * (len(y) - 1)
    a, p, b, q = PeerMiner(epsilon=epsilon)(x, y)
    assert set(pos) == set(zip(a.tolist(), p.tolist(), strict=True))
    assert set(neg) == set(zip(b.tolist(), q.tolist(), strict=True))


def test_mining_is_not_symmetric():
    x, y = batch(40)
    _, _, anchors, negatives = multi_similarity_miner(x, y)
    pairs = set(zip(anchors.tolist(), negatives.tolist(), strict=True))
    assert {(j, i) for i, j in pairs} != pairs


@pytest.mark.parametrize("labels", [[3] * 5, [0, 1, 2, 3, 4], [7]])
def test_batches_without_both_kinds_of_pair_cost_nothing_with_mining(backend, labels):
    x = batch(len(labels))[0].requires_grad_()
    y = torch.tensor(labels)
    value = multi_similarity_loss(x, y)
    value.backward()
    assert value.item() == 0 and (x.grad == 0).all()
    assert all(len(part) == 0 for part in multi_similarity_miner(x, y))
    expected = naive_multi_similarity(x.detach(), y, epsilon=None)[0]
    np.testing.assert_allclose(multi_similarity_loss(x, y, epsilon=None).item(), expected, rtol=1e-12)


def test_anchors_without_pairs_count_in_the_mean(backend):
    """Two far classes and one lonely point among them: the mean is over all anchors, as the paper's 1/m says."""
    x = F.normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [-1.0, 0.1]], dtype=torch.float64))
    y = torch.tensor([0, 0, 1, 2])
    kept = multi_similarity_miner(x, y)
    assert set(kept[0].tolist()) | set(kept[2].tolist()) == {0, 1}
    np.testing.assert_allclose(
        multi_similarity_loss(x, y).item(), naive_multi_similarity(x, y)[0], rtol=1e-12
    )


def test_an_exact_duplicate_is_a_positive(backend):
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    y = torch.tensor([0, 0, 1])
    value = multi_similarity_loss(x, y, epsilon=None)
    np.testing.assert_allclose(value.item(), naive_multi_similarity(x, y, epsilon=None)[0], rtol=1e-12)
    assert multi_similarity_miner(x, y, epsilon=1.0)[0].tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steep_exponents_do_not_overflow(backend, dtype):
    x, y = batch(20, 4, 5, dtype)
    x = (
        4.4 * x
    ).requires_grad_()  # exponents up to 9,000, near the end of the extended range of the reference
    value = multi_similarity_loss(x, y, 50.0, 500.0)
    value.backward()
    np.testing.assert_allclose(value.item(), naive_multi_similarity(x.detach(), y, 50.0, 500.0)[0], rtol=1e-5)
    assert torch.isfinite(x.grad).all()


@given(seed=st.integers(0, 10**6), n=st.integers(2, 70), classes=st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_order_names_and_rotation_do_not_matter(seed, n, classes):
    x, y = batch(n, 5, classes, seed=seed)
    rng = np.random.default_rng(seed)
    value = multi_similarity_loss(x, y).item()
    order = torch.from_numpy(rng.permutation(n))
    names = torch.from_numpy(rng.permutation(classes) * 1000 - 500)
    rotation = torch.from_numpy(np.linalg.qr(rng.normal(size=(5, 5)))[0])
    assert multi_similarity_loss(x[order], y[order]).item() == pytest.approx(value, rel=1e-12, abs=1e-15)
    assert multi_similarity_loss(x, names[y]).item() == pytest.approx(value, rel=1e-12, abs=1e-15)
    assert multi_similarity_loss(x @ rotation, y, epsilon=None).item() == pytest.approx(
        multi_similarity_loss(x, y, epsilon=None).item(), rel=1e-10
    )


# ---- InfoNCE: the value and the gradient


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 10.0])
@pytest.mark.parametrize("extra", [0, 13])
def test_info_nce_equals_the_loop_and_cross_entropy(backend, strips, dtype, temperature, extra):
    q, k = (
        batch(37, dtype=dtype)[0].requires_grad_(),
        batch(37 + extra, dtype=dtype, seed=1)[0].requires_grad_(),
    )
    value = info_nce(q, k, temperature)
    assert value.dtype == dtype and value.shape == ()
    np.testing.assert_allclose(
        value.item(), naive_info_nce(q.detach(), k.detach(), temperature), **tolerance(dtype)
    )
    gradients = torch.autograd.grad(value, (q, k))
    a, b = q.detach().double().requires_grad_(), k.detach().double().requires_grad_()
    expected = torch.autograd.grad(F.cross_entropy(a @ b.T / temperature, torch.arange(37)), (a, b))
    for gradient, reference in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, reference, **tolerance(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_info_nce_with_labels(backend, strips, dtype):
    q, k = batch(37, dtype=dtype)[0].requires_grad_(), batch(20, dtype=dtype, seed=1)[0].requires_grad_()
    y = torch.randint(20, (37,), generator=torch.Generator().manual_seed(0))
    assert len(y.unique()) < len(y)
    value = info_nce(q, k, 0.1, labels=y)
    np.testing.assert_allclose(
        value.item(), naive_info_nce(q.detach(), k.detach(), 0.1, y), **tolerance(dtype)
    )
    gradients = torch.autograd.grad(value, (q, k))
    expected = torch.autograd.grad(F.cross_entropy(q @ k.T / 0.1, y), (q, k))
    for gradient, reference in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, reference, **tolerance(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_symmetric_info_nce_is_the_mean_of_both_directions(backend, strips, dtype, scale):
    """At the larger scale the columns' maxima lie hundreds of temperatures away from the rows'."""
    q, k = batch(300, dtype=dtype)[0] * scale, batch(300, dtype=dtype, seed=1)[0]
    q.requires_grad_(), k.requires_grad_()
    value = info_nce(q, k, 0.1, symmetric=True)
    a, b = q.detach(), k.detach()
    expected = (naive_info_nce(a, b, 0.1) + naive_info_nce(b, a, 0.1)) / 2
    np.testing.assert_allclose(value.item(), expected, **tolerance(dtype))
    gradients = torch.autograd.grad(value, (q, k))
    forth, back = info_nce(q, k, 0.1), info_nce(k, q, 0.1)
    for gradient, reference in zip(gradients, torch.autograd.grad((forth + back) / 2, (q, k)), strict=True):
        np.testing.assert_allclose(
            gradient,
            reference,
            rtol=1e-3 if dtype == torch.float32 else 1e-11,
            atol=1e-6 * scale if dtype == torch.float32 else 1e-13,
        )


def test_info_nce_equals_nt_xent(backend):
    """SimCLR's loss over two views: the other view is the positive, the anchor itself no candidate."""
    x = batch(10)[0]
    y = torch.arange(10) % 5
    losses = []
    for i in range(10):
        others = torch.cat([x[:i], x[i + 1 :]])
        partner = (i + 5) % 10
        losses.append(
            info_nce(x[i : i + 1], others, 0.2, labels=torch.tensor([partner - (partner > i)])).item()
        )
    assert np.mean(losses) == pytest.approx(NTXentLoss(temperature=0.2)(x, y).item(), rel=1e-10)


def test_a_confident_float32_loss_keeps_its_digits():
    """log(1 + 1e-10) is 0 if the 1 is added in float32; the derivative of the right pair is its negative."""
    s = np.array([[0.0, -np.log(1e10)]], dtype=np.float32)
    losses = np.empty(1)
    scales = np.empty(1)
    kernel.info_nce(s, np.array([0]), 1.0, 0.0, 0.0, True, losses, scales)
    np.testing.assert_allclose(losses, 1e-10, rtol=1e-5)
    np.testing.assert_allclose(scales[:, None] * s, [[-1e-10, 1e-10]], rtol=1e-5)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), extra=st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_info_nce_ignores_what_all_keys_share_and_the_order_of_extra_keys(seed, n, extra):
    q, k = batch(n, seed=seed)[0], batch(n + extra, seed=seed + 1)[0]
    value = info_nce(q, k).item()
    rng = np.random.default_rng(seed)
    assert info_nce(q, k + torch.from_numpy(rng.normal(size=6))).item() == pytest.approx(
        value, rel=1e-9, abs=1e-12
    )
    order = np.concatenate([np.arange(n), n + rng.permutation(extra)])
    assert info_nce(q, k[order]).item() == pytest.approx(value, rel=1e-12, abs=1e-15)
    assert value <= info_nce(q, torch.cat([k, k[:1]])).item()


# ---- autograd, torch.compile, autocast


LOSSES = {
    "multi_similarity": lambda x: multi_similarity_loss(x, torch.arange(len(x)) % 3, beta=5.0),
    "info_nce": lambda x: info_nce(x, x.sin(), 0.5),
    "info_nce labels": lambda x: info_nce(x, x[:4].sin(), 0.5, labels=torch.arange(len(x)) % 4),
    "info_nce symmetric": lambda x: info_nce(x, x.sin(), 0.5, symmetric=True),
}


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


def test_gradcheck(backend, loss):
    assert torch.autograd.gradcheck(loss, batch(9)[0].requires_grad_())


def test_upstream_factors_and_a_second_backward_pass(backend, loss):
    x = batch(9)[0].requires_grad_()
    value = loss(x)
    (once,) = torch.autograd.grad(value, x, retain_graph=True)
    kept = once.clone()
    (scaled,) = torch.autograd.grad(-3 * value, x, retain_graph=True)
    once.zero_()
    (again,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(scaled, -3 * kept)
    torch.testing.assert_close(again, kept)


def test_gradients_accumulate(loss):
    x = batch(9)[0].requires_grad_()
    value = loss(x)
    value.backward(retain_graph=True)
    once = x.grad.clone()
    value.backward(retain_graph=True)
    value.backward()
    torch.testing.assert_close(x.grad, 3 * once)


def test_second_derivatives_are_refused(loss):
    x = batch(9)[0].requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("which", ["queries", "keys"])
def test_one_side_alone_may_need_a_gradient(backend, which):
    q, k = batch(9)[0], batch(9, seed=1)[0]
    both = torch.autograd.grad(info_nce(q.requires_grad_(), k.requires_grad_()), (q, k))
    q, k = q.detach(), k.detach()
    wanted = (q if which == "queries" else k).requires_grad_()
    (one,) = torch.autograd.grad(info_nce(q, k), wanted)
    assert torch.equal(one, both[which == "keys"])


def test_value_is_the_same_without_gradients(backend, loss):
    x = batch(40)[0]
    with torch.no_grad():
        assert loss(x) == loss(x.clone().requires_grad_()).detach()


def test_operators_are_registered_properly(backend):
    x, y = batch(9)
    operator, rule = engine.multi_similarity.traced, (2.0, 50.0, 0.5, 0.1)
    torch.library.opcheck(operator, (x.requires_grad_(), y, None, None, *rule, True, False))
    torch.library.opcheck(operator, (x, y, x.detach()[:5], y[:5], *rule, True, False))
    q, k = batch(9)[0].requires_grad_(), batch(9, seed=1)[0].requires_grad_()
    torch.library.opcheck(
        torch.ops.corelib.info_nce.default, (q, k, *(None,) * 6, 0.1, True, 0.0, 0.0, True, True, True, False)
    )
    torch.library.opcheck(
        torch.ops.corelib.info_nce.default,
        (q, k[:4], None, y % 4, *(None,) * 4, 0.1, False, 1.0, 0.5, False, True, True, False),
    )


def test_torch_compile_sees_one_graph(loss):
    x = batch(9)[0].requires_grad_()
    compiled = torch.compile(lambda x: 2 * loss(x * 1.5), backend="aot_eager", fullgraph=True)
    (expected,) = torch.autograd.grad(2 * loss(x * 1.5), x)
    (gradient,) = torch.autograd.grad(compiled(x), x)
    torch.testing.assert_close(gradient, expected)


def test_autocast_does_not_lower_the_precision(backend, loss):
    x = batch(40, dtype=torch.float32)[0]
    expected = loss(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(x) == expected


# ---- inputs of every kind


def test_inputs_may_be_strided_and_read_only_and_stay_as_they_were(backend):
    wide, y = batch(21, 12)
    layouts = [wide[:, ::2], wide.flip(0)[:, :6], wide[:, :6].T.contiguous().T, wide[:1, :6].expand(21, 6)]
    for x in layouts:
        plain, strided = x.clone(memory_format=torch.contiguous_format), x.detach()
        for function in (lambda t: multi_similarity_loss(t, y), lambda t: info_nce(t, t, symmetric=True)):
            a, b = plain.clone().requires_grad_(), strided.requires_grad_()
            expected, value = function(a), function(b)
            torch.testing.assert_close(value, expected)
            torch.testing.assert_close(torch.autograd.grad(value, b)[0], torch.autograd.grad(expected, a)[0])
        assert torch.equal(x, plain)
    array, labels = wide.numpy().copy(), y.numpy().copy()
    array.flags.writeable = labels.flags.writeable = False
    assert multi_similarity_loss(array, labels) == multi_similarity_loss(wide, y).item()
    assert info_nce(array, array[::-1]) == pytest.approx(info_nce(wide, wide.flip(0)).item(), rel=1e-12)


def test_arrays_in_arrays_out():
    x, y = batch()
    mined = multi_similarity_miner(x.numpy(), y.numpy())
    for array, tensor in zip(mined, multi_similarity_miner(x, y), strict=True):
        assert isinstance(array, np.ndarray) and array.dtype == np.int64
        assert array.tolist() == tensor.tolist()
    value = info_nce(x.numpy(), x.numpy(), labels=y.numpy())
    assert isinstance(value, float) and value == info_nce(x, x, labels=y).item()


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32])
def test_labels_of_every_integer_type(backend, dtype):
    x, y = batch()
    assert multi_similarity_loss(x, y.to(dtype)) == multi_similarity_loss(x, y)
    assert info_nce(x, x, labels=y.to(dtype)) == info_nce(x, x, labels=y)


def test_modules_are_the_functions():
    x, y = batch()
    module = MultiSimilarityLoss(1.0, 20.0, 0.3, None)
    assert module(x, y) == multi_similarity_loss(x, y, 1.0, 20.0, 0.3, None)
    assert repr(module) == "MultiSimilarityLoss(alpha=1.0, beta=20.0, base=0.3, epsilon=None)"
    assert InfoNCELoss(0.2)(x, x, y) == info_nce(x, x, 0.2, labels=y)
    assert copy.deepcopy(InfoNCELoss(0.2, symmetric=True))(x, x) == info_nce(x, x, 0.2, symmetric=True)
    with pytest.raises(ValueError, match="temperature must be greater than 0"):
        InfoNCELoss(0)
    with pytest.raises(TypeError, match="epsilon must be a real number"):
        MultiSimilarityLoss(epsilon="0.1")


X = torch.eye(4, 3)
Y = torch.tensor([0, 0, 1, 1])
NAN = torch.tensor([[0.0, float("nan"), 1.0]] * 4)


@pytest.mark.parametrize("function", [multi_similarity_loss, multi_similarity_miner])
@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (([[1.0]], Y), TypeError, "embeddings must be a torch.Tensor or a numpy.ndarray; got list"),
        ((X > 0, Y), TypeError, "embeddings must hold floats of 16, 32 or 64 bits; got bool"),
        ((X.int(), Y), TypeError, "embeddings must hold floats of 16, 32 or 64 bits; got int32"),
        ((X[0], Y), ValueError, r"embeddings must be 2-dimensional; got shape \(3,\)"),
        (
            (X[:0], Y[:0]),
            ValueError,
            r"embeddings must have at least one row and one column; got shape \(0, 3\)",
        ),
        (
            (X[:, :0], Y),
            ValueError,
            r"embeddings must have at least one row and one column; got shape \(4, 0\)",
        ),
        ((NAN, Y), ValueError, "embeddings must be finite; 4 of 12 entries are NaN or infinite"),
        ((-X / 0, Y), ValueError, "embeddings must be finite"),
        (
            (X * 1e20, Y),
            ValueError,
            "embeddings must be small enough for .* to stay within float32; it may reach inf|.*e\\+",
        ),
        ((X.numpy(), Y), TypeError, "embeddings is a numpy.ndarray but labels is a torch.Tensor"),
        ((X, [0, 0, 1, 1]), TypeError, "labels must be a torch.Tensor or a numpy.ndarray; got list"),
        ((X, Y.float()), TypeError, "labels must hold integers; got float32"),
        ((X, Y.bool()), TypeError, "labels must hold integers; got bool"),
        (
            (X, Y[:3]),
            ValueError,
            r"labels must have shape \(4,\); got \(3,\)",
        ),
        ((X, Y[:, None]), ValueError, r"labels must have shape \(4,\); got \(4, 1\)"),
        ((X, Y.to("meta")), ValueError, "labels and embeddings must be on the same device; got meta and cpu"),
    ],
)
def test_multi_similarity_refuses(backend, function, args, error, message):
    with pytest.raises(error, match=message):
        function(*args)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"alpha": 0}, ValueError, "alpha must be greater than 0; got 0.0"),
        ({"beta": -1.0}, ValueError, "beta must be greater than 0; got -1.0"),
        ({"beta": 1e39}, ValueError, "embeddings must be small enough for beta .* to stay within float32"),
        ({"alpha": "2"}, TypeError, "alpha must be a real number; got str"),
        ({"base": float("nan")}, ValueError, "base must be finite; got nan"),
        ({"epsilon": float("inf")}, ValueError, "epsilon must be finite; got inf"),
        ({"epsilon": True}, TypeError, "epsilon must be a real number; got bool"),
    ],
)
def test_multi_similarity_refuses_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        multi_similarity_loss(X, Y, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "message"),
    [
        (([[1.0]], X), {}, TypeError, "queries must be a torch.Tensor or a numpy.ndarray; got list"),
        ((X, None), {}, TypeError, "keys must be a torch.Tensor or a numpy.ndarray; got NoneType"),
        (
            (X, X.double()),
            {},
            TypeError,
            "queries and keys must have the same dtype; got float32 and float64",
        ),
        ((X, X[:, :2]), {}, ValueError, "queries and keys must have the same number of columns; got 3 and 2"),
        ((X, X[:3]), {}, ValueError, r"keys must have at least as many rows as queries \(4\); got 3"),
        ((X[:0], X), {}, ValueError, "queries must have at least one row"),
        ((X, X[:0]), {}, ValueError, "keys must have at least one row"),
        ((X, NAN), {}, ValueError, "keys must be finite; 4 of 12"),
        ((NAN, X), {}, ValueError, "queries must be finite; 4 of 12"),
        (
            (1e20 * X, 1e20 * X),
            {},
            ValueError,
            "queries and keys must be small enough for inner product / temperature",
        ),
        ((X, X), {"temperature": 0.0}, ValueError, "temperature must be greater than 0; got 0.0"),
        ((X, X), {"temperature": 1e-40}, ValueError, "temperature must lie between 1e-37 and 1e280"),
        ((X, X), {"temperature": 5e-324}, ValueError, "temperature must lie between 1e-37 and 1e280"),
        ((X, X), {"temperature": None}, TypeError, "temperature must be a real number; got NoneType"),
        ((X, X), {"symmetric": 1}, TypeError, "symmetric must be True or False; got int"),
        ((X, X), {"symmetric": True, "labels": Y}, ValueError, "labels must be None if symmetric is True"),
        ((X, X), {"labels": Y + 3}, ValueError, r"labels must lie in 0\.\.3; got 3\.\.4"),
        ((X, X), {"labels": Y - 1}, ValueError, r"labels must lie in 0\.\.3; got -1\.\.0"),
        (
            (X, X),
            {"labels": Y[:2]},
            ValueError,
            r"labels must have shape \(4,\); got \(2,\)",
        ),
        ((X, X), {"labels": Y.double()}, TypeError, "labels must hold integers; got float64"),
    ],
)
def test_info_nce_refuses(backend, args, kwargs, error, message):
    with pytest.raises(error, match=message):
        info_nce(*args, **kwargs)


def test_lengths_whose_products_fit_are_taken(backend):
    """Long queries against short keys: only the product must stay within the dtype."""
    q, k = batch(9, dtype=torch.float32)[0], batch(9, dtype=torch.float32, seed=1)[0]
    assert info_nce(q * 2.0**100, k * 2.0**-100).item() == pytest.approx(info_nce(q, k).item(), rel=1e-6)


# ---- threads and memory


@pytest.mark.skipif(cpu.openmp_threads() == 0, reason="built without OpenMP")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_do_not_depend_on_the_number_of_threads(dtype):
    rng = np.random.default_rng(0)
    n = 517
    similarity = rng.uniform(-1, 1, (n, n)).astype(dtype)
    classes = np.sort(rng.integers(30, size=n))
    first, last = np.searchsorted(classes, classes), np.searchsorted(classes, classes, side="right")
    targets = rng.integers(n, size=n)

    def run():
        ms, nce, both = similarity.copy(), similarity.copy(), similarity.copy()
        losses = np.empty((5, n))
        top, sums = np.full(n, np.finfo(dtype).min, dtype), np.zeros(n)
        kernel.multi_similarity(ms, 0, first, last, 2.0, 50.0, 0.5, 0.1, 1.0, losses[0])
        kernel.info_nce(nce, targets, 0.05, 2.0, 0.5, False, losses[1], losses[4])
        kernel.both_sums(both, 0, 0.05, losses[2], losses[3], top, sums)
        kernel.both_weights(both, 0, 0.05, losses[2], top + 0.05 * np.log(sums))
        return ms, nce, both, losses, top, sums

    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(run())
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(("implementation", "limit"), [("compiled", 20), ("torch", 60)])
def test_memory_stays_far_below_the_matrix(implementation, limit):
    """6,144 x 6,144 float32 similarities are 144 MiB; the losses must do with a fraction, and the probe must see it."""
    script = f"""
import torch, corelib
from corelib.losses import info_nce, multi_similarity_loss
corelib.set_backend({implementation!r})
torch.set_num_threads(1)

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

def work(n):
    x = torch.nn.functional.normalize(torch.randn(n, 16)).requires_grad_()
    multi_similarity_loss(x, torch.arange(n) // 4).backward()
    info_nce(x, x + 1, 0.5).backward()
    info_nce(x, x + 1, 0.5, symmetric=True).backward()
    return x.detach()

work(64)
before = peak()
x = work(6144)
tiled = peak()
(x @ x.T).exp_()
print(tiled - before, peak() - before)
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    tiled, full = map(float, output.split())
    assert full > 144
    assert tiled < limit

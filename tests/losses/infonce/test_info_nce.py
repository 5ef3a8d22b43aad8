"""InfoNCE with pairs left out, private hard negatives, and weights on negatives and queries, against plain autograd."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib.losses import InfoNCELoss, info_nce, weighted_info_nce

N, M, H, D = 19, 31, 3, 5


def unit(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1).to(dtype)


def data(dtype=torch.float64):
    """Queries, keys, hard negatives; labels; ids with many twins; a mask that also asks for some own keys."""
    generator = torch.Generator().manual_seed(1)
    leaves = [unit(N, D, dtype=dtype), unit(M, D, seed=1, dtype=dtype), unit(N, H, D, seed=2, dtype=dtype)]
    return (
        [leaf.requires_grad_() for leaf in leaves],
        torch.randint(M, (N,), generator=generator),
        torch.randint(12, (M,), generator=generator),
        torch.rand(N, M, generator=generator) < 0.4,
    )


def negatives_of(own, key_ids=None, mask=None, hard=0):
    """The definition, pair by pair."""
    n, m = len(own), M
    keep = torch.ones(n, m + hard, dtype=torch.bool)
    for i, t in enumerate(own.tolist()):
        for j in range(m):
            twin = key_ids is not None and key_ids[j] == key_ids[t]
            keep[i, j] = j != t and not twin and not (mask is not None and mask[i, j])
    return keep


def dense(
    queries,
    keys,
    own,
    keep,
    temperature=0.05,
    hard_negatives=None,
    *,
    beta=0.0,
    gamma=0.0,
    detach=True,
    weight=1.0,
):
    """The formulas as they stand, with weight matrices, in float64 autograd."""
    q, k = queries.double(), keys.double()
    s = q @ k.T
    positive = s.gather(1, own[:, None])
    if hard_negatives is not None:
        s = torch.cat([s, torch.einsum("nd,nhd->nh", q, hard_negatives.double())], 1)
    w = torch.exp(beta * s.detach()) * keep
    count = keep.sum(1, keepdim=True)
    w = count * w / w.sum(1, keepdim=True).clamp_min(1e-300)
    relative = (w * torch.exp((s - positive) / temperature)).masked_fill(~keep, 0).sum(1)
    loss = torch.log1p(relative)
    focus = (relative / (1 + relative)) ** gamma if gamma else torch.ones_like(loss)
    return (weight * (focus.detach() if detach else focus) * loss).mean()


def assert_same(value, expected, leaves, dtype):
    close = {"rtol": 1e-11, "atol": 1e-13} if dtype == torch.float64 else {"rtol": 2e-4, "atol": 1e-6}
    np.testing.assert_allclose(value.item(), expected.item(), **close)
    gradients = torch.autograd.grad(value, leaves)
    for gradient, reference in zip(gradients, torch.autograd.grad(expected, leaves), strict=True):
        np.testing.assert_allclose(gradient, reference, **close)


# ---- pairs left out and private negatives


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given_labels", [False, True])
@pytest.mark.parametrize("parts", ["ids", "mask", "hard", "ids mask hard"])
def test_left_out_pairs_and_hard_negatives(backend, strips, dtype, given_labels, parts):
    (q, k, h), labels, ids, mask = data(dtype)
    own = labels if given_labels else torch.arange(N)
    key_ids, mask = ids if "ids" in parts else None, mask if "mask" in parts else None
    hard = h if "hard" in parts else None
    value = info_nce(
        q, k, 0.2, labels=labels if given_labels else None, hard_negatives=hard, key_ids=key_ids, mask=mask
    )
    keep = negatives_of(own, key_ids, mask, 0 if hard is None else H)
    assert value.dtype == dtype
    assert_same(value, dense(q, k, own, keep, 0.2, hard), [q, k] + [h] * (hard is not None), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("parts", ["", "ids", "mask", "hard", "ids mask hard"])
def test_symmetric_with_further_keys_left_out_pairs_and_hard_negatives(backend, strips, dtype, parts):
    """Keys beyond the n-th and hard negatives are candidates, and look for nobody; a pair is left out in both directions."""
    (q, k, h), _, ids, mask = data(dtype)
    own = torch.arange(N)
    key_ids, mask = ids if "ids" in parts else None, mask if "mask" in parts else None
    hard = h if "hard" in parts else None
    value = info_nce(q, k, 0.2, symmetric=True, hard_negatives=hard, key_ids=key_ids, mask=mask)
    keep = negatives_of(own, key_ids, mask, 0 if hard is None else H)
    forth = dense(q, k, own, keep, 0.2, hard)
    back = dense(k[:N], q, own, keep[:, :N].T, 0.2)
    assert_same(value, (forth + back) / 2, [q, k] + [h] * (hard is not None), dtype)


def test_ids_are_the_mask_of_equal_ids(backend):
    """The own key stays, though the mask says otherwise."""
    (q, k, _), labels, ids, _ = data()
    full = ids[labels][:, None] == ids
    assert full.gather(1, labels[:, None]).all()
    a, b = info_nce(q, k, labels=labels, key_ids=ids), info_nce(q, k, labels=labels, mask=full)
    assert a.item() == b.item()
    assert info_nce(q, k, labels=labels, key_ids=torch.arange(M)) == info_nce(q, k, labels=labels)


def test_a_duplicate_is_a_false_negative_until_it_is_left_out(backend):
    q = torch.eye(3, dtype=torch.float64)
    keys = torch.cat([q, q[:1]])
    assert 3 * info_nce(q, keys, 0.01).item() == pytest.approx(np.log(2), rel=1e-12)
    assert info_nce(q, keys, 0.01, key_ids=torch.tensor([5, 6, 7, 5])).item() < 1e-40


def test_hard_negatives_of_all_queries_are_further_keys():
    (q, k, h), *_ = data()
    shared = info_nce(q, torch.cat([k[:N], h.flatten(0, 1)]))
    by_hand = F.cross_entropy(torch.cat([q @ k[:N].T, q @ h.flatten(0, 1).T], 1) / 0.05, torch.arange(N))
    assert shared.item() == pytest.approx(by_hand.item(), rel=1e-12)
    assert info_nce(q, k[:N], hard_negatives=h) < shared


@pytest.mark.parametrize(
    "options", [{}, {"beta": 3.0}, {"beta": -30.0}, {"gamma": 0.5}, {"gamma": 0.5, "detach": False}]
)
def test_queries_without_negatives_add_nothing(backend, options):
    (q, k, _), *_ = data()
    mask = torch.zeros(N, M, dtype=torch.bool)
    mask[3:] = True
    value = weighted_info_nce(q, k, mask=mask, **options)
    alone = weighted_info_nce(q[:3], k, **options)
    assert value.item() == pytest.approx(alone.item() * 3 / N, rel=1e-12)
    (gradient,) = torch.autograd.grad(value, q)
    assert gradient.isfinite().all() and (gradient[3:] == 0).all() and (gradient[:3] != 0).all()
    one = q[:1].detach().requires_grad_()
    lonely = weighted_info_nce(one, k[:1], **options)
    lonely.backward()
    assert lonely.item() == 0 and (one.grad == 0).all()


# ---- weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("beta", [0.0, 8.0, -8.0, -20.0, -30.0])
@pytest.mark.parametrize(("gamma", "detach"), [(0.0, True), (0.5, True), (0.5, False), (2.0, False)])
def test_weights_follow_the_formulas(backend, strips, dtype, beta, gamma, detach):
    """Also where the easiest negatives pull most (beta below -1/temperature) and where all pull alike (at it)."""
    (q, k, h), labels, ids, mask = data(dtype)
    weight = torch.linspace(0, 2, N, dtype=dtype)
    options = {"beta": beta, "gamma": gamma, "detach": detach, "weight": weight}
    value = weighted_info_nce(q, k, labels=labels, hard_negatives=h, key_ids=ids, mask=mask, **options)
    expected = dense(q, k, labels, negatives_of(labels, ids, mask, H), 0.05, h, **options)
    assert_same(value, expected, [q, k, h], dtype)


def test_without_weights_it_is_info_nce(backend):
    (q, k, h), labels, ids, mask = data()
    parts = {"labels": labels, "hard_negatives": h, "key_ids": ids, "mask": mask}
    assert weighted_info_nce(q, k, 0.1, **parts) == info_nce(q, k, 0.1, **parts)


@given(seed=st.integers(0, 10**6), beta=st.floats(0, 60), temperature=st.floats(0.01, 2))
@settings(max_examples=30, deadline=None)
def test_stress_on_hard_negatives_never_lowers_the_loss(seed, beta, temperature):
    """Chebyshev's sum inequality: weights and exponentials are equally ordered, or oppositely."""
    q, k = unit(4, D, seed=seed), unit(9, D, seed=seed + 1)
    low, middle, high = (weighted_info_nce(q, k, temperature, beta=b).item() for b in (-beta, 0.0, beta))
    assert low * (1 - 1e-12) <= middle <= high * (1 + 1e-12)


@given(seed=st.integers(0, 10**6), gamma=st.floats(0, 5))
@settings(max_examples=30, deadline=None)
def test_ratio_of_the_two_focal_gradients(seed, gamma):
    """1 - gamma * pi * log(pi) / (1 - pi), query by query, in the same direction."""
    q, k = unit(1, D, seed=seed).requires_grad_(), unit(7, D, seed=seed + 1)
    kept, through = (
        torch.autograd.grad(weighted_info_nce(q, k, 0.3, gamma=gamma, detach=detach), q)[0]
        for detach in (True, False)
    )
    log_pi = -info_nce(q, k, 0.3).detach()
    ratio = 1 - gamma * log_pi.exp() * log_pi / -torch.expm1(log_pi)
    torch.testing.assert_close(through, ratio * kept, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("detach", [True, False])
def test_a_query_that_surely_finds_its_key_has_a_finite_gradient(backend, dtype, detach):
    """At pi = 1 the derivative of (1 - pi)^gamma by pi is infinite for gamma below 1; that of the loss is not."""
    q = (10 * torch.eye(3, dtype=dtype)).requires_grad_()
    value = weighted_info_nce(q, 10 * torch.eye(3, dtype=dtype), 0.01, gamma=0.1, detach=detach)
    value.backward()
    assert value.item() >= 0 and q.grad.isfinite().all()


@pytest.mark.parametrize("beta", [-100.0, 100.0, 400.0])
def test_float32_survives_steep_exponents(backend, beta):
    q, k = unit(40, 8, dtype=torch.float32), unit(60, 8, seed=3, dtype=torch.float32)
    keep = torch.ones(40, 60, dtype=torch.bool).fill_diagonal_(False)
    value = weighted_info_nce(q, k, 0.01, beta=beta, gamma=0.5)
    own = torch.arange(40)
    expected = dense(q, k, own, keep, 0.01, beta=beta, gamma=0.5)
    assert value.item() == pytest.approx(expected.item(), rel=2e-4)


# ---- autograd and input


def test_masked_hard_negatives_are_not_there(backend):
    (q, k, h), *_ = data()
    mask = torch.zeros(h.shape[:2], dtype=torch.bool)
    mask[:, -1] = mask[0] = True
    padded = h.clone()
    padded[mask] = 7.0
    value = weighted_info_nce(q, k, 0.3, beta=1.0, hard_negatives=padded, hard_mask=mask)
    first = weighted_info_nce(q[:1], k, 0.3, beta=1.0)
    others = weighted_info_nce(q[1:], k, 0.3, beta=1.0, labels=torch.arange(1, N), hard_negatives=h[1:, :-1])
    assert value.item() == pytest.approx((first.item() + (N - 1) * others.item()) / N, rel=1e-12)
    with pytest.raises(ValueError, match="hard_mask goes with hard_negatives"):
        info_nce(q, k, hard_mask=mask)


@pytest.mark.parametrize("options", [{}, {"symmetric": True}, {"beta": 2.0}, {"gamma": 0.5, "detach": False}])
def test_a_learned_temperature_gets_its_gradient(backend, options):
    """By central differences, as the weights of ``beta`` count as constant: of the loss with weights of the middle."""
    q, k = unit(7, 3), unit(7, 3, seed=1)
    loss = info_nce if "symmetric" in options else weighted_info_nce
    tau = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    value = loss(q, k, tau, **options)
    assert value.item() == pytest.approx(loss(q, k, 0.3, **options).item(), rel=1e-12)
    value.backward()
    if "beta" in options:
        s = q @ k.T
        off = ~torch.eye(7, dtype=torch.bool)
        weights = torch.where(off, (2.0 * s).exp(), 0)
        weights = weights / weights.sum(1, keepdim=True) * 6 + torch.eye(7)
        at = lambda t: -(torch.log_softmax(s / t + weights.log(), 1).diagonal()).mean().item()
    else:
        at = lambda t: loss(q, k, t, **options).item()
    assert tau.grad.item() == pytest.approx((at(0.3 + 1e-5) - at(0.3 - 1e-5)) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("learned", [False, True])
def test_a_vanishing_temperature_is_named(learned):
    """Not the queries, which are infinite in temperatures."""
    tau = torch.tensor(1e-40, requires_grad=True) if learned else 1e-40
    with pytest.raises(ValueError, match="temperature must lie between 1e-37 and"):
        info_nce(torch.eye(3), torch.eye(3), tau)


def test_nt_xent_of_two_views(backend):
    z, partner, own = unit(12, 4), torch.arange(12).roll(6), torch.eye(12, dtype=torch.bool)
    expected = F.cross_entropy((z @ z.T / 0.2).masked_fill(own, -torch.inf), partner)
    assert info_nce(z, z, 0.2, labels=partner, mask=own).item() == pytest.approx(expected.item(), rel=1e-12)


VARIANTS = {
    "ids and mask": lambda q, k, h: info_nce(
        q, k, 0.3, key_ids=torch.arange(9) % 5, mask=torch.eye(7, 9, dtype=torch.bool).roll(2, 1)
    ),
    "hard negatives": lambda q, k, h: info_nce(q, k, 0.3, hard_negatives=h),
    "symmetric": lambda q, k, h: info_nce(
        q, k, 0.3, hard_negatives=h, symmetric=True, key_ids=torch.arange(9) % 5
    ),
    "focal": lambda q, k, h: weighted_info_nce(q, k, 0.3, gamma=0.7, detach=False, hard_negatives=h),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradcheck(backend, variant):
    leaves = [
        unit(7, 3).requires_grad_(),
        unit(9, 3, seed=1).requires_grad_(),
        unit(7, 2, 3, seed=2).requires_grad_(),
    ]
    assert torch.autograd.gradcheck(VARIANTS[variant], leaves)


@pytest.mark.parametrize("variant", VARIANTS)
def test_torch_compile_sees_one_graph(variant):
    leaves = [unit(7, 3).requires_grad_(), unit(9, 3, seed=1), unit(7, 2, 3, seed=2)]
    compiled = torch.compile(lambda *args: 2 * VARIANTS[variant](*args), backend="aot_eager", fullgraph=True)
    (expected,) = torch.autograd.grad(2 * VARIANTS[variant](*leaves), leaves[0])
    torch.testing.assert_close(torch.autograd.grad(compiled(*leaves), leaves[0])[0], expected)


def test_read_only_strided_arrays_and_every_integer():
    (q, k, h), labels, ids, mask = data()
    arrays = {
        "queries": np.repeat(q.detach().numpy(), 2, 0)[::2],
        "keys": np.asfortranarray(k.detach().numpy()),
        "hard_negatives": h.detach().numpy()[:, ::-1],
        "labels": labels.numpy().astype(np.int32),
        "key_ids": ids.numpy().astype(np.uint8),
        "mask": np.asfortranarray(mask.numpy()),
    }
    copies = {name: array.copy() for name, array in arrays.items()}
    for array in arrays.values():
        array.setflags(write=False)
    expected = info_nce(q, k, 0.1, labels=labels, hard_negatives=h, key_ids=ids, mask=mask)
    assert info_nce(temperature=0.1, **arrays) == pytest.approx(expected.item(), rel=1e-12)
    for name, array in arrays.items():
        assert np.array_equal(array, copies[name])


def test_module_passes_everything_on():
    (q, k, h), labels, ids, mask = data()
    parts = {"hard_negatives": h, "key_ids": ids, "mask": mask}
    assert InfoNCELoss(0.2)(q, k, labels, **parts) == info_nce(q, k, 0.2, labels=labels, **parts)


def test_module_learns_its_temperature():
    q, k = unit(7, 3), unit(7, 3, seed=1)
    tau, again = (torch.nn.Parameter(torch.tensor(0.2, dtype=torch.float64)) for _ in range(2))
    module = InfoNCELoss(tau, symmetric=True)
    module(q, k).backward()
    info_nce(q, k, again, symmetric=True).backward()
    assert tau.grad == again.grad and list(module.state_dict()) == ["temperature"]
    assert repr(module) == "InfoNCELoss(temperature=0.2, symmetric=True)"


X = torch.eye(4, 3)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"hard_negatives": X}, ValueError, r"hard_negatives must be 3-dimensional; got shape \(4, 3\)"),
        (
            {"hard_negatives": X[:, None].double()},
            TypeError,
            "queries and hard_negatives must have the same dtype",
        ),
        (
            {"hard_negatives": X[:3, None]},
            ValueError,
            r"hard_negatives must have shape \(4, h, 3\) .* got \(3, 1, 3\)",
        ),
        (
            {"hard_negatives": X[:, None, :2]},
            ValueError,
            r"hard_negatives must have shape .* got \(4, 1, 2\)",
        ),
        (
            {"hard_negatives": X[:, None][:, :0]},
            ValueError,
            r"hard_negatives must have shape .* got \(4, 0, 3\)",
        ),
        ({"hard_negatives": X[:, None] / 0}, ValueError, "hard_negatives must be finite"),
        (
            {"hard_negatives": X[:, None] * 3e38},
            ValueError,
            "queries, keys and hard_negatives must be small enough",
        ),
        ({"key_ids": [0, 1, 2, 3]}, TypeError, "key_ids must be a torch.Tensor or a numpy.ndarray; got list"),
        ({"key_ids": torch.zeros(4)}, TypeError, "key_ids must hold integers; got float32"),
        ({"key_ids": torch.arange(3)}, ValueError, r"key_ids must have shape \(4,\); got \(3,\)"),
        ({"key_ids": torch.arange(4).to("meta")}, ValueError, "key_ids and keys must be on the same device"),
        ({"mask": torch.zeros(4, 4)}, TypeError, "mask must be bool; got float32"),
        ({"mask": torch.zeros(4, 3) > 0}, ValueError, r"mask must have shape \(4, 4\); got \(4, 3\)"),
        (
            {"mask": (torch.zeros(4, 4) > 0).to("meta")},
            ValueError,
            "mask and queries must be on the same device",
        ),
        ({"mask": 1}, TypeError, "mask must be a torch.Tensor or a numpy.ndarray; got int"),
    ],
)
def test_refuses(backend, kwargs, error, message):
    for function in (info_nce, weighted_info_nce):
        with pytest.raises(error, match=message):
            function(X, X, **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"beta": None}, TypeError, "beta must be a real number; got NoneType"),
        ({"beta": float("inf")}, ValueError, "beta must be finite; got inf"),
        ({"beta": -1e39}, ValueError, "queries and keys must be small enough"),
        ({"gamma": -0.5}, ValueError, "gamma must be at least 0; got -0.5"),
        ({"detach": 0}, TypeError, "detach must be True or False; got int"),
        ({"weight": -torch.ones(4)}, ValueError, "weight must not be negative; its smallest entry is -1.0"),
        ({"weight": torch.ones(3)}, ValueError, "weight must have the shape of queries"),
        ({"weight": torch.ones(4).requires_grad_()}, ValueError, "weight must not require a gradient"),
    ],
)
def test_weighted_refuses(kwargs, error, message):
    with pytest.raises(error, match=message):
        weighted_info_nce(X, X, **kwargs)


# ---- memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("implementation", ["compiled", "torch"])
def test_80_000_keys_take_little_memory(implementation):
    """512 x 80,000 similarities are 156 MiB a matrix, and autograd would keep three; the probe must see one."""
    script = f"""
import torch, corelib
from corelib.losses import info_nce, weighted_info_nce
corelib.set_backend({implementation!r})
torch.set_num_threads(1)

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

def work(n, m):
    q, k = torch.randn(n, 16), torch.randn(m, 16)
    q, k = q.div_(4).requires_grad_(), k.div_(4).requires_grad_()
    ids = torch.arange(m) // 2
    before = peak()
    info_nce(q, k, 0.1, key_ids=ids).backward()
    weighted_info_nce(q, k, 0.1, beta=5.0, gamma=0.5, key_ids=ids).backward()
    return q, k, peak() - before

work(64, 64)
q, k, extra = work(512, 80_000)
before = peak()
(q.detach() @ k.detach().T).exp_()
print(extra, peak() - before)
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    extra, matrix = map(float, output.split())
    assert matrix > 100
    assert extra < 80

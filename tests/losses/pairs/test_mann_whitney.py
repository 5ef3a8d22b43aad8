"""The Mann-Whitney loss against brute force in extended precision, over every regime of the pair-sum engine."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import corelib
from corelib.engines.pair_sums import pair_loss
from corelib.kernels import cpu
from corelib.losses import (
    MannWhitneyLoss,
    mann_whitney_loss,
    pairwise_exponential_loss,
    pairwise_hinge_loss,
    pairwise_squared_hinge_loss,
)

TOLERANCE = {np.float64: 1e-12, np.float32: 4e-7}
DTYPES = [np.float64, np.float32]


def brute_force(pos, neg, temperature, pos_weight=None, neg_weight=None):
    """Weighted mean and its gradients from all pairs, in extended precision."""
    x, y = pos.astype(np.longdouble), neg.astype(np.longdouble)
    u = np.ones_like(x) if pos_weight is None else pos_weight.astype(np.longdouble)
    v = np.ones_like(y) if neg_weight is None else neg_weight.astype(np.longdouble)
    u, v = u / u.sum(), v / v.sum()
    value, grad_pos, grad_neg = np.longdouble(0), np.empty_like(x), np.zeros_like(y)
    for start in range(0, len(x), 256):
        rows = slice(start, start + 256)
        z = (y - x[rows, None]) / np.longdouble(temperature)
        e = np.exp(-np.abs(z))
        value += u[rows] @ (np.maximum(z, 0) + np.log1p(e)) @ v
        sigmoid = np.where(z > 0, 1, e) / (1 + e)
        grad_pos[rows] = -u[rows] * (sigmoid @ v) / temperature
        grad_neg += v * (u[rows] @ sigmoid) / temperature
    return value, grad_pos, grad_neg


def loss_and_gradients(pos, neg, temperature, pos_weight=None, neg_weight=None, reduction="mean"):
    x, y = (torch.tensor(side).requires_grad_() for side in (pos, neg))
    u, v = (None if w is None else torch.tensor(w) for w in (pos_weight, neg_weight))
    loss = mann_whitney_loss(x, y, temperature, pos_weight=u, neg_weight=v, reduction=reduction)
    loss.backward()
    return loss.item(), x.grad.numpy(), y.grad.numpy()


def assert_matches(pos, neg, temperature, *weights):
    """Value and every single gradient entry, however small beside the others, to the relative tolerance of the dtype."""
    value, grad_pos, grad_neg = loss_and_gradients(pos, neg, temperature, *weights)
    expected = brute_force(pos, neg, temperature, *weights)
    rtol, tiny = TOLERANCE[pos.dtype.type], 1e3 * float(np.finfo(pos.dtype).tiny)  # below: subnormal numbers
    np.testing.assert_allclose(value, float(expected[0]), rtol=rtol, atol=tiny)
    np.testing.assert_allclose(grad_pos.astype(float), expected[1].astype(float), rtol=rtol, atol=tiny)
    np.testing.assert_allclose(grad_neg.astype(float), expected[2].astype(float), rtol=rtol, atol=tiny)


def normal_scores(dtype, n=700, m=500, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=n) + 1).astype(dtype), rng.normal(size=m).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [100, 3, 1, 0.3, 0.1, 0.02, 1e-3, 1e-5])
def test_brute_force_at_every_temperature(backend, dtype, temperature):
    assert_matches(*normal_scores(dtype), temperature)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n", "m"), [(1, 1), (1, 9), (9, 1), (40, 50), (1, 30_000), (30_000, 1), (1_500, 1_000)]
)
def test_brute_force_on_both_sides_of_the_cross_over(dtype, n, m):
    assert_matches(*normal_scores(dtype, n, m), 0.2)


def spread(dtype):
    rng = np.random.default_rng(1)
    return (rng.random(700) * 1e6).astype(dtype), (rng.random(500) * 1e6).astype(dtype)


def magnitudes(dtype):
    rng = np.random.default_rng(2)
    return np.exp(10 * rng.normal(size=700)).astype(dtype), (-np.exp(10 * rng.normal(size=500))).astype(dtype)


def outliers(dtype):
    pos, neg = normal_scores(dtype)
    pos[:4], neg[:3] = [1e30, -1e30, 1e10, -1e5], [2e30, -1e9, 1e30]
    return pos, neg


def shifted(pos_by, neg_by):
    def scores(dtype):
        pos, neg = normal_scores(dtype)
        return pos + dtype(pos_by), neg + dtype(neg_by)

    return scores


def integers(dtype):
    return tuple(np.round(3 * side) for side in normal_scores(dtype))


def equal(dtype):
    return np.full(700, 0.3, dtype), np.full(500, 0.3, dtype)


def clusters(dtype):
    pos, neg = normal_scores(dtype)
    return pos + np.repeat([0, 1e7, -1e12, 40], 175).astype(dtype), neg + np.repeat(
        [0, 1e7, 37, -1e12], 125
    ).astype(dtype)


SCORES = {
    "spread over 1e6 temperatures": spread,
    "magnitudes from 1e-13 to 1e13": magnitudes,
    "isolated outliers": outliers,
    "far from zero": shifted(1e5, 1e5),
    "separated, so that all is tiny": shifted(30, -30),
    "separated by 300 temperatures": shifted(150, -150),
    "separated the wrong way": shifted(-300, 300),
    "duplicates": integers,
    "all equal": equal,
    "clusters": clusters,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scores", SCORES)
def test_brute_force_on_hard_scores(dtype, scores):
    if dtype is np.float32 and "300" in scores:
        pytest.skip("exp(-300) is not a float32 number")
    assert_matches(*SCORES[scores](dtype), 1.0)


def test_separated_float32_scores_below_the_smallest_number_give_zero():
    value, grad_pos, grad_neg = loss_and_gradients(*shifted(150, -150)(np.float32), 1.0)
    assert value == 0 and not grad_pos.any() and not grad_neg.any()


@pytest.mark.parametrize("scores", [spread, outliers, clusters])
def test_torch_backend_on_hard_scores(scores):
    corelib.set_backend("torch")
    try:
        assert_matches(*scores(np.float64), 1.0)
    finally:
        corelib.set_backend("auto")


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights(backend, dtype):
    rng = np.random.default_rng(3)
    pos, neg = normal_scores(dtype)
    u = (rng.random(len(pos)) ** 8).astype(dtype)
    v = (rng.random(len(neg)) * (rng.random(len(neg)) > 0.5)).astype(dtype)
    assert (v == 0).any()
    assert_matches(pos, neg, 0.1, u, v)
    assert_matches(pos, neg, 0.1, u)
    assert_matches(pos, neg, 0.1, None, v)


def test_weights_of_any_size_neither_overflow_nor_vanish(backend):
    pos, neg = normal_scores(np.float64, 60, 50)
    plain = loss_and_gradients(pos, neg, 0.5)
    for size in (1e-308, 1e308):
        scaled = loss_and_gradients(pos, neg, 0.5, np.full(60, size), np.full(50, size))
        for a, b in zip(scaled, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)


def test_duplicates_are_weights(backend):
    pos, neg = normal_scores(np.float64, 60, 50)
    times = np.arange(60) % 4
    repeated = loss_and_gradients(np.repeat(pos, times), neg, 0.5)
    weighted = loss_and_gradients(pos, neg, 0.5, times.astype(float))
    np.testing.assert_allclose(repeated[0], weighted[0], rtol=1e-13)
    np.testing.assert_allclose(repeated[2], weighted[2], rtol=1e-13)
    assert not weighted[1][times == 0].any()


def test_sum_is_mean_times_pairs(backend):
    pos, neg = normal_scores(np.float64)
    u = np.linspace(0, 2, len(pos))
    for weight, pairs in ((None, len(pos) * len(neg)), (u, u.sum() * len(neg))):
        mean = loss_and_gradients(pos, neg, 0.5, weight)
        total = loss_and_gradients(pos, neg, 0.5, weight, reduction="sum")
        for a, b in zip(total, mean, strict=True):
            np.testing.assert_allclose(a, pairs * b, rtol=1e-13)


def test_bounds_the_share_of_misordered_pairs():
    """Lemma 2 of the paper: softplus(z) >= log(2) [z >= 0]."""
    pos, neg = normal_scores(np.float64)
    misordered = np.mean(pos[:, None] <= neg)
    assert 0.2 < misordered < 0.3
    for temperature in (0.001, 0.1, 1, 10):
        assert mann_whitney_loss(pos, neg, temperature) >= np.log(2) * misordered


finite = st.floats(-50, 50, allow_subnormal=False)
sides = st.lists(finite, min_size=1, max_size=300).map(np.array)
temperatures = st.sampled_from([0.01, 0.3, 1.0, 7.0])


@settings(max_examples=60, deadline=None)
@given(pos=sides, neg=sides, temperature=temperatures)
def test_properties(pos, neg, temperature):
    value, grad_pos, grad_neg = loss_and_gradients(pos, neg, temperature)
    same = {"rtol": 1e-11, "atol": 1e-290}

    assert value >= 0 and (grad_pos <= 0).all() and (grad_neg >= 0).all()
    np.testing.assert_allclose(grad_pos.sum() + grad_neg.sum(), 0, atol=1e-12 * abs(grad_pos).sum())

    swapped = loss_and_gradients(-neg, -pos, temperature)
    np.testing.assert_allclose(swapped[0], value, **same)
    np.testing.assert_allclose(-swapped[1], grad_neg, **same)

    scaled = loss_and_gradients(8 * pos, 8 * neg, 8 * temperature)
    np.testing.assert_allclose(scaled[0], value, **same)
    np.testing.assert_allclose(8 * scaled[1], grad_pos, **same)

    order = np.random.default_rng(0).permutation(len(pos))
    shuffled = loss_and_gradients(pos[order], neg, temperature)
    np.testing.assert_allclose(shuffled[0], value, **same)
    np.testing.assert_allclose(shuffled[1], grad_pos[order], **same)

    assert mann_whitney_loss(pos + 0.5, neg, temperature) <= value * (1 + 1e-12)


@pytest.mark.parametrize("shift", [-3.0, 1000.0, 2.0**20])
def test_a_common_shift_changes_nothing(shift):
    grid = (
        np.round(np.random.default_rng(4).normal(size=(2, 600)) * 1024) / 1024
    )  # so that the shift is exact
    plain, moved = (loss_and_gradients(*sides, 0.1) for sides in (grid, grid + shift))
    for a, b in zip(moved, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_gradient_against_finite_differences(backend):
    x, y = (torch.tensor(side).requires_grad_() for side in normal_scores(np.float64, 8, 6))
    u = torch.linspace(0.1, 1, 8, dtype=torch.float64)
    for reduction in ("mean", "sum"):
        assert torch.autograd.gradcheck(
            lambda a, b, r=reduction: mann_whitney_loss(a, b, 0.5, pos_weight=u, reduction=r), (x, y)
        )


def test_gradient_of_one_side_only(backend):
    pos, neg = (torch.tensor(side) for side in normal_scores(np.float64))
    _, grad_pos, grad_neg = loss_and_gradients(pos.numpy(), neg.numpy(), 0.1)
    for side, expected in ((pos, grad_pos), (neg, grad_neg)):
        side.requires_grad_()
        loss = mann_whitney_loss(pos, neg, 0.1)
        side.grad = None
        loss.backward()
        np.testing.assert_array_equal(side.grad, expected)
        side.requires_grad_(False)
    assert not mann_whitney_loss(pos, neg).requires_grad
    with torch.no_grad():
        assert not mann_whitney_loss(pos.requires_grad_(), neg).requires_grad


@pytest.mark.parametrize("loss", [mann_whitney_loss, pairwise_exponential_loss])
def test_learned_temperature_and_margin_get_their_gradients(backend, loss):
    x, y = (torch.tensor(side) for side in normal_scores(np.float64, 8, 6))
    numbers = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, 0.2)]
    assert torch.autograd.gradcheck(lambda tau, margin: loss(x, y, tau, margin=margin), numbers)
    assert loss(x, y, *numbers[:1], margin=numbers[1]).item() == pytest.approx(
        loss(x, y, 0.7, margin=0.2).item()
    )


def test_groups_of_which_none_has_a_positive_have_loss_zero(backend):
    y = torch.tensor([0.3, -1.0], requires_grad=True)
    groups = {"pos_indptr": torch.tensor([0, 0, 0]), "neg_indptr": torch.tensor([0, 1, 2])}
    for loss in (
        mann_whitney_loss,
        pairwise_hinge_loss,
        pairwise_squared_hinge_loss,
        pairwise_exponential_loss,
    ):
        value = loss(torch.zeros(0), y, **groups)
        assert value == 0
        assert torch.autograd.grad(value, y)[0].tolist() == [0, 0]
        with pytest.raises(ValueError, match="neg must be finite"):
            loss(torch.zeros(0), y.detach() * torch.inf, **groups)


def test_second_derivative_is_refused(backend):
    x, y = (torch.tensor(side).requires_grad_() for side in normal_scores(np.float64, 8, 6))
    (gradient,) = torch.autograd.grad(mann_whitney_loss(x, y), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiable once"):
        gradient.sum().backward()


def test_operator_obeys_the_rules_of_torch(backend):
    x, y = (torch.tensor(side) for side in normal_scores(np.float32, 8, 6))
    weight = torch.ones(6)
    for need_pos, need_neg in ((True, True), (False, True), (False, False)):
        sample = (
            x.clone().requires_grad_(need_pos),
            y.clone().requires_grad_(need_neg),
            None,
            weight,
        )
        for groups in ((None, None), (torch.tensor([0, 5, 8]), torch.tensor([0, 0, 6]))):
            settings = "softplus", 0.5, 0.1, True
            torch.library.opcheck(pair_loss.traced, (*sample, *groups, *settings, need_pos, need_neg))


def test_compiles_without_a_graph_break(backend):
    x, y = (torch.tensor(side).requires_grad_() for side in normal_scores(np.float64, 80, 60))
    step = torch.compile(lambda a, b: mann_whitney_loss(2 * a, b, 0.3), fullgraph=True, backend="aot_eager")
    compiled = torch.autograd.grad(step(x, y), (x, y))
    eager = torch.autograd.grad(mann_whitney_loss(2 * x, y, 0.3), (x, y))
    for a, b in zip(compiled, eager, strict=True):
        torch.testing.assert_close(a, b)


def test_module_is_the_function():
    pos, neg = (torch.tensor(side) for side in normal_scores(np.float32))
    weight = torch.rand(len(neg))
    module = MannWhitneyLoss(0.2, reduction="sum")
    assert module(pos, neg, neg_weight=weight) == mann_whitney_loss(
        pos, neg, 0.2, neg_weight=weight, reduction="sum"
    )
    assert repr(module) == "MannWhitneyLoss(temperature=0.2, reduction='sum')"


def test_module_may_own_a_learned_temperature():
    module = MannWhitneyLoss(torch.nn.Parameter(torch.tensor(0.2)))
    module(torch.tensor([0.3, 0.1]), torch.tensor([0.2])).backward()
    (temperature,) = module.parameters()
    assert temperature.grad.abs() > 0
    assert repr(module) == "MannWhitneyLoss(temperature=0.2, reduction='mean')"
    with pytest.raises(ValueError, match="temperature"):
        MannWhitneyLoss(0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_front_end(backend, dtype):
    pos, neg = normal_scores(dtype)
    for side in (pos, neg):
        side.flags.writeable = False
    value = mann_whitney_loss(pos, neg, 0.1)
    assert isinstance(value, float)
    assert value == mann_whitney_loss(torch.tensor(pos), torch.tensor(neg), 0.1).item()


def test_strided_and_reversed_input(backend):
    wide = np.random.default_rng(5).normal(size=(700, 3))
    expected = mann_whitney_loss(wide[:, 0].copy(), wide[::-1, 2].copy(), 0.1)
    assert mann_whitney_loss(wide[:, 0], wide[::-1, 2], 0.1) == expected
    x = torch.tensor(wide).requires_grad_()
    loss = mann_whitney_loss(x[:, 0], x[:, 2].flip(0), 0.1)
    loss.backward()
    assert loss.item() == expected
    assert x.grad[:, 0].any() and not x.grad[:, 1].any()
    broadcast = torch.zeros(1, dtype=torch.float64).expand(40)
    assert mann_whitney_loss(broadcast, broadcast).item() == pytest.approx(np.log(2), rel=1e-14)


def test_inputs_are_left_as_they_were(backend):
    pos, neg = normal_scores(np.float64)
    u = np.linspace(0, 1, len(pos))
    copies = [array.copy() for array in (pos, neg, u)]
    mann_whitney_loss(pos, neg, 0.1, pos_weight=u)
    for array, copy in zip((pos, neg, u), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


T = torch.tensor
GOOD = T([1.0, 2.0])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pos": T([])}, ValueError, "^pos must hold at least one score; got none"),
        ({"neg": torch.empty(0)}, ValueError, "^neg must hold at least one score"),
        ({"pos": T([1.0, float("nan")])}, ValueError, "^pos must be finite; 1 of 2"),
        ({"neg": T([float("inf"), -float("inf")])}, ValueError, "^neg must be finite; 2 of 2"),
        ({"pos": T(1.0)}, ValueError, "^pos must be 1-dimensional"),
        ({"neg": torch.ones(2, 2)}, ValueError, "^neg must be 1-dimensional"),
        ({"pos": [1.0, 2.0]}, TypeError, "^pos must be a torch.Tensor or a numpy.ndarray; got list"),
        ({"neg": GOOD.int()}, TypeError, "^neg must hold floats of 16, 32 or 64 bits; got int32"),
        ({"neg": GOOD.double()}, TypeError, "^pos and neg must have the same dtype; got float32 and float64"),
        ({"pos": np.ones(2, np.float32)}, TypeError, "^pos is a numpy.ndarray but neg is a torch.Tensor"),
        ({"pos": GOOD.to_sparse()}, TypeError, "^pos must be a dense tensor"),
        ({"neg": GOOD.to("meta")}, ValueError, "^neg and pos must be on the same device"),
        ({"temperature": 0}, ValueError, "^temperature must be greater than 0"),
        ({"temperature": -1.0}, ValueError, "^temperature must be greater than 0"),
        ({"temperature": float("nan")}, ValueError, "^temperature must be finite"),
        ({"temperature": "1"}, TypeError, "^temperature must be a real number; got str"),
        ({"temperature": torch.ones(2)}, TypeError, "^temperature must be one real number; got shape"),
        ({"temperature": 1e-40}, ValueError, "^temperature must lie between 1e-37 and 1e280"),
        ({"temperature": 1e300}, ValueError, "^temperature must lie between"),
        ({"reduction": "none"}, ValueError, "^reduction must be one of 'mean', 'sum'; got 'none'"),
        ({"reduction": None}, ValueError, "^reduction must be one of"),
        ({"pos_weight": T([1.0])}, ValueError, r"^pos_weight must have the shape of pos, \(2,\); got \(1,\)"),
        (
            {"neg_weight": T([1.0, -1.0])},
            ValueError,
            "^neg_weight must not be negative; its smallest entry is -1.0",
        ),
        ({"neg_weight": T([0.0, 0.0])}, ValueError, "^neg_weight must not be all zero"),
        ({"pos_weight": T([1.0, float("nan")])}, ValueError, "^pos_weight must be finite"),
        ({"pos_weight": T([1.0, float("inf")])}, ValueError, "^pos_weight must be finite"),
        ({"pos_weight": GOOD.double()}, TypeError, "^pos and pos_weight must have the same dtype"),
        (
            {"pos_weight": GOOD.int()},
            TypeError,
            "^pos_weight must hold floats of 16, 32 or 64 bits; got int32",
        ),
        ({"pos_weight": 1.0}, TypeError, "^pos_weight must be a torch.Tensor"),
        (
            {"neg_weight": torch.ones(2, requires_grad=True)},
            ValueError,
            "^neg_weight must not require a gradient",
        ),
    ],
)
def test_refuses(backend, change, error, message):
    arguments = {"pos": GOOD, "neg": GOOD} | change
    with pytest.raises(error, match=message):
        mann_whitney_loss(**arguments)


def test_refuses_scores_that_overflow(backend):
    one = np.ones(3)
    with pytest.raises(ValueError, match="^neg must not exceed 1e280"):
        mann_whitney_loss(one, 1e290 * one)
    with pytest.raises(ValueError, match="^pos must not exceed 1e280, nor 1e280 temperatures"):
        mann_whitney_loss(1e100 * one, one, 1e-200)
    assert mann_whitney_loss(1e279 * one, -1e279 * one) == 0
    assert mann_whitney_loss(-1e279 * one, 1e279 * one) == pytest.approx(2e279)


@pytest.mark.parametrize("size", [200, 200_000])
def test_huge_and_tiny_temperatures(size):
    pos, neg = normal_scores(np.float64, size, size)
    assert mann_whitney_loss(pos, neg, 1e279) == pytest.approx(np.log(2), rel=1e-13)
    tiny = 1e-270
    hinge = np.sort(neg)[np.newaxis, :200] - np.sort(pos)[:200, np.newaxis] if size == 200 else None
    value = mann_whitney_loss(pos, neg, tiny)
    assert np.isfinite(value) and value > 0
    if hinge is not None:
        np.testing.assert_allclose(value * tiny, np.maximum(hinge, 0).mean(), rtol=1e-12)


@pytest.mark.parametrize(("dtype", "scale", "weighted"), [(np.float32, 1, False), (np.float64, 1e6, True)])
def test_result_does_not_depend_on_the_number_of_threads(dtype, scale, weighted):
    """Bitwise, for a dense grid of boxes and for scattered ones."""
    rng = np.random.default_rng(0)
    pos, neg = (scale * rng.normal(size=(2, 100_000))).astype(dtype)
    weight = rng.random(100_000).astype(dtype) if weighted else None
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)  # the kernels share the OpenMP runtime of torch
            assert cpu.openmp_threads() == threads
            results.append(loss_and_gradients(pos, neg, 0.1, weight))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        for part, expected in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(part, expected)


def test_linear_time():
    """A hundred billion pairs in the time of a few sorts: direct evaluation would take minutes."""
    pos, neg = normal_scores(np.float64, 400_000, 250_000)
    value = mann_whitney_loss(pos, neg, 0.01)
    sample = np.random.default_rng(6).choice(len(pos), 64, replace=False)
    z = (neg - pos[sample, None]) / 0.01
    estimate = np.logaddexp(0, z).mean(axis=1)
    assert abs(value - estimate.mean()) < 5 * estimate.std() / 8

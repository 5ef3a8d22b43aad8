"""The streaming softmax gives what an exact evaluation gives, however small, large or far away things are."""

import copy
import pickle
import resource
import timeit

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from noised import brute_force, noised, relative_error

import corelib
from corelib import score
from corelib.data import digits
from corelib.engines.mixtures import Points
from corelib.kernels import mixture


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("sigma", [1e-3, 0.03, 0.2, 0.5, 0.8, 1.0, 2.0, 10.0, 1e3])
def test_equals_brute_force(backend, dtype, tolerance, offset, sigma):
    x, data = noised(dtype, sigma, offset=offset)
    want, want_log_density = brute_force(x, data, sigma)
    got = score.empirical_score(x, data, sigma)
    assert got.dtype == dtype
    assert relative_error(got, want) < tolerance
    log_density = score.empirical_log_density(x, data, sigma)
    assert np.abs(log_density - want_log_density).max() < tolerance * np.abs(want_log_density).max()


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-6), (np.float64, 1e-13)])
def test_digits_with_a_noise_level_for_each_row(backend, dtype, tolerance):
    data = digits().train.astype(dtype)
    sigma = np.logspace(-3, 3, 60).astype(dtype)
    noise = np.random.default_rng(1).standard_normal((60, 64))
    x = (data[:60] + sigma[:, None] * noise).astype(dtype)
    assert relative_error(score.empirical_score(x, data, sigma), brute_force(x, data, sigma)[0]) < tolerance


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 255, 3), (5, 256, 16), (7, 257, 17), (97, 300, 33), (3, 9000, 2)]
)
def test_every_way_of_filling_tiles(backend, shape):
    rows, n, d = shape
    rng = np.random.default_rng(2)
    data, x = rng.standard_normal((n, d)), rng.standard_normal((rows, d))
    for sigma in (0.05, 1.0, 30.0):
        want = brute_force(x, data, sigma)[0]
        assert np.abs(score.empirical_score(x, data, sigma) - want).max() < 1e-12 * np.abs(want).max()


@pytest.mark.parametrize("sigma", [0.1, 1.0, 20.0])
def test_weights_count_points(backend, sigma):
    x, data = noised(np.float64, sigma, n=40)
    weights = np.random.default_rng(3).integers(0, 4, 40).astype(float)
    assert (weights == 0).any()
    got = score.empirical_score(x, data, sigma, weights=weights)
    assert relative_error(got, brute_force(x, data, sigma, weights)[0]) < 1e-13
    repeated = score.empirical_score(x, np.repeat(data, weights.astype(int), axis=0), sigma)
    np.testing.assert_allclose(got, repeated, rtol=1e-11, atol=1e-11 / sigma**2)


def test_one_hot_weights_point_at_the_nearest_point(backend):
    x, data = noised(np.float64, 1e-3)
    got = score.empirical_score(x, data, 1e-3)
    np.testing.assert_allclose(got, (data[: len(x)] - x) / 1e-3**2, rtol=1e-12, atol=1e-9)


def test_a_tie_is_shared(backend):
    data = np.array([[3.0, 4.0], [-3.0, 4.0], [500.0, 0.0]])
    got = score.empirical_score(np.zeros((1, 2)), data, 1e-3)
    np.testing.assert_allclose(got, [[0.0, 4e6]], rtol=1e-12, atol=1e-9)


def test_outliers_and_duplicates(backend):
    x, data = noised(np.float32, 0.5)
    data = np.concatenate(
        [data, data[:50], np.full((1, 20), 1e8, np.float32), np.full((1, 20), -1e17, np.float32)]
    )
    assert relative_error(score.empirical_score(x, data, 0.5), brute_force(x, data, 0.5)[0]) < 3e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_points_and_huge_noise(backend, dtype):
    x, data = noised(dtype, 1.0)
    x, data = x * dtype(1e18), data * dtype(1e18)
    for sigma in (1e17, 1e18, 1e19):
        assert relative_error(score.empirical_score(x, data, sigma), brute_force(x, data, sigma)[0]) < 3e-6


@pytest.mark.parametrize("far", [-1e30, 1e200, 1.7e308])
def test_points_at_the_end_of_the_world_change_nothing_here(backend, far):
    """Be they half of all, or the first: their squared distances may overflow, and they must not be the origin."""
    x, data = noised(np.float64, 0.5, n=8, rows=3)
    both = np.concatenate([np.full((8, 20), far), data])
    want = score.empirical_score(x, data, 0.5)
    np.testing.assert_allclose(score.empirical_score(x, both, 0.5), want, rtol=1e-12, atol=1e-12)
    grads = []
    for points in (both, data):
        leaf = torch.from_numpy(x).requires_grad_()
        score.empirical_score(leaf, torch.from_numpy(points), 0.5).sum().backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-10)


def test_far_away_the_score_points_at_the_mean(backend):
    _, data = noised(np.float64, 1.0)
    x = np.full((1, 20), 1e3)
    np.testing.assert_allclose(
        score.empirical_score(x, data, 1e3) * 1e6,
        brute_force(x, data, 1e3)[0].astype(float) * 1e6,
        rtol=1e-12,
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(1, 6),
    st.floats(-3, 3),
    st.floats(-2, 4),
    st.integers(0, 999),
)
def test_any_size_and_scale(rows, n, d, log_sigma, log_scale, seed):
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((n, d)) * 10**log_scale
    x, sigma = data[rng.integers(0, n, rows)] + 10**log_sigma * rng.standard_normal((rows, d)), 10**log_sigma
    want = brute_force(x, data, sigma)[0]
    rounding = 1e-12 + 4e-16 * np.abs(data).max() / sigma  # of x - y against sigma
    for name in ("auto", "torch"):
        corelib.set_backend(name)
        try:
            got = score.empirical_score(x, data, sigma)
        finally:
            corelib.set_backend("auto")
        assert np.abs(got - want).max() <= rounding * (np.abs(want).max() + 1 / sigma)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.1, 0.7, 3.0]))
def test_order_of_the_data_does_not_matter_and_rows_are_independent(seed, sigma):
    x, data = noised(np.float64, sigma, n=300, seed=seed)
    got = score.empirical_score(x, data, sigma)
    shuffled = score.empirical_score(x, np.random.default_rng(seed).permutation(data), sigma)
    np.testing.assert_allclose(got, shuffled, rtol=1e-10, atol=1e-12 / sigma**2)
    np.testing.assert_array_equal(got[4:5], score.empirical_score(x[4:5], data, sigma))


def test_does_not_depend_on_the_number_of_threads():
    x, data = (torch.from_numpy(a) for a in noised(np.float32, 1.0, rows=400, n=1500))
    sigma = torch.logspace(-2, 2, 400)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            points = x.clone().requires_grad_()
            value = score.empirical_score(points, data, sigma)
            results.append((value.detach(), torch.autograd.grad(value.square().sum(), points)[0]))
    finally:
        torch.set_num_threads(before)
    for value, grad in results[1:]:
        assert torch.equal(value, results[0][0])
        assert torch.equal(grad, results[0][1])


@pytest.mark.parametrize("sigma", [0.05, 0.4, 1.0, 8.0])
def test_derivatives(backend, sigma):
    x, data = (torch.from_numpy(a) for a in noised(np.float64, sigma, rows=4, d=6, n=60))
    x.requires_grad_()
    unit = sigma**2  # gradcheck's tolerances are absolute
    assert torch.autograd.gradcheck(
        lambda x: unit * score.empirical_score(x, data, sigma), x, eps=1e-6 * sigma
    )
    assert torch.autograd.gradcheck(
        lambda x: score.empirical_log_density(x, data, sigma), x, eps=1e-6 * sigma
    )
    both = lambda x: (
        (unit * score.empirical_score(x, data, sigma)).sum(1) + score.empirical_log_density(x, data, sigma)
    )
    assert torch.autograd.gradcheck(both, x, eps=1e-6 * sigma)


@pytest.mark.parametrize("sigma", [0.05, 0.4, 1.0, 8.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_jacobian_is_the_covariance_of_the_weighted_points(backend, sigma, dtype):
    x, data = (torch.from_numpy(a).to(dtype) for a in noised(np.float64, sigma, rows=3, d=5, n=400))
    got = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda x: score.empirical_score(x[None], data, sigma)[0], row)
            for row in x
        ]
    )
    wide = data.double()
    w = torch.softmax(-(x.double()[:, None] - wide).square().sum(2) / (2 * sigma**2), 1)
    centred = wide - (w @ wide)[:, None]
    want = (torch.einsum("bn,bni,bnj->bij", w, centred, centred) / sigma**2 - torch.eye(5)) / sigma**2
    assert (got - want).abs().max() * sigma**2 < (1e-11 if dtype == torch.float64 else 2e-5)
    assert torch.allclose(got, got.mT, atol=1e-4 / sigma**2)


def test_score_is_the_gradient_of_the_log_density_and_a_second_derivative_works(backend):
    x, data = (torch.from_numpy(a) for a in noised(np.float64, 0.8, rows=4, d=6, n=60))
    x.requires_grad_()
    (grad,) = torch.autograd.grad(score.empirical_log_density(x, data, 0.8).sum(), x, create_graph=True)
    assert torch.equal(grad, score.empirical_score(x, data, 0.8))
    assert torch.autograd.gradgradcheck(lambda x: score.empirical_log_density(x, data, 0.8), x)


def test_the_score_has_no_second_derivative_and_says_so(backend):
    x, data = (torch.from_numpy(a) for a in noised(np.float64, 0.8, rows=4, d=6, n=60))
    x.requires_grad_()
    (grad,) = torch.autograd.grad(score.empirical_score(x, data, 0.8).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        grad.sum().backward()


def test_a_second_backward_pass_gives_the_same_on_the_backend_of_the_first(backend):
    x, data = (torch.from_numpy(a) for a in noised(np.float32, 0.8, rows=4, d=6, n=60))
    x.requires_grad_()
    total = score.empirical_score(x, data, 0.8).square().sum()
    (first,) = torch.autograd.grad(total, x, retain_graph=True)
    with corelib.using("auto"):
        (second,) = torch.autograd.grad(total, x)
    assert torch.equal(first, second)


@pytest.mark.parametrize("sigma", [0.05, 20.0])
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(backend, sigma, half):
    x, data = (torch.from_numpy(a) for a in noised(np.float32, sigma))
    x.requires_grad_()

    def run():
        value = score.empirical_score(x, data, sigma)
        return value, *torch.autograd.grad(value.square().sum(), x)

    expected = run()
    with torch.autocast("cpu", dtype=half):
        got = run()
    assert all(map(torch.equal, got, expected))


@pytest.mark.parametrize("weighted", [False, True])
def test_compiles_in_one_graph(backend, weighted):
    x, data = (torch.from_numpy(a) for a in noised(np.float64, 0.8, rows=4, d=6, n=60))
    x.requires_grad_()
    weights = torch.arange(60, dtype=torch.float64) if weighted else None
    points = score.EmpiricalDistribution(data, weights)
    for function in (
        lambda x: score.empirical_score(x, data, 0.8, weights=weights),
        lambda x: score.empirical_log_density(x, data, 0.8, weights=weights),
        lambda x: points.score(x, 0.8),
    ):
        torch._dynamo.reset()
        compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
        got, want = compiled(x), function(x)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(
            torch.autograd.grad(got.square().sum(), x), torch.autograd.grad(want.square().sum(), x)
        )


def test_operator_is_registered_as_torch_wants(backend):
    x, data = (torch.from_numpy(a) for a in noised(np.float64, 1.0, rows=4, d=6, n=60))
    points = Points(data, torch.zeros(60, dtype=torch.float64))
    prepared = points._prepare(backend)
    arguments = (x.requires_grad_(), torch.ones(4, dtype=torch.float64), *points._tensors, prepared)
    torch.library.opcheck(torch.ops.corelib.empirical_score.default, arguments)


def test_read_only_strided_and_empty_input(backend):
    x, data = noised(np.float64, 1.0)
    want = score.empirical_score(x, data, 1.0)
    x.flags.writeable = data.flags.writeable = False
    np.testing.assert_array_equal(score.empirical_score(x, data, 1.0), want)
    strided = score.empirical_score(x[::-1], np.asfortranarray(data), 1.0)
    np.testing.assert_allclose(strided, want[::-1], rtol=1e-12, atol=1e-12)
    assert score.empirical_score(x[:0], data, 1.0).shape == (0, 20)
    assert score.empirical_log_density(x[:0], data, np.zeros(0)).shape == (0,)


def test_never_holds_the_matrix_of_pairs(backend):
    rows, n = 2000, 20000  # the matrix alone would take 160 MB
    x, data = noised(np.float32, 2.0, rows=rows, n=n, d=2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    score.empirical_score(x, data, np.float32(2.0))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000  # kB


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": [[0.0, 0.0]]}, TypeError, "x must be a torch.Tensor"),
        ({"x": np.zeros(2)}, ValueError, r"x must be 2-dimensional; got shape \(2,\)"),
        ({"x": np.zeros((1, 3))}, ValueError, "x and data must have the same number of columns; got 3 and 2"),
        ({"x": np.zeros((1, 2), np.float32)}, TypeError, "x and data must have the same dtype"),
        ({"x": np.zeros((1, 2), int)}, TypeError, "x must hold floats of 16, 32 or 64 bits; got int64"),
        ({"x": np.array([[0.0, np.nan]])}, ValueError, "x must be finite; 1 of 2"),
        ({"data": np.zeros((0, 2))}, ValueError, "data must hold at least one point"),
        ({"x": np.zeros((1, 0)), "data": np.zeros((2, 0))}, ValueError, "data must have at least one column"),
        ({"x": np.zeros((1, 0))}, ValueError, "x must have at least one column"),
        ({"data": np.array([[np.inf, 0.0]])}, ValueError, "data must be finite"),
        ({"data": torch.zeros(2, 2)}, TypeError, "pass all arrays in one of the two"),
        ({"sigma": 0}, ValueError, "sigma must be greater than 0; got 0"),
        ({"sigma": -1.0}, ValueError, "sigma must be greater than 0"),
        ({"sigma": np.nan}, ValueError, "sigma must be finite"),
        ({"sigma": "1"}, TypeError, "sigma must be a real number or one per row of x; got str"),
        ({"sigma": True}, TypeError, "sigma must be a real number"),
        ({"sigma": np.ones(2)}, ValueError, r"sigma must have shape \(1,\); got \(2,\)"),
        ({"sigma": np.zeros(1)}, ValueError, "sigma must be greater than 0; 1 of 1"),
        ({"weights": np.ones(2)}, ValueError, r"weights must have shape \(3,\)"),
        ({"weights": np.array([1.0, -1.0, 0.0])}, ValueError, "weights must be at least 0; 1 of 3"),
        ({"weights": np.zeros(3)}, ValueError, "weights must have a positive entry"),
        ({"sigma": 1e-160}, ValueError, "overflows"),
        ({"x": np.full((1, 2), 1e200)}, ValueError, "overflows"),
        ({"x": np.full((1, 2), 1.7e308), "data": np.full((3, 2), -1.7e308)}, ValueError, "overflows"),
    ],
)
def test_bad_arguments(backend, change, error, message):
    arguments = {"x": np.full((1, 2), 0.3), "data": np.ones((3, 2)), "sigma": 1.0, "weights": None} | change
    x, data, sigma = (arguments.pop(name) for name in ("x", "data", "sigma"))
    for function in (score.empirical_score, score.empirical_log_density):
        with pytest.raises(error, match=message):
            function(x, data, sigma, **arguments)


@pytest.mark.parametrize("name", ["data", "sigma", "weights"])
def test_a_gradient_that_would_be_lost_is_refused(name):
    arguments = {"data": torch.ones(3, 2), "sigma": torch.ones(1), "weights": torch.ones(3)}
    arguments[name].requires_grad_()
    with pytest.raises(ValueError, match=f"{name} must not require a gradient"):
        score.empirical_score(torch.zeros(1, 2), **arguments)
    with torch.no_grad():
        score.empirical_score(torch.zeros(1, 2), **arguments)


class TestDistribution:
    """The object that owns prepared data says what the functions say."""

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
    def test_equals_the_functions(self, backend, dtype, weighted, sigma):
        sigma = float(dtype(sigma))
        x, data = noised(dtype, sigma)
        weights = (np.arange(len(data)) % 3).astype(dtype) if weighted else None
        points = score.EmpiricalDistribution(data, weights)
        for _ in range(2):
            want = score.empirical_score(x, data, sigma, weights=weights)
            np.testing.assert_array_equal(points.score(x, sigma), want)
            want = score.empirical_log_density(x, data, sigma, weights=weights)
            np.testing.assert_array_equal(points.log_density(x, np.full(len(x), dtype(sigma))), want)

    def test_answers_in_kind_whatever_the_data_were(self):
        x, data = noised(np.float32, 1.0)
        points = score.EmpiricalDistribution(data)
        assert np.array_equal(points.score(torch.from_numpy(x), 1.0).numpy(), points.score(x, 1.0))

    def test_half_precision_is_computed_in_single(self):
        x, data = (torch.from_numpy(a).bfloat16() for a in noised(np.float32, 1.0))
        got = score.EmpiricalDistribution(data).score(x, 1.0)
        assert torch.equal(got, score.empirical_score(x.float(), data.float(), 1.0))

    def test_takes_the_backend_of_each_call(self):
        x, data = noised(np.float64, 1.0)
        points = score.EmpiricalDistribution(data)
        for backend in ("torch", "compiled", "torch"):
            with corelib.using(backend):
                assert np.array_equal(points.score(x, 1.0), score.empirical_score(x, data, 1.0))

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_can_be_made_and_used_without_gradients_and_then_trained_through(self, backend, mode):
        x, data = (torch.from_numpy(a) for a in noised(np.float64, 1.0))
        with mode():
            points = score.EmpiricalDistribution(data + 0)
            want = points.score(x, 1.0)
        x.requires_grad_()
        got = points.score(x, 1.0)
        assert torch.equal(got, want)
        got.sum().backward()
        assert x.grad.abs().sum() > 0

    def test_keeps_its_data_when_those_of_the_caller_change(self, backend):
        x, data = noised(np.float64, 0.1)
        points, want = score.EmpiricalDistribution(data), score.empirical_score(x, data, 0.1)
        data += 1
        np.testing.assert_array_equal(points.score(x, 0.1), want)

    def test_cannot_be_changed(self):
        points = score.EmpiricalDistribution(np.ones((3, 2)))
        for name in ("_points", "data"):
            with pytest.raises(AttributeError, match="cannot be changed"):
                setattr(points, name, None)
        assert repr(points) == "EmpiricalDistribution(3 points of 2 dimensions, torch.float64, cpu)"

    @pytest.mark.parametrize(
        "again", [copy.copy, copy.deepcopy, lambda points: pickle.loads(pickle.dumps(points))]
    )
    def test_is_copied_and_pickled_without_what_it_prepared(self, again):
        x, data = noised(np.float64, 1.0)
        points = score.EmpiricalDistribution(data, np.arange(len(data)) * 1.0)
        want = points.score(x, 1.0)
        assert len(pickle.dumps(points)) < 1.2 * data.nbytes
        np.testing.assert_array_equal(again(points).score(x, 1.0), want)

    def test_prepares_once(self, monkeypatch):
        calls = []
        pack = mixture.pack
        monkeypatch.setattr(mixture, "pack", lambda *arrays: calls.append(1) or pack(*arrays))
        x, data = (torch.from_numpy(a) for a in noised(np.float64, 1.0))
        points = score.EmpiricalDistribution(data)
        for _ in range(3):
            points.score(x.requires_grad_(), 1.0).sum().backward()
        assert len(calls) == 1

    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            (
                lambda: score.EmpiricalDistribution(np.zeros((0, 2))),
                ValueError,
                "data must hold at least one",
            ),
            (
                lambda: score.EmpiricalDistribution(np.ones((3, 2)), np.ones(2)),
                ValueError,
                "weights must have shape",
            ),
            (
                lambda: score.EmpiricalDistribution([[1.0]]),
                TypeError,
                "data must be a torch.Tensor or a numpy",
            ),
            (
                lambda: score.EmpiricalDistribution(np.ones((3, 2)), wieghts=1),
                TypeError,
                "did you mean weights",
            ),
            (
                lambda: score.EmpiricalDistribution(torch.ones(3, 2, requires_grad=True)),
                ValueError,
                "data must not require a gradient",
            ),
            (
                lambda: ONES.score(np.ones((1, 3)), 1.0),
                ValueError,
                "x and data must have the same number of columns",
            ),
            (
                lambda: ONES.score(np.ones((1, 2), np.float32), 1.0),
                TypeError,
                "x and data must have the same dtype",
            ),
            (lambda: ONES.log_density(np.full((1, 2), np.nan), 1.0), ValueError, "x must be finite; 2 of 2"),
            (lambda: ONES.log_density(np.ones((1, 2)), 0.0), ValueError, "sigma must be greater than 0"),
        ],
    )
    def test_bad_arguments(self, call, error, message):
        with pytest.raises(error, match=message):
            call()


ONES = score.EmpiricalDistribution(np.ones((3, 2)))


def test_the_kernels_refuse_what_was_packed_for_other_points():
    data, zeros = np.ones((3, 2)), np.zeros(3)
    packed = mixture.pack(data, zeros[:2], zeros)
    with pytest.raises(ValueError, match="packed must hold"):
        mixture.empirical_score(data, np.ones((3, 9)), zeros, zeros, packed, zeros + 1, data.copy(), zeros)


def test_a_tiny_call_costs_little_more_than_plain_torch():
    """Measured: 1.2 times plain torch on prepared data, 1.8 times on data as they come."""
    x, data = torch.randn(8, 8, requires_grad=True), torch.randn(8, 8)
    points = score.EmpiricalDistribution(data)

    def plain():
        return torch.softmax(-torch.cdist(x, data).square() / 2, 1) @ data - x

    def fastest(function):
        return min(timeit.repeat(lambda: function().sum().backward(), number=20, repeat=30))

    ratios = [
        fastest(function) / fastest(plain)
        for function in (lambda: points.score(x, 1.0), lambda: score.empirical_score(x, data, 1.0))
    ]
    assert ratios[0] < 2
    assert ratios[1] < 3

"""Scores against long-double brute force and autograd, under both implementations, on noise from 1e-3 to 1e3."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture

import corelib
from corelib import score
from corelib.data import digits

WIDE = np.longdouble


def brute_force(x, data, sigma, weights=None):
    """Score and log-density of the noised data, one row at a time from differences, in long double."""
    x, data = x.astype(WIDE), data.astype(WIDE)
    sigma = np.broadcast_to(np.asarray(sigma, WIDE), len(x))
    p = np.ones(len(data), WIDE) if weights is None else weights.astype(WIDE)
    used = p > 0
    data, log_p = data[used], np.log(p[used] / p.sum())
    scores, log_densities = np.empty_like(x), np.empty(len(x), WIDE)
    for i, row in enumerate(x):
        steps = data - row
        logits = log_p - (steps**2).sum(1) / (2 * sigma[i] ** 2)
        w = np.exp(logits - logits.max())
        scores[i] = (w[:, None] * steps).sum(0) / w.sum() / sigma[i] ** 2
        normaliser = x.shape[1] * np.log(2 * WIDE(np.pi) * sigma[i] ** 2) / 2
        log_densities[i] = logits.max() + np.log(w.sum()) - normaliser
    return scores, log_densities


def relative_error(got, want):
    return float((np.linalg.norm(got - want, axis=1) / np.linalg.norm(want, axis=1)).max())


def noised(dtype, sigma, *, rows=13, d=20, n=700, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    data = (rng.standard_normal((n, d)) + offset).astype(dtype)
    return (data[:rows] + sigma * rng.standard_normal((rows, d))).astype(dtype), data


class TestEmpirical:
    """The streaming softmax gives what an exact evaluation gives, however small, large or far away things are."""

    @pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-6), (np.float64, 1e-13)])
    @pytest.mark.parametrize("offset", [0.0, 1e4])
    @pytest.mark.parametrize("sigma", [1e-3, 0.03, 0.2, 0.5, 0.8, 1.0, 2.0, 10.0, 1e3])
    def test_equals_brute_force(self, backend, dtype, tolerance, offset, sigma):
        x, data = noised(dtype, sigma, offset=offset)
        want, want_log_density = brute_force(x, data, sigma)
        got = score.empirical_score(x, data, sigma)
        assert got.dtype == dtype
        assert relative_error(got, want) < tolerance
        log_density = score.empirical_log_density(x, data, sigma)
        assert np.abs(log_density - want_log_density).max() < tolerance * np.abs(want_log_density).max()

    @pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-6), (np.float64, 1e-13)])
    def test_digits_with_a_noise_level_for_each_row(self, backend, dtype, tolerance):
        data = digits().train.astype(dtype)
        sigma = np.logspace(-3, 3, 60).astype(dtype)
        noise = np.random.default_rng(1).standard_normal((60, 64))
        x = (data[:60] + sigma[:, None] * noise).astype(dtype)
        assert relative_error(score.empirical_score(x, data, sigma), brute_force(x, data, sigma)[0]) < tolerance

    @pytest.mark.parametrize("shape", [(1, 1, 1), (1, 255, 3), (5, 256, 16), (7, 257, 17), (97, 300, 33), (3, 9000, 2)])
    def test_every_way_of_filling_tiles(self, backend, shape):
        rows, n, d = shape
        rng = np.random.default_rng(2)
        data, x = rng.standard_normal((n, d)), rng.standard_normal((rows, d))
        for sigma in (0.05, 1.0, 30.0):
            want = brute_force(x, data, sigma)[0]
            assert np.abs(score.empirical_score(x, data, sigma) - want).max() < 1e-12 * np.abs(want).max()

    @pytest.mark.parametrize("sigma", [0.1, 1.0, 20.0])
    def test_weights_count_points(self, backend, sigma):
        x, data = noised(np.float64, sigma, n=40)
        weights = np.random.default_rng(3).integers(0, 4, 40).astype(float)
        assert (weights == 0).any()
        got = score.empirical_score(x, data, sigma, weights=weights)
        assert relative_error(got, brute_force(x, data, sigma, weights)[0]) < 1e-13
        repeated = score.empirical_score(x, np.repeat(data, weights.astype(int), axis=0), sigma)
        np.testing.assert_allclose(got, repeated, rtol=1e-11, atol=1e-11 / sigma**2)

    def test_one_hot_weights_point_at_the_nearest_point(self, backend):
        x, data = noised(np.float64, 1e-3)
        got = score.empirical_score(x, data, 1e-3)
        np.testing.assert_allclose(got, (data[: len(x)] - x) / 1e-3**2, rtol=1e-12, atol=1e-9)

    def test_a_tie_is_shared(self, backend):
        data = np.array([[3.0, 4.0], [-3.0, 4.0], [500.0, 0.0]])
        got = score.empirical_score(np.zeros((1, 2)), data, 1e-3)
        np.testing.assert_allclose(got, [[0.0, 4e6]], rtol=1e-12, atol=1e-9)

    def test_outliers_and_duplicates(self, backend):
        x, data = noised(np.float32, 0.5)
        data = np.concatenate([data, data[:50], np.full((1, 20), 1e8, np.float32), np.full((1, 20), -1e17, np.float32)])
        assert relative_error(score.empirical_score(x, data, 0.5), brute_force(x, data, 0.5)[0]) < 3e-6

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_huge_points_and_huge_noise(self, backend, dtype):
        x, data = noised(dtype, 1.0)
        x, data = x * dtype(1e18), data * dtype(1e18)
        for sigma in (1e17, 1e18, 1e19):
            assert relative_error(score.empirical_score(x, data, sigma), brute_force(x, data, sigma)[0]) < 3e-6

    def test_far_away_the_score_points_at_the_mean(self, backend):
        _, data = noised(np.float64, 1.0)
        x = np.full((1, 20), 1e3)
        np.testing.assert_allclose(
            score.empirical_score(x, data, 1e3) * 1e6, brute_force(x, data, 1e3)[0].astype(float) * 1e6, rtol=1e-12
        )

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(1, 9), st.integers(1, 40), st.integers(1, 6), st.floats(-3, 3), st.floats(-2, 4), st.integers(0, 999)
    )
    def test_any_size_and_scale(self, rows, n, d, log_sigma, log_scale, seed):
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
    def test_order_of_the_data_does_not_matter_and_rows_are_independent(self, seed, sigma):
        x, data = noised(np.float64, sigma, n=300, seed=seed)
        got = score.empirical_score(x, data, sigma)
        shuffled = score.empirical_score(x, np.random.default_rng(seed).permutation(data), sigma)
        np.testing.assert_allclose(got, shuffled, rtol=1e-10, atol=1e-12 / sigma**2)
        np.testing.assert_array_equal(got[4:5], score.empirical_score(x[4:5], data, sigma))

    def test_does_not_depend_on_the_number_of_threads(self):
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
    def test_derivatives(self, backend, sigma):
        x, data = (torch.from_numpy(a) for a in noised(np.float64, sigma, rows=4, d=6, n=60))
        x.requires_grad_()
        unit = sigma**2  # gradcheck's tolerances are absolute
        assert torch.autograd.gradcheck(lambda x: unit * score.empirical_score(x, data, sigma), x, eps=1e-6 * sigma)
        assert torch.autograd.gradcheck(lambda x: score.empirical_log_density(x, data, sigma), x, eps=1e-6 * sigma)
        both = lambda x: (unit * score.empirical_score(x, data, sigma)).sum(1) + score.empirical_log_density(x, data, sigma)
        assert torch.autograd.gradcheck(both, x, eps=1e-6 * sigma)

    @pytest.mark.parametrize("sigma", [0.05, 0.4, 1.0, 8.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_jacobian_is_the_covariance_of_the_weighted_points(self, backend, sigma, dtype):
        x, data = (torch.from_numpy(a).to(dtype) for a in noised(np.float64, sigma, rows=3, d=5, n=400))
        got = torch.stack([
            torch.autograd.functional.jacobian(lambda x: score.empirical_score(x[None], data, sigma)[0], row) for row in x
        ])
        wide = data.double()
        w = torch.softmax(-(x.double()[:, None] - wide).square().sum(2) / (2 * sigma**2), 1)
        centred = wide - (w @ wide)[:, None]
        want = (torch.einsum("bn,bni,bnj->bij", w, centred, centred) / sigma**2 - torch.eye(5)) / sigma**2
        assert (got - want).abs().max() * sigma**2 < (1e-11 if dtype == torch.float64 else 2e-5)
        assert torch.allclose(got, got.mT, atol=1e-4 / sigma**2)

    def test_score_is_the_gradient_of_the_log_density_and_a_second_derivative_works(self, backend):
        x, data = (torch.from_numpy(a) for a in noised(np.float64, 0.8, rows=4, d=6, n=60))
        x.requires_grad_()
        (grad,) = torch.autograd.grad(score.empirical_log_density(x, data, 0.8).sum(), x, create_graph=True)
        assert torch.equal(grad, score.empirical_score(x, data, 0.8))
        assert torch.autograd.gradgradcheck(lambda x: score.empirical_log_density(x, data, 0.8), x)

    def test_operator_is_registered_as_torch_wants(self):
        x, data = (torch.from_numpy(a) for a in noised(np.float64, 1.0, rows=4, d=6, n=60))
        arguments = (x.requires_grad_(), data, torch.ones(4, dtype=torch.float64), torch.zeros(60, dtype=torch.float64))
        torch.library.opcheck(torch.ops.corelib.empirical_score.default, arguments)

    def test_read_only_strided_and_empty_input(self, backend):
        x, data = noised(np.float64, 1.0)
        want = score.empirical_score(x, data, 1.0)
        x.flags.writeable = data.flags.writeable = False
        np.testing.assert_array_equal(score.empirical_score(x, data, 1.0), want)
        strided = score.empirical_score(x[::-1], np.asfortranarray(data), 1.0)
        np.testing.assert_allclose(strided, want[::-1], rtol=1e-12, atol=1e-12)
        assert score.empirical_score(x[:0], data, 1.0).shape == (0, 20)
        assert score.empirical_log_density(x[:0], data, np.zeros(0)).shape == (0,)

    def test_never_holds_the_matrix_of_pairs(self, backend):
        rows, n = 2000, 20000  # the matrix alone would take 160 MB
        x, data = noised(np.float32, 2.0, rows=rows, n=n, d=2)
        import resource

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
            ({"x": np.zeros((1, 0)), "data": np.zeros((2, 0))}, ValueError, "x must have at least one column"),
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
        ],
    )
    def test_bad_arguments(self, backend, change, error, message):
        arguments = {"x": np.full((1, 2), 0.3), "data": np.ones((3, 2)), "sigma": 1.0, "weights": None} | change
        x, data, sigma = (arguments.pop(name) for name in ("x", "data", "sigma"))
        for function in (score.empirical_score, score.empirical_log_density):
            with pytest.raises(error, match=message):
                function(x, data, sigma, **arguments)

    def test_a_gradient_that_would_be_lost_is_refused(self):
        x, data = torch.zeros(1, 2), torch.ones(3, 2, requires_grad=True)
        with pytest.raises(ValueError, match="data must not require a gradient"):
            score.empirical_score(x, data, 1.0)
        with torch.no_grad():
            score.empirical_score(x, data, 1.0)


def random_gaussian(d, rank, seed=0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    axes = torch.from_numpy(np.linalg.qr(rng.standard_normal((d, d)))[0][:, :rank].copy()).to(dtype)
    return torch.from_numpy(rng.standard_normal(d)).to(dtype), torch.from_numpy(rng.uniform(0.1, 4, rank)).to(dtype), axes


def covariance(eigenvalues, eigenvectors):
    return eigenvectors @ torch.diag(eigenvalues) @ eigenvectors.mT


def log_normal(x, mean, cov):
    return torch.distributions.MultivariateNormal(mean, cov).log_prob(x)


class TestGaussian:
    """The factored forms equal the dense ones, at full rank, low rank and rank 0."""

    @pytest.mark.parametrize("rank", [0, 3, 6])
    @pytest.mark.parametrize("sigma", [0.05, 1.0, 30.0])
    def test_equals_the_dense_gaussian_and_its_autograd(self, rank, sigma):
        gaussian = random_gaussian(6, rank)
        x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
        dense = covariance(*gaussian[1:]) + sigma**2 * torch.eye(6, dtype=torch.float64)
        want = log_normal(x, gaussian[0], dense)
        torch.testing.assert_close(score.gaussian_log_density(x, *gaussian, sigma), want, rtol=1e-11, atol=1e-11)
        (grad,) = torch.autograd.grad(want.sum(), x)
        torch.testing.assert_close(score.gaussian_score(x, *gaussian, sigma), grad, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("rank", [0, 2, 4])
    def test_derivatives(self, rank):
        mean, eigenvalues, axes = random_gaussian(4, rank)
        x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
        mean.requires_grad_(), eigenvalues.requires_grad_()
        sigma = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
        for function in (score.gaussian_score, score.gaussian_log_density):
            assert torch.autograd.gradcheck(
                lambda x, m, e, s, f=function: f(x, m, e, axes, s), (x, mean, eigenvalues, sigma)
            )
        assert torch.autograd.gradcheck(
            lambda x, m, e, s: score.gaussian_flow(x, m, e, axes, s, 0.3), (x, mean, eigenvalues, sigma)
        )

    @pytest.mark.parametrize("rank", [0, 3, 8])
    def test_flow_solves_its_differential_equation(self, rank):
        """Against Runge-Kutta steps of dx/dsigma = -sigma score in log sigma: error falls by 16 when steps halve."""
        gaussian = random_gaussian(8, rank)
        start = 80 * torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

        def integrate(steps):
            def slope(t, x):
                sigma = float(np.exp(t))
                return -(sigma**2) * score.gaussian_score(x, *gaussian, sigma)

            x, h = start, (np.log(0.05) - np.log(80)) / steps
            for i in range(steps):
                t = np.log(80) + i * h
                a = slope(t, x)
                b = slope(t + h / 2, x + h / 2 * a)
                c = slope(t + h / 2, x + h / 2 * b)
                x = x + h / 6 * (a + 2 * b + 2 * c + slope(t + h, x + h * c))
            return x

        exact = score.gaussian_flow(start, *gaussian, 80.0, 0.05)
        errors = [float((integrate(n) - exact).abs().max() / exact.abs().max()) for n in (100, 200)]
        assert errors[1] < 1e-6
        assert 12 < errors[0] / errors[1] < 20

    @pytest.mark.parametrize("rank", [0, 3, 6])
    def test_flow_composes_and_inverts(self, rank):
        gaussian = random_gaussian(6, rank)
        x = 10 * torch.randn(7, 6, dtype=torch.float64)
        one = score.gaussian_flow(x, *gaussian, 10.0, 0.3)
        two = score.gaussian_flow(score.gaussian_flow(x, *gaussian, 10.0, 2.0), *gaussian, 2.0, 0.3)
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(score.gaussian_flow(one, *gaussian, 0.3, 10.0), x, rtol=1e-10, atol=1e-10)

    def test_flow_ends_on_the_data_subspace(self):
        gaussian = random_gaussian(6, 2)
        end = score.gaussian_flow(torch.randn(7, 6, dtype=torch.float64), *gaussian, 5.0, 0.0) - gaussian[0]
        torch.testing.assert_close(end @ gaussian[2] @ gaussian[2].mT, end, rtol=1e-12, atol=1e-12)

    def test_a_zero_eigenvalue_is_a_missing_axis(self):
        mean, eigenvalues, axes = random_gaussian(5, 5)
        eigenvalues[3:] = 0
        x = torch.randn(4, 5, dtype=torch.float64)
        for function, rest in (
            (score.gaussian_score, (0.3,)), (score.gaussian_log_density, (0.3,)), (score.gaussian_flow, (2.0, 0.3)),
        ):
            full = function(x, mean, eigenvalues, axes, *rest)
            torch.testing.assert_close(full, function(x, mean, eigenvalues[:3], axes[:, :3], *rest), rtol=1e-11, atol=1e-11)

    def test_digits_have_rank_61(self):
        train = digits().train
        mean, eigenvalues, eigenvectors = score.fit_gaussian(train)
        assert eigenvectors.shape == (64, 61)
        np.testing.assert_allclose(mean, train.mean(0), atol=1e-14)
        cov = eigenvectors @ np.diag(eigenvalues) @ eigenvectors.T
        np.testing.assert_allclose(cov, np.cov(train.T, bias=True), atol=1e-13)
        assert score.fit_gaussian(train.astype(np.float32))[2].dtype == np.float32
        np.testing.assert_array_equal(score.fit_gaussian(train, rank=5)[1], eigenvalues[:5])

    def test_large_noise_expansion_agrees_with_the_empirical_score(self):
        """Both scores have the same mean and covariance, so that denoisers differ at second order in 1 / sigma only."""
        train = digits().train
        gaussian = score.fit_gaussian(train)
        noise = np.random.default_rng(0).standard_normal((100, 64))

        def gap(sigma):
            x = gaussian[0] + sigma * noise
            return sigma**2 * np.linalg.norm(score.empirical_score(x, train, sigma) - score.gaussian_score(x, *gaussian, sigma))

        assert gap(200.0) / gap(400.0) == pytest.approx(4, rel=0.05)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"mean": torch.zeros(3)}, r"mean must have shape \(2,\)"),
            ({"eigenvalues": torch.ones(2)}, r"eigenvectors must have shape \(2, 2\); got \(2, 1\)"),
            ({"eigenvalues": -torch.ones(1)}, "eigenvalues must be at least 0; the smallest is -1.0"),
            ({"eigenvectors": torch.tensor([[1.0], [1.0]])}, "eigenvectors must be orthonormal columns"),
            ({"eigenvalues": torch.ones(3), "eigenvectors": torch.eye(3)[:2]}, "at most as many columns as rows"),
            ({"eigenvalues": torch.tensor([float("nan")])}, "eigenvalues must be finite"),
            ({"sigma": 0.0}, "sigma must be greater than 0"),
            ({"sigma": 1e-30}, "overflows float32"),
        ],
    )
    def test_bad_arguments(self, change, message):
        arguments = {
            "x": torch.ones(1, 2), "mean": torch.zeros(2), "eigenvalues": torch.ones(1),
            "eigenvectors": torch.tensor([[1.0], [0.0]]), "sigma": 1.0,
        } | change
        with pytest.raises(ValueError, match=message):
            score.gaussian_score(**arguments)

    def test_bad_flow_and_fit_arguments(self):
        gaussian = random_gaussian(2, 1)
        x = torch.zeros(1, 2, dtype=torch.float64)
        with pytest.raises(ValueError, match="sigma_to must be at least 0; got -1"):
            score.gaussian_flow(x, *gaussian, 1.0, -1.0)
        with pytest.raises(ValueError, match="sigma_from must be greater than 0"):
            score.gaussian_flow(x, *gaussian, 0.0, 1.0)
        with pytest.raises(ValueError, match="rank must be at most the dimension of the data, 2; got 3"):
            score.fit_gaussian(x, rank=3)
        with pytest.raises(ValueError, match="data must hold at least one point"):
            score.fit_gaussian(x[:0])


def random_mixture(k, d, rank, seed=0):
    parts = [random_gaussian(d, rank, seed + j) for j in range(k)]
    weights = torch.from_numpy(np.random.default_rng(seed).uniform(0.2, 1, k))
    return weights, *(torch.stack(column) for column in zip(*parts, strict=True))


class TestMixture:
    """A mixture of low-rank Gaussians, its log-determinant outside the subspaces included."""

    @pytest.mark.parametrize("rank", [0, 2, 5])
    @pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
    def test_equals_the_dense_mixture_and_its_autograd(self, rank, sigma):
        weights, means, eigenvalues, axes = random_mixture(4, 5, rank)
        x = 2 * torch.randn(9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        x.requires_grad_()
        noise = sigma**2 * torch.eye(5, dtype=torch.float64)
        logs = [log_normal(x, m, covariance(e, u) + noise) for m, e, u in zip(means, eigenvalues, axes, strict=True)]
        want = torch.logsumexp(torch.stack(logs, 1) + (weights / weights.sum()).log(), 1)
        got = score.mixture_log_density(x, weights, means, eigenvalues, axes, sigma)
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
        (grad,) = torch.autograd.grad(want.sum(), x)
        torch.testing.assert_close(
            score.mixture_score(x, weights, means, eigenvalues, axes, sigma), grad, rtol=1e-8, atol=1e-9 / sigma**2
        )

    def test_equals_scikit_learn(self):
        train = digits().train[:, 20:28]
        fitted = GaussianMixture(3, random_state=0, reg_covar=0.04).fit(train)
        eigenvalues, axes = np.linalg.eigh(fitted.covariances_)
        got = score.mixture_log_density(train, fitted.weights_, fitted.means_, eigenvalues - 0.03, axes, np.sqrt(0.03))
        np.testing.assert_allclose(got, fitted.score_samples(train), rtol=1e-9)

    @pytest.mark.parametrize("sigma", [0.05, 1.0, 10.0])
    def test_rank_0_is_the_empirical_distribution_and_one_component_the_gaussian(self, sigma):
        x, data = (torch.from_numpy(a) for a in noised(np.float64, sigma, d=5, n=30))
        weights = torch.rand(30, dtype=torch.float64)
        weights[4] = 0
        points = (weights, data, data.new_zeros(30, 0), data.new_zeros(30, 5, 0), sigma)
        torch.testing.assert_close(
            score.mixture_score(x, *points), score.empirical_score(x, data, sigma, weights=weights), rtol=1e-9, atol=1e-9
        )
        mean, eigenvalues, axes = random_gaussian(5, 3)
        one = score.mixture_score(x, torch.ones(1, dtype=torch.float64), mean[None], eigenvalues[None], axes[None], sigma)
        torch.testing.assert_close(one, score.gaussian_score(x, mean, eigenvalues, axes, sigma), rtol=1e-9, atol=1e-9)

    def test_derivatives(self):
        weights, means, eigenvalues, axes = random_mixture(3, 4, 2)
        x = torch.randn(3, 4, dtype=torch.float64)
        for t in (x, weights, means, eigenvalues):
            t.requires_grad_()
        for function in (score.mixture_score, score.mixture_log_density):
            assert torch.autograd.gradcheck(
                lambda x, w, m, e, f=function: f(x, w, m, e, axes, 0.7), (x, weights, means, eigenvalues)
            )

    def test_float32_decides_between_far_components_as_float64_does(self):
        x = torch.tensor([[1000.0, 0.001]])
        parts = (torch.ones(2), torch.tensor([[0.0, 1.0], [0.0, -1.0]]), torch.zeros(2, 0), torch.zeros(2, 2, 0), 0.05)
        wide = score.mixture_score(x.double(), *(p.double() for p in parts[:4]), 0.05)
        torch.testing.assert_close(score.mixture_score(x, *parts), wide.float())

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"weights": torch.ones(3)}, r"weights must have shape \(2,\)"),
            ({"weights": torch.zeros(2)}, "weights must have a positive entry"),
            ({"means": torch.zeros(0, 2)}, "means must hold at least one component"),
            ({"means": torch.zeros(2, 3)}, r"means must have shape \(any, 2\)"),
            ({"eigenvalues": torch.ones(1, 1)}, r"eigenvalues must have shape \(2, any\)"),
            ({"eigenvectors": torch.ones(2, 2, 1)}, "eigenvectors must be orthonormal"),
            ({"sigma": torch.ones(2)}, r"sigma must have shape \(1,\)"),
        ],
    )
    def test_bad_arguments(self, change, message):
        arguments = {
            "x": torch.ones(1, 2), "weights": torch.ones(2), "means": torch.zeros(2, 2), "eigenvalues": torch.ones(2, 1),
            "eigenvectors": torch.tensor([[[1.0], [0.0]]] * 2), "sigma": 1.0,
        } | change
        with pytest.raises(ValueError, match=message):
            score.mixture_score(**arguments)


class TestExplainedVariance:
    """1 for a perfect approximation, 0 for zero, negative for worse; torch and NumPy alike."""

    def test_values(self):
        reference = np.array([[1.0, 2.0], [3.0, 4.0]])
        assert score.explained_variance(reference, reference) == 1
        assert score.explained_variance(reference, 0 * reference) == 0
        assert score.explained_variance(reference, -reference) == -3
        assert score.explained_variance(torch.ones(3), torch.tensor([1.0, 1.0, 0.0])).item() == pytest.approx(2 / 3)

    @pytest.mark.parametrize(
        ("reference", "approximation", "error", "message"),
        [
            (np.ones(2), np.ones(3), ValueError, r"shape of reference, \(2,\); got \(3,\)"),
            (np.zeros(2), np.ones(2), ValueError, "reference must not be zero everywhere"),
            (np.ones(2), np.array([np.nan, 0]), ValueError, "approximation must be finite"),
            (np.ones(2, int), np.ones(2, int), TypeError, "reference must hold floats of 16, 32 or 64 bits"),
            ([1.0], np.ones(1), TypeError, "reference must be a torch.Tensor"),
        ],
    )
    def test_bad_arguments(self, reference, approximation, error, message):
        with pytest.raises(error, match=message):
            score.explained_variance(reference, approximation)

"""The Frechet distance against the singular values of the factors, and its gradients against finite differences."""

import numpy as np
import pytest
import scipy.linalg
import torch

from corelib.score import frechet_distance


@pytest.mark.parametrize("rank", [6, 2])
def test_frechet_distance_agrees_with_the_singular_values_of_the_factors(rank):
    rng = np.random.default_rng(rank)
    root_a, root_b = rng.normal(size=(6, rank)), rng.normal(size=(6, 6))
    a, b, (p, q) = root_a @ root_a.T, root_b @ root_b.T, rng.normal(size=(2, 6))
    expected = ((p - q) ** 2).sum() + np.trace(a + b) - 2 * scipy.linalg.svdvals(root_a.T @ root_b).sum()
    rel = 1e-12 if rank == 6 else 1e-8  # the root of an eigenvalue that is zero but for rounding
    assert frechet_distance(p, a, q, b) == pytest.approx(expected, rel=rel)
    assert frechet_distance(q, b, p, a) == pytest.approx(expected, rel=rel)
    assert frechet_distance(p, a, p, a) == pytest.approx(0, abs=1e-6)


def moments(rank=4, dtype=torch.float64):
    rng = np.random.default_rng(0)
    roots, means = rng.normal(size=(2, 4, rank)), rng.normal(size=(2, 4))
    a, b = roots @ roots.transpose(0, 2, 1)
    return [torch.from_numpy(value).to(dtype) for value in (means[0], a, means[1], b)]


def symmetric(function):
    """``function`` of covariances that stay symmetric when finite differences move single entries."""
    return lambda p, a, q, b: function(p, (a + a.mT) / 2, q, (b + b.mT) / 2)


def test_derivatives():
    assert torch.autograd.gradcheck(symmetric(frechet_distance), [t.requires_grad_() for t in moments()])


def test_gradients_where_eigenvalues_coincide():
    """Those of eigenvectors do not exist there; of the distance they do."""
    zero, eye = torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    arguments = [t.clone().requires_grad_() for t in (zero, eye, zero + 1, 4 * eye)]
    grads = torch.autograd.grad(frechet_distance(*arguments), arguments)
    want = (-2 * (zero + 1), -eye, 2 * (zero + 1), 0.5 * eye)  # of |p - q|^2 + (sqrt(a) - sqrt(b))^2
    torch.testing.assert_close(grads, want, rtol=1e-12, atol=1e-12)


def test_gradients_on_a_subspace_are_finite():
    arguments = [t.requires_grad_() for t in moments(rank=2)]
    assert all(g.isfinite().all() for g in torch.autograd.grad(frechet_distance(*arguments), arguments))


def test_a_second_derivative_is_refused():
    p, a, q, b = moments()
    a.requires_grad_()
    (grad,) = torch.autograd.grad(frechet_distance(p, a, q, b), a, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        grad.sum().backward()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(half):
    arguments = [t.requires_grad_() for t in moments(dtype=torch.float32)]

    def run():
        value = frechet_distance(*arguments)
        return value, *torch.autograd.grad(value, arguments)

    expected = run()
    with torch.autocast("cpu", dtype=half):
        got = run()
    assert all(map(torch.equal, got, expected))


def test_compiles_in_one_graph():
    arguments = [t.requires_grad_() for t in moments()]
    got = torch.compile(frechet_distance, backend="aot_eager", fullgraph=True)(*arguments)
    want = frechet_distance(*arguments)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, arguments), torch.autograd.grad(want, arguments))


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
def test_does_not_depend_on_the_unit(size):
    p, a, _, b = moments()
    zero = torch.zeros_like(p)
    want = size * frechet_distance(zero, a, zero, b)
    torch.testing.assert_close(frechet_distance(zero, size * a, zero, size * b), want, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"covariance_a": 1.7e308 * np.eye(2)}, ValueError, "the distance overflows float64: .*covariance_a"),
        ({"covariance_b": 1.7e308 * np.eye(2)}, ValueError, "the distance overflows float64: .*covariance_b"),
        ({"mean_b": np.full(2, 1e200)}, ValueError, "the distance overflows float64: mean_a - mean_b"),
        ({"covariance_a": np.ones((2, 3))}, ValueError, r"covariance_a must be square; got shape \(2, 3\)"),
        (
            {"covariance_a": np.array([[1.0, 2.0], [0.0, 1.0]])},
            ValueError,
            "covariance_a must be symmetric; .* 2.0e",
        ),
        ({"covariance_b": -np.eye(2)}, ValueError, "covariance_b must be positive semi-definite; .* -1.0e"),
        ({"covariance_b": np.eye(3)}, ValueError, r"covariance_b must have shape \(2, 2\); got \(3, 3\)"),
        ({"mean_a": np.zeros(3)}, ValueError, r"mean_a must have shape \(2,\); got \(3,\)"),
        ({"covariance_a": np.full((2, 2), np.nan)}, ValueError, "covariance_a must be finite"),
        ({"covariance_a": np.eye(2, dtype=int)}, TypeError, "covariance_a must hold floats"),
    ],
)
def test_bad_arguments(change, error, message):
    arguments = {
        "mean_a": np.zeros(2),
        "covariance_a": np.eye(2),
        "mean_b": np.zeros(2),
        "covariance_b": np.eye(2),
    }
    with pytest.raises(error, match=message):
        frechet_distance(**arguments | change)

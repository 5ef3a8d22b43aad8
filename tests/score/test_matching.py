"""Score matching losses against definitions written out, and what they refuse."""

import math

import numpy as np
import pytest
import torch

from corelib.score import (
    contractive_penalty,
    denoising_loss,
    gaussian_score,
    hyvarinen_loss,
    sliced_score_loss,
)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weighting", ["edm", "score", "none"])
@pytest.mark.parametrize("per_point", [True, False])
def test_denoising_loss_is_its_definition(weighting, per_point):
    denoised, clean = normal(5, 3), normal(5, 3, seed=1)
    sigma = torch.linspace(0.1, 2, 5, dtype=torch.float64) if per_point else 0.7
    total = 0.0
    for i in range(5):
        s = float(sigma[i]) if per_point else sigma
        weight = {"edm": (s**2 + 0.25) / (0.5 * s) ** 2, "score": 1 / s**4, "none": 1.0}[weighting]
        total += weight * float(((denoised[i] - clean[i]) ** 2).sum()) / 5
    assert float(denoising_loss(denoised, clean, sigma, weighting=weighting)) == pytest.approx(
        total, rel=1e-12
    )
    assert torch.autograd.gradcheck(
        lambda d: denoising_loss(d, clean, sigma, weighting=weighting), denoised.requires_grad_()
    )


def test_score_weighting_is_the_error_of_the_score():
    clean, noise = normal(6, 2), normal(6, 2, seed=1)
    noisy, denoised = clean + 0.3 * noise, normal(6, 2, seed=2)
    score, target = (denoised - noisy) / 0.09, -noise / 0.3
    expected = ((score - target) ** 2).sum(1).mean()
    torch.testing.assert_close(denoising_loss(denoised, clean, 0.3, weighting="score"), expected)


def network(d, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(d, 7), torch.nn.Tanh(), torch.nn.Linear(7, d)).double()


def test_hyvarinen_loss_is_the_trace_of_the_jacobian():
    score, x = network(3), normal(8, 3)
    jacobian = torch.func.vmap(torch.func.jacrev(score))(x)
    expected = (score(x).square().sum(1) / 2 + jacobian.diagonal(dim1=1, dim2=2).sum(1)).mean()
    torch.testing.assert_close(hyvarinen_loss(score, x), expected, rtol=1e-12, atol=0)


def test_hyvarinen_loss_is_the_score_error_up_to_a_constant():
    mean, covariance = (
        torch.zeros(2, dtype=torch.float64),
        torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64),
    )
    x = torch.from_numpy(
        np.random.default_rng(0).multivariate_normal(mean.numpy(), covariance.numpy(), 200_000)
    )
    precision = torch.linalg.inv(covariance)
    others = [lambda x: -x, lambda x: -x @ precision, lambda x: -0.5 * x @ precision]
    gaps = [
        float(hyvarinen_loss(s, x).detach() - ((s(x) + x @ precision) ** 2).sum(1).mean() / 2) for s in others
    ]
    np.testing.assert_allclose(gaps, -float(precision.trace()) / 2, atol=0.02)


def test_sliced_loss_is_unbiased_and_trains():
    score, x = network(4), normal(50, 4)
    generator = torch.Generator().manual_seed(1)
    exact = hyvarinen_loss(score, x)
    estimates = torch.stack(
        [sliced_score_loss(score, x, projections=8, generator=generator).detach() for _ in range(200)]
    )
    standard_error = float(estimates.std() / math.sqrt(200))
    assert abs(float(estimates.mean() - exact.detach())) < 4 * standard_error
    sliced_score_loss(score, x, generator=generator).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in score[0].parameters())


def test_contractive_penalty_is_the_norm_of_the_jacobian():
    encoder, decoder, x = normal(9, 4), normal(4, 9, seed=1), normal(6, 4, seed=2)
    slopes = 1 - torch.tanh(x @ encoder.T) ** 2
    jacobian = torch.func.vmap(torch.func.jacrev(lambda v: decoder @ torch.tanh(encoder @ v)))(x)
    torch.testing.assert_close(
        contractive_penalty(encoder, decoder, slopes), jacobian.square().sum((1, 2)), rtol=1e-12, atol=0
    )
    arguments = [value.clone().requires_grad_() for value in (encoder, decoder, slopes)]
    assert torch.autograd.gradcheck(contractive_penalty, arguments)


def test_a_gaussian_has_the_lowest_hyvarinen_loss():
    x = normal(5000, 2)
    mean, eigenvalues, eigenvectors = (
        x.mean(0),
        torch.ones(2, dtype=torch.float64),
        torch.eye(2, dtype=torch.float64),
    )
    right = hyvarinen_loss(lambda v: gaussian_score(v, mean, eigenvalues, eigenvectors, 1e-3), x)
    wrong = hyvarinen_loss(lambda v: gaussian_score(v, mean + 1, eigenvalues, eigenvectors, 1e-3), x)
    assert right < wrong - 0.5


LOSSES = {
    "hyvarinen": hyvarinen_loss,
    "sliced": lambda score, x: sliced_score_loss(score, x, generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
class TestLossesOfANetwork:
    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_are_evaluated_without_gradients(self, loss, mode):
        score, x = network(3), normal(8, 3)
        expected = loss(score, x)
        with mode():
            for points in (x, x + 0):  # the sum is an inference tensor
                got = loss(score, points)
                assert not got.requires_grad
                torch.testing.assert_close(got, expected.detach())

    def test_the_network_runs_as_autocast_has_it(self, loss):
        score, x = network(3).float(), normal(8, 3, dtype=torch.float32)
        dtypes = []
        score[0].register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
        expected = loss(score, x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = loss(score, x)
        assert dtypes == [torch.float32, torch.bfloat16]
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected, rtol=0.05, atol=0.05)

    @pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
    def test_takes_networks_of_half_precision(self, loss, half):
        score, x = network(3).to(half), normal(8, 3).to(half)
        got = loss(score, x)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, loss(score.float(), x.float()), rtol=0.05, atol=0.05)

    def test_second_derivatives(self, loss):
        score, x = network(3), normal(4, 3)
        slope = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradgradcheck(lambda s: loss(lambda v: torch.sin(s * score(v)), x), slope)

    @pytest.mark.parametrize(
        ("score", "x", "error", "message"),
        [
            (
                lambda x: -x,
                np.zeros((2, 3)),
                TypeError,
                "x must be a torch.Tensor, which score takes; got ndarray",
            ),
            (
                lambda x: -x,
                torch.zeros(2, 3).long(),
                TypeError,
                "x must hold floats of 16, 32 or 64 bits; got int64",
            ),
            (lambda x: -x, torch.zeros(0, 3), ValueError, "x must hold at least one point; got none"),
            (
                lambda x: x[:, :2],
                torch.zeros(2, 3),
                ValueError,
                r"score\(x\) must have the shape of x, \(2, 3\)",
            ),
            (lambda x: x.detach(), torch.zeros(2, 3), ValueError, r"score\(x\) must depend on x"),
            (lambda x: x / 0, torch.zeros(2, 3), ValueError, r"score\(x\) must be finite"),
            (
                lambda x: 1e30 * x,
                torch.ones(2, 3),
                ValueError,
                r"the loss overflows float32: score\(x\) is too large",
            ),
        ],
    )
    def test_bad_arguments(self, loss, score, x, error, message):
        with pytest.raises(error, match=message):
            loss(score, x)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(half):
    denoised, encoder = normal(5, 3, dtype=torch.float32), normal(7, 3, dtype=torch.float32)
    leaves = [t.requires_grad_() for t in (denoised, encoder)]

    def run():
        slopes = torch.ones(5, 7)
        value = (
            denoising_loss(denoised, torch.zeros(5, 3), 0.02)
            + contractive_penalty(encoder, encoder.T, slopes).sum()
        )
        return value, *torch.autograd.grad(value, leaves)

    expected = run()
    with torch.autocast("cpu", dtype=half):
        got = run()
    assert all(map(torch.equal, got, expected))


def test_second_derivatives_and_a_learned_sigma():
    sigma = torch.linspace(0.5, 2, 5, dtype=torch.float64, requires_grad=True)
    arguments = (normal(5, 3).requires_grad_(), sigma)
    function = lambda denoised, sigma: denoising_loss(denoised, torch.zeros(5, 3, dtype=torch.float64), sigma)
    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)
    matrices = [t.requires_grad_() for t in (normal(4, 3), normal(3, 4), normal(2, 4))]
    assert torch.autograd.gradgradcheck(contractive_penalty, matrices)


def test_compile_in_one_graph():
    denoised, clean = normal(5, 3), normal(5, 3, seed=1)
    compiled = torch.compile(lambda d: denoising_loss(d, clean, 0.5), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(denoised), denoising_loss(denoised, clean, 0.5))
    matrices = normal(4, 3), normal(3, 4), normal(2, 4)
    compiled = torch.compile(contractive_penalty, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*matrices), contractive_penalty(*matrices))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: denoising_loss(np.full((1, 2), 1e200), np.zeros((1, 2)), 1.0),
            "the loss overflows float64: sigma",
        ),
        (
            lambda: denoising_loss(np.zeros((0, 2)), np.zeros((0, 2)), 1.0),
            "denoised must hold at least one point",
        ),
        (
            lambda: denoising_loss(np.zeros((2, 2)), np.zeros((3, 2)), 1.0),
            "clean must have the shape of denoised",
        ),
        (
            lambda: contractive_penalty(np.full((2, 2), 1e200), np.eye(2), np.ones((1, 2))),
            "the penalty overflows float64: encoder",
        ),
        (
            lambda: contractive_penalty(np.eye(2), np.eye(2), np.ones((1, 3))),
            r"slopes must have shape \(any, 2\)",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()

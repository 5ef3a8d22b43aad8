"""List losses: scipy and torch's own cross-entropies as oracles, padded lists, digits at the extremes, refusals."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr

from corelib.losses import list_kl_loss


def random(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


SCORES, TEACHER = random(5, 7), random(5, 7, seed=1)


def kl(p_scores, q_scores):
    """KL(softmax p || softmax q) of each row by scipy."""
    return rel_entr(np.exp(log_softmax(p_scores, 1)), np.exp(log_softmax(q_scores, 1))).sum(1)


@pytest.mark.parametrize(("tau", "teacher_tau"), [(1.0, None), (0.3, None), (2.0, 0.5)])
def test_divergences_agree_with_scipy(tau, teacher_tau):
    options = {"temperature": tau, "teacher_temperature": teacher_tau, "reduction": "none"}
    s, t = SCORES.numpy() / tau, TEACHER.numpy() / (teacher_tau or tau)
    np.testing.assert_allclose(list_kl_loss(SCORES, TEACHER, **options), kl(t, s), rtol=1e-12)


def test_gradcheck_twice():
    scores = SCORES[:2, :4].clone().requires_grad_()
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1]], dtype=torch.bool)
    function = lambda s: list_kl_loss(s, TEACHER[:2, :4], temperature=0.7, mask=mask)
    assert torch.autograd.gradcheck(function, scores) and torch.autograd.gradgradcheck(function, scores)


def test_equal_lists_have_no_divergence_and_no_gradient():
    scores = TEACHER.clone().requires_grad_()
    value = list_kl_loss(scores, TEACHER)
    value.backward()
    assert value == 0 and scores.grad.abs().max() < 1e-15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_of_any_size(dtype):
    scores = torch.tensor([[1e4, 0.0, -1e4]], dtype=dtype, requires_grad=True)
    value = list_kl_loss(scores, scores.detach().flip(1))
    value.backward()
    assert value.item() == 2e4 and scores.grad.isfinite().all()


def test_a_score_at_the_end_of_the_range_beside_padding():
    scores = torch.tensor([[0.0, 1.7e308, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, True, False]])
    value = list_kl_loss(scores, TEACHER[:1, :4], mask=mask)
    value.backward()
    assert value.item() > 1e307 and scores.grad.isfinite().all() and scores.grad[0, 3] == 0


def test_padding_may_hold_anything_and_changes_nothing():
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[0, 4:], mask[1], mask[2, 1:] = False, False, False
    scores, teacher = SCORES.clone(), TEACHER.clone()
    scores[~mask], teacher[~mask] = math.nan, -math.inf
    scores.requires_grad_()
    got = list_kl_loss(scores, teacher, mask=mask, reduction="none")
    got.sum().backward()
    torch.testing.assert_close(got[0], list_kl_loss(SCORES[:1, :4], TEACHER[:1, :4]))
    torch.testing.assert_close(got[3:], list_kl_loss(SCORES[3:], TEACHER[3:], reduction="none"))
    assert got[1] == 0 and got[2] == 0 and (scores.grad[~mask] == 0).all() and (scores.grad[3:] != 0).all()


def test_temperatures_are_learned():
    tau, teacher_tau = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.7, 1.3))

    def loss(tau, teacher_tau):
        return list_kl_loss(SCORES, TEACHER, temperature=tau, teacher_temperature=teacher_tau)

    assert loss(tau, teacher_tau).item() == loss(0.7, 1.3).item()
    assert torch.autograd.gradcheck(loss, (tau, teacher_tau))
    assert torch.autograd.gradcheck(lambda tau: loss(tau, None), tau)


MASK = torch.ones(5, 7, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: list_kl_loss(SCORES[0], TEACHER[0]), ValueError, "scores must be 2-dimensional"),
        (lambda: list_kl_loss(SCORES[:0], TEACHER[:0]), ValueError, "scores must not be empty"),
        (lambda: list_kl_loss(SCORES / 0, TEACHER), ValueError, "scores must be finite"),
        (
            lambda: list_kl_loss(SCORES, TEACHER.float()),
            TypeError,
            "scores and teacher must have the same dtype",
        ),
        (
            lambda: list_kl_loss(SCORES, TEACHER[:, :2]),
            ValueError,
            r"teacher must have the shape of scores, \(5, 7\); got \(5, 2\)",
        ),
        (
            lambda: list_kl_loss(SCORES, TEACHER.clone().requires_grad_()),
            ValueError,
            "teacher must not require a gradient",
        ),
        (
            lambda: list_kl_loss(SCORES, TEACHER, temperature=0.0),
            ValueError,
            "temperature must be greater than 0",
        ),
        (
            lambda: list_kl_loss(SCORES.float(), TEACHER.float(), temperature=1e-44),
            ValueError,
            "scores / temperature must be finite",
        ),
        (
            lambda: list_kl_loss(SCORES, TEACHER, teacher_temperature=-1),
            ValueError,
            "teacher_temperature must be greater than 0",
        ),
        (lambda: list_kl_loss(SCORES, TEACHER, mask=MASK.int()), TypeError, "mask must be bool; got int32"),
        (
            lambda: list_kl_loss(SCORES, TEACHER, mask=MASK[:, :3]),
            ValueError,
            r"mask must have shape \(\d, \d\); got \(\d, 3\)",
        ),
        (
            lambda: list_kl_loss(SCORES, TEACHER, reduction="batchmean"),
            ValueError,
            "reduction must be one of",
        ),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""List losses: scipy and torch's own cross-entropies as oracles, padded lists, digits at the extremes, refusals."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr
from torch.nn import functional as F

from corelib.losses import jeffreys_loss, list_kl_loss, pairwise_softmax_loss, rerank_loss, rerank_weights


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
    np.testing.assert_allclose(jeffreys_loss(SCORES, TEACHER, **options), (kl(s, t) + kl(t, s)) / 2, rtol=1e-12)


@pytest.mark.parametrize("loss", [list_kl_loss, jeffreys_loss])
def test_gradcheck_twice(loss):
    scores = SCORES[:2, :4].clone().requires_grad_()
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1]], dtype=torch.bool)
    function = lambda s: loss(s, TEACHER[:2, :4], temperature=0.7, mask=mask)
    assert torch.autograd.gradcheck(function, scores) and torch.autograd.gradgradcheck(function, scores)


@pytest.mark.parametrize("loss", [list_kl_loss, jeffreys_loss])
def test_equal_lists_have_no_divergence_and_no_gradient(loss):
    scores = TEACHER.clone().requires_grad_()
    value = loss(scores, TEACHER)
    value.backward()
    assert value == 0 and scores.grad.abs().max() < 1e-15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_candidates_keep_their_gradient(dtype):
    """log(softmax + 1e-8), as in published code, has no gradient for candidates 100 nats below the best."""
    scores = torch.tensor([[1.0, -1.0, -0.9]], dtype=dtype, requires_grad=True)
    teacher = torch.tensor([[1.0, 0.9, -1.0]], dtype=dtype)
    jeffreys_loss(scores, teacher, temperature=0.02).backward()
    assert scores.grad[0, 1] < -0.1
    naive = scores.detach().requires_grad_()
    p, q = torch.softmax(naive / 0.02, 1), torch.softmax(teacher / 0.02, 1)
    (q * ((q + 1e-8).log() - (p + 1e-8).log())).sum().backward()
    assert naive.grad[0, 1].abs() < 1e-20


@pytest.mark.parametrize("loss", [list_kl_loss, jeffreys_loss])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_of_any_size(loss, dtype):
    scores = torch.tensor([[1e4, 0.0, -1e4]], dtype=dtype, requires_grad=True)
    value = loss(scores, scores.detach().flip(1))
    value.backward()
    assert value.item() == 2e4 and scores.grad.isfinite().all()


@pytest.mark.parametrize("loss", [list_kl_loss, jeffreys_loss])
def test_padding_may_hold_anything_and_changes_nothing(loss):
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[0, 4:], mask[1], mask[2, 1:] = False, False, False
    scores, teacher = SCORES.clone(), TEACHER.clone()
    scores[~mask], teacher[~mask] = math.nan, -math.inf
    scores.requires_grad_()
    got = loss(scores, teacher, mask=mask, reduction="none")
    got.sum().backward()
    torch.testing.assert_close(got[0], loss(SCORES[:1, :4], TEACHER[:1, :4]))
    torch.testing.assert_close(got[3:], loss(SCORES[3:], TEACHER[3:], reduction="none"))
    assert got[1] == 0 and got[2] == 0 and (scores.grad[~mask] == 0).all() and (scores.grad[3:] != 0).all()


YES, NO = random(4, 5, seed=2, scale=2.0), random(4, 5, seed=3)
FIRST = torch.zeros(4, dtype=torch.int64)
RELEVANT = F.one_hot(FIRST, 5).double()


def test_matching_weight_and_direction_give_the_gradients_of_the_real_losses():
    yes, no = YES.clone().requires_grad_(), NO.clone().requires_grad_()
    ours = torch.autograd.grad(5 * rerank_loss(yes, reduction="sum"), yes)
    torch.testing.assert_close(ours, torch.autograd.grad(F.cross_entropy(yes, FIRST, reduction="sum"), yes), rtol=1e-12, atol=1e-15)
    ours = torch.autograd.grad(5 * rerank_loss(yes, no, weight="sft", direction="sft", reduction="sum"), (yes, no))
    bce = F.binary_cross_entropy_with_logits(yes - no, RELEVANT, reduction="sum")
    torch.testing.assert_close(ours, torch.autograd.grad(bce, (yes, no)), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("weight", ["cl", "sft", "constant", "unsolved"])
@pytest.mark.parametrize("direction", ["cl", "sft"])
def test_gradient_is_the_weight_along_the_direction(weight, direction):
    yes, no = YES.clone().requires_grad_(), NO.clone().requires_grad_()
    upstream = torch.tensor([1.0, -1.0, 2.0, 0.5], dtype=torch.float64)
    (rerank_loss(yes, no, weight=weight, direction=direction, reduction="none") * upstream).sum().backward()
    weights = rerank_weights(yes, no, weight=weight)
    expected = torch.where(RELEVANT == 1, -weights, weights) * upstream[:, None] / 5
    assert not weights.requires_grad
    torch.testing.assert_close(yes.grad, expected)
    if direction == "sft":
        torch.testing.assert_close(no.grad, -expected)
    else:
        assert no.grad is None or (no.grad == 0).all()


def test_weights_are_those_of_the_table():
    p, s = torch.softmax(YES, 1), torch.sigmoid(YES - NO)
    torch.testing.assert_close(rerank_weights(YES)[:, 0], 1 - p[:, 0])
    torch.testing.assert_close(rerank_weights(YES)[:, 1:], p[:, 1:])
    torch.testing.assert_close(rerank_weights(YES, NO, weight="sft"), torch.where(RELEVANT == 1, 1 - s, s))
    solved = torch.where(RELEVANT == 1, s > 0.7, s < 0.3)
    assert 0 < solved.sum() < 20
    torch.testing.assert_close(rerank_weights(YES, NO, weight="unsolved", threshold=0.3), 1 - solved.double())
    assert (rerank_weights(YES, weight="constant") == 1).all()


def test_weights_of_a_solved_list_keep_their_digits_in_float32():
    yes, no = torch.tensor([[40.0, 0.0, 1.0]]), torch.zeros(1, 3)
    expected = [math.exp(-40) * (1 + math.e), math.exp(-40), math.exp(-39)]
    np.testing.assert_allclose(rerank_weights(yes)[0], expected, rtol=1e-6)
    assert rerank_weights(yes, no, weight="sft")[0, 0] == pytest.approx(math.exp(-40), rel=1e-6)
    for size in (1e4, -1e4):
        assert rerank_weights(torch.tensor([[size, 0.0]])).tolist() == ([[0, 0]] if size > 0 else [[1, 1]])


@pytest.mark.parametrize("weight", ["cl", "sft", "constant", "unsolved"])
def test_lists_may_be_padded(weight):
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[0, 3:], mask[1, 1:] = False, False
    yes, no = YES.clone(), NO.clone()
    yes[~mask] = no[~mask] = math.nan
    yes.requires_grad_()
    got = rerank_loss(yes, no, weight=weight, direction="sft", mask=mask, reduction="none")
    got.sum().backward()
    for row, k in ((0, 3), (1, 1), (2, 5)):
        part = slice(row, row + 1), slice(0, k)
        torch.testing.assert_close(got[row], rerank_loss(YES[part], NO[part], weight=weight, direction="sft"))
    assert (yes.grad[~mask] == 0).all() and (rerank_weights(yes, no, weight=weight, mask=mask)[~mask] == 0).all()


@pytest.mark.parametrize("negatives", [1, 4])
def test_pairwise_softmax_is_one_minus_the_softmax(negatives):
    pos, neg = random(6, seed=4).requires_grad_(), random(6, negatives, seed=5).requires_grad_()
    weight = torch.tensor([0.0, 1.0, 0.5, 2.0, 0.1, 1.0], dtype=torch.float64)
    expected = weight * (1 - torch.softmax(torch.cat([pos[:, None], neg], 1), 1)[:, 0])
    torch.testing.assert_close(pairwise_softmax_loss(pos, neg, weight=weight, reduction="none"), expected)
    torch.testing.assert_close(pairwise_softmax_loss(pos, neg, weight=weight), expected.mean())
    assert torch.autograd.gradcheck(lambda p, n: pairwise_softmax_loss(p, n, weight=weight), (pos, neg))
    if negatives == 1:
        torch.testing.assert_close(pairwise_softmax_loss(pos, neg[:, 0], weight=weight), expected.mean())


def test_pairwise_softmax_at_the_extremes():
    pos, neg = torch.tensor([1e4, -1e4, 60.0], requires_grad=True), torch.tensor([0.0, 0.0, 0.0])
    losses = pairwise_softmax_loss(pos, neg, reduction="none")
    losses.sum().backward()
    np.testing.assert_allclose(losses.detach(), [0, 1, math.exp(-60)], rtol=1e-5)
    assert pos.grad.isfinite().all()


def test_numpy_in_numpy_out():
    scores, teacher = SCORES.float().numpy()[::-1], TEACHER.float().numpy()[:, ::-1]
    losses = jeffreys_loss(scores, teacher, mask=np.ones((5, 7), dtype=bool), reduction="none")
    assert isinstance(losses, np.ndarray) and losses.dtype == np.float32
    assert isinstance(rerank_weights(scores), np.ndarray) and isinstance(rerank_loss(scores), float)
    assert isinstance(pairwise_softmax_loss(scores[:, 0], teacher), float)


MASK = torch.ones(5, 7, dtype=torch.bool)
HOLE = torch.tensor([[False] + [True] * 4] * 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: list_kl_loss(SCORES[0], TEACHER[0]), ValueError, "scores must be 2-dimensional"),
        (lambda: list_kl_loss(SCORES[:0], TEACHER[:0]), ValueError, "scores must not be empty"),
        (lambda: list_kl_loss(SCORES / 0, TEACHER), ValueError, "scores must be finite"),
        (lambda: list_kl_loss(SCORES, TEACHER.float()), TypeError, "scores and teacher must have the same dtype"),
        (lambda: list_kl_loss(SCORES, TEACHER[:, :2]), ValueError, r"teacher must have the shape of scores, \(5, 7\); got \(5, 2\)"),
        (lambda: list_kl_loss(SCORES, TEACHER.clone().requires_grad_()), ValueError, "teacher must not require a gradient"),
        (lambda: list_kl_loss(SCORES, TEACHER, temperature=0.0), ValueError, "temperature must be greater than 0"),
        (lambda: list_kl_loss(SCORES.float(), TEACHER.float(), temperature=1e-44), ValueError, "scores / temperature must be finite"),
        (lambda: jeffreys_loss(SCORES, TEACHER, teacher_temperature=-1), ValueError, "teacher_temperature must be greater than 0"),
        (lambda: jeffreys_loss(SCORES, TEACHER, mask=MASK.int()), TypeError, "mask must be bool; got int32"),
        (lambda: jeffreys_loss(SCORES, TEACHER, mask=MASK[:, :3]), ValueError, "mask must have the shape of scores"),
        (lambda: jeffreys_loss(SCORES, TEACHER, reduction="batchmean"), ValueError, "reduction must be one of"),
        (lambda: rerank_weights(YES, weight="sft"), ValueError, "no must be given for weight 'sft' in direction 'cl'"),
        (lambda: rerank_weights(YES, NO, weight="one"), ValueError, "weight must be one of 'cl', 'sft', 'constant', 'unsolved'"),
        (lambda: rerank_weights(YES, NO, threshold=1.0), ValueError, "threshold must lie between 0 and 1; got 1.0"),
        (lambda: rerank_weights(YES, mask=HOLE), ValueError, "mask must be True in column 0, the relevant documents; 4 are False"),
        (lambda: rerank_loss(YES, direction="sft"), ValueError, "no must be given for weight 'cl' in direction 'sft'"),
        (lambda: rerank_loss(YES, NO[:, :2]), ValueError, "no must have the shape of yes"),
        (lambda: rerank_loss(YES, NO, direction="dpo"), ValueError, "direction must be one of 'cl', 'sft'"),
        (lambda: pairwise_softmax_loss(YES[0], YES), ValueError, "neg must have one row per entry of pos, 5"),
        (lambda: pairwise_softmax_loss(YES[0], NO[0], weight=-YES[0].abs()), ValueError, "weight must not be negative"),
        (lambda: pairwise_softmax_loss(YES[0], NO[0], weight=YES[1, :2]), ValueError, "weight must have the shape of pos"),
        (lambda: pairwise_softmax_loss(YES[0] * math.nan, NO[0]), ValueError, "pos must be finite"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

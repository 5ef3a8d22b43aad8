"""Click losses: every possible outcome of a small world proves them unbiased; loops over cells and pairs as oracles."""

import itertools
import math

import numpy as np
import pytest
import torch

from corelib.losses import click_loss, pairwise_click_loss, squared_click_loss

SCORES = torch.tensor([[0.3, -1.2, 2.0], [0.0, 0.7, -0.4]], dtype=torch.float64)
RELEVANCE = torch.tensor([[0.9, 0.2, 0.5], [0.1, 0.6, 0.3]], dtype=torch.float64)
PROPENSITY = torch.tensor([[0.5, 0.9, 0.2], [0.3, 1.0, 0.7]], dtype=torch.float64)
CLICKS = torch.tensor([[1, 0, 1], [0, 1, 1]])


def expectation(loss):
    """The mean of ``loss(clicks)`` over all 64 outcomes of the world."""
    chance = (RELEVANCE * PROPENSITY).flatten()
    total = 0.0
    for outcome in itertools.product((0, 1), repeat=6):
        clicks = torch.tensor(outcome)
        probability = torch.where(clicks == 1, chance, 1 - chance).prod()
        total += probability * loss(clicks.reshape(2, 3))
    return total


@pytest.mark.parametrize("kind", ["log", "squared"])
def test_click_loss_is_unbiased(kind):
    if kind == "log":
        ideal = -RELEVANCE * torch.sigmoid(SCORES).log() - (1 - RELEVANCE) * torch.sigmoid(-SCORES).log()
    else:
        ideal = RELEVANCE * (1 - SCORES) ** 2 + (1 - RELEVANCE) * SCORES**2
    mean = expectation(lambda clicks: click_loss(SCORES, clicks, PROPENSITY, kind=kind))
    torch.testing.assert_close(mean, ideal.mean(), rtol=1e-13, atol=0)


def test_clipped_click_loss_has_the_bias_of_the_source():
    clip = 0.6
    delta = -SCORES  # loss if relevant minus loss if not
    bias = (RELEVANCE * (PROPENSITY / PROPENSITY.clamp_min(clip) - 1) * delta).mean()
    ideal = (torch.log1p(SCORES.exp()) - RELEVANCE * SCORES).mean()
    mean = expectation(lambda clicks: click_loss(SCORES, clicks, PROPENSITY, clip=clip))
    torch.testing.assert_close(mean - ideal, bias, rtol=1e-12, atol=0)


def test_clip_one_is_the_loss_of_the_clicks():
    naive = torch.nn.functional.binary_cross_entropy_with_logits(SCORES, CLICKS.double())
    torch.testing.assert_close(click_loss(SCORES, CLICKS, PROPENSITY, clip=1.0), naive)


def test_pairwise_click_loss_is_unbiased():
    expected = torch.zeros((), dtype=torch.float64)
    for user in range(2):
        for i, j in itertools.permutations(range(3), 2):
            gamma = RELEVANCE[user]
            expected += gamma[i] * (1 - gamma[j]) * torch.log1p((SCORES[user, j] - SCORES[user, i]).exp()) / 6
    mean = expectation(lambda clicks: pairwise_click_loss(SCORES, clicks, PROPENSITY, reduction="sum"))
    torch.testing.assert_close(mean, expected, rtol=1e-12, atol=0)


def all_pairs(scores, clicks, propensity, clip, nonnegative):
    losses = []
    for s, y, theta in zip(scores, clicks, propensity):
        w = y / theta.clamp_min(clip)
        total = 0 * s.sum()
        for i, j in itertools.permutations(range(len(s)), 2):
            weight = w[i] * (1 - w[j])
            total = total + (weight.clamp_min(0) if nonnegative else weight) * torch.log1p(
                (s[j] - s[i]).exp()
            )
        losses.append(total / (len(s) * (len(s) - 1)))
    return torch.stack(losses)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("clip", [0.0, 0.4])
def test_pairwise_click_loss_is_the_sum_over_pairs(nonnegative, clip):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 9, dtype=torch.float64, generator=generator)
    propensity = 0.05 + 0.95 * torch.rand(5, 9, dtype=torch.float64, generator=generator)
    clicks = torch.randint(2, (5, 9), generator=generator)
    clicks[1], clicks[2] = 0, 1
    upstream = torch.tensor([1.0, 2.0, 3.0, -1.0, 0.5], dtype=torch.float64)
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    got = pairwise_click_loss(ours, clicks, propensity, clip=clip, nonnegative=nonnegative, reduction="none")
    expected = all_pairs(theirs, clicks, propensity, clip, nonnegative)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)
    (got * upstream).sum().backward(), (expected * upstream).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_no_click_at_all_is_no_loss(nonnegative):
    scores = SCORES.clone().requires_grad_()
    loss = pairwise_click_loss(scores, torch.zeros(2, 3), PROPENSITY, nonnegative=nonnegative)
    loss.backward()
    assert loss == 0 and (scores.grad == 0).all()


def test_squared_loss_visits_every_cell_without_visiting_it(monkeypatch):
    monkeypatch.setattr("corelib.losses.clicks._CHUNK", 12)
    generator = torch.Generator().manual_seed(1)
    users = torch.randn(11, 4, dtype=torch.float64, generator=generator).requires_grad_()
    items = torch.randn(13, 4, dtype=torch.float64, generator=generator).requires_grad_()
    clicks = torch.rand(11, 13, generator=generator) < 0.2
    propensity = 0.1 + 0.9 * torch.rand(11, 13, dtype=torch.float64, generator=generator)
    click_user, click_item = clicks.nonzero(as_tuple=True)
    got = squared_click_loss(users, items, click_user, click_item, propensity[clicks], clip=0.2)
    expected = click_loss(users @ items.T, clicks, propensity, clip=0.2, kind="squared")
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=0)
    for ours, theirs in zip(
        torch.autograd.grad(3 * got, (users, items)), torch.autograd.grad(3 * expected, (users, items))
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-14)
    total = squared_click_loss(
        users, items, click_user, click_item, propensity[clicks], clip=0.2, reduction="sum"
    )
    torch.testing.assert_close(total, got * 143)


def test_squared_loss_of_a_perfect_fit_in_float32_is_zero():
    users = torch.eye(300)
    every = torch.arange(300)
    assert squared_click_loss(users, users, every, every, torch.ones(300)) == 0
    nearly = squared_click_loss(users * 1.001, users, every, every, torch.ones(300), reduction="sum")
    assert nearly.item() == pytest.approx(300 * 1e-6, rel=1e-3)


def test_squared_loss_without_clicks():
    users, items = torch.ones(2, 3), torch.ones(4, 3)
    none = torch.zeros(0, dtype=torch.int64)
    assert squared_click_loss(users, items, none, none, torch.zeros(0)) == 9


@pytest.mark.parametrize("kind", ["log", "squared"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_losses_that_overflow_are_refused(kind, reduction):
    """Infinities of both signs, whose sum would be NaN."""
    logits = torch.tensor([0, 1.7e308, -1.7e308, 0, 0, 0], dtype=torch.float64)
    clicks, propensity = torch.tensor([0, 1, 1, 0, 1, 0]), torch.full((6,), 0.4, dtype=torch.float64)
    with pytest.raises(
        ValueError, match="logits must be small enough for their losses to stay within float64"
    ):
        click_loss(logits, clicks, propensity, kind=kind, reduction=reduction)


def test_gradcheck():
    scores = SCORES.clone().requires_grad_()
    for kind in ("log", "squared"):
        assert torch.autograd.gradcheck(
            lambda s, kind=kind: click_loss(s, CLICKS, PROPENSITY, kind=kind), scores
        )
    assert torch.autograd.gradcheck(lambda s: pairwise_click_loss(s, CLICKS, PROPENSITY), scores)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores(dtype):
    scores = torch.tensor([1e4, -1e4, 1e4, -1e4], dtype=dtype, requires_grad=True)
    losses = click_loss(
        scores, torch.tensor([1, 1, 0, 0]), torch.full((4,), 0.5, dtype=dtype), reduction="none"
    )
    losses.sum().backward()
    assert losses.tolist() == [-1e4, 2e4, 1e4, 0] and scores.grad.tolist() == [-1, -2, 1, 0]
    pairwise = pairwise_click_loss(scores[None, :2], torch.tensor([[0, 1]]), torch.ones(2, dtype=dtype))
    assert pairwise.item() == 1e4


def test_propensity_zero_matters_only_where_there_is_a_click():
    scores, propensity = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.5])
    assert click_loss(scores, torch.tensor([0, 1]), propensity).isfinite()
    with pytest.raises(
        ValueError,
        match="propensity must be greater than 0 where there is a click, with a finite inverse; 1 are not",
    ):
        click_loss(scores, torch.tensor([1, 0]), propensity)


def test_numpy_in_numpy_out_with_a_propensity_per_item():
    scores = SCORES.float().numpy()[:, ::-1]
    losses = click_loss(scores, CLICKS.numpy().astype(bool), np.float32([0.5, 0.5, 0.25]), reduction="none")
    assert losses.dtype == np.float32 and losses.shape == (2, 3)
    np.testing.assert_allclose(
        losses, np.log1p(np.exp(scores)) - CLICKS.numpy() * [2, 2, 4] * scores, rtol=1e-5
    )
    assert isinstance(pairwise_click_loss(scores, CLICKS.numpy(), np.ones(3, dtype=np.float32)), float)


U, I, WHO = torch.ones(2, 3), torch.ones(4, 3), torch.tensor([0, 1])
SEEN = torch.ones(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: click_loss(SCORES.long(), CLICKS, PROPENSITY),
            TypeError,
            "logits must hold floats of 16, 32 or 64 bits",
        ),
        (lambda: click_loss(SCORES / 0, CLICKS, PROPENSITY), ValueError, "logits must be finite"),
        (
            lambda: click_loss(SCORES, CLICKS + 1, PROPENSITY),
            ValueError,
            "clicks must hold zeros and ones; 4 of 6 entries are neither",
        ),
        (lambda: click_loss(SCORES, CLICKS.tolist(), PROPENSITY), TypeError, "clicks must be a torch.Tensor"),
        (
            lambda: click_loss(SCORES, CLICKS[0], PROPENSITY),
            ValueError,
            "clicks must have the shape of logits",
        ),
        (
            lambda: click_loss(SCORES, CLICKS, PROPENSITY[0, :2]),
            ValueError,
            r"propensity must have shape \(2, 3\) or \(3,\); got \(2,\)",
        ),
        (lambda: click_loss(SCORES, CLICKS, PROPENSITY * 2), ValueError, "propensity must lie in 0..1"),
        (
            lambda: click_loss(SCORES, CLICKS, PROPENSITY.float()),
            TypeError,
            "propensity and logits must have the same dtype",
        ),
        (
            lambda: click_loss(SCORES, CLICKS, PROPENSITY.clone().requires_grad_()),
            ValueError,
            "propensity must not require a gradient",
        ),
        (lambda: click_loss(SCORES, CLICKS, PROPENSITY, clip=2), ValueError, "clip must lie in 0..1; got 2"),
        (lambda: click_loss(SCORES, CLICKS, PROPENSITY, kind="hinge"), ValueError, "kind must be one of"),
        (
            lambda: pairwise_click_loss(SCORES[:, :1], CLICKS[:, :1], PROPENSITY[:, :1]),
            ValueError,
            "logits must have at least 2 items",
        ),
        (
            lambda: pairwise_click_loss(SCORES[0], CLICKS[0], PROPENSITY[0]),
            ValueError,
            "logits must be 2-dimensional",
        ),
        (
            lambda: pairwise_click_loss(SCORES, CLICKS, PROPENSITY, nonnegative=1),
            TypeError,
            "nonnegative must be True or False",
        ),
        (
            lambda: squared_click_loss(U, I[:, :2], WHO, WHO, SEEN),
            ValueError,
            "users and items must have the same number of columns; got 3 and 2",
        ),
        (
            lambda: squared_click_loss(U, I, WHO + 1, WHO, SEEN),
            ValueError,
            r"click_user must lie in 0..1; got 1..2",
        ),
        (
            lambda: squared_click_loss(U, I, WHO, WHO - 1, SEEN),
            ValueError,
            r"click_item must lie in 0..3; got -1..0",
        ),
        (
            lambda: squared_click_loss(U, I, WHO, WHO[:1], SEEN),
            ValueError,
            r"click_item must have shape \(2,\)",
        ),
        (
            lambda: squared_click_loss(U, I, WHO, WHO, SEEN[:1]),
            ValueError,
            r"propensity must have shape \(2,\)",
        ),
        (
            lambda: squared_click_loss(U, I, WHO, WHO, SEEN * 0),
            ValueError,
            "propensity must be greater than 0 where there is a click, with a finite inverse; 2 are not",
        ),
        (
            lambda: squared_click_loss(U, I, WHO, WHO, SEEN, reduction="none"),
            ValueError,
            "reduction must be one of 'mean', 'sum'",
        ),
        (
            lambda: squared_click_loss(U.double() * 1e200, I.double(), WHO, WHO, SEEN.double()),
            ValueError,
            "users and items must be small enough",
        ),
        (
            lambda: pairwise_click_loss(SCORES * 1e300, CLICKS, PROPENSITY),
            ValueError,
            "logits must not exceed 1e.280; got 2e.300",
        ),
        (lambda: squared_click_loss(U * math.nan, I, WHO, WHO, SEEN), ValueError, "users must be finite"),
    ],
)
def test_refusals_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""What all rating models have in common: threads change nothing, and arrays of every kind are read."""

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from corelib.ratings import fit_bradley_terry, fit_item_response, glicko2_period


def test_results_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(0)
    player = rng.integers(0, 3000, 20_000)
    opponent = (player + rng.integers(1, 3000, 20_000)) % 3000
    games = dict(player=player, opponent=opponent, score=rng.random(20_000))
    start = rng.normal(1500, 300, 3000), rng.uniform(30, 350, 3000), rng.uniform(0.03, 0.3, 3000)
    answers = rng.random((100, 300)) < 0.6
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            new, fit = glicko2_period(*start, **games), fit_item_response(answers, model="2pl")
        results.append(
            [new.rating, new.deviation, new.volatility, fit.ability, fit.difficulty, fit.discrimination]
        )
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_players_of_every_integer_type(dtype):
    winner, loser = np.array([0, 0, 1], dtype=dtype), np.array([1, 2, 2], dtype=dtype)
    wanted = fit_bradley_terry([0, 0, 1], [1, 2, 2], 3).strength
    np.testing.assert_array_equal(fit_bradley_terry(winner, loser, 3).strength, wanted)
    state = [1500, 1500, 1500], [200, 200, 200], [0.06] * 3
    found = glicko2_period(*state, winner, loser, np.ones(3, dtype=dtype))
    np.testing.assert_array_equal(
        found.rating, glicko2_period(*state, [0, 0, 1], [1, 2, 2], [1, 1, 1]).rating
    )


def test_tensors_of_half_precision_are_read_exactly():
    answers = torch.tensor([[1, 0], [0, 1], [1, 1]])
    wanted = fit_item_response(answers.numpy())
    for other in (
        answers.bfloat16().requires_grad_(),
        answers.half(),
        answers.bool(),
        answers.to(torch.uint8),
    ):
        np.testing.assert_array_equal(fit_item_response(other).ability, wanted.ability)
    weight = torch.tensor([0.5, 0.25], dtype=torch.bfloat16)
    np.testing.assert_array_equal(
        fit_bradley_terry(torch.tensor([0, 1]), torch.tensor([1, 0]), 2, weight=weight).strength,
        fit_bradley_terry([0, 1], [1, 0], 2, weight=[0.5, 0.25]).strength,
    )

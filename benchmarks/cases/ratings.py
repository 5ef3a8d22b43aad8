"""Ratings of players, and of solvers and items."""

import numpy as np

from benchmarks.case import Case, Peer, Work
from corelib import metrics, ratings


def tournament(full: bool) -> dict:
    """Ten games of everybody; the peer rates only the first players, each of whom costs it the same."""
    players = 100_000 if full else 200
    rng = np.random.default_rng(0)
    rating = rng.normal(1500, 200, players)
    player = np.tile(np.arange(players), 5)
    opponent = (player + rng.integers(1, players, len(player))) % players
    return {
        "rating": rating,
        "deviation": rng.uniform(50, 300, players),
        "volatility": rng.uniform(0.04, 0.08, players),
        "player": player,
        "opponent": opponent,
        "score": (
            rng.random(len(player)) < 1 / (1 + 10 ** ((rating[opponent] - rating[player]) / 400))
        ).astype(float),
    }


SAMPLE = 0.02


def glicko2_period(data: dict) -> Work:
    sample = int(SAMPLE * len(data["rating"]))

    def work():
        new = ratings.glicko2_period(**data)
        return np.stack([new.rating[:sample], new.deviation[:sample]])

    return work


def with_glicko2(data: dict) -> Work:
    from glicko2 import Player

    sample = int(SAMPLE * len(data["rating"]))
    games: list[tuple[list, list, list]] = [([], [], []) for _ in range(sample)]
    for me, other, score in zip(data["player"], data["opponent"], data["score"], strict=True):
        for a, b, won in ((me, other, score), (other, me, 1 - score)):
            if a < sample:
                for column, value in zip(
                    games[a], (data["rating"][b], data["deviation"][b], won), strict=True
                ):
                    column.append(float(value))
    start = np.stack([data["rating"], data["deviation"], data["volatility"]], axis=1)[:sample].tolist()

    def work():
        players = [Player(*numbers) for numbers in start]
        for player, its_games in zip(players, games, strict=True):
            player.update_player(*its_games)
        return np.array([[p.rating for p in players], [p.rd for p in players]])

    return work


def answers(full: bool) -> dict:
    rng = np.random.default_rng(0)
    solvers, items = (1000, 1000) if full else (300, 300)
    discrimination, difficulty = rng.lognormal(0, 0.3, items), rng.normal(size=items)
    ability = rng.normal(size=(solvers, 1))
    right = rng.random((solvers, items)) < 1 / (1 + np.exp(-discrimination * (ability - difficulty)))
    return {"responses": right.astype(np.uint8), "difficulty": difficulty, "discrimination": discrimination}


ITEMS = 0.08


def two_parameters(data: dict) -> Work:
    # girth stops when no discrimination (marginal) or difficulty (joint) moves by more than 1e-3 in an iteration
    fit = ratings.fit_item_response
    return lambda: agreement(fit(data["responses"], model="2pl", tolerance=1e-3).difficulty, data)


def with_girth_marginal(data: dict) -> Work:
    """Timed on the first items and scaled in proportion, which spares it much: its time grows with their power 2.4."""
    from girth import twopl_mml

    first = int(ITEMS * len(data["difficulty"]))
    responses = np.ascontiguousarray(data["responses"].T[:first].astype(int))
    return lambda: agreement(twopl_mml(responses)["Difficulty"], data)


def with_girth_joint(data: dict) -> Work:
    from girth import twopl_jml

    responses = np.ascontiguousarray(data["responses"].T.astype(int))
    return lambda: agreement(twopl_jml(responses)["Difficulty"], data)


def agreement(difficulty: np.ndarray, data: dict) -> float:
    """How well a fit orders the first items by their true difficulty: ours maximises the joint posterior, the peers the
    joint likelihood within bounds or the likelihood with abilities integrated out. Without a prior, an item that hardly
    discriminates may run away, which its rank does not mind."""
    first = int(ITEMS * len(data["difficulty"]))
    return metrics.spearman(difficulty[:first], data["difficulty"][:first])


CASES = (
    Case(
        "glicko-2",
        "A Glicko-2 period",
        "100,000 players, 10 games each",
        tournament,
        glicko2_period,
        (
            Peer(
                "glicko2, timed on 2% of the players",
                with_glicko2,
                100,
                needs=("glicko2",),
                share=SAMPLE,
                tolerance=1e-3,
                reason="The prediction was made for NumPy passes over the games; a compiled pass took their place.",
            ),
        ),
    ),
    Case(
        "item-response",
        "2PL item response model",
        "1,000 solvers x 1,000 items",
        answers,
        two_parameters,
        (
            Peer(
                "girth twopl_mml (marginal), timed on 8% of the items",
                with_girth_marginal,
                100,
                needs=("girth",),
                share=ITEMS,
                tolerance=0.03,
                reason="It integrates over every ability at every trial value of an item, in Python; the prediction "
                "thought of a joint fit.",
            ),
            Peer(
                "girth twopl_jml (joint)",
                with_girth_joint,
                100,
                needs=("girth",),
                tolerance=0.03,
                reason="It has no integral to take, and calls NumPy per solver or item, so little of its time is Python's; "
                "ours is about 20 passes over a million exponentials in float64.",
            ),
        ),
        rounds=3,
    ),
)

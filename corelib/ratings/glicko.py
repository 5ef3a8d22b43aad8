"""Glicko-2: ratings that know how unsure they are."""

from dataclasses import dataclass

import numpy as np

from corelib._checks import check_positive, check_real
from corelib._types import ArrayLike
from corelib.engines import ratings as engine
from corelib.ratings._arrays import check_indices, check_range, check_reals

_SCALE = 173.7178
_CENTRE = 1500.0


@dataclass(frozen=True)
class GlickoRatings:
    """The state of every player after a rating period.

    Attributes
    ----------
    rating : ndarray of float64, shape (players,)
        Strength on the scale where a new player has 1500.
    deviation : ndarray of float64, shape (players,)
        Rating deviation RD, on the same scale: the standard error of the rating.
    volatility : ndarray of float64, shape (players,)
        How erratic the player's results are, on the internal scale (rating / 173.7178).
    """

    rating: np.ndarray
    deviation: np.ndarray
    volatility: np.ndarray


def glicko2_period(
    rating: ArrayLike,
    deviation: ArrayLike,
    volatility: ArrayLike,
    player: ArrayLike,
    opponent: ArrayLike,
    score: ArrayLike,
    *,
    tau: float = 0.5,
    max_deviation: float = 350.0,
) -> GlickoRatings:
    """Ratings after one period of games; every update uses the ratings at the start of the period.

    Parameters
    ----------
    rating, deviation, volatility : array_like of float, shape (players,)
        The state at the start, in -1e5..1e5, 1e-3..1e5 and 1e-6..10. New players have 1500, 350 and 0.06.
    player, opponent : array_like of int, shape (games,)
        Who met whom. Each game is listed once and changes both sides. Without games only deviations change: they grow.
    score : array_like of float, shape (games,)
        What ``player`` scored: 1 for a win, 0.5 for a draw, 0 for a loss; ``opponent`` scored the rest.
    tau : float, default 0.5
        How much volatilities may change in a period, in 0.01..10; sensible values lie between 0.3 and 1.2.
    max_deviation : float, default 350
        No deviation grows beyond this.

    Returns
    -------
    GlickoRatings

    Raises
    ------
    TypeError, ValueError
        If an array has the wrong type or length, is not finite, a number lies outside its range, or a player
        meets itself.

    Notes
    -----
    O(games + players) in one pass over each; each player's volatility equation is solved by the Illinois variant of
    regula falsi, to 1e-6 as the source asks. A player without games keeps rating and volatility, and its deviation
    grows. Results that the ratings deem next to impossible (30 upsets in a period by a player 2000 points weaker, both
    deviations 30) make volatility, and with it ratings, leave every scale: so the equations of the source have it. Source: M. Glickman, "Example of the Glicko-2 system" (2022), steps 1 to 8.

    Examples
    --------
    Glickman's worked example: a 1500-rated player beats 1400 and loses to 1550 and 1700.

    >>> from corelib.ratings import glicko2_period
    >>> new = glicko2_period(
    ...     [1500, 1400, 1550, 1700], [200, 30, 100, 300], [0.06] * 4,
    ...     player=[0, 0, 0], opponent=[1, 2, 3], score=[1, 0, 0],
    ... )
    >>> print(round(new.rating[0], 2), round(new.deviation[0], 2), round(new.volatility[0], 5))
    1464.05 151.52 0.06
    """
    tau, max_deviation = check_real(tau, "tau"), check_positive(max_deviation, "max_deviation")
    check_range(np.array([tau]), "tau", 0.01, 10)
    rating = check_range(check_reals(rating, "rating"), "rating", -1e5, 1e5)
    players = len(rating)
    deviation = check_reals(deviation, "deviation", like=("rating", players))
    volatility = check_reals(volatility, "volatility", like=("rating", players))
    check_range(deviation, "deviation", 1e-3, 1e5), check_range(volatility, "volatility", 1e-6, 10)
    player = check_indices(player, "player", below=players)
    opponent = check_indices(opponent, "opponent", below=players, like=("player", len(player)))
    if (player == opponent).any():
        raise ValueError(f"opponent must differ from player; {int((player == opponent).sum())} games do not")
    score = check_range(check_reals(score, "score", like=("player", len(player))), "score", 0, 1)

    phi = deviation / _SCALE
    g = 1 / np.sqrt(1 + 3 * (phi / np.pi) ** 2)
    state = np.stack([(rating - _CENTRE) / _SCALE, g], axis=1)
    gain, phi, volatility = engine.glicko(state, phi, volatility, player, opponent, score, tau)
    return GlickoRatings(rating + _SCALE * gain, np.minimum(_SCALE * phi, max_deviation), volatility)

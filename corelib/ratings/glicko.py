"""Glicko-2: ratings that know how unsure they are."""

from dataclasses import dataclass

import numpy as np

from corelib._checks import check_positive, check_real
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
    rating,
    deviation,
    volatility,
    player,
    opponent,
    score,
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
        Who met whom. Each game is listed once and changes both sides.
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
    O(games + players), vectorised over both; the volatility equation of all players is solved at once by the
    Illinois variant of regula falsi, to 1e-6 as the source asks. A player without games keeps rating and volatility,
    and its deviation grows. Source: M. Glickman, "Example of the Glicko-2 system" (2022), steps 1 to 8.

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

    mu, phi = (rating - _CENTRE) / _SCALE, deviation / _SCALE
    g = 1 / np.sqrt(1 + 3 * (phi / np.pi) ** 2)
    information, surprise = np.zeros(players), np.zeros(players)
    for me, other, mine in ((player, opponent, score), (opponent, player, 1 - score)):
        weight = g[other]
        expected = 0.5 + 0.5 * np.tanh(weight * (mu[me] - mu[other]) / 2)
        information += np.bincount(me, weight**2 * expected * (1 - expected), players)
        surprise += np.bincount(me, weight * (mine - expected), players)

    played = information > 0
    new_volatility = volatility.copy()
    new_volatility[played] = _solve_volatility(
        volatility[played], phi[played] ** 2, 1 / information[played], surprise[played] / information[played], tau
    )
    widened = phi**2 + new_volatility**2
    new_phi = 1 / np.sqrt(1 / widened + information)
    return GlickoRatings(
        rating=rating + _SCALE * new_phi**2 * surprise,
        deviation=np.minimum(_SCALE * new_phi, max_deviation),
        volatility=new_volatility,
    )


def _solve_volatility(volatility, phi2, variance, improvement, tau, tolerance=1e-6) -> np.ndarray:
    """Step 5: the root of f for every player, between brackets that close in on it."""
    a = np.log(volatility**2)
    excess = improvement**2 - phi2 - variance

    def f(x, players=slice(None)):
        e = np.exp(x)
        total = phi2[players] + variance[players] + e
        return e * (excess[players] - e) / (2 * total**2) - (x - a[players]) / tau**2

    low, high = a.copy(), np.empty_like(a)
    up = excess > 0
    high[up] = np.log(excess[up])
    high[~up] = a[~up] - tau
    open_end = np.flatnonzero(~up)
    while len(open_end := open_end[f(high[open_end], open_end) < 0]):
        high[open_end] -= tau
    f_low, f_high = f(low), f(high)
    open_bracket = np.flatnonzero(np.abs(high - low) > tolerance)
    while len(open_bracket):
        i = open_bracket
        c = low[i] + (low[i] - high[i]) * f_low[i] / (f_high[i] - f_low[i])
        f_c = f(c, i)
        crossed = f_c * f_high[i] <= 0
        low[i] = np.where(crossed, high[i], low[i])
        f_low[i] = np.where(crossed, f_high[i], f_low[i] / 2)
        high[i], f_high[i] = c, f_c
        open_bracket = i[np.abs(high[i] - low[i]) > tolerance]
    return np.exp(low / 2)

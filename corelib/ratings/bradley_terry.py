"""Bradley-Terry: strengths from who beat whom."""

from dataclasses import dataclass

import numpy as np

from corelib._checks import check_int, check_real
from corelib._types import ArrayLike
from corelib.ratings._arrays import check_indices, check_reals

_LARGEST_WEIGHT = 1e100  # sums over games stay finite


@dataclass(frozen=True)
class BradleyTerryModel:
    """Strengths on the log-odds scale.

    Attributes
    ----------
    strength : ndarray of float64, shape (players,)
        Mean zero; i beats j with probability sigmoid(strength[i] - strength[j]).
    standard_error : ndarray of float64, shape (players,)
        From the inverse of the full (penalised) information matrix.
    iterations : int
        Newton steps taken.
    """

    strength: np.ndarray
    standard_error: np.ndarray
    iterations: int


def fit_bradley_terry(
    winner: ArrayLike,
    loser: ArrayLike,
    players: int,
    *,
    weight: ArrayLike | None = None,
    precision: float = 1e-3,
    tolerance: float = 1e-10,
    max_iterations: int = 100,
) -> BradleyTerryModel:
    """Strengths that explain the outcomes best, with a Gaussian prior that keeps them finite.

    Parameters
    ----------
    winner, loser : array_like of int, shape (games,)
        Indices of the players; a draw is half a win each way (two rows of weight 0.5). Without games the result is the
        prior.
    players : int
        Number of players, at least 2.
    weight : array_like of float, shape (games,), optional
        Not negative; 1 each by default.
    precision : float, default 1e-3
        Of the prior N(0, 1/precision) on each strength, at least 1e-9. Without it a player that never lost would be infinitely
        strong, and groups that never met could not be compared.
    tolerance : float, default 1e-10
        Stop when no strength moves by more.
    max_iterations : int, default 100

    Returns
    -------
    BradleyTerryModel

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, length or range, or a player meets itself.
    RuntimeError
        If ``max_iterations`` Newton steps were not enough.

    Notes
    -----
    Newton's method on the concave log-posterior: O(games + players^3) a step, quadratic convergence. Source:
    R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block designs" (1952).

    Examples
    --------
    >>> from corelib.ratings import fit_bradley_terry
    >>> model = fit_bradley_terry([0, 0, 0, 1], [1, 1, 1, 0], players=2)     # 3 : 1
    >>> print(round(model.strength[0] - model.strength[1], 2))               # log 3
    1.1
    """
    players = check_int(players, "players", minimum=2)
    winner = check_indices(winner, "winner", below=players)
    loser = check_indices(loser, "loser", below=players, like=("winner", len(winner)))
    if (winner == loser).any():
        raise ValueError(f"loser must differ from winner; {int((winner == loser).sum())} games do not")
    weight = (
        np.ones(len(winner))
        if weight is None
        else check_reals(weight, "weight", like=("winner", len(winner)))
    )
    if (weight < 0).any():
        raise ValueError(f"weight must not be negative; got {weight.min()}")
    if (weight > _LARGEST_WEIGHT).any():
        raise ValueError(f"weight must not exceed {_LARGEST_WEIGHT:g}; got {weight.max()}")
    precision = check_real(precision, "precision")
    if precision < 1e-9:
        raise ValueError(
            f"precision must be at least 1e-9, or the strengths are not determined; got {precision}"
        )
    tolerance = check_real(tolerance, "tolerance")
    max_iterations = check_int(max_iterations, "max_iterations", minimum=1)

    pair, where = np.unique(winner * players + loser, return_inverse=True)
    winner, loser = pair // players, pair % players
    weight = np.bincount(where.ravel(), weight, len(pair))
    strength = np.zeros(players)

    def objective(s):
        return (weight * np.logaddexp(0, s[loser] - s[winner])).sum() + precision / 2 * (s**2).sum()

    value = objective(strength)
    for iteration in range(1, max_iterations + 1):
        p_upset = 1 / (1 + np.exp(np.clip(strength[winner] - strength[loser], -700, 700)))
        pull, spread = weight * p_upset, weight * p_upset * (1 - p_upset)
        gradient = precision * strength
        gradient += np.bincount(loser, pull, players) - np.bincount(winner, pull, players)
        hessian = np.diag(
            precision + np.bincount(loser, spread, players) + np.bincount(winner, spread, players)
        )
        np.subtract.at(hessian, (winner, loser), spread)
        np.subtract.at(hessian, (loser, winner), spread)
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                "weight is too large beside precision: in float64, a Newton step is singular"
            ) from error
        scale = 1.0
        while (new_value := objective(strength - scale * step)) > value and scale > 1e-10:
            scale /= 2
        strength, value = strength - scale * step, new_value
        if np.abs(step).max() <= tolerance:
            break
    else:
        raise RuntimeError(
            f"no convergence in {max_iterations} iterations; raise max_iterations or precision"
        )
    covariance = np.linalg.inv(hessian)
    return BradleyTerryModel(strength - strength.mean(), np.sqrt(np.diag(covariance)), iteration)

"""Item response theory: abilities of solvers and difficulties of items, fitted together."""

from dataclasses import dataclass

import numpy as np

from corelib._arrays import as_numbers
from corelib._checks import check_choice, check_int, check_positive
from corelib._types import ArrayLike
from corelib.engines import ratings as engine
from corelib.ratings._arrays import check_indices
from corelib.ratings._lbfgs import Point, minimise


@dataclass(frozen=True)
class ItemResponseModel:
    """A fitted one- or two-parameter logistic model: P(right) = sigmoid(discrimination * (ability - difficulty)).

    Attributes
    ----------
    ability, ability_error : ndarray of float64, shape (solvers,)
        On the log-odds scale, with the standard error from the Fisher information and the prior.
    difficulty, difficulty_error : ndarray of float64, shape (items,)
        On the same scale.
    discrimination : ndarray of float64, shape (items,)
        Positive; all 1 in the one-parameter model.
    log_posterior : float
        At the fit, up to a constant.
    step : float
        About how far, at most, a parameter still was from the mode where the fit stopped.
    iterations : int
    """

    ability: np.ndarray
    ability_error: np.ndarray
    difficulty: np.ndarray
    difficulty_error: np.ndarray
    discrimination: np.ndarray
    log_posterior: float
    step: float
    iterations: int

    def probability(self) -> np.ndarray:
        """P(right) for every solver and item, shape (solvers, items)."""
        return _sigmoid(self.discrimination * (self.ability[:, None] - self.difficulty))


def fit_item_response(
    responses: ArrayLike,
    *,
    solver: ArrayLike | None = None,
    item: ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
    model: str = "1pl",
    ability_precision: float = 1.0,
    difficulty_precision: float = 0.25,
    log_discrimination_precision: float = 4.0,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
) -> ItemResponseModel:
    """Fit abilities, difficulties and (2PL) discriminations by their joint posterior mode.

    Parameters
    ----------
    responses : array_like, shape (solvers, items) or (answers,)
        1 for right and 0 for wrong, of any real dtype. In a matrix of floats, NaN marks what was not asked. With
        ``solver`` and ``item`` given, one entry per answer.
    solver, item : array_like of int, shape (answers,), optional
        Who answered what, for logs in which most pairs never met; no pair may come twice.
    shape : (int, int), optional
        Solvers and items, with ``solver`` and ``item``.
    model : {"1pl", "2pl"}
        "1pl" (Rasch) holds every discrimination at 1.
    ability_precision, difficulty_precision, log_discrimination_precision : float
        Of the Gaussian priors, mean zero. They fix the origin of the scale and keep all-right and all-wrong finite.
        At most 1e100, so that no product of two overflows.
    tolerance : float
        Stop when an approximate Newton step moves no parameter by more: about the largest error of a parameter.
    max_iterations : int

    Returns
    -------
    ItemResponseModel

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, a response is neither 0 nor 1, or nothing was answered.
    RuntimeError
        If that is not reached in ``max_iterations``.

    Notes
    -----
    L-BFGS around Newton steps of each solver and each item, corrected for the directions that only the priors fix (a
    common shift; in the 2PL model a common stretch): about 20 passes over the answers to 1e-6, each O(answers) time,
    O(solvers + items) memory in all. Errors come from the diagonal of the Fisher information, with the other side's
    parameters taken as known. Sources: G. Rasch (1960); A. Birnbaum (1968).

    Examples
    --------
    >>> import numpy as np
    >>> from corelib.ratings import fit_item_response
    >>> fit = fit_item_response(np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 0]]))
    >>> fit.difficulty.argmax()
    np.int64(2)
    """
    check_choice(model, "model", ("1pl", "2pl"))
    precisions = (
        _precision(ability_precision, "ability_precision"),
        _precision(difficulty_precision, "difficulty_precision"),
        _precision(log_discrimination_precision, "log_discrimination_precision"),
    )
    tolerance = check_positive(tolerance, "tolerance")
    max_iterations = check_int(max_iterations, "max_iterations", minimum=1)
    if solver is None and item is None:
        if shape is not None:
            raise ValueError("shape goes with solver and item; a matrix of responses has its own")
        data = _dense(responses)
    elif solver is None or item is None:
        raise ValueError("solver and item must be given together")
    else:
        data = _sparse(responses, solver, item, shape)
    return _fit(_Posterior(data, model == "2pl", precisions), tolerance, max_iterations)


def _precision(value: object, name: str) -> float:
    number = check_positive(value, name)
    if number > _LARGEST_PRECISION:
        raise ValueError(f"{name} must not exceed {_LARGEST_PRECISION:g}; got {number}")
    return number


_LARGEST_PRECISION = 1e100


@dataclass(frozen=True)
class _Answers:
    """What the kernel reads: ``start`` and ``item`` are None for a full matrix."""

    answers: np.ndarray
    start: np.ndarray | None
    item: np.ndarray | None
    solvers: int
    items: int


def _dense(responses) -> _Answers:
    matrix = as_numbers(responses, "responses")
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(
            f"responses must have the shape (solvers, items), both at least 1; got {matrix.shape}"
        )
    missing = np.isnan(matrix) if matrix.dtype.kind == "f" else np.zeros(matrix.shape, dtype=bool)
    if missing.all():
        raise ValueError("responses must hold at least one answer; all are NaN")
    answers = np.where(missing, engine.UNANSWERED, _zeros_and_ones(matrix, missing)).astype(np.uint8)
    return _Answers(answers.ravel(), None, None, *matrix.shape)


def _sparse(responses, solver, item, shape) -> _Answers:
    values = as_numbers(responses, "responses")
    if values.ndim != 1 or not len(values):
        raise ValueError(f"responses must have the shape (answers,), at least 1; got {values.shape}")
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise ValueError(f"shape must be (solvers, items) where solver and item are given; got {shape!r}")
    solvers, items = check_int(shape[0], "shape[0]", minimum=1), check_int(shape[1], "shape[1]", minimum=1)
    solver = check_indices(solver, "solver", below=solvers, like=("responses", len(values)))
    item = check_indices(item, "item", below=items, like=("responses", len(values)))
    order = np.lexsort((item, solver))
    solver, item = solver[order], item[order]
    twice = int(((np.diff(solver) == 0) & (np.diff(item) == 0)).sum())
    if twice:
        raise ValueError(f"solver and item must name each pair once; {twice} answers come again")
    start = np.concatenate([[0], np.cumsum(np.bincount(solver, minlength=solvers))]).astype(np.int64)
    return _Answers(_zeros_and_ones(values)[order], start, item, solvers, items)


def _zeros_and_ones(array: np.ndarray, skip=False) -> np.ndarray:
    wrong = ~((array == 0) | (array == 1) | skip)
    if wrong.any():
        raise ValueError(
            f"responses must be 0 or 1; {int(wrong.sum())} are not, the first is {array[wrong].flat[0]}"
        )
    return (array == 1).astype(np.uint8)


@dataclass(frozen=True)
class _Posterior:
    """The negative log-posterior of abilities, difficulties and, in the 2PL model, log discriminations, in one vector."""

    data: _Answers
    two_parameters: bool
    precisions: tuple[float, float, float]

    def unpack(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Abilities, difficulties and log discriminations."""
        ability, difficulty, log_a = np.split(
            vector, [self.data.solvers, self.data.solvers + self.data.items]
        )
        return ability, difficulty, log_a if self.two_parameters else np.zeros(self.data.items)

    def pack(self, ability, difficulty, log_a) -> np.ndarray:
        return np.concatenate([ability, difficulty, log_a] if self.two_parameters else [ability, difficulty])

    def likelihood(self, vector: np.ndarray) -> tuple:
        """What the kernel says at ``vector``."""
        ability, difficulty, log_a = self.unpack(vector)
        data = self.data
        return engine.item_response(data.answers, data.start, data.item, ability, np.exp(log_a), difficulty)

    def start(self) -> np.ndarray:
        """The log-odds of each solver's right and each item's wrong answers, half an answer added to both counts."""
        parts = [np.zeros(self.data.solvers), np.zeros(self.data.items), np.zeros(self.data.items)]
        _, excess_wrong, excess_right, _, quarter, item_quarter, *_ = self.likelihood(self.pack(*parts))
        return self.pack(
            np.log((2 * quarter - excess_wrong + 0.5) / (2 * quarter + excess_wrong + 0.5)),
            np.log((2 * item_quarter - excess_right + 0.5) / (2 * item_quarter + excess_right + 0.5)),
            parts[2],
        )

    def evaluate(self, vector: np.ndarray) -> Point:
        nll, pull_ability, pull_difficulty, pull_log_a, *information = self.likelihood(vector)
        precision = self.pack(
            *(np.full(len(part), p) for part, p in zip(self.unpack(vector), self.precisions))
        )
        return Point(
            vector,
            nll + (precision * vector**2).sum() / 2,
            self.pack(pull_ability, pull_difficulty, pull_log_a) + precision * vector,
            self.preconditioner(vector, precision, *information),
        )

    def preconditioner(self, vector, precision, of_ability, of_difficulty, cross, of_log_a):
        """Newton's method per solver and per item, plus what that misses: moving all abilities and difficulties
        together, or (2PL) stretching them while discriminations shrink, changes no probability. Only the priors
        resist, so the curvature in these directions is known."""
        for_ability, for_difficulty, for_log_a = self.precisions
        of_ability, of_difficulty, of_log_a = (
            of_ability + for_ability,
            of_difficulty + for_difficulty,
            of_log_a + for_log_a,
        )
        ability, difficulty, log_a = self.unpack(vector)
        free = [self.pack(np.ones_like(ability), np.ones_like(difficulty), np.zeros_like(log_a))]
        if self.two_parameters:
            free.append(self.pack(ability, difficulty, -np.ones_like(log_a)))
        else:
            cross = np.zeros_like(cross)
        free = np.stack(free)
        determinant = of_difficulty * of_log_a
        determinant -= np.minimum(cross**2, (1 - _LEAST) * determinant)
        resistance = precision + _LEAST * self.pack(of_ability, of_difficulty, of_log_a)
        curvature = (free * resistance) @ free.T

        def precondition(gradient):
            pull_ability, pull_difficulty, pull_log_a = self.unpack(gradient)
            return free.T @ np.linalg.solve(curvature, free @ gradient) + self.pack(
                pull_ability / of_ability,
                (of_log_a * pull_difficulty - cross * pull_log_a) / determinant,
                (of_difficulty * pull_log_a - cross * pull_difficulty) / determinant,
            )

        return precondition


_LEAST = (
    1e-10  # of the information: directions with less are taken to have this much, as rounding hides the truth
)


def _fit(posterior: _Posterior, tolerance: float, max_iterations: int) -> ItemResponseModel:
    mode, iterations = minimise(
        posterior.evaluate, posterior.start(), tolerance=tolerance, max_iterations=max_iterations
    )
    step = mode.step()
    if not step <= tolerance:
        raise RuntimeError(
            f"no convergence: parameters still move by about {step:.1e} after {iterations} iterations; "
            "raise max_iterations or tolerance"
        )
    ability, difficulty, log_a = (part.copy() for part in posterior.unpack(mode.x))
    _, _, _, _, about_ability, about_difficulty, *_ = posterior.likelihood(mode.x)
    return ItemResponseModel(
        ability=ability,
        ability_error=1 / np.sqrt(about_ability + posterior.precisions[0]),
        difficulty=difficulty,
        difficulty_error=1 / np.sqrt(about_difficulty + posterior.precisions[1]),
        discrimination=np.exp(log_a),
        log_posterior=-mode.value,
        step=step,
        iterations=iterations,
    )


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(z / 2))

"""Item response theory: abilities of solvers and difficulties of items, fitted together."""

from dataclasses import dataclass

import numpy as np

from corelib._checks import check_choice, check_int, check_positive
from corelib.kernels import ratings as kernel
from corelib.ratings._arrays import check_indices


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
    responses,
    *,
    solver=None,
    item=None,
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
    tolerance : float
        Stop when each entry of the gradient, divided by the curvature at zero, is smaller: about the largest error
        of a parameter.
    max_iterations : int
        Of each of two phases: with a line search, and, should rounding stop that, with full steps.

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
    L-BFGS in variables scaled by the curvature at zero; each step is one fused pass over the answers, O(answers) time and O(solvers + items) memory. Errors come
    from the diagonal of the Fisher information, with the other side's parameters taken as known. Sources: G. Rasch
    (1960); A. Birnbaum (1968).

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
        check_positive(ability_precision, "ability_precision"),
        check_positive(difficulty_precision, "difficulty_precision"),
        check_positive(log_discrimination_precision, "log_discrimination_precision"),
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
    return _fit(data, model == "2pl", precisions, tolerance, max_iterations)


@dataclass(frozen=True)
class _Answers:
    """What the kernel reads: ``start`` and ``item`` are None for a full matrix."""

    answers: np.ndarray
    start: np.ndarray | None
    item: np.ndarray | None
    solvers: int
    items: int

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Answers of each solver and to each item."""
        if self.item is None:
            asked = self.answers.reshape(self.solvers, self.items) != kernel.UNANSWERED
            return asked.sum(1), asked.sum(0)
        return np.diff(self.start), np.bincount(self.item, minlength=self.items)

    def spread(self, ability, difficulty, discrimination) -> tuple[np.ndarray, np.ndarray]:
        """Fisher information about each ability and each difficulty."""
        if self.item is None:
            asked = self.answers.reshape(self.solvers, self.items) != kernel.UNANSWERED
            p = _sigmoid(discrimination * (ability[:, None] - difficulty))
            information = asked * discrimination**2 * p * (1 - p)
            return information.sum(1), information.sum(0)
        solver = np.repeat(np.arange(self.solvers), np.diff(self.start))
        a = discrimination[self.item]
        p = _sigmoid(a * (ability[solver] - difficulty[self.item]))
        information = a**2 * p * (1 - p)
        return np.bincount(solver, information, self.solvers), np.bincount(self.item, information, self.items)


def _dense(responses) -> _Answers:
    matrix = np.asarray(responses)
    _check_dtype(matrix)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"responses must have the shape (solvers, items), both at least 1; got {matrix.shape}")
    missing = np.isnan(matrix) if matrix.dtype.kind == "f" else np.zeros(matrix.shape, dtype=bool)
    if missing.all():
        raise ValueError("responses must hold at least one answer; all are NaN")
    answers = np.where(missing, kernel.UNANSWERED, _zeros_and_ones(matrix, missing)).astype(np.uint8)
    return _Answers(answers.ravel(), None, None, *matrix.shape)


def _sparse(responses, solver, item, shape) -> _Answers:
    values = np.asarray(responses)
    _check_dtype(values)
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


def _check_dtype(array: np.ndarray) -> None:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"responses must hold numbers or booleans; got dtype {array.dtype}")


def _zeros_and_ones(array: np.ndarray, skip=False) -> np.ndarray:
    wrong = ~((array == 0) | (array == 1) | skip)
    if wrong.any():
        raise ValueError(f"responses must be 0 or 1; {int(wrong.sum())} are not, the first is {array[wrong].flat[0]}")
    return (array == 1).astype(np.uint8)


def _fit(data: _Answers, two_parameters: bool, precisions, tolerance, max_iterations) -> ItemResponseModel:
    import torch

    sizes = [data.solvers, data.items, data.items if two_parameters else 0]
    precision = np.repeat(precisions, sizes)
    answered = data.counts()
    scale = 1 / np.sqrt(np.concatenate([*answered, answered[1]])[: sum(sizes)] / 4 + precision)
    scaled = torch.zeros(sum(sizes), dtype=torch.float64, requires_grad=True)
    ones = np.ones(data.items)

    def unpack():
        ability, difficulty, log_a = np.split(scaled.detach().numpy() * scale, np.cumsum(sizes)[:-1])
        return ability, difficulty, np.exp(log_a) if two_parameters else ones

    def evaluate():
        ability, difficulty, a = unpack()
        nll, *pulls = kernel.item_response(data.answers, data.start, data.item, ability, a, difficulty)
        vector = scaled.detach().numpy() * scale
        gradient = np.concatenate(pulls)[: len(vector)] + precision * vector
        scaled.grad = torch.from_numpy(gradient * scale)
        return torch.tensor(nll + (precision * vector**2).sum() / 2, dtype=torch.float64)

    iterations, step = 0, np.inf
    for line_search in ("strong_wolfe", None):  # near the mode, differences of the objective drown in rounding
        optimiser = torch.optim.LBFGS(
            [scaled],
            max_iter=max_iterations,
            max_eval=2 * max_iterations,
            tolerance_grad=tolerance / scale.max(),
            tolerance_change=0.0,
            history_size=20,
            line_search_fn=line_search,
        )
        optimiser.step(evaluate)
        iterations += optimiser.state[scaled]["n_iter"]
        loss = evaluate()
        step = float(np.abs(scaled.grad.numpy() * scale).max())
        if step <= tolerance:
            break
    if step > tolerance:
        raise RuntimeError(
            f"no convergence: parameters still move by about {step:.1e} after {iterations} iterations; "
            "raise max_iterations or tolerance"
        )
    ability, difficulty, a = (part.copy() for part in unpack())
    about_ability, about_difficulty = data.spread(ability, difficulty, a)
    return ItemResponseModel(
        ability=ability,
        ability_error=1 / np.sqrt(about_ability + precisions[0]),
        difficulty=difficulty,
        difficulty_error=1 / np.sqrt(about_difficulty + precisions[1]),
        discrimination=a,
        log_posterior=-float(loss),
        step=step,
        iterations=iterations,
    )


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(z / 2))

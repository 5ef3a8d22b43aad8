"""Limited-memory BFGS for objectives that know a good first guess of their inverse Hessian."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_HISTORY = 20
_HALVINGS = 30
_ROUNDING = 1e-13  # of the objective, relative


class Point(NamedTuple):
    """What the objective says at ``x``; ``precondition`` maps a gradient to about a Newton step."""

    x: np.ndarray
    value: float
    gradient: np.ndarray
    precondition: Callable[[np.ndarray], np.ndarray]

    def step(self) -> float:
        """About how far, at most, an entry of ``x`` is from the minimum."""
        return float(np.abs(self.precondition(self.gradient)).max())


def minimise(
    evaluate: Callable[[np.ndarray], Point], start: np.ndarray, *, tolerance: float, max_iterations: int
):
    """The first point whose ``step()`` is at most ``tolerance``, or the last one reached, and the iterations it took.

    The two-loop recursion around the preconditioner of the point at hand. Source: J. Nocedal and S. Wright, "Numerical
    Optimization" (2006), algorithm 7.4.
    """
    point, pairs = evaluate(start), deque(maxlen=_HISTORY)
    for iteration in range(max_iterations):
        if point.step() <= tolerance:
            return point, iteration
        following = _line_search(evaluate, point, -_times_inverse_hessian(point, pairs))
        if following is None:
            return point, iteration
        moved, turned = following.x - point.x, following.gradient - point.gradient
        if moved @ turned > 0:
            pairs.append((moved, turned, 1 / (moved @ turned)))
        point = following
    return point, max_iterations


def _times_inverse_hessian(point: Point, pairs: deque) -> np.ndarray:
    vector, parts = point.gradient.copy(), []
    for moved, turned, inverse in reversed(pairs):
        parts.append(inverse * (moved @ vector))
        vector -= parts[-1] * turned
    vector = point.precondition(vector)
    for (moved, turned, inverse), part in zip(pairs, reversed(parts), strict=True):
        vector += (part - inverse * (turned @ vector)) * moved
    return vector


def _line_search(
    evaluate: Callable[[np.ndarray], Point], point: Point, direction: np.ndarray
) -> Point | None:
    """Halve the step until the objective falls; where rounding hides that, until its slope has flattened."""
    slope, length = point.gradient @ direction, 1.0
    for _ in range(_HALVINGS):
        following = evaluate(point.x + length * direction)
        flatter = abs(following.gradient @ direction) <= 0.9 * abs(slope)
        if following.value <= point.value + 1e-4 * length * slope or (
            flatter and following.value <= point.value + _ROUNDING * abs(point.value)
        ):
            return following
        length /= 2
    return None

"""What an interactive figure of the site shows: curves over a parameter, computed when the notebook ran."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from corelib.lab.display import show
from corelib.lab.numbers import approx
from corelib.lab.table import html_table, plain_table
from corelib.lab.text import check_line

MIME = "application/vnd.keeping-score.slider"


def slider(
    parameter: str, values: Sequence[float], curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> None:
    """Store curves over one parameter, and show them as a table.

    The table is what stands on a page without scripts; where the site's script runs, the reader moves the parameter.
    Both are made of the same numbers, which are compared like any other number behind ``≈``.

    Parameters
    ----------
    parameter : str
        What the slider moves, with its unit if it has one.
    values : sequence of float, length n
        The values of the parameter, increasing; the last may be infinite.
    curves : mapping of str to (means, sds)
        The name of each curve, and for each value its mean and its standard deviation over the draws.

    Raises
    ------
    ValueError
        If there are fewer than two values or no curve, the values do not increase, or a curve has another length.

    Examples
    --------
    >>> from corelib import lab
    >>> lab.slider("temperature", [0.1, 1, float("inf")], {"AUC": ([0.81, 0.92, 0.5], [0.01, 0.02, 0.01])})
    By temperature
    temperature  AUC
    0.1          ≈ 0.810 ± 0.010
    1            ≈ 0.920 ± 0.020
    ∞            ≈ 0.500 ± 0.010
    """
    check_line(parameter, "parameter")
    grid = np.asarray(values, dtype=float)
    if grid.ndim != 1 or len(grid) < 2 or not np.all(np.diff(grid) > 0):
        raise ValueError(f"values must be at least two numbers that increase; got {values!r}")
    if not curves:
        raise ValueError("curves must have at least one entry")
    names = [check_line(name, "a name in curves") for name in curves]
    columns = [_column(name, curve, len(grid)) for name, curve in curves.items()]
    labels = ["∞" if np.isinf(value) else f"{value:g}" for value in grid]
    caption, head, rows = f"By {parameter}", [parameter, *names], list(zip(labels, *columns, strict=True))
    stored = {"parameter": parameter, "values": labels, "curves": dict(zip(names, columns, strict=True))}
    show(
        {
            "text/html": html_table(caption, head, rows),
            "text/plain": plain_table(caption, head, rows),
            MIME: json.dumps(stored, ensure_ascii=False, indent=1),
        }
    )


def _column(name: str, curve: tuple[Sequence[float], Sequence[float]], count: int) -> list[str]:
    means, sds = curve
    if len(means) != count or len(sds) != count:
        raise ValueError(
            f"curves[{name!r}] must have {count} means and {count} sds, one per value; got {len(means)} and {len(sds)}"
        )
    return [approx(mean, sd=sd) for mean, sd in zip(means, sds, strict=True)]

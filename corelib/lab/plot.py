"""Figures in one style, each with a title that states its finding."""

import base64
import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from corelib._checks import check_positive
from corelib.lab.display import show
from corelib.lab.style import MAX_WIDTH, PIXELS_PER_INCH, for_text, rc_params

_CHARACTERS_PER_INCH = 9.1  # of a title


@contextmanager
def figure(title: str, width: float = MAX_WIDTH, height: float = 3.6, **subplots) -> Iterator[tuple]:
    """Draw a figure in the style of the book, and show it as a PNG on white.

    The title stands above all axes and is also the text of the output, so the test of the notebooks compares it:
    a measured number in it must come through ``approx``.

    Parameters
    ----------
    title : str
        The finding, in one sentence; wrapped to the width.
    width, height : float
        Inches; a figure is at most 5.5 wide, so that its text can be read on a phone.
    **subplots
        For ``matplotlib.figure.Figure.subplots``: ``nrows``, ``ncols``, ``sharex`` ...

    Yields
    ------
    fig : matplotlib.figure.Figure
    ax : matplotlib.axes.Axes or array of them

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing; ``pip install "keeping-score[notebooks]"`` brings it.
    TypeError, ValueError
        If ``title`` is no string or empty, a size is not a positive number, or the figure too wide.

    Examples
    --------
    >>> from corelib import lab
    >>> with lab.figure("The loss falls", width=5, height=3) as (fig, ax):
    ...     _ = ax.plot([0, 1, 2], [3, 2, 1.5])
    The loss falls
    """
    if not isinstance(title, str):
        raise TypeError(f"title must be a str; got {type(title).__name__}")
    if not title.strip():
        raise ValueError("title must not be empty")
    width, height = check_positive(width, "width"), check_positive(height, "height")
    if width > MAX_WIDTH:
        raise ValueError(f"width must be at most {MAX_WIDTH} inches; got {width:g}")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'figures need matplotlib: pip install "keeping-score[notebooks]"'
        ) from error
    with matplotlib.rc_context(rc_params()):
        fig = Figure(figsize=(width, height), layout="constrained")
        axes = fig.subplots(**subplots)
        fig.suptitle(textwrap.fill(title, max(int(width * _CHARACTERS_PER_INCH), 20)), x=0.01, ha="left")
        yield fig, axes
        png = io.BytesIO()
        fig.savefig(png, format="png", dpi=PIXELS_PER_INCH, facecolor="white", metadata={"Software": None})
    size = {"width": round(width * PIXELS_PER_INCH / 2)}
    show(
        {"image/png": base64.b64encode(png.getvalue()).decode("ascii"), "text/plain": title},
        metadata={"image/png": size},
    )


def label_line(ax, x, y, text: str, color: str, *, dx: float = 6, dy: float = 0) -> None:
    """Write ``text`` beside the end of a line, in its colour: a direct label in place of a legend entry.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x, y : float or array-like
        The point, or the coordinates of the line, of which the last point is taken.
    text : str
    color : str
        The colour of the line; the text is darkened where that is too light to read.
    dx, dy : float
        Offset in points.

    Examples
    --------
    >>> from corelib import lab
    >>> with lab.figure("Squares outgrow lines", width=5, height=3) as (fig, ax):
    ...     _ = ax.plot([0, 1, 2], [0, 1, 4], color=lab.COLORS["blue"])
    ...     lab.label_line(ax, [0, 1, 2], [0, 1, 4], "square", lab.COLORS["blue"])
    Squares outgrow lines
    """
    from matplotlib.colors import to_rgb

    ax.annotate(
        text,
        (np.ravel(x)[-1], np.ravel(y)[-1]),
        xytext=(dx, dy),
        textcoords="offset points",
        color=for_text(to_rgb(color)),
        va="center",
        annotation_clip=False,
    )

"""The rules of an experiment, written down before it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from corelib._checks import check_int, check_positive
from corelib.lab.display import show
from corelib.lab.evidence import Gain, check_values
from corelib.lab.table import html_table
from corelib.lab.text import check_line

CAPTION = "The protocol"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is measured, by which yardstick, what is selected where, and what is drawn how often.

    Parameters
    ----------
    metric : str
        The primary metric.
    margin : float
        The smallest difference of it that counts, for "wins" and for "ties" alike.
    also : mapping of str to float, optional
        Further metrics, each with a margin of its own.
    selected : str
        What is selected, and on which development data.
    grids : mapping of str to sequence, optional
        The values that were tried; no best value lies at an edge.
    ties : str, optional
        What happens to equal scores.
    random : str
        What is drawn anew each time.
    draws : int
        How often, at least 1.

    Examples
    --------
    >>> from corelib import lab
    >>> protocol = lab.Protocol(
    ...     metric="AUC", margin=0.01, selected="nothing", random="initial weights", draws=3
    ... )
    >>> gain = protocol.compare([0.90, 0.92, 0.91], [0.80, 0.83, 0.81])
    >>> print(gain, gain.words, sep=", ")
    ≈ 0.0967 ± 0.0058, wins on 3 of 3 draws
    """

    metric: str
    margin: float
    selected: str
    random: str
    draws: int
    also: Mapping[str, float] = field(default_factory=dict)
    grids: Mapping[str, Sequence[float]] = field(default_factory=dict)
    ties: str = ""

    def __post_init__(self) -> None:
        for name in ("metric", "selected", "random"):
            check_line(getattr(self, name), name)
        check_int(self.draws, "draws", minimum=1)
        for metric, margin in self._margins.items():
            check_positive(margin, f"the margin of {metric}")

    def compare(self, ours: Sequence[float], rival: Sequence[float], *, metric: str | None = None) -> Gain:
        """The paired differences ``ours - rival``, one per draw; larger is better.

        Parameters
        ----------
        ours, rival : sequence of float, or float
            One value per draw, on the same draws.
        metric : str, optional
            Which margin counts; the primary metric's if it is left out.

        Raises
        ------
        TypeError, ValueError
            If a value is no finite number, the two are not equally long, or the metric is not in the protocol.
        """
        metric = self.metric if metric is None else metric
        if metric not in self._margins:
            raise ValueError(f"metric must be one of {', '.join(self._margins)}; got {metric!r}")
        first, second = check_values(ours, "ours"), check_values(rival, "rival")
        if len(first) != len(second):
            raise ValueError(
                f"ours and rival must have one value per draw; got {len(first)} and {len(second)}"
            )
        differences = tuple(a - b for a, b in zip(first, second, strict=True))
        return Gain(differences, margin=float(self._margins[metric]))

    def show(self) -> None:
        """Display the protocol as a table."""
        rows = [
            ("Measured", self.metric),
            *(("Counts from", f"{margin:g} in {metric}") for metric, margin in self._margins.items()),
            ("Selected", self.selected),
            *(("Grid", f"{name}: {', '.join(map(_plain, values))}") for name, values in self.grids.items()),
            *([("Equal scores", self.ties)] if self.ties else []),
            ("Drawn anew", f"{self.random}; {self.draws} times"),
        ]
        text = "\n".join([CAPTION, *(f"{name}: {value}" for name, value in rows)])
        show({"text/html": html_table(CAPTION, [], rows), "text/plain": text})

    @property
    def _margins(self) -> dict[str, float]:
        return {self.metric: self.margin, **self.also}


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

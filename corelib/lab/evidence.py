"""What a claim rests on: a level, a comparison, an error against a tolerance, and the words that these allow."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corelib._checks import check_positive
from corelib.lab.numbers import approx, as_number, below, timed

RELATIONS = ("wins", "ties", "loses")
RELATION = re.compile(
    r"(?P<wins>wins on \d+ of \d+ draws)|(?P<loses>loses on \d+ of \d+ draws)"
    r"|(?P<ties>a tie within [\d.e-]*\d)|(?P<unclear>unclear after \d+ draws)"
)
"""The words of a comparison over several draws, as ``Gain.words`` writes them."""

Region = tuple[float | None, float | None]
Expectation = str | Region


@dataclass(frozen=True)
class Level:
    """A quantity, measured once per draw of what is random; made by ``lab.measure``.

    ``timing`` marks times and ratios of times, which are reported and never compared.
    """

    values: tuple[float, ...]
    timing: bool = False

    @property
    def n(self) -> int:
        """Number of draws."""
        return len(self.values)

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def sd(self) -> float | None:
        """Standard deviation of the draws; None for a single one."""
        return float(np.std(self.values, ddof=1)) if self.n > 1 else None

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval of the mean (Student's t); the value itself for a single draw."""
        return self.mean - self._half_width

    @property
    def high(self) -> float:
        """Upper end of that interval."""
        return self.mean + self._half_width

    @property
    def words(self) -> str:
        """What the numbers allow to say; nothing, for a level."""
        return ""

    def meets(self, expect: Expectation) -> bool | None:
        """Whether the whole interval lies in the region; None if it lies on both sides of its border."""
        if isinstance(expect, str):
            raise TypeError(f"expect must be a region (low, high) for a level; got {expect!r}")
        low, high = _region(expect)
        if low <= self.low and self.high <= high:
            return True
        return False if self.high < low or high < self.low else None

    def __str__(self) -> str:
        return timed(self.mean) if self.timing else approx(self.mean, sd=self.sd)

    @property
    def _half_width(self) -> float:
        if self.n == 1:
            return 0.0
        from scipy.special import stdtrit

        return float(stdtrit(self.n - 1, 0.975)) * self.sd / math.sqrt(self.n)


@dataclass(frozen=True)
class Gain(Level):
    """The paired differences of two arms, one per draw; made by ``Protocol.compare``.

    ``margin`` is the smallest difference that counts.
    """

    margin: float = 0.0

    @property
    def ahead(self) -> int:
        """Number of draws on which the first arm is larger."""
        return sum(value > 0 for value in self.values)

    @property
    def relation(self) -> str:
        """``wins`` (interval above 0, mean at least the margin), ``loses``, ``ties`` (interval inside) or ``unclear``."""
        if self.low > 0 and self.mean >= self.margin:
            return "wins"
        if self.high < 0 and self.mean <= -self.margin:
            return "loses"
        return "ties" if -self.margin < self.low and self.high < self.margin else "unclear"

    @property
    def words(self) -> str:
        of = f" of {self.n} draws"
        match self.relation:
            case "wins":
                return f"wins on {self.ahead}{of}" if self.n > 1 else "wins"
            case "loses":
                behind = sum(value < 0 for value in self.values)
                return f"loses on {behind}{of}" if self.n > 1 else "loses"
            case "ties":
                return f"a tie within {self.margin:g}"
        return f"unclear after {self.n} draws" if self.n > 1 else f"no difference of {self.margin:g}"

    def meets(self, expect: Expectation) -> bool | None:
        """Whether the relation is the expected one; None if it is unclear."""
        if not isinstance(expect, str):
            return super().meets(expect)
        if expect not in RELATIONS:
            raise ValueError(
                f"expect must be one of {', '.join(RELATIONS)} or a region (low, high); got {expect!r}"
            )
        return None if self.relation == "unclear" else self.relation == expect


@dataclass(frozen=True)
class Exact:
    """An identity or a bound that must hold up to rounding; made by ``lab.exact``."""

    error: float
    tolerance: float
    timing = False
    n = 1

    @property
    def words(self) -> str:
        return ""

    def meets(self, expect: Expectation | None = None) -> bool:
        return self.error <= self.tolerance

    def __str__(self) -> str:
        return f"error {below(self.error, self.tolerance)}" if self.meets() else f"error {self.error:g}"


@dataclass(frozen=True)
class Untestable:
    """What cannot be measured at this scale, and why; made by ``lab.untestable``."""

    reason: str
    timing = False
    n = 0
    words = ""

    def meets(self, expect: Expectation | None = None) -> None:
        return None

    def __str__(self) -> str:
        return "not measured"


Evidence = Level | Exact | Untestable


def measure(values: float | Sequence[float], *, timing: bool = False) -> Level:
    """A level: a quantity measured once per draw of what is random.

    Parameters
    ----------
    values : float or sequence of float
        Finite; one per draw, or a single one for what is not random.
    timing : bool
        Whether these are times or ratios of times: reported, never compared, and no reason to stop a notebook.

    Raises
    ------
    TypeError, ValueError
        If a value is no finite real number, or there is none.

    Examples
    --------
    >>> from corelib import lab
    >>> print(lab.measure([0.91, 0.92, 0.96]))
    ≈ 0.930 ± 0.026
    """
    return Level(check_values(values, "values"), bool(timing))


def exact(error: float, tolerance: float) -> Exact:
    """Evidence for a theorem or an identity: the largest error that was found, and the largest that is allowed.

    Raises
    ------
    TypeError, ValueError
        If an argument is no real number, ``tolerance`` not positive, or ``error`` negative. NaN and infinity fail the
        claim.

    Examples
    --------
    >>> from corelib import lab
    >>> print(lab.exact(3e-16, 1e-12))
    error below 1e-12
    """
    error = float(as_number(error, "error"))
    if error < 0:
        raise ValueError(f"error must not be negative; got {error}")
    return Exact(error, check_positive(tolerance, "tolerance"))


def untestable(reason: str) -> Untestable:
    """Evidence for nothing: a statement of the paper that this scale cannot test, and why not.

    Examples
    --------
    >>> from corelib import lab
    >>> print(lab.untestable("the paper's network has two billion weights"))
    not measured
    """
    from corelib.lab.text import check_line

    return Untestable(check_line(reason, "reason"))


def check_values(values: object, name: str) -> tuple[float, ...]:
    """One finite float per draw, from a number or a sequence."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, list | tuple):
        values = [values]
    if not values:
        raise ValueError(f"{name} must hold at least one value")
    numbers = tuple(float(as_number(value, f"{name}[{i}]")) for i, value in enumerate(values))
    for i, number in enumerate(numbers):
        if not math.isfinite(number):
            raise ValueError(f"{name}[{i}] must be finite; got {number}")
    return numbers


def _region(expect: Region) -> tuple[float, float]:
    if not isinstance(expect, tuple) or len(expect) != 2 or expect == (None, None):
        raise ValueError(f"expect must be a region (low, high), one of which may be None; got {expect!r}")
    low, high = (-math.inf if expect[0] is None else expect[0], math.inf if expect[1] is None else expect[1])
    if not low < high:
        raise ValueError(f"expect must have low < high; got {expect!r}")
    return low, high

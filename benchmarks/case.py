"""What a benchmark is: one piece of work, the library's way to do it, and the peers'."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Peer:
    """Another way to do the work of a case.

    ``prepare`` gets the data of the case and returns the function that is timed; what it builds is "ready" and not
    timed. Where the work is a sum of equal parts and the whole takes too long, the peer does the ``share`` of it, and its
    time is divided by that. ``predicted`` is how many times faster the library was expected to be, written down before
    it was first measured. ``reason`` says why that was missed, where it was. A yardstick does other work (a sort, say).
    """

    name: str
    prepare: Callable[[dict], Work]
    predicted: float
    needs: tuple[str, ...] = ()
    tolerance: float = 1e-5
    share: float = 1.0
    yardstick: bool = False
    reason: str = ""

    @property
    def installed(self) -> bool:
        return all(importlib.util.find_spec(module) for module in self.needs)


@dataclass(frozen=True)
class Case:
    """One piece of work: ``make(full)`` returns its data, at full size or tiny (to warm up).

    ``rounds`` bounds the number of rounds where one takes many seconds.
    """

    slug: str
    title: str
    size: str
    make: Callable[[bool], dict]
    ours: Callable[[dict], Work]
    peers: tuple[Peer, ...]
    rounds: int | None = None

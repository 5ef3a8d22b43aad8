"""What every notebook of the book imports: ``from corelib import lab``.

======================================  ============================================================
``setup``, ``seed_everything``          one thread, warnings and figure style; seeds
``SCALE``, ``at_scale``                 ``"small"`` in a minute, ``"wide"`` with more draws, ``"full"`` on a GPU
``approx``, ``timed``, ``below``        numbers that may move between machines, and by how much
``say``, ``table``                      sentences and tables that hold them
``Card``, ``Protocol``, ``Claims``      what the paper claims, by which rules it is tested, what came out
``measure``, ``exact``, ``untestable``  what a claim rests on; ``Protocol.compare`` compares two arms
``slider``                              curves over one parameter that the reader can move
``figure``, ``label_line``              figures in one style, in ``COLORS`` that colour-blind readers can tell apart
``time_ratio``                          how many times faster one function is than another
======================================  ============================================================
"""

from corelib.lab.card import Card
from corelib.lab.claims import ClaimError, Claims
from corelib.lab.evidence import exact, measure, untestable
from corelib.lab.numbers import approx, below, say, timed
from corelib.lab.plot import figure, label_line
from corelib.lab.protocol import Protocol
from corelib.lab.scale import SCALE, at_scale
from corelib.lab.seeds import seed_everything
from corelib.lab.setup import setup
from corelib.lab.sliders import slider
from corelib.lab.style import COLORS
from corelib.lab.table import table
from corelib.lab.timing import time_ratio

__all__ = [
    "COLORS",
    "SCALE",
    "Card",
    "ClaimError",
    "Claims",
    "Protocol",
    "approx",
    "at_scale",
    "below",
    "exact",
    "figure",
    "label_line",
    "measure",
    "say",
    "seed_everything",
    "setup",
    "slider",
    "table",
    "time_ratio",
    "timed",
    "untestable",
]

"""What every notebook of the book imports: ``from corelib import lab``.

================================  ==================================================================
``setup``, ``seed_everything``    one thread, warnings and figure style; seeds
``SCALE``                         ``"small"`` on a laptop, ``"full"`` on a GPU
``approx``, ``say``               numbers that may move between machines, and sentences that hold them
``Card``, ``Claims``              what the paper claims, what was measured here, and whether it held
``table``                         an accessible table of results
``figure``, ``label_line``        figures in one style, in ``COLORS`` that colour-blind readers can tell apart
``time_ratio``                    how many times faster one function is than another
================================  ==================================================================
"""

from corelib.lab.card import Card
from corelib.lab.claims import ClaimError, Claims
from corelib.lab.numbers import approx, say
from corelib.lab.plot import figure, label_line
from corelib.lab.scale import SCALE
from corelib.lab.seeds import seed_everything
from corelib.lab.setup import setup
from corelib.lab.style import COLORS
from corelib.lab.table import table
from corelib.lab.timing import time_ratio

__all__ = [
    "COLORS",
    "SCALE",
    "Card",
    "ClaimError",
    "Claims",
    "approx",
    "figure",
    "label_line",
    "say",
    "seed_everything",
    "setup",
    "table",
    "time_ratio",
]

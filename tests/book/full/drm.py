"""Random pictures of 4 x 4 pixels in the place of MNIST, and a handful of steps."""

from types import SimpleNamespace

import numpy as np

import corelib.data

OVERRIDES = {
    "BIG": {"sizes": (40, 32, 32)},
    "STEPS": 4,
    "DRAWS": range(2),
    "PILOTS": range(1000, 1001),
    "RATES": dict.fromkeys(("colours", "offices", "rotations"), (1e-3, 1e-2)),
}


def prepare() -> None:
    rng = np.random.default_rng(0)
    tiny = SimpleNamespace(train=2 * rng.random((240, 16)) - 1, train_labels=rng.integers(0, 10, 240))
    corelib.data.mnist = lambda download=False: tiny

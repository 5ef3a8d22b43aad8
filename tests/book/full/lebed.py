"""A graph of 80 random papers in place of Cora, and networks of a few units."""

import numpy as np

import corelib.data
from corelib.data import NodeGraph

OVERRIDES = {"EPOCHS": 8, "CORA_GRAPHS": 6, "CORA_SIZE": 24, "CORA_HELD": 12, "CORA_HIDDEN": (8, 4)}


def prepare():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 80)
    words = (rng.random((80, 30)) < 0.2).astype(float)
    tiny = NodeGraph.from_pairs(
        words, rng.integers(80, size=(2, 200)), labels, tuple(f"field {i}" for i in range(7))
    )
    corelib.data.cora = lambda download=False: tiny

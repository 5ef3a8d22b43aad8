"""Forty words of DNA and their scores in the place of Design-Bench, for the full-scale branch of ignite."""

import sys
from types import ModuleType

import numpy as np

OVERRIDES = {
    "FULL_DRAWS": range(2),
    "FULL_WEIGHTS": (0.1, 1.0),
    "FULL_EPOCHS": 1,
    "FULL_HIDDEN": 4,
    "FULL_STARTS": 4,
    "BATCH": 16,
}


class Bench:
    """Four letters out of three, as integers until they are mapped to logits; or five plain numbers."""

    def __init__(self, name):
        rng = np.random.default_rng(0)
        self.is_discrete = name.startswith("TFBind")
        self.x = rng.integers(0, 3, (40, 4)) if self.is_discrete else rng.standard_normal((40, 5))
        self.y = rng.standard_normal((40, 1))

    def map_to_logits(self):
        assert self.is_discrete
        self.x = np.log(0.1 + np.eye(3)[self.x])

    def predict(self, designs):
        assert designs.shape[1:] == self.x.shape[1:]
        return designs.reshape(len(designs), -1).sum(axis=1, keepdims=True)


def prepare():
    bench = ModuleType("design_bench")
    bench.make = Bench
    sys.modules["design_bench"] = bench

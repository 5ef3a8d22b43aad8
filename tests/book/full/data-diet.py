"""Random pictures of a handful of classes in place of CIFAR-10, and a network of a few channels."""

from types import SimpleNamespace

import numpy as np

import corelib.data

OVERRIDES = {"BIG": {"networks": 2, "epochs": 2, "early": 1, "batch": 32, "width": 4}}


def prepare():
    rng = np.random.default_rng(0)
    tiny = SimpleNamespace(
        train=rng.random((160, 3072), dtype=np.float32),
        train_labels=rng.integers(0, 10, 160),
        test=rng.random((40, 3072), dtype=np.float32),
        test_labels=rng.integers(0, 10, 40),
    )
    corelib.data.cifar10 = lambda download=False: tiny

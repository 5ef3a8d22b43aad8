"""Random pictures in the place of CIFAR-10, and a linear layer's input in that of a ResNet-50's features."""

from types import SimpleNamespace

import numpy as np
import stand_ins

import corelib.data

OVERRIDES = {"BIG": {"side": 8, "batch": 50, "labels": (40, 60)}}


def prepare() -> None:
    rng = np.random.default_rng(0)
    tiny = SimpleNamespace(
        train=rng.random((160, 3072), dtype=np.float32),
        train_labels=rng.integers(0, 10, 160),
        test=rng.random((40, 3072), dtype=np.float32),
        test_labels=rng.integers(0, 10, 40),
    )
    corelib.data.cifar10 = lambda download=False: tiny
    stand_ins.resnet50(crop=8)

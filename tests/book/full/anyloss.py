"""A few hundred random payments in place of OpenML's credit card table."""

from types import SimpleNamespace

import numpy as np
import sklearn.datasets

OVERRIDES = {"STEPS": 20}


def prepare():
    rng = np.random.default_rng(0)
    frauds = rng.random(400) < 0.2
    tiny = SimpleNamespace(
        data=rng.normal(size=(400, 29)) + frauds[:, None],
        target=np.where(frauds, "1", "0"),
    )
    sklearn.datasets.fetch_openml = lambda name, *, version, as_frame: tiny

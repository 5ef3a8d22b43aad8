"""Eighty random customers in the place of OpenML's, and a network of sixteen units."""

from types import SimpleNamespace

import numpy as np
import sklearn.datasets

OVERRIDES = {"BIG": {"sizes": (8, 16), "customers": 40, "units": 16, "steps": 5}}


def prepare():
    table = np.random.default_rng(0).standard_normal((80, 24))
    sklearn.datasets.fetch_openml = lambda *name, **options: SimpleNamespace(data=table)

"""A slider stores what it shows, number for number."""

import json
import math
import sys

import pytest

from corelib import lab
from corelib.lab.sliders import MIME

CURVES = {"AUC": ([0.81, 0.92, 0.5], [0.01, 0.02, 0.01]), "loss": ([3, 2, 1], [0, 0, 0])}


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(sys.modules["corelib.lab.sliders"], "show", bundles.append)
    return bundles


def test_the_table_and_the_stored_curves_hold_the_same_numbers(shown):
    lab.slider("temperature", [0.1, 1, math.inf], CURVES)
    (bundle,) = shown
    stored = json.loads(bundle[MIME])
    assert stored["parameter"] == "temperature" and stored["values"] == ["0.1", "1", "∞"]
    assert stored["curves"]["AUC"] == ["≈ 0.810 ± 0.010", "≈ 0.920 ± 0.020", "≈ 0.500 ± 0.010"]
    for name, column in stored["curves"].items():
        for text in (name, *column, *stored["values"]):
            assert text in bundle["text/plain"] and text in bundle["text/html"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [1, 0.1, 2]}, "values must be at least two numbers that increase"),
        ({"values": [1, math.nan, 2]}, "values must be at least two numbers that increase"),
        ({"values": [1]}, "values must be at least two numbers that increase"),
        ({"values": [0.1, 1]}, r"curves\['AUC'\] must have 2 means and 2 sds, one per value; got 3 and 3"),
        ({"curves": {}}, "curves must have at least one entry"),
        ({"curves": {"AUC": ([0.8, math.nan, 0.5], [0, 0, 0])}}, "value must be finite"),
    ],
)
def test_it_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        lab.slider(**{"parameter": "temperature", "values": [0.1, 1, math.inf], "curves": CURVES} | change)

"""Protects the page of benchmarks: it says what the stored results say, of every case, and explains what was missed."""

import math
import re

import numpy as np
import pytest

pytest.importorskip("threadpoolctl")
from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.measure import check_agreement, measure

RESULTS = report.load()
PAGE = report.PAGE.read_text(encoding="utf-8")


def test_the_page_is_generated_from_the_stored_results():
    between = PAGE.partition(report.BEGIN)[2].partition(report.END)[0]
    assert between.strip() == report.generated(RESULTS).strip()


def test_every_case_and_peer_is_in_the_results():
    stored = [
        (case["slug"], peer["name"], peer["predicted"]) for case in RESULTS["cases"] for peer in case["peers"]
    ]
    assert stored == [(case.slug, peer.name, peer.predicted) for case in CASES for peer in case.peers]


def test_the_stored_results_are_medians_of_enough_rounds_with_every_peer_there():
    assert RESULTS["rounds"] >= 7
    for case in RESULTS["cases"]:
        assert case["seconds"] > 0
        for peer in case["peers"]:
            assert peer["installed"]
            assert peer["lowest"] <= peer["factor"] <= peer["highest"]


def test_nothing_names_the_machine():
    import getpass
    import socket

    text = report.RESULTS.read_text(encoding="utf-8") + PAGE
    for name in {socket.gethostname(), getpass.getuser()} - {"root", "runner", "localhost"}:
        assert not re.search(rf"\b{re.escape(name)}\b", text)


def test_the_plot_is_there_and_its_alternative_text_is_a_sentence():
    assert report.PLOT.read_bytes().startswith(b"\x89PNG")
    assert re.search(r":alt: [A-Z].{40,}\.\n", PAGE)


def test_a_peer_that_computes_something_else_stops_the_benchmark():
    case = CASES[0]
    with pytest.raises(AssertionError, match="differ by"):
        check_agreement(case, case.peers[0], np.array([1.0, 2.0]), np.array([1.0, 2.1]))
    with pytest.raises(AssertionError, match="differ by"):
        check_agreement(case, case.peers[0], math.nan, 1.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_the_library_and_its_peers_agree_on_a_tiny_input(case):
    data = case.make(False)
    ours = case.ours(data)()
    for peer in case.peers:
        if peer.installed and not peer.yardstick:
            check_agreement(case, peer, ours, peer.prepare(data)())


def test_a_peer_that_is_missing_is_reported(monkeypatch):
    case = next(case for case in CASES if case.slug == "ndcg")
    tiny = case.__class__(**{**vars(case), "make": lambda full: case.make(False)})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "sklearn" else object())
    results = {"cases": [measure(tiny, rounds=1, memory=False)]}
    assert "| scikit-learn ndcg_score | not installed |" in report.table(results)
    assert [peer["name"] for _, peer in report.measured(results)] == ["NumPy, argpartition"]


def test_every_missed_prediction_is_explained():
    missed = [(case, peer) for case, peer in report.measured(RESULTS) if report.is_missed(peer)]
    assert not [(case["slug"], peer["name"]) for case, peer in missed if not report.reason(case, peer)]

"""Protects the claims: conditions that can fail, outcomes that follow, and a display that is what is stored."""

import json
import math
import re
import sys
from html.parser import HTMLParser

import pytest

from corelib import lab
from corelib.lab import claims as claims_module
from corelib.lab.bands import STORING
from corelib.lab.card import Card
from corelib.lab.report import MIME, render

CARD = {
    "slug": "no-such-chapter",
    "title": "Losses & <ranks>",
    "paper": "Optimizing What Matters",
    "authors": "A. Author",
    "year": 2025,
    "url": 'https://example.org/?a=1&b="2"',
    "claimed": "AUC < MRR",
    "found": "it does",
    "level": "master's student",
    "data": "synthetic scores",
}
PROTOCOL = lab.Protocol(metric="AUC", margin=0.01, selected="nothing", random="weights", draws=5)
OURS = [0.95, 0.96, 0.97, 0.95, 0.96]
RIVAL = [0.90, 0.92, 0.91, 0.90, 0.91]
WIN = PROTOCOL.compare(OURS, RIVAL)
TIE = PROTOCOL.compare(OURS, [0.951, 0.959, 0.97, 0.951, 0.961])
PAPER = dict(paper="0.85 -> 0.91 (table 1)", found=WIN, expect="wins", band=(0.04, 0.06))


@pytest.fixture
def card():
    return lab.Card(**CARD)


@pytest.fixture
def claims(card):
    return lab.Claims(card, PROTOCOL)


@pytest.fixture
def shown(monkeypatch):
    """The MIME bundles that are displayed, in order, each with its display id; updates are marked."""
    bundles = []
    for module in ("card", "claims", "table"):
        monkeypatch.setattr(
            sys.modules[f"corelib.lab.{module}"],
            "show",
            lambda bundle, display_id=None: bundles.append((bundle, display_id)),
        )
    monkeypatch.setattr(
        "corelib.lab.card.replace",
        lambda bundle, *, display_id: bundles.append((bundle, f"update {display_id}")),
    )
    return bundles


def stored(shown):
    return json.loads(shown[-1][0][MIME])


def test_a_report_stores_every_claim_and_fills_the_card(card, claims, shown):
    card.show()
    claims.library("self", "Both agree", error=2e-16, tolerance=1e-12)
    claims.paper(
        "beats", "MW beats CL", main=True, rival={"centring": TIE}, why="centring does it too", **PAPER
    )
    claims.ours("level", "MW is good", found=lab.measure(OURS), expect=(0.9, 1), band=(0.94, 0.98))
    claims.distance("gain", paper="+0.06", here=str(WIN))
    claims.report()
    first, *lines, updated, report = shown
    assert (first[1], updated[1]) == ("card-no-such-chapter", "update card-no-such-chapter")
    verdict = "a simpler rival ties: ≈ 0.0500 ± 0.0071, wins on 5 of 5 draws"
    assert f"Verdict: {verdict}" in updated[0]["text/plain"]
    assert f"Verdict: {verdict}" in report[0]["text/plain"]
    assert "Verdict: (filled in" in first[0]["text/plain"]
    assert [re.search(r'id="([\w-]+)"', bundle["text/html"])[1] for bundle, _ in lines] == [
        "claim-self",
        "claim-beats",
        "claim-level",
    ]
    for name in ("beats", "level"):
        assert f'href="#claim-{name}"' in report[0]["text/html"]
    found = stored(shown)
    assert [claim["origin"] for claim in found["claims"]] == ["library", "paper", "ours"]
    assert found["claims"][1] == {
        "name": "beats",
        "origin": "paper",
        "main": True,
        "statement": "MW beats CL",
        "paper": "0.85 -> 0.91 (table 1)",
        "measured": "≈ 0.0500 ± 0.0071, wins on 5 of 5 draws; over centring: ≈ -0.00040 ± 0.00089, a tie within 0.01",
        "condition": "wins: at least 0.01, interval above 0; the mean from 0.04 to 0.06",
        "outcome": "a simpler rival ties",
        "reason": "centring does it too",
        "draws": 5,
        "band": [0.04, 0.06],
        "wide": None,
        "problem": "",
    }
    assert found["card"]["verdict"] == verdict
    assert render(found) == report[0]
    assert Card.from_dict(found["card"]).render() == updated[0]
    assert "≈ 0.050" in report[0][MIME], "the sign must not be escaped, or nbval does not mask the number"
    assert "1 self-test of the library" in report[0]["text/html"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"band": (0.06, 0.07)}, "the mean must lie from 0.06 to 0.07; it is 0.05"),
        ({"band": (0.01, 0.03)}, "the mean must lie from 0.01 to 0.03; it is 0.05"),
        ({"band": (0.01, 0.06)}, "wider than 4 standard deviations"),
        ({"band": (0.04, 0.09)}, "wider than 4 standard deviations"),
        ({"found": PROTOCOL.compare(0.5, 0.4), "band": (0.09, 0.12)}, "wider than 5 % of the value"),
        ({"found": TIE, "band": (-0.003, 0.002), "why": "-"}, ""),
        ({"expect": (0.045, None), "band": (0.04, 0.06), "why": "-"}, ""),
        ({"expect": (0.01, None), "band": (0.04, 0.06)}, ""),
        ({"expect": (None, 0.035), "band": (0.03, 0.06), "why": "-"}, "contains 0.035"),
        (
            {"found": PROTOCOL.compare([0.03, 0.05], [0, 0.001]), "band": (-0.01, 0.06), "why": "-"},
            "",
        ),
        ({"found": PROTOCOL.compare([0.03, 0.032, 0.06], [0, 0, 0]), "band": (-0.01, 0.06), "why": "-"}, ""),
        (
            {"found": lab.exact(2e-3, 1e-12), "expect": None, "band": None, "why": "-"},
            "the error must be at most 1e-12",
        ),
    ],
)
def test_a_condition_that_is_not_met_or_cannot_fail_stops_the_notebook(
    changes, problem, claims, shown, monkeypatch
):
    monkeypatch.setenv(STORING, "1")
    claims.paper("a", "b", **PAPER | changes)
    if not problem:
        claims.report()
        return
    with pytest.raises(lab.ClaimError, match=re.escape(problem)):
        claims.report()
    assert stored(shown)["claims"][0]["problem"]


def test_where_nothing_is_stored_only_the_mean_counts(claims, shown):
    claims.paper("a", "b", **PAPER | {"band": (-0.01, 0.3)})
    claims.report()
    claims.ours("c", "d", found=WIN, expect="wins", band=(0.06, 0.07))
    with pytest.raises(lab.ClaimError, match="the mean must lie from"):
        claims.report()


def test_a_win_has_a_band_above_zero(claims, shown, monkeypatch):
    monkeypatch.setenv(STORING, "1")
    found = PROTOCOL.compare([0.02, 0.09, 0.06, 0.07], [0, 0, 0, 0])
    assert found.relation == "wins"
    claims.paper("a", "b", **PAPER | {"found": found, "band": (-0.001, 0.09)})
    with pytest.raises(lab.ClaimError, match="contains 0, where the outcome would be another one"):
        claims.report()


def test_at_other_scales_a_condition_is_reported_and_stops_nothing(claims, shown, monkeypatch):
    for module in ("claims", "bands"):
        monkeypatch.setattr(sys.modules[f"corelib.lab.{module}"], "SCALE", "wide")
    claims.paper("a", "b", **PAPER | {"band": (0.9, 0.91)})
    claims.report()
    assert stored(shown)["claims"][0]["outcome"] == "holds"


def test_a_matter_of_timing_is_reported_and_stops_nothing(claims, shown):
    found = lab.measure([3.0, 3.1, 2.9], timing=True)
    claims.paper("fast", "it is fast", paper="40 times", found=found, expect=(5, None), main=True)
    claims.report()
    claim = stored(shown)["claims"][0]
    assert (claim["outcome"], claim["measured"]) == ("◷(fails here)", "◷ 3.0")
    assert "reported, not enforced" in claim["condition"]


WIDE = {"name": "a", "measured": "≈ 0.001 ± 0.002, a tie within 0.01", "outcome": "fails here", "draws": 15}


def test_the_wide_run_has_the_last_word(card, shown, monkeypatch):
    monkeypatch.setattr(claims_module.record, "load", lambda path: {"wide": {"claims": [WIDE]}})
    claims = lab.Claims(card, PROTOCOL)
    with pytest.raises(ValueError, match='why is required: the outcome of "a" is "fails here"'):
        claims.paper("a", "b", **PAPER)
    claims.paper("a", "b", main=True, why="the lead does not last", **PAPER)
    claims.report()
    claim = stored(shown)["claims"][0]
    assert claim["outcome"] == "fails here"
    assert claim["wide"] == {key: WIDE[key] for key in ("measured", "outcome", "draws")}
    assert stored(shown)["card"]["verdict"].startswith("fails here: ")
    assert "Wide run, 15 draws:" in shown[-1][0]["text/html"]


def test_every_failure_is_named_after_the_table_is_shown(claims, shown):
    claims.library("fine", "holds", error=0.0, tolerance=1e-9)
    claims.library("off", "does not hold", error=2e-3, tolerance=1e-12)
    claims.library("lost", "is not even a number", error=math.nan, tolerance=1e-12)
    with pytest.raises(lab.ClaimError) as caught:
        claims.report()
    assert str(caught.value) == (
        "2 of 3 claims do not hold:\n"
        "  off: the error must be at most 1e-12; measured: error 0.002\n"
        "  lost: the error must be at most 1e-12; measured: error nan"
    )
    assert shown[-1][0]["text/plain"].count("not met") == 2


def test_a_report_without_claims_or_with_two_main_ones_is_an_error(claims, shown):
    with pytest.raises(lab.ClaimError, match="no claim was recorded"):
        claims.report()
    claims.paper("a", "b", main=True, **PAPER)
    claims.paper("c", "d", main=True, **PAPER)
    with pytest.raises(lab.ClaimError, match="one claim is the main one; here are a, c"):
        claims.report()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"band": None}, ValueError, r'band is required for "a": measured 0.05; try band=\(0.0359, 0.0641\)'),
        ({"band": (0.06, 0.04)}, ValueError, "band must have low < high"),
        ({"band": 0.05}, ValueError, "band must be a pair"),
        ({"band": (0.04, math.inf)}, ValueError, r"band\[1\] must be finite"),
        ({"expect": None}, ValueError, "expect is required"),
        (
            {"found": TIE, "band": (-0.003, 0.002)},
            ValueError,
            'why is required: the outcome of "a" is "fails here"',
        ),
        ({"paper": None}, TypeError, "paper must be a str; got NoneType"),
        ({"why": " "}, ValueError, "why must not be empty"),
        ({"found": lab.exact(0, 1), "expect": None}, ValueError, "Exact takes none"),
        ({"found": lab.untestable("a"), "expect": None}, ValueError, "Untestable takes none"),
        ({"found": lab.measure(1.0, timing=True), "expect": (0, None)}, ValueError, "Level takes none"),
    ],
)
def test_a_claim_refuses(claims, changes, error, message):
    with pytest.raises(error, match=message):
        claims.paper("a", "b", **PAPER | changes)


@pytest.mark.parametrize("name", ["", "A", "two words", "under_score", "-a", "a-", "a--b", "ä"])
def test_names_are_lower_case_words(claims, name):
    with pytest.raises(ValueError, match="name must"):
        claims.library(name, "b", error=0, tolerance=1)


def test_names_are_unique(claims):
    claims.library("a", "b", error=0, tolerance=1)
    with pytest.raises(ValueError, match='name must be unique; there is a claim "a" already'):
        claims.paper("a", "c", **PAPER)


def test_claims_need_a_card_and_a_protocol(card):
    with pytest.raises(TypeError, match="card must be a Card; got dict"):
        lab.Claims(CARD)
    with pytest.raises(TypeError, match="protocol must be a Protocol; got str"):
        lab.Claims(card, "AUC")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"title": ""}, ValueError, "title must not be empty"),
        ({"found": "a\nb"}, ValueError, "found must be a single line"),
        ({"paper": 3}, TypeError, "paper must be a str; got int"),
        ({"year": "2025"}, TypeError, "year must be an integer; got str"),
    ],
)
def test_a_card_refuses(changes, error, message):
    with pytest.raises(error, match=message):
        lab.Card(**CARD | changes)


def test_the_time_to_read_is_counted(tmp_path, monkeypatch):
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "word " * 1000 + "$x + y$ [link](to/there.md)"},
        {"cell_type": "code", "metadata": {}, "source": "x = 1\n\n" * 150},
        {"cell_type": "code", "metadata": {"tags": ["hide-input"]}, "source": "x = 1\n" * 900},
    ]
    (tmp_path / "counted.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert lab.Card(**CARD | {"slug": "counted"}).minutes == 20  # 5.01 for the words and 10 for the lines
    assert lab.Card(**CARD).minutes is None


def test_a_distance_refuses_numbers(claims):
    with pytest.raises(TypeError, match="here must be a str; got float"):
        claims.distance("gain", paper="+0.06", here=0.05)


class _Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_displays_are_accessible_and_take_the_colours_of_the_page(claims, card, shown):
    claims.paper("a", "x < y & z", main=True, **PAPER | {"paper": '<script>alert("1")</script>'})
    claims.report()
    lab.table("Results", ["loss", "AUC"], [["MW", "≈ 0.9"], ["<CL>", 3]])
    for bundle, _ in shown:
        html = bundle["text/html"]
        tags = _Tags(html).tags
        for tag, attributes in tags:
            if attributes.get("role") == "region":
                assert attributes["tabindex"] == "0" and attributes["aria-label"]
            assert tag != "th" or attributes.get("scope") in ("row", "col")
            assert "id" not in attributes or attributes["id"].startswith("claim-")
        assert "color" not in html.replace("border-color", "")
        assert "<script" not in html
    assert dict(_Tags(shown[1][0]["text/html"]).tags)["a"]["href"] == CARD["url"]


def test_a_table_prints_outside_a_notebook(capsys):
    lab.table("Pooled AUC", ["loss", "AUC"], [["MW", lab.approx(0.93)], ["contrastive", 3]])
    assert capsys.readouterr().out == "Pooled AUC\nloss         AUC\nMW           ≈ 0.930\ncontrastive  3\n"


@pytest.mark.parametrize("number", [76.0, 1234.0, -5.2e-4])
def test_the_length_of_a_measured_number_moves_nothing_else(number, capsys):
    lab.table(
        "Speed", ["what", "times", "note"], [["loop", lab.approx(number, 2), "slow"], ["rest", "1", "-"]]
    )
    masked = re.sub(r"≈ -?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?", "≈ #", capsys.readouterr().out)
    assert masked == "Speed\nwhat  times  note\nloop  ≈ #    slow\nrest  1      -\n"


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([["MW", 0.93]], TypeError, r"rows\[0\]\[1\] must be a str or an int \(use approx .*got float"),
        ([["MW", True]], TypeError, r"rows\[0\]\[1\] must be a str or an int"),
        ([["MW", "1"], ["CL"]], ValueError, r"rows\[1\] must have 2 cells, one per column; got 1"),
    ],
)
def test_a_table_refuses(rows, error, message):
    with pytest.raises(error, match=message):
        lab.table("Results", ["loss", "AUC"], rows)

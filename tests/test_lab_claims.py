"""Protects the claims: what fails must raise, what is displayed must be what is stored, and the verdict must follow."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from corelib import lab
from corelib.lab.card import Card
from corelib.lab.claims import MIME, render, verdict

CARD = {
    "slug": "mw-loss",
    "title": "Losses & <ranks>",
    "paper": "Optimizing What Matters",
    "authors": "A. Author",
    "year": 2025,
    "url": 'https://example.org/?a=1&b="2"',
    "level": "master's student",
    "minutes": 15,
    "data": "synthetic scores",
    "claimed": "AUC goes up",
    "reproduced": "at small scale",
    "easy": "the formula",
    "hard": "the data",
}
CHECK = {
    "paper": "0.85 -> 0.91 (table 1)",
    "measured": "≈ 0.90",
    "holds": True,
    "condition": "gap >= 0.05",
    "status": "reproduced",
}


@pytest.fixture
def card():
    return lab.Card(**CARD)


@pytest.fixture
def claims(card):
    return lab.Claims(card)


@pytest.fixture
def shown(monkeypatch):
    """The MIME bundles that are displayed, in order, each with its display id; updates are marked."""
    bundles = []
    for module in ("card", "claims"):
        monkeypatch.setattr(
            f"corelib.lab.{module}.show", lambda bundle, display_id=None: bundles.append((bundle, display_id))
        )
    monkeypatch.setattr(
        "corelib.lab.card.replace",
        lambda bundle, *, display_id: bundles.append((bundle, f"update {display_id}")),
    )
    return bundles


def test_a_report_stores_every_claim_and_fills_the_card(card, claims, shown):
    card.show()
    claims.exact("lemma-1", "CL does not move", error=np.float64(2e-16), tolerance=1e-12)
    claims.check("mw-beats-cl", "MW beats CL", **CHECK)
    claims.check("by-how-much", "by a lot", **CHECK | {"status": "in part", "reason": "small data"})
    claims.distance("pooled AUC gain", paper="+0.06", here="≈ 0.05")
    claims.report()
    (first, first_id), (updated, updated_id), (report, _) = shown
    assert (first_id, updated_id) == ("card-mw-loss", "update card-mw-loss")
    assert "Verdict: held in part" not in first["text/plain"]
    assert "Verdict: held in part" in updated["text/plain"]
    assert (
        "Distance to the paper's number: pooled AUC gain: paper +0.06, here ≈ 0.05" in updated["text/plain"]
    )
    assert isinstance(report[MIME], str)
    stored = json.loads(report[MIME])
    assert stored["card"]["verdict"] == "in part"
    assert stored["card"]["distances"] == [{"what": "pooled AUC gain", "paper": "+0.06", "here": "≈ 0.05"}]
    assert [claim["name"] for claim in stored["claims"]] == ["lemma-1", "mw-beats-cl", "by-how-much"]
    assert stored["claims"][0] == {
        "name": "lemma-1",
        "statement": "CL does not move",
        "status": "exact",
        "paper": "",
        "measured": "error ≈ 2.0e-16",
        "condition": "error <= 1e-12",
        "holds": True,
        "reason": "",
    }
    assert "≈ 0.90" in report[MIME], "the sign must not be escaped, or nbval does not mask the number"
    assert render(stored) == report
    assert Card.from_dict(stored["card"]).render() == updated
    for line in (
        "Verdict: held in part (1 exact, 1 reproduced, 1 in part)",
        "pooled AUC gain: paper +0.06, here ≈ 0.05",
    ):
        assert line in report["text/plain"]
        assert line in re.sub(r"</?span[^>]*>", "", report["text/html"])
    assert '<span style="white-space: nowrap">≈ 0.05</span>' in report["text/html"]


def test_a_report_names_every_failure_after_showing_the_table(claims, shown):
    claims.exact("fine", "holds", error=0.0, tolerance=0.0)
    claims.exact("off", "does not hold", error=2e-3, tolerance=1e-12)
    claims.exact("lost", "is not even a number", error=math.nan, tolerance=1e-12)
    claims.exact("far", "is beyond all bounds", error=math.inf, tolerance=1e-12)
    claims.check("gone", "was there once", **CHECK | {"holds": np.False_})
    with pytest.raises(lab.ClaimError) as caught:
        claims.report()
    assert str(caught.value) == (
        "4 of 5 claims do not hold:\n"
        "  off: not (error <= 1e-12); measured: error ≈ 0.0020\n"
        "  lost: not (error <= 1e-12); measured: error is nan\n"
        "  far: not (error <= 1e-12); measured: error is inf\n"
        "  gone: not (gap >= 0.05); measured: ≈ 0.90"
    )
    assert shown[-1][0]["text/plain"].count("(does not hold)") == 4
    assert [claim["holds"] for claim in json.loads(shown[-1][0][MIME])["claims"]] == [
        True,
        False,
        False,
        False,
        False,
    ]


def test_a_finding_of_no_effect_must_hold_too(claims, shown):
    claims.check(
        "no-gap", "a gap", **CHECK | {"holds": False, "status": "not reproduced", "reason": "no gap here"}
    )
    with pytest.raises(lab.ClaimError, match="no-gap"):
        claims.report()


def test_a_report_without_claims_is_an_error(claims):
    with pytest.raises(lab.ClaimError, match="no claim was recorded"):
        claims.report()


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "held"),
        (["exact"], "held"),
        (["exact", "reproduced"], "held"),
        (["reproduced", "in part"], "in part"),
        (["in part"], "in part"),
        (["reproduced", "not reproduced"], "in part"),
        (["exact", "not reproduced"], "not"),
    ],
)
def test_the_verdict(statuses, expected):
    assert verdict(statuses) == expected


@pytest.mark.parametrize("holds", [1, 0, None, "True", torch.tensor(True), np.array([True])])
def test_holds_must_be_a_bool(claims, holds):
    with pytest.raises(TypeError, match=r"holds must be True or False; got .* \(wrap it in bool"):
        claims.check("a", "b", **CHECK | {"holds": holds})


@pytest.mark.parametrize("holds", [True, np.True_])
def test_holds_may_be_a_numpy_bool_and_is_stored_as_a_bool(claims, shown, holds):
    claims.check("a", "b", **CHECK | {"holds": holds})
    claims.report()
    assert json.loads(shown[-1][0][MIME])["claims"][0]["holds"] is True


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"status": "exact"},
            ValueError,
            "status must be one of 'reproduced', 'in part', 'not reproduced'; got 'exact'",
        ),
        ({"status": "held"}, ValueError, "status must be one of"),
        ({"status": None}, ValueError, "status must be one of"),
        ({"status": "in part"}, ValueError, 'reason is required: why is "a" in part'),
        ({"status": "not reproduced"}, ValueError, 'reason is required: why is "a" not reproduced'),
        ({"status": "in part", "reason": " "}, ValueError, "reason must not be empty"),
        ({"reason": "too good"}, ValueError, "reason is for claims that did not fully reproduce"),
        ({"measured": 0.9}, TypeError, "measured must be a str; got float"),
        ({"measured": ""}, ValueError, "measured must not be empty"),
        ({"paper": None}, TypeError, "paper must be a str; got NoneType"),
        ({"condition": "a\nb"}, ValueError, "condition must be a single line"),
    ],
)
def test_check_refuses(claims, changes, error, message):
    with pytest.raises(error, match=message):
        claims.check("a", "b", **CHECK | changes)


@pytest.mark.parametrize("name", ["", "A", "two words", "under_score", "-a", "a-", "a--b", "ä"])
def test_names_are_lower_case_words(claims, name):
    with pytest.raises(ValueError, match="name must"):
        claims.check(name, "b", **CHECK)


def test_names_are_unique(claims):
    claims.exact("a", "b", error=0, tolerance=0)
    with pytest.raises(ValueError, match='name must be unique; there is a claim "a" already'):
        claims.check("a", "c", **CHECK)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"error": -1e-3}, ValueError, "error must not be negative; got -0.001"),
        ({"error": "0"}, TypeError, "error must be a real number; got str"),
        ({"error": True}, TypeError, "error must be a real number; got bool"),
        ({"error": np.zeros(2)}, TypeError, "error must be a real number; got ndarray"),
        ({"tolerance": -1.0}, ValueError, "tolerance must not be negative; got -1"),
        ({"tolerance": math.nan}, ValueError, "tolerance must be finite; got nan"),
        ({"tolerance": None}, TypeError, "tolerance must be a real number; got NoneType"),
    ],
)
def test_exact_refuses(claims, changes, error, message):
    with pytest.raises(error, match=message):
        claims.exact("a", "b", **{"error": 0.0, "tolerance": 0.0} | changes)


@pytest.mark.parametrize("error", [np.float32(0), np.array(0.0), torch.tensor(0.0), 0])
def test_exact_takes_every_kind_of_number(claims, error):
    claims.exact("a", "b", error=error, tolerance=0)
    claims.report()


def test_claims_need_a_card():
    with pytest.raises(TypeError, match="card must be a Card; got dict"):
        lab.Claims(CARD)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"title": ""}, ValueError, "title must not be empty"),
        ({"easy": "a\nb"}, ValueError, "easy must be a single line"),
        ({"paper": 3}, TypeError, "paper must be a str; got int"),
        ({"year": "2025"}, TypeError, "year must be an integer; got str"),
        ({"minutes": 0}, ValueError, "minutes must be at least 1; got 0"),
    ],
)
def test_a_card_refuses(changes, error, message):
    with pytest.raises(error, match=message):
        lab.Card(**CARD | changes)


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


def test_tables_are_accessible_and_take_the_colours_of_the_page(claims, card, shown):
    claims.check("a", "x < y & z", **CHECK | {"paper": '<script>alert("1")</script>'})
    claims.report()
    lab.table("Results", ["loss", "AUC"], [["MW", "≈ 0.9"], ["<CL>", 3]])
    for html in (shown[0][0]["text/html"], shown[1][0]["text/html"]):
        tags = _Tags(html).tags
        assert [tag for tag, _ in tags if tag in ("div", "table", "caption")] == ["div", "table", "caption"]
        container = tags[0][1]
        assert (container["role"], container["tabindex"]) == ("region", "0")
        assert container["aria-label"]
        assert "overflow-x: auto" in container["style"]
        assert all(attributes.get("scope") in ("row", "col") for tag, attributes in tags if tag == "th")
        assert not any("id" in attributes for _, attributes in tags)
        assert "color" not in html.replace("border-color", "")
        assert "<script" not in html
    assert dict(_Tags(shown[0][0]["text/html"]).tags)["a"]["href"] == CARD["url"]


def test_a_table_prints_outside_a_notebook(capsys):
    lab.table("Pooled AUC", ["loss", "AUC"], [["MW", lab.approx(0.93)], ["contrastive", 3]])
    assert capsys.readouterr().out == "Pooled AUC\nloss         AUC\nMW           ≈ 0.930\ncontrastive  3\n"


@pytest.mark.parametrize("number", [76.0, 1234.0, -5.2e-4])
def test_the_length_of_a_measured_number_moves_nothing_else(number, capsys):
    lab.table("Speed", ["what", "times", "note"], [["loop", lab.approx(number, 2), "slow"], ["rest", "1", "-"]])
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

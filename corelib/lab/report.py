"""How claims look: a line where each is recorded, and the report at the end."""

import json

from corelib.lab.outcomes import SYMBOLS, plain
from corelib.lab.table import Markup, folded, html_table, to_html

MIME = "application/vnd.keeping-score.claims"
WHOSE = {"paper": "Claim of the paper", "ours": "Our control", "library": "Self-test"}


def line(claim: dict) -> dict[str, object]:
    """The MIME bundle of the line that stands where a claim is recorded; the page can be linked to it."""
    measured = with_wide(claim)
    text = f"{WHOSE[claim['origin']]}: {claim['outcome']}. {claim['statement']}: {measured}"
    html = (
        f'<p id="{anchor(claim)}" style="margin: 0.3em 0"><strong>{WHOSE[claim["origin"]]}: '
        f"{_outcome(claim)}.</strong> {to_html(claim['statement'])}: {to_html(measured)}</p>"
    )
    return {"text/html": html, "text/plain": text}


def render(report: dict) -> dict[str, object]:
    """The MIME bundle of a report: tables of the paper's claims and of our controls, self-tests folded, and the JSON.

    The JSON is stored as text under a MIME type that does not end in ``+json``, because nbval masks the numbers behind
    ``≈`` in strings only.
    """
    claims, card = report["claims"], report["card"]
    verdict = f"Verdict: {card['verdict']}" if card and card["verdict"] else ""
    html, text = [f"<p><strong>{to_html(verdict)}</strong></p>"] if verdict else [], [verdict] if verdict else []
    for origin, caption in (
        ("paper", "Claims of the paper"),
        ("ours", "Our own controls"),
    ):
        chosen = [claim for claim in claims if claim["origin"] == origin]
        if chosen:
            html.append(html_table(caption, ("Outcome", "Claim"), [_row(claim) for claim in chosen]))
            text += [caption, *map(_text, chosen)]
    tests = [claim for claim in claims if claim["origin"] == "library"]
    if tests:
        caption = f"{len(tests)} self-test{'s' if len(tests) > 1 else ''} of the library"
        items = "".join(f"<li>{to_html(test['statement'])}: {to_html(test['measured'])}</li>" for test in tests)
        html.append(folded(caption, f"<ul>{items}</ul>"))
        text += [caption, *map(_text, tests)]
    return {
        "text/html": "\n".join(html),
        "text/plain": "\n".join(text),
        MIME: json.dumps(report, ensure_ascii=False, indent=1),
    }


def anchor(claim: dict) -> str:
    """The id of the line at which a claim is recorded."""
    return f"claim-{claim['name']}"


def with_wide(claim: dict) -> str:
    """What was measured; beside it, where there was a wide run, what that measured."""
    wide = claim["wide"]
    return f"{claim['measured']} (wide run: {wide['measured']})" if wide else claim["measured"]


def _outcome(claim: dict) -> str:
    outcome = claim["outcome"]
    return outcome if outcome != plain(outcome) else f"{SYMBOLS[outcome]} {outcome}"


def _row(claim: dict) -> tuple[str, Markup]:
    main = " <em>(the main claim)</em>" if claim["main"] else ""
    parts = [f'<a href="#{anchor(claim)}">{to_html(claim["statement"])}</a>{main}']
    if claim["paper"]:
        parts.append(f"Paper: {to_html(claim['paper'])}")
    parts.append(f"Here: {to_html(claim['measured'])}")
    if claim["wide"]:
        parts.append(f"Wide run, {claim['wide']['draws']} draws: {to_html(claim['wide']['measured'])}")
    if claim["reason"]:
        parts.append(f"Why: {to_html(claim['reason'])}")
    condition = f"{claim['condition']}{_tight(claim)}" + (f"; not met: {claim['problem']}" if claim["problem"] else "")
    return _outcome(claim), Markup("<br>".join(parts) + folded("Condition", to_html(condition)))


def _tight(claim: dict) -> str:
    return f" (nearest end {claim['tightness']} away)" if claim["tightness"] else ""


def _text(claim: dict) -> str:
    cells = (
        claim["outcome"],
        claim["statement"],
        claim["paper"],
        with_wide(claim),
        claim["condition"] + _tight(claim),
        claim["problem"] and f"not met: {claim['problem']}",
        claim["reason"],
    )
    return " | ".join(cell for cell in cells if cell)

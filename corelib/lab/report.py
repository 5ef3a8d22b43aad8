"""How claims look: a line where each is recorded, and the report at the end."""

import json

from corelib.lab.outcomes import SYMBOLS, plain
from corelib.lab.table import Markup, folded, html_table, to_html

MIME = "application/vnd.keeping-score.claims"
WHOSE = {"paper": "Claim of the paper", "ours": "Our control", "library": "Self-test"}


def line(claim: dict) -> dict[str, object]:
    """The MIME bundle of the line that stands where a claim is recorded; the page can be linked to it."""
    whose, lines = WHOSE[claim["origin"]], _measured(claim)
    text = f"{whose}: {claim['outcome']}. {claim['statement']}: {' | '.join(lines)}"
    html = (
        f'<p id="{anchor(claim)}" style="margin: 0.3em 0"><strong>{whose}: {_outcome(claim)}.</strong> '
        f"{to_html(claim['statement'])}: {in_lines(lines)}</p>"
    )
    return {"text/html": html, "text/plain": text}


def render(report: dict) -> dict[str, object]:
    """The MIME bundle of a report: tables of the paper's claims and of our controls, self-tests folded, and the JSON.

    The JSON is stored as text under a MIME type that does not end in ``+json``, because nbval masks the numbers behind
    ``≈`` in strings only.
    """
    claims, card = report["claims"], report["card"]
    said = f"Verdict: {card['verdict']}" if card and card["verdict"] else ""
    html, text = [f"<p><strong>{to_html(said)}</strong></p>"] if said else [], [said] if said else []
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
        items = "".join(
            f"<li>{to_html(test['statement'])}: {to_html(test['measured'])}</li>" for test in tests
        )
        html.append(folded(caption, f"<ul>{items}</ul>"))
        text += [caption, *map(_text, tests)]
    return {
        "text/html": "\n".join(html),
        "text/plain": "\n".join(text),
        MIME: json.dumps(report, ensure_ascii=False, indent=1),
    }


def verdict(main: dict) -> str:
    """The verdict of a chapter: the outcome of its main claim, and what was measured for it."""
    return f"{main['outcome']}: {parts(main['measured'])[0]}"


def anchor(claim: dict) -> str:
    """The id of the line at which a claim is recorded."""
    return f"claim-{claim['name']}"


def parts(measured: str) -> list[str]:
    """What was measured, and the same over rivals and under other conditions, one by one."""
    return measured.split("; ")


def in_lines(lines: list[str]) -> str:
    """HTML with one line below the other."""
    return "<br>".join(map(to_html, lines))


def wide_lines(claim: dict) -> list[str]:
    """What the wide run measured, if there was one."""
    if not claim["wide"]:
        return []
    draws = claim["wide"]["draws"]
    first, *rest = parts(claim["wide"]["measured"])
    return [f"Wide run, {draws} draw{'s' if draws != 1 else ''}: {first}", *rest]


def _measured(claim: dict) -> list[str]:
    return [*parts(claim["measured"]), *wide_lines(claim)]


def _outcome(claim: dict) -> str:
    outcome = claim["outcome"]
    return outcome if outcome != plain(outcome) else f"{SYMBOLS[outcome]} {outcome}"


def _row(claim: dict) -> tuple[str, Markup]:
    main = " <em>(the main claim)</em>" if claim["main"] else ""
    rows = [f'<a href="#{anchor(claim)}">{to_html(claim["statement"])}</a>{main}', *claim_lines(claim)]
    condition = claim["condition"] + (f"; not met: {claim['problem']}" if claim["problem"] else "")
    return _outcome(claim), Markup("<br>".join(rows) + folded("Condition", to_html(condition)))


def claim_lines(claim: dict) -> list[str]:
    """HTML lines of a claim: the paper's number, what was measured here and in the wide run, and why."""
    lines = [f"Paper: {to_html(claim['paper'])}"] if claim["paper"] else []
    first, *rest = parts(claim["measured"])
    lines += [f"Here: {to_html(first)}", *map(to_html, rest + wide_lines(claim))]
    return lines + ([f"Why: {to_html(claim['reason'])}"] if claim["reason"] else [])


def _text(claim: dict) -> str:
    cells = (
        claim["outcome"],
        claim["statement"],
        claim["paper"],
        " | ".join(_measured(claim)),
        claim["condition"],
        claim["problem"] and f"not met: {claim['problem']}",
        claim["reason"],
    )
    return " | ".join(cell for cell in cells if cell)

"""The page of the book from the file of results: its tables, its plot, and where a prediction was missed."""

import json
from pathlib import Path

from benchmarks.cases import CASES

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "book" / "benchmarks.md"
PLOT = ROOT / "book" / "_static" / "benchmarks.png"
BEGIN, END = "<!-- what follows is written by python -m benchmarks -->", "<!-- up to here -->"
BUSY = 0.05  # more than this share of the processors taken by other programs makes a measurement doubtful
MISSED = 1.5  # a prediction is missed if the measured factor is further off than this


def load() -> dict:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def merged(stored: dict, fresh: dict) -> dict:
    """The stored results with the fresh ones in their places, if both were measured in the same way."""
    for key in ("machine", "rounds"):
        if stored[key] != fresh[key]:
            raise ValueError(f"the stored results have another {key}: {stored[key]}; measure all cases anew")
    by_slug = {case["slug"]: case for case in (*stored["cases"], *fresh["cases"])}
    return fresh | {"cases": [by_slug[case.slug] for case in CASES]}


def write(results: dict) -> None:
    """The results, the page and the plot."""
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{generated(results)}\n{END}{after}", encoding="utf-8")
    draw(results)


def generated(results: dict) -> str:
    """The part of the page that the results determine, as Markdown."""
    return "\n\n".join([picture(results), machine(results), table(results), predictions(results)]) + "\n"


def measured(results: dict) -> list[tuple[dict, dict]]:
    """(case, peer) for every peer that was there."""
    return [(case, peer) for case in results["cases"] for peer in case["peers"] if peer["installed"]]


def finding(results: dict) -> str:
    """The result in one sentence; a yardstick is no peer."""
    factors = sorted(peer["factor"] for _, peer in measured(results) if not peer["yardstick"])
    faster = sum(factor > 1 for factor in factors)
    return (
        f"Faster than its peer in {faster} of {len(factors)} comparisons, by {number(factors[0])} to "
        f"{number(factors[-1])} times"
    )


def picture(results: dict) -> str:
    alt = f"{finding(results)}: a dot per peer on a logarithmic axis of measured factors, with a bar at the prediction."
    return f"```{{image}} _static/{PLOT.name}\n:alt: {alt}\n:width: 100%\n```"


def machine(results: dict) -> str:
    facts = results["machine"]
    versions = ", ".join(
        f"{name} {version or 'not installed'}" for name, version in facts["packages"].items()
    )
    return (
        f"Measured on: {facts['processor']}, {facts['threads']} threads, {facts['memory']}, kernels in their "
        f"{facts['instruction set']} version; {facts['system']}; {versions}.{disturbed(results)}"
    )


def disturbed(results: dict) -> str:
    busy = [
        f"{case['title']} ({case['others']:.0%})" for case in results["cases"] if (case["others"] or 0) > BUSY
    ]
    return (
        f" Other programs took part of the processors meanwhile, so these are doubtful: {', '.join(busy)}."
        if busy
        else ""
    )


def table(results: dict) -> str:
    rows = [
        "| work | size | by | time | faster by | memory | predicted |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for case in results["cases"]:
        alone = f"{duration(case['seconds'])} ({duration(case['seconds_one_thread'])} on one thread)"
        rows.append(
            f"| **{case['title']}** | {case['size']} | corelib | {alone} | | {memory(case['megabytes'])} | |"
        )
        for peer in case["peers"]:
            name = f"{peer['name']} (yardstick)" if peer["yardstick"] else peer["name"]
            if not peer["installed"]:
                rows.append(f"| | | {name} | not installed | | | {number(peer['predicted'])} |")
                continue
            factor = f"**{number(peer['factor'])}** ({number(peer['lowest'])} to {number(peer['highest'])})"
            rows.append(
                f"| | | {name} | {duration(peer['seconds'])} | {factor} | {memory(peer['megabytes'])} "
                f"| {number(peer['predicted'])} |"
            )
    return "\n".join(rows)


def is_missed(peer: dict) -> bool:
    ratio = peer["factor"] / peer["predicted"]
    return not 1 / MISSED <= ratio <= MISSED


def reason(case: dict, peer: dict) -> str:
    return next(p.reason for c in CASES if c.slug == case["slug"] for p in c.peers if p.name == peer["name"])


def predictions(results: dict) -> str:
    pairs = measured(results)
    missed = [(case, peer) for case, peer in pairs if is_missed(peer)]
    lines = [
        f"{len(pairs) - len(missed)} of {len(pairs)} predictions came within a factor of {MISSED} of what was measured."
    ]
    for case, peer in missed:
        why = reason(case, peer) or "not explained yet."
        lines.append(
            f"- {case['title']}, {case['size']}, against {peer['name']}: predicted {number(peer['predicted'])}, "
            f"measured {number(peer['factor'])}. Why: {why}"
        )
    return lines[0] + "".join("\n" + ("\n" if i == 0 else "") + line for i, line in enumerate(lines[1:]))


def number(x: float) -> str:
    return f"{x:.0f}" if x >= 20 else f"{x:.2g}"


def duration(seconds: float) -> str:
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def memory(megabytes: float | None) -> str:
    if megabytes is None:
        return "not measured"
    return "below 1 MB" if megabytes < 1 else f"{megabytes:.0f} MB"


def draw(results: dict) -> None:
    """A dot per peer at the measured factor, a bar at the predicted one."""
    import matplotlib
    from matplotlib.figure import Figure

    from corelib.lab.style import COLORS, PIXELS_PER_INCH, rc_params

    pairs = measured(results)[::-1]
    with matplotlib.rc_context(rc_params()):
        figure = Figure(figsize=(8, 0.62 * len(pairs) + 1.3), layout="constrained")
        ax = figure.subplots()
        for row, (case, peer) in enumerate(pairs):
            color = COLORS["grey"] if peer["yardstick"] else COLORS["blue"]
            ax.plot([peer["lowest"], peer["highest"]], [row, row], color=color, linewidth=1.5)
            ax.plot(peer["factor"], row, "o", color=color, markersize=9)
            ax.plot(peer["predicted"], row, "|", color=COLORS["orange"], markersize=18, markeredgewidth=3)
            ax.annotate(
                number(peer["factor"]),
                (peer["factor"], row),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
            )
        ax.axvline(1, color=COLORS["black"], linewidth=1)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}×")
        ax.set_xlabel("times faster: dot measured (grey: yardstick), bar predicted")
        ax.set_yticks(
            range(len(pairs)), [f"{case['title']}, {short(case)}\n{peer['name']}" for case, peer in pairs]
        )
        ax.tick_params(axis="y", labelsize=9, length=0)
        ax.grid(axis="y", visible=False)
        ax.set_ylim(-0.6, len(pairs) - 0.2)
        figure.suptitle(finding(results), x=0.01, ha="left")
        figure.savefig(PLOT, dpi=PIXELS_PER_INCH, facecolor="white", metadata={"Software": None})


def short(case: dict) -> str:
    return case["size"].replace(" float32 scores", "").replace(" documents, grades 0 to 4", "")

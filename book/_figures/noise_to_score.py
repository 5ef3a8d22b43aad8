"""The figure of the introduction: noise, moved by nothing but the exact score of the data, writes a word.

Run ``python book/_figures/noise_to_score.py``; it writes ``noise-to-score.png`` beside itself, and the points for the
figure to touch, ``noise-to-score.html``.
"""

import base64
import json
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from PIL import Image

from corelib.lab.style import COLORS, PIXELS_PER_INCH, rc_params
from corelib.score import empirical_score

WORD = "SCORE"
HUES = [COLORS[name] for name in ("blue", "orange", "green", "purple", "brown")]
SIGMA_MAX, SIGMA_MIN, STEPS = 4.0, 0.01, 150


def letters(rng: np.random.Generator, per_letter: int) -> tuple[np.ndarray, np.ndarray]:
    """Points spread evenly inside the letters of the word, and the number of the letter that each lies in."""
    points, left = [], 0.0
    for letter in WORD:
        outline = TextPath((0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
        low, high = outline.vertices.min(0), outline.vertices.max(0)
        candidates = rng.uniform(low, high, size=(40 * per_letter, 2))
        inside = candidates[filled(outline, candidates)][:per_letter]
        points.append(inside + [left - low[0], 0])
        left += high[0] - low[0] + 0.12
    stacked = np.concatenate(points)
    scale = stacked.std(0).max()
    return (stacked - stacked.mean(0)) / scale, np.repeat(np.arange(len(WORD)), per_letter)


def filled(outline: Outline, points: np.ndarray) -> np.ndarray:
    """Which points lie inside an odd number of the outline's closed curves (so that O and R have holes)."""
    curves = [Outline(polygon) for polygon in outline.to_polygons(closed_only=True)]
    return np.sum([curve.contains_points(points) for curve in curves], axis=0) % 2 == 1


def flow(start: np.ndarray, data: np.ndarray) -> dict[float, np.ndarray]:
    """The points at every noise level, following dx/dsigma = -sigma * score(x, sigma) by Heun's steps."""
    levels = np.geomspace(SIGMA_MAX, SIGMA_MIN, STEPS + 1)
    x, states = start, {SIGMA_MAX: start}
    for high, low in pairwise(levels):
        slope = -high * empirical_score(x, data, high)
        guess = x + (low - high) * slope
        x = x + (low - high) * (slope - low * empirical_score(guess, data, low)) / 2
        states[float(low)] = x
    return states


def draw(states: dict[float, np.ndarray], hues: list[str], path: Path) -> None:
    """Four of the states as one picture."""
    with matplotlib.rc_context(rc_params()):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        for ax, sigma in zip(figure.subplots(2, 2).flat, (SIGMA_MAX, 0.4, 0.12, SIGMA_MIN), strict=True):
            x = states[min(states, key=lambda key: abs(key - sigma))]
            ax.scatter(*x.T, s=2.5, c=hues, linewidths=0)
            half = half_width(x)
            ax.set(xlim=(-half, half), ylim=(-half / 2, half / 2), xticks=[], yticks=[])
            ax.set_title(f"noise level {sigma:g}", fontsize=11, fontweight="normal")
            ax.set_aspect("equal")
            ax.spines[:].set_visible(False)
        figure.savefig(path, dpi=PIXELS_PER_INCH)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


def half_width(x: np.ndarray) -> float:
    """Half the width of a frame that holds nearly all points."""
    return 1.1 * np.quantile(np.abs(x[:, 0]), 0.99)


def write(
    states: dict[float, np.ndarray], hues: list[str], path: Path, shown: int = 900, stops: int = 16
) -> None:
    """Some of the points at some of the levels, a byte for each coordinate, as an element that the page's script reads."""
    levels = sorted(states, reverse=True)[:: STEPS // (stops - 1)]
    frames = []
    for level in levels:
        x = states[level][:shown] / half_width(states[level]) * [0.5, -1.0] + 0.5
        frames.append(np.clip(np.round(255 * x), 0, 255).astype(np.uint8))
    data = {
        "levels": [f"{level:.2g}" for level in levels],
        "hues": HUES,
        "hue": "".join(str(HUES.index(hue)) for hue in hues[:shown]),
        "points": base64.b64encode(np.stack(frames).tobytes()).decode(),
    }
    path.write_text(
        f'<script type="application/json" class="ks-flow">{json.dumps(data)}</script>\n', encoding="utf-8"
    )


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    data, letter = letters(rng, per_letter=800)
    states = flow(SIGMA_MAX * rng.standard_normal((4_000, 2)), data)
    end = states[min(states)]
    hues = [HUES[i] for i in letter[((end[:, None] - data[None]) ** 2).sum(-1).argmin(1)]]
    draw(states, hues, folder / "noise-to-score.png")
    write(states, hues, folder / "noise-to-score.html")


if __name__ == "__main__":
    main(Path(__file__).parent)

"""Protects figures: readable in light and dark mode, for colour-blind readers, and identical from run to run."""

import base64
import builtins
import io
from itertools import combinations

import numpy as np
import pytest

from corelib import lab
from corelib.lab.style import MAX_WIDTH, STYLE, contrast, for_text

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
CONES = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def rgb(code):
    return tuple(int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))


def cielab(color, cones):
    c = np.array(color)
    linear = cones @ np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ linear.clip(0, 1) / (0.95047, 1, 1.08883)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("name", lab.COLORS)
def test_every_colour_stands_out_from_white(name):
    assert contrast(rgb(lab.COLORS[name])) >= 3
    assert contrast(for_text(rgb(lab.COLORS[name]))) >= 4.5


def test_contrast_is_that_of_the_standard():
    assert contrast((0, 0, 0)) == pytest.approx(21)
    assert contrast((1, 1, 1)) == pytest.approx(1)
    assert contrast(rgb("#767676")) == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("eyes", CONES)
def test_colours_can_be_told_apart(eyes):
    for (_, a), (_, b) in combinations(lab.COLORS.items(), 2):
        distance = np.linalg.norm(cielab(rgb(a), CONES[eyes]) - cielab(rgb(b), CONES[eyes]))
        assert distance >= 20, (a, b)


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(
        "corelib.lab.plot.show", lambda bundle, metadata=None: bundles.append((bundle, metadata))
    )
    return bundles


def _pixels(bundle):
    from matplotlib.image import imread

    return imread(io.BytesIO(base64.b64decode(bundle["image/png"])))


def test_a_figure_is_an_opaque_png_on_white_with_its_title_as_text(shown):
    with lab.figure("The line rises to ≈ 4", width=5, height=3) as (_, ax):
        ax.plot([0, 1], [0, 4])
        lab.label_line(ax, [0, 1], [0, 4], "rise", lab.COLORS["orange"])
    ((bundle, metadata),) = shown
    assert bundle["text/plain"] == "The line rises to ≈ 4"
    pixels = _pixels(bundle)
    assert pixels.shape[:2] == (480, 800)
    assert metadata == {"image/png": {"width": 400}}
    assert pixels.shape[2] == 3 or (pixels[..., 3] == 1).all()
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1], :3] == 1).all()


def test_text_can_be_read_on_a_phone():
    sizes = [size for name, size in STYLE.items() if name.endswith(("size", "font.size"))]
    assert len(sizes) >= 6
    assert min(sizes) / 72 * 358 / MAX_WIDTH >= 11


def test_a_figure_is_the_same_every_time(shown):
    for _ in range(2):
        with lab.figure("Twice the same", ncols=2, sharey=True) as (_, axes):
            for ax in axes:
                ax.plot([0, 1], [0, 4])
    assert shown[0] == shown[1]


def test_a_long_title_stays_inside_the_figure(shown):
    title = (
        "A title that states its finding at some length and would leave the figure if nobody broke the line"
    )
    with lab.figure(title, width=5, height=3) as (fig, ax):
        ax.set_ylabel("a label")
    assert fig.get_suptitle().replace("\n", " ") == title
    pixels = _pixels(shown[0][0])
    assert (pixels[:, [0, 1, -2, -1], :3] == 1).all(), "a title that is cut off leaves ink at the edge"
    assert shown[0][0]["text/plain"] == title


def test_the_style_does_not_leak(shown):
    import matplotlib

    before = dict(matplotlib.rcParams)
    with lab.figure("No trace"):
        pass
    assert dict(matplotlib.rcParams) == before


def test_a_figure_whose_code_fails_is_not_shown(shown):
    with pytest.raises(ZeroDivisionError), lab.figure("Never seen"):
        raise ZeroDivisionError
    assert shown == []


def test_the_label_stands_at_the_end_of_the_line(shown):
    with lab.figure("Labels") as (_, ax):
        ax.set(xlim=(0, 3), ylim=(0, 6))
        lab.label_line(ax, np.array([0, 1, 2]), np.array([3, 4, 5]), "line", "#DB7817")
        lab.label_line(ax, 1, 2.5, "point", "black", dx=0, dy=4)
        line, point = ax.texts
    assert line.xy == (2, 5)
    assert point.xy == (1, 2.5)
    assert contrast(line.get_color()) >= 4.5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"title": ""}, ValueError, "title must not be empty"),
        ({"title": None}, TypeError, "title must be a str; got NoneType"),
        ({"title": "x", "width": 5.6}, ValueError, "width must be at most 5.5 inches; got 5.6"),
        ({"title": "x", "width": 0}, ValueError, "width must be greater than 0; got 0"),
        ({"title": "x", "height": float("nan")}, ValueError, "height must be finite; got nan"),
        ({"title": "x", "width": "7"}, TypeError, "width must be a real number; got str"),
    ],
)
def test_a_figure_refuses(arguments, error, message):
    with pytest.raises(error, match=message), lab.figure(**arguments):
        pass


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    message = r'figures need matplotlib: pip install "keeping-score\[notebooks\]"'
    with pytest.raises(ModuleNotFoundError, match=message), lab.figure("x"):
        pass

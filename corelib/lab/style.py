"""Colours and matplotlib settings of every figure."""

COLORS: dict[str, str] = {
    "blue": "#044199",
    "orange": "#DB7817",
    "green": "#32A762",
    "purple": "#C66DBD",
    "sky": "#3170F2",
    "brown": "#533D19",
    "grey": "#676767",
    "black": "#222222",
}
"""The hues of Okabe and Ito (2008), moved apart so that each has a contrast of at least 3:1 on white and every pair
differs clearly also for readers who lack one of the three cones."""

PIXELS_PER_INCH = 160
MAX_WIDTH = 5.5  # inches
TEXT_POINTS = 12.25  # 11 pixels where a phone shows a figure of the largest width on 358 pixels

STYLE: dict[str, object] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.labelcolor": COLORS["black"],
    "axes.labelsize": TEXT_POINTS,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": COLORS["black"],
    "axes.titlelocation": "left",
    "axes.titlesize": TEXT_POINTS,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.wspace": 0.04,
    "figure.dpi": PIXELS_PER_INCH / 2,
    "figure.facecolor": "white",
    "figure.titlesize": TEXT_POINTS,
    "figure.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": TEXT_POINTS,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "savefig.dpi": PIXELS_PER_INCH,
    "savefig.facecolor": "white",
    "text.color": COLORS["black"],
    "xtick.color": "#444444",
    "xtick.labelsize": TEXT_POINTS,
    "ytick.color": "#444444",
    "ytick.labelsize": TEXT_POINTS,
}


def rc_params() -> dict[str, object]:
    """The settings, with the colour cycle (which needs matplotlib's ``cycler``)."""
    from cycler import cycler

    return STYLE | {"axes.prop_cycle": cycler(color=list(COLORS.values()))}


def contrast(rgb: tuple[float, float, float]) -> float:
    """Contrast of an sRGB colour (components in 0..1) with white, from 1 to 21 (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


def for_text(rgb: tuple[float, float, float]) -> tuple[float, float, float]:
    """The colour, darkened until text in it can be read on white (contrast 4.5:1)."""
    while contrast(rgb) < 4.5:
        rgb = tuple(0.95 * c for c in rgb)
    return rgb

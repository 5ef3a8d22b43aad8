"""Colours and matplotlib settings of every figure."""

COLORS: dict[str, str] = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#00855F",
    "purple": "#B8558D",
    "sky": "#3D97CC",
    "amber": "#B07A00",
    "grey": "#767676",
    "black": "#222222",
}
"""After Okabe and Ito (2008), the light ones darkened until each has a contrast of at least 3:1 on white."""

PIXELS_PER_INCH = 160

STYLE: dict[str, object] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.labelcolor": COLORS["black"],
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": COLORS["black"],
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "figure.dpi": PIXELS_PER_INCH / 2,
    "figure.facecolor": "white",
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "savefig.dpi": PIXELS_PER_INCH,
    "savefig.facecolor": "white",
    "text.color": COLORS["black"],
    "xtick.color": "#444444",
    "xtick.labelsize": 10,
    "ytick.color": "#444444",
    "ytick.labelsize": 10,
}


def rc_params() -> dict[str, object]:
    """The settings, with the colour cycle (which needs matplotlib's ``cycler``)."""
    from cycler import cycler

    return STYLE | {"axes.prop_cycle": cycler(color=list(COLORS.values()))}

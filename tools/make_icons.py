"""Cuts the icons that the site shows out of the theme's Font Awesome: python tools/make_icons.py (a second).

Needs ``pip install "keeping-score[test]"``. Writes ``book/_static/fonts/icons-solid.woff2`` and ``icons-brands.woff2``, 3 kB
in place of 274; under a name of their own, as the licence of the fonts reserves theirs. ``tests/book/test_site.py`` notices
an icon that is shown and missing here.
"""

from pathlib import Path

import pydata_sphinx_theme
from fontTools import subset
from fontTools.ttLib import TTFont

ICONS = {
    "solid-900": {
        "magnifying-glass": 0xF002,
        "download": 0xF019,
        "list": 0xF03A,
        "circle-half-stroke": 0xF042,
        "arrow-up": 0xF062,
        "share": 0xF064,
        "expand": 0xF065,
        "chevron-down": 0xF078,
        "bars": 0xF0C9,
        "lightbulb": 0xF0EB,
        "angle-left": 0xF104,
        "angle-right": 0xF105,
        "angle-down": 0xF107,
        "rocket": 0xF135,
        "file": 0xF15B,
        "sun": 0xF185,
        "moon": 0xF186,
        "file-pdf": 0xF1C1,
    },
    "brands-400": {"github": 0xF09B},
}
WHOLE = Path(
    pydata_sphinx_theme.__file__, "../theme/pydata_sphinx_theme/static/vendor/fontawesome/webfonts"
).resolve()
FONTS = Path(__file__).resolve().parent.parent / "book" / "_static" / "fonts"


def main() -> None:
    for style, icons in ICONS.items():
        font = TTFont(WHOLE / f"fa-{style}.ttf", recalcTimestamp=False)
        options = subset.Options(flavor="woff2", name_IDs=[0], notdef_outline=True, drop_tables=["FFTM"])
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=icons.values())
        subsetter.subset(font)
        kind = style.partition("-")[0]
        for place, name in (
            (1, "Keeping Score Icons"),
            (2, kind.title()),
            (6, f"KeepingScoreIcons-{kind.title()}"),
        ):
            font["name"].setName(name, place, 3, 1, 0x409)
        subset.save_font(font, str(FONTS / f"icons-{kind}.woff2"), options)


if __name__ == "__main__":
    main()

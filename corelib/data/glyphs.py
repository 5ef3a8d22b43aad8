"""Characters in 16 typefaces, rendered from the fonts that matplotlib ships."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corelib.data.labelled_images import LabelledImages

CHARACTERS = (
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    "ΒΓΔΕΖΘΛΞΠΣΦΨΩαβγδεζηθικλμνξπρςστυφχψω"
    "БДЖЗИЙКЛУФЦЧШЩЪЫЬЭЮЯбвгджзийклмнптфцчшщъыьэюя"
)
"""Digits, Latin, Greek and Russian letters, less those that DejaVu Sans draws like an earlier one."""

FONTS = (
    "DejaVuSans-Bold",
    "DejaVuSans-BoldOblique",
    "DejaVuSans-Oblique",
    "DejaVuSans",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono",
    "DejaVuSerif-Bold",
    "DejaVuSerif-BoldItalic",
    "DejaVuSerif-Italic",
    "DejaVuSerif",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
    "STIXGeneralItalic",
)

SIZE = 16
"""Height and width of an image in pixels."""

REFERENCE_FINGERPRINT = "8ee8dbacfebe20e0"
"""The ``fingerprint`` under matplotlib 3.11.2."""

_POINTS, _DOTS_PER_INCH = 40, 72


@dataclass(frozen=True, kw_only=True, eq=False)
class Glyphs(LabelledImages):
    """What ``glyphs`` returns; a class is a character, and its name is the character itself.

    Attributes
    ----------
    images : numpy.ndarray of float32, shape (n, 16, 16)
        Ink: 0 is background, 1 full ink.
    labels : numpy.ndarray of int64, shape (n,)
        The character of each image: an index into ``names``.
    names : tuple of str
        The characters.
    fonts : numpy.ndarray of int64, shape (n,)
        The font of each image: an index into ``font_names``.
    font_names : tuple of str
    fingerprint : str
        First 16 hexadecimal digits of the SHA-256 of all images as bytes. It differs from ``REFERENCE_FINGERPRINT``
        where another version of matplotlib, with another FreeType inside, renders the same fonts differently.
    """

    fonts: np.ndarray
    font_names: tuple[str, ...]
    fingerprint: str

    @property
    def characters(self) -> tuple[str, ...]:
        """The class names, under the name that they have here."""
        return self.names

    @property
    def is_reference(self) -> bool:
        """Whether the images are, byte for byte, those that the book's numbers were measured on."""
        return self.fingerprint == REFERENCE_FINGERPRINT


def glyphs() -> Glyphs:
    """Render 143 characters in 16 typefaces: 2,288 images of 16 x 16 pixels, in about half a second.

    Nothing is downloaded: the fonts (DejaVu and STIX, both free) come with matplotlib. Each glyph is drawn at 40
    points, cropped to its ink, centred in the smallest square that holds it, and resampled to 16 x 16 by area. Size and
    position are gone, so that ``o`` and ``O`` differ by their proportions only.

    The set stands in for few-shot sets such as Omniglot: many classes, few images of each, and classes left over
    for testing. It is printed, not handwritten, and its 16 fonts are four families.

    Returns
    -------
    Glyphs
        Ordered by character, then by font: image ``16 * c + f`` shows character ``c`` in font ``f``.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing; ``pip install "keeping-score[notebooks]"`` brings it.
    FileNotFoundError
        If matplotlib came without its fonts.

    Warns
    -----
    UserWarning
        If this matplotlib renders other pixels than the one that the book's numbers were measured with. The classes,
        fonts and shapes are the same, and so are the conclusions; the numbers move.

    Examples
    --------
    >>> from corelib.data import glyphs
    >>> data = glyphs()
    >>> data.images.shape, len(data.characters), len(data.font_names)
    ((2288, 16, 16), 143, 16)
    """
    try:
        import matplotlib
        from matplotlib.ft2font import FT2Font
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'glyphs are drawn by matplotlib: pip install "keeping-score[notebooks]"'
        ) from error
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    faces = []
    for name in FONTS:
        path = folder / f"{name}.ttf"
        if not path.is_file():
            raise FileNotFoundError(f"this matplotlib ({matplotlib.__version__}) has no font {path}")
        face = FT2Font(str(path))
        face.set_size(_POINTS, _DOTS_PER_INCH)
        faces.append(face)
    images = np.array(
        [render(face, character) for character in CHARACTERS for face in faces], dtype=np.float32
    )
    fingerprint = hashlib.sha256(np.round(255 * images).astype(np.uint8).tobytes()).hexdigest()[:16]
    if fingerprint != REFERENCE_FINGERPRINT:
        warnings.warn(
            f"matplotlib {matplotlib.__version__} renders the glyphs with other pixels (fingerprint {fingerprint}) than "
            f"the book's numbers were measured on ({REFERENCE_FINGERPRINT}, matplotlib 3.11.2): expect small differences",
            stacklevel=2,
        )
    return Glyphs(
        images=images,
        labels=np.repeat(np.arange(len(CHARACTERS)), len(FONTS)),
        names=tuple(CHARACTERS),
        fonts=np.tile(np.arange(len(FONTS)), len(CHARACTERS)),
        font_names=FONTS,
        fingerprint=fingerprint,
    )


def render(face, character: str) -> np.ndarray:
    """``character`` in ``face`` (a ``matplotlib.ft2font.FT2Font`` of a set size): float64, (16, 16), ink from 0 to 1."""
    face.set_text(character)
    face.draw_glyphs_to_bitmap(antialiased=True)
    bitmap = np.asarray(face.get_image(), dtype=np.float64)
    rows, columns = np.flatnonzero(bitmap.any(axis=1)), np.flatnonzero(bitmap.any(axis=0))
    ink = bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(ink.shape)
    top, left = ((side - length) // 2 for length in ink.shape)
    square = np.zeros((side, side))
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    average = _area_average(side, SIZE)
    return average @ square @ average.T / 255


def _area_average(source: int, target: int) -> np.ndarray:
    """(target, source) matrix: each row averages the source pixels under one target pixel, by overlap."""
    edges = np.arange(target + 1) * source / target
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.clip(overlap, 0, None)
    return overlap / overlap.sum(axis=1, keepdims=True)

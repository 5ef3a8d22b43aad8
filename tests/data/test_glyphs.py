"""The glyphs: the images are those that the book's numbers were measured on, and the split leaves whole classes out."""

import importlib.metadata
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from corelib.data import Glyphs, LabelledImages, glyphs
from corelib.data import glyphs as glyphs_function
from corelib.data.glyphs import CHARACTERS, FONTS, REFERENCE_FINGERPRINT, render

matplotlib = pytest.importorskip("matplotlib")
PINNED = importlib.metadata.version("matplotlib") == "3.11.2"


@pytest.fixture(scope="module")
def data() -> Glyphs:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore" if not PINNED else "error", message="matplotlib .* renders the glyphs"
        )
        return glyphs()


@pytest.mark.skipif(not PINNED, reason="another matplotlib renders other pixels")
def test_the_pinned_matplotlib_renders_the_reference_images(data):
    assert data.fingerprint == REFERENCE_FINGERPRINT == "8ee8dbacfebe20e0"
    assert data.is_reference


def test_shapes_types_and_order(data):
    assert data.images.shape == (143 * 16, 16, 16) and data.images.dtype == np.float32
    assert data.images.min() == 0 and data.images.max() <= 1
    assert data.labels.dtype == data.fonts.dtype == np.int64
    np.testing.assert_array_equal(data.labels * 16 + data.fonts, np.arange(len(data)))
    assert len(set(data.characters)) == 143 and data.font_names == FONTS


def test_two_calls_share_nothing(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = glyphs()
    np.testing.assert_array_equal(again.images, data.images)
    assert not np.shares_memory(again.images, data.images)


def test_an_image_is_the_area_average_of_its_ink(data):
    """Against brute force: split every pixel of the square into 16 x 16, then average equal blocks."""
    from matplotlib.ft2font import FT2Font
    from PIL import Image

    face = FT2Font(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSerif-Bold.ttf"))
    face.set_size(40, 72)
    for character in "8WiЖ":
        face.set_text(character)
        face.draw_glyphs_to_bitmap(antialiased=True)
        ink = Image.fromarray(np.array(face.get_image()))
        ink = ink.crop(ink.getbbox())
        side = max(ink.size)
        square = Image.new("L", (side, side))
        square.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
        fine = np.kron(np.asarray(square, dtype=np.float64), np.ones((16, 16)))
        expected = fine.reshape(16, side, 16, side).mean(axis=(1, 3)) / 255
        stored = data.images[CHARACTERS.index(character) * 16 + FONTS.index("DejaVuSerif-Bold")]
        np.testing.assert_allclose(stored, expected, atol=1e-7)
        np.testing.assert_array_equal(stored, render(face, character).astype(np.float32))


@pytest.mark.skipif(not PINNED, reason="another matplotlib draws other homoglyphs")
def test_the_characters_are_all_candidates_that_no_earlier_one_looks_like():
    from matplotlib.ft2font import FT2Font

    face = FT2Font(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"))
    face.set_size(40, 72)
    latin = [*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B)]
    greek = [*(code for code in range(0x391, 0x3AA) if code != 0x3A2), *range(0x3B1, 0x3CA)]
    kept = {}
    for character in map(chr, [*latin, *greek, *range(0x410, 0x450)]):
        image = render(face, character)
        if all(np.abs(image - other).mean() >= 0.03 for other in kept.values()):
            kept[character] = image
    assert "".join(kept) == CHARACTERS


@pytest.mark.parametrize("seed", range(5))
def test_the_split_shares_no_class_and_loses_no_image(data, seed):
    train, test = data.split_classes(seed)
    assert isinstance(train, Glyphs) and isinstance(test, Glyphs)
    chosen = np.random.default_rng(seed).permutation(143)
    assert set(train.labels) == set(chosen[:71]) and set(test.labels) == set(chosen[71:])
    assert len(train) == 71 * 16 and len(test) == 72 * 16
    for part in (train, test):
        rows = part.labels * 16 + part.fonts
        assert (np.diff(rows) > 0).all()
        np.testing.assert_array_equal(part.images, data.images[rows])


def test_the_size_of_the_split_can_be_chosen(data):
    train, test = data.split_classes(3, train=100)
    assert len(set(train.labels)) == 100 and len(set(test.labels)) == 43


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed must be at least 0; got -1"),
        ({"seed": 0.5}, TypeError, "seed must be an integer; got float"),
        ({"seed": 0, "train": 0}, ValueError, "train must be at least 1; got 0"),
        (
            {"seed": 0, "train": 143},
            ValueError,
            "train must leave classes on both sides of the split, of 143; got 143",
        ),
    ],
)
def test_impossible_splits_are_refused(data, arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        data.split_classes(**arguments)


def test_one_class_cannot_be_split():
    lonely = LabelledImages(
        images=np.zeros((2, 1, 1), np.float32), labels=np.zeros(2, np.int64), names=("a",)
    )
    with pytest.raises(ValueError, match="train must leave classes on both sides"):
        lonely.split_classes(0)


def test_other_pixels_are_said_not_hidden(monkeypatch):
    monkeypatch.setattr(sys.modules["corelib.data.glyphs"], "REFERENCE_FINGERPRINT", "0" * 16)
    with pytest.warns(UserWarning, match="renders the glyphs with other pixels") as record:
        data = glyphs_function()
    assert not data.is_reference
    assert record[0].filename == __file__  # the warning points at the caller


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "keeping-score\[notebooks\]"'):
        glyphs()

"""Digit pairs and groups: what is in the pictures and the captions; Winoground from a tiny set in its own format."""

import json

import numpy as np
import pytest

from corelib.data import CaptionGroups, digit_groups, digit_pairs, digits, winoground

Image = pytest.importorskip("PIL.Image")
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def nearest(images, pixels, labels):
    """The labels of the pictures that equal the given ones."""
    flat = images.reshape(len(images), 64)
    distance = ((flat[:, None] - (pixels[None] + 1) / 2) ** 2).sum(2)
    assert (distance.min(1) < 1e-12).all()
    return labels[distance.argmin(1)]


def test_captions_say_what_is_in_the_pictures_and_where():
    data = digits(test_size=797)
    pairs = digit_pairs(40, seed=3, noise=0)
    left = nearest(pairs.images[:, 0, :, :8], data.train, data.train_labels)
    right = nearest(pairs.images[:, 0, :, 8:], data.train, data.train_labels)
    assert (left != right).all()
    assert pairs.captions == tuple((f"{WORDS[a]} then {WORDS[b]}",) for a, b in zip(left, right, strict=True))


def test_groups_show_the_same_held_out_digits_in_both_orders_and_other_hands():
    data = digits(test_size=797)
    groups = digit_groups(30, seed=3, noise=0)
    assert type(groups) is CaptionGroups and groups.images.dtype == np.float32 and len(groups) == 30
    sides = [
        nearest(groups.images[:, i, :, s], data.test, data.test_labels)
        for i in (0, 1)
        for s in (slice(8), slice(8, 16))
    ]
    np.testing.assert_array_equal(sides[0], sides[3])
    np.testing.assert_array_equal(sides[1], sides[2])
    assert (sides[0] != sides[1]).all()
    for a, b, captions in zip(sides[0], sides[1], groups.captions, strict=True):
        assert captions == (f"{WORDS[a]} then {WORDS[b]}", f"{WORDS[b]} then {WORDS[a]}")
    assert (groups.images[:, 0, :, :8] != groups.images[:, 1, :, 8:]).any((1, 2)).mean() > 0.9


def test_captions_are_swapped_as_often_as_asked():
    straight, swapped = digit_pairs(4000, seed=1), digit_pairs(4000, seed=1, swapped=0.4)
    np.testing.assert_array_equal(straight.images, swapped.images)
    other = [a != b for a, b in zip(straight.captions, swapped.captions, strict=True)]
    assert np.mean(other) == pytest.approx(0.4, abs=0.03)
    assert all(
        b[0] == " ".join(a[0].split()[::-1])
        for a, b, o in zip(straight.captions, swapped.captions, other, strict=True)
        if o
    )


def test_the_noise_has_its_size():
    difference = digit_pairs(500, seed=2, noise=0.2).images - digit_pairs(500, seed=2, noise=0).images
    assert difference.std() == pytest.approx(0.2, rel=0.02) and abs(difference.mean()) < 0.005


@pytest.mark.parametrize("make", [digit_pairs, digit_groups])
@pytest.mark.parametrize(
    ("name", "value"),
    [("count", 0), ("count", 2.0), ("seed", -1), ("noise", -0.1), ("noise", np.nan), ("noise", "a")],
)
def test_impossible_arguments_are_named(make, name, value):
    with pytest.raises((TypeError, ValueError), match=f"{name} must"):
        make(**{"count": 3, name: value})


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan, None])
def test_impossible_shares_are_named(share):
    with pytest.raises((TypeError, ValueError), match="swapped must"):
        digit_pairs(3, swapped=share)


@pytest.fixture
def folder(tmp_path):
    lines = []
    (tmp_path / "images").mkdir()
    for g in range(2):
        for i in range(2):
            Image.new("RGBA", (30, 20), (100 * g, 100 * i, 50, 255)).save(
                tmp_path / "images" / f"ex_{g}_img_{i}.png"
            )
        lines.append(
            {
                "id": g,
                "image_0": f"ex_{g}_img_0",
                "image_1": f"ex_{g}_img_1",
                "caption_0": "a b é",
                "caption_1": f"b a {g}",
                "tag": "x",
            }
        )
    (tmp_path / "examples.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return tmp_path


def test_winoground_is_read_in_its_order(folder):
    groups = winoground(folder, size=8)
    assert type(groups) is CaptionGroups
    assert groups.images.shape == (2, 2, 8, 8, 3) and groups.images.dtype == np.uint8
    np.testing.assert_array_equal(groups.images[1, 1, 3, 3], [100, 100, 50])
    assert groups.captions == (("a b é", "b a 0"), ("a b é", "b a 1"))


def test_what_is_missing_is_said_with_what_to_do(folder, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match="accept the licence"):
        winoground(tmp_path_factory.mktemp("empty"))
    (folder / "images" / "ex_1_img_0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"no ex_1_img_0\.png"):
        winoground(folder)


@pytest.mark.parametrize("line", ["{", "[1]", '{"image_0": "a"}'])
def test_a_damaged_line_is_named(folder, line):
    with (folder / "examples.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"examples\.jsonl, line 3"):
        winoground(folder)

"""CUB-200-2011, from tiny sets in the public set's format: order, labels, cropping, and a download that is verified."""

import hashlib
import sys
import tarfile

import numpy as np
import pytest

from corelib.data import LabelledImages, cub200

Image = pytest.importorskip("PIL.Image")
SPECIES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")
module = sys.modules["corelib.data.cub200"]


@pytest.fixture
def folder(tmp_path):
    """Three species, two pictures each: wide and tall, one colour a picture with a frame that cropping removes."""
    root = tmp_path / "CUB_200_2011"
    lines = {"images.txt": [], "image_class_labels.txt": [], "classes.txt": []}
    for c, name in enumerate(SPECIES, 1):
        (root / "images" / name).mkdir(parents=True)
        lines["classes.txt"].append(f"{c} {name}")
        for i in range(2):
            number = 2 * (c - 1) + i + 1
            picture = Image.new("L" if number == 6 else "RGB", (60, 30) if i == 0 else (30, 60))
            picture.paste(
                40 * number if number == 6 else (40 * number,) * 3,
                (15, 0, 45, 30) if i == 0 else (0, 15, 30, 45),
            )
            picture.save(root / "images" / name / f"bird {i}.jpg", quality=100)
            lines["images.txt"].append(f"{number} {name}/bird {i}.jpg")
            lines["image_class_labels.txt"].append(f"{number} {c}")
    for file, text in lines.items():
        (root / file).write_text("\n".join(text) + "\n")
    return tmp_path


def test_pictures_labels_and_names_are_those_of_the_lists(folder):
    birds = cub200(folder, size=10)
    assert type(birds) is LabelledImages
    assert birds.images.shape == (6, 10, 10, 3) and birds.images.dtype == np.uint8
    np.testing.assert_array_equal(birds.labels, [0, 0, 1, 1, 2, 2])
    assert birds.labels.dtype == np.int64 and birds.names == SPECIES
    for row, image in enumerate(birds.images):  # the middle square: one colour, also from a grey JPEG
        np.testing.assert_allclose(image[2:-2, 2:-2], 40 * (row + 1), atol=3)


def test_half_of_the_species_can_be_selected(folder):
    birds = cub200(folder, size=4)
    part = birds.select(birds.labels >= 2)
    np.testing.assert_array_equal(part.labels, [2, 2])
    np.testing.assert_array_equal(part.images, birds.images[4:])
    train, test = birds.split_classes(seed=0)
    assert not set(train.labels) & set(test.labels) and len(train) + len(test) == 6


def test_nothing_is_fetched_unasked(tmp_path):
    with pytest.raises(FileNotFoundError, match="pass download=True"):
        cub200(tmp_path)


@pytest.mark.parametrize("size", [0, 1.5, True])
def test_impossible_sizes_are_refused(folder, size):
    with pytest.raises((TypeError, ValueError), match="size must be"):
        cub200(folder, size=size)


def test_a_download_is_verified_then_unpacked(folder, tmp_path_factory, monkeypatch):
    target = tmp_path_factory.mktemp("fresh") / "data"
    archive = folder / "birds.tgz"
    with tarfile.open(archive, "w:gz") as content:
        content.add(folder / "CUB_200_2011", "CUB_200_2011")
    monkeypatch.setattr(module, "URL", archive.as_uri())
    with pytest.raises(ValueError, match="is damaged"):
        cub200(target, download=True)
    assert not (target / "CUB_200_2011").exists()
    monkeypatch.setattr(module, "MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert len(cub200(target, size=4, download=True)) == 6
    archive.unlink()
    assert len(cub200(target, size=4, download=True)) == 6  # what is there is not fetched again

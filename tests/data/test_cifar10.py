"""CIFAR-10, from a miniature in the public set's binary format: pixels, labels, damage, and a download that is verified."""

import hashlib
import sys
import tarfile

import numpy as np
import pytest

from corelib.data import cifar10, digits

module = sys.modules["corelib.data.cifar10"]
FILES = [*(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin"]


@pytest.fixture
def folder(tmp_path):
    """Two pictures a file; the label and the three colours of a picture tell its place."""
    root = tmp_path / "cifar-10-batches-bin"
    root.mkdir()
    for place, name in enumerate(FILES):
        records = [[(place + i) % 10, *np.repeat([10 * place + i, 100, 255], 1024)] for i in range(2)]
        (root / name).write_bytes(np.array(records, dtype=np.uint8).tobytes())
    return tmp_path


def test_pixels_and_labels_are_those_of_the_records(folder):
    pictures = cifar10(folder)
    assert type(pictures) is type(digits())
    assert pictures.train.shape == (10, 3072) and pictures.test.shape == (2, 3072)
    assert pictures.train.dtype == np.float32 and pictures.train_labels.dtype == np.int64
    np.testing.assert_array_equal(pictures.train_labels, [0, 1, 1, 2, 2, 3, 3, 4, 4, 5])
    np.testing.assert_array_equal(pictures.test_labels, [5, 6])
    red, green, blue = pictures.train.reshape(-1, 3, 32, 32)[3]
    np.testing.assert_allclose(red, 11 / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(green, 100 / 127.5 - 1, atol=1e-6)
    assert (blue == 1).all()


def test_nothing_is_fetched_unasked(tmp_path):
    with pytest.raises(FileNotFoundError, match="pass download=True"):
        cifar10(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\x0b" + b"\x00" * 3072])
def test_a_damaged_file_is_named(folder, content):
    (folder / "cifar-10-batches-bin" / "data_batch_2.bin").write_bytes(content)
    with pytest.raises(ValueError, match=r"data_batch_2.bin does not hold pictures of CIFAR-10"):
        cifar10(folder)


def test_a_download_must_be_a_bool(folder):
    with pytest.raises(TypeError, match="download must be"):
        cifar10(folder, download=1)


def test_a_download_is_verified_then_unpacked(folder, tmp_path_factory, monkeypatch):
    target = tmp_path_factory.mktemp("fresh") / "data"
    archive = folder / "pictures.tgz"
    with tarfile.open(archive, "w:gz") as content:
        content.add(folder / "cifar-10-batches-bin", "cifar-10-batches-bin")
    monkeypatch.setattr(module, "URL", archive.as_uri())
    with pytest.raises(ValueError, match="is damaged"):
        cifar10(target, download=True)
    assert not (target / "cifar-10-batches-bin").exists()
    monkeypatch.setattr(module, "MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert len(cifar10(target, download=True).train) == 10
    archive.unlink()
    assert len(cifar10(target, download=True).train) == 10  # what is there is not fetched again

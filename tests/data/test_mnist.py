"""MNIST, from a tiny set in the format of its authors: scale, order, and files that are not what they should be."""

import gzip
import hashlib
import sys

import numpy as np
import pytest

from corelib.data import digits, mnist

module = sys.modules["corelib.data.mnist"]
TRAIN = np.arange(5 * 28 * 28).reshape(5, 28, 28) % 256
TEST = 255 - TRAIN[:2]
ARRAYS = dict(zip(module.MD5, (TRAIN, np.array([5, 0, 4, 1, 9]), TEST, np.array([7, 2])), strict=True))


def idx(array):
    """The array of unsigned bytes as an IDX file, written independently of the reader."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + bytes(array.ravel().tolist()))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a set of five and two pictures, whose checksums are those that the loader expects."""
    put(tmp_path, {name: idx(array) for name, array in ARRAYS.items()}, monkeypatch)
    return tmp_path


def put(folder, files, monkeypatch):
    (folder / "mnist").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / "mnist" / name).write_bytes(content)
        monkeypatch.setitem(module.MD5, name, hashlib.md5(content).hexdigest())


def test_pictures_and_labels_are_those_of_the_files(folder):
    data = mnist(folder)
    assert type(data) is type(digits())
    np.testing.assert_allclose(data.train, TRAIN.reshape(5, 784) / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(data.test, TEST.reshape(2, 784) / 127.5 - 1, atol=1e-6)
    assert data.train.dtype == data.test.dtype == np.float32
    assert data.train.min() == -1 and data.train.max() == 1
    assert data.train_labels.tolist() == [5, 0, 4, 1, 9] and data.test_labels.tolist() == [7, 2]
    assert data.train_labels.dtype == data.test_labels.dtype == np.int64


def test_nothing_is_fetched_unasked(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images.*pass download=True"):
        mnist(tmp_path)


def test_only_what_is_missing_is_fetched(folder, tmp_path_factory, monkeypatch):
    target = tmp_path_factory.mktemp("new") / "data"
    monkeypatch.setattr(module, "URL", (folder / "mnist").as_uri() + "/")
    assert len(mnist(target, download=True).train) == 5
    name = "t10k-labels-idx1-ubyte.gz"
    (target / "mnist" / name).unlink()
    for other in set(ARRAYS) - {name}:
        (folder / "mnist" / other).unlink()
    assert mnist(target, download=True).test_labels.tolist() == [7, 2]


def test_a_damaged_file_is_refused(folder):
    (folder / "mnist" / "t10k-images-idx3-ubyte.gz").write_bytes(idx(TEST[:1]))
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz is damaged"):
        mnist(folder)


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x08", b"<html>", b"\0\0\x0d\x01\0\0\0\0", b"\0\0\x08\x01\0\0\0\x02a"]
)
def test_what_is_no_idx_file_of_bytes_is_refused(folder, content, monkeypatch):
    put(folder, {"train-labels-idx1-ubyte.gz": gzip.compress(content)}, monkeypatch)
    with pytest.raises(ValueError, match="must be an IDX file of unsigned bytes"):
        mnist(folder)


def test_download_must_be_a_bool(folder):
    with pytest.raises(TypeError, match="download must be True or False"):
        mnist(folder, download=1)

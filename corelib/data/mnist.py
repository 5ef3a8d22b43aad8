"""MNIST: handwritten digits of 28 x 28 pixels, the full-scale set of the chapters on small pictures."""

import gzip
import math
from pathlib import Path

import numpy as np

from corelib._checks import check_bool
from corelib.data._download import fetch
from corelib.data.digits import Digits

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}


def mnist(folder: str | Path = "data", *, download: bool = False) -> Digits:
    """MNIST: 60,000 handwritten digits to train on and 10,000 of other writers to test on.

    Y. LeCun, C. Cortes and C. J. C. Burges, in the four gzipped IDX files of its authors. They name no licence; mirrors
    commonly state CC BY-SA 3.0.

    Parameters
    ----------
    folder : str or Path
        Where ``mnist``, a folder with the four files, lies, or where to put it.
    download : bool
        Whether to fetch what is not there (12 MB in all). Every file is verified by its MD5.

    Returns
    -------
    Digits
        As `digits` returns, except in float32, as float64 would take 440 MB: ``train`` (60000, 784) and ``test``
        (10000, 784) with pixels in [-1, 1], and int64 labels, in the order of the files.

    Raises
    ------
    FileNotFoundError
        If a file is not in ``folder`` and ``download`` is False.
    TypeError, ValueError
        If ``download`` is no bool, or a file is not the one that its authors published.

    Examples
    --------
    >>> from corelib.data import mnist
    >>> mnist("data", download=True).train.shape  # doctest: +SKIP
    (60000, 784)
    """
    check_bool(download, "download")
    root = Path(folder) / "mnist"
    missing = [name for name in MD5 if not (root / name).is_file()]
    if missing and not download:
        raise FileNotFoundError(f"no {missing[0]} in {root}; pass download=True to fetch it (12 MB in all)")
    train, train_labels, test, test_labels = (
        _read_idx(fetch(URL + name, root / name, md5)) for name, md5 in MD5.items()
    )
    return Digits(_pixels(train), train_labels.astype(np.int64), _pixels(test), test_labels.astype(np.int64))


def _read_idx(path: Path) -> np.ndarray:
    """The bytes of an IDX file: two zeros, the type (8: unsigned bytes), the number of axes, their lengths, the entries."""
    with gzip.open(path) as file:
        content = file.read()
    axes = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    shape = tuple(np.frombuffer(content[4 : 4 + 4 * axes], dtype=">u4").tolist())
    if not axes or len(content) != 4 + 4 * axes + math.prod(shape):
        raise ValueError(
            f"{path} must be an IDX file of unsigned bytes; got {len(content)} bytes of something else"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(127.5) - 1

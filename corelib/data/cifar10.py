"""CIFAR-10: what the full scale of a classification chapter puts in the place of the digits."""

import tarfile
from pathlib import Path

import numpy as np

from corelib._checks import check_bool
from corelib.data._download import fetch
from corelib.data.digits import Digits

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
PIXELS = 3 * 32 * 32


def cifar10(folder: str | Path = "data", *, download: bool = False) -> Digits:
    """CIFAR-10: 60,000 colour pictures of 32 x 32 pixels in ten classes.

    Krizhevsky, *Learning Multiple Layers of Features from Tiny Images* (2009). The same return type as ``digits``.

    Parameters
    ----------
    folder : str or Path
        Where ``cifar-10-batches-bin`` lies, as the archive of the binary version unpacks, or where to put it.
    download : bool
        Whether to fetch the archive (170 MB, verified by its MD5) if it is not there.

    Returns
    -------
    Digits
        ``train`` (50000, 3072) and ``test`` (10000, 3072) as float32 in [-1, 1] (740 MB in all): all red pixels of a
        picture row by row, then the green and the blue ones, so ``reshape(-1, 3, 32, 32)`` gives the pictures.
        Labels are int64, 0 to 9, in the order of the set's ``batches.meta.txt``.

    Raises
    ------
    FileNotFoundError
        If the set is not in ``folder`` and ``download`` is False.
    TypeError, ValueError
        If ``download`` is no bool, or a file is damaged.

    Examples
    --------
    >>> from corelib.data import cifar10
    >>> pictures = cifar10("data", download=True)  # doctest: +SKIP
    >>> pictures.train.shape  # doctest: +SKIP
    (50000, 3072)
    """
    root = Path(folder) / "cifar-10-batches-bin"
    if not check_bool(download, "download") and not (root / "test_batch.bin").is_file():
        raise FileNotFoundError(
            f"no cifar-10-batches-bin in {Path(folder)}; pass download=True to fetch it (170 MB)"
        )
    if not (root / "test_batch.bin").is_file():
        _download(Path(folder))
    train = [_read(root / f"data_batch_{part}.bin") for part in range(1, 6)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    return Digits(images, labels, *_read(root / "test_batch.bin"))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and labels of a file of records: one byte for the class, then the pixels."""
    records = np.fromfile(path, dtype=np.uint8)
    if not records.size or records.size % (PIXELS + 1) or records[:: PIXELS + 1].max() > 9:
        raise ValueError(
            f"{path} does not hold pictures of CIFAR-10: delete its folder and download it again"
        )
    records = records.reshape(-1, PIXELS + 1)
    return records[:, 1:].astype(np.float32) / 127.5 - 1, records[:, 0].astype(np.int64)


def _download(folder: Path) -> None:
    with tarfile.open(fetch(URL, folder / "cifar-10-binary.tar.gz", MD5)) as content:
        content.extractall(folder, filter="data")

"""CUB-200-2011: photographs of birds, the full-scale set of the metric-learning chapters."""

import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from corelib._checks import check_bool, check_int
from corelib.data._download import fetch
from corelib.data.labelled_images import LabelledImages

URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
MD5 = "97eceeb196236b17998738112f37df78"


def cub200(folder: str | Path = "data", *, size: int = 256, download: bool = False) -> LabelledImages:
    """Caltech-UCSD Birds 200-2011: 11,788 photographs of 200 species.

    Each picture is scaled so that its shorter side has ``size`` pixels, and its middle square is kept. Metric learning
    trains on the first 100 species and tests on the other 100.

    Parameters
    ----------
    folder : str or Path
        Where ``CUB_200_2011`` lies, as its archive unpacks, or where to put it.
    size : int
        Height and width in pixels.
    download : bool
        Whether to fetch the archive (1.1 GB, verified by its MD5) if it is not there. The data may be used for
        research and teaching only.

    Returns
    -------
    LabelledImages
        ``images`` are uint8 of shape (n, size, size, 3), 2.3 GB at 256 pixels: as float32 they would take four times
        that. In the order of the set's ``images.txt``, by species.

    Raises
    ------
    FileNotFoundError
        If the set is not in ``folder`` and ``download`` is False.
    ModuleNotFoundError
        If Pillow is missing; ``pip install "keeping-score[notebooks]"`` brings it.
    TypeError, ValueError
        If an argument has the wrong type, ``size`` is less than 1, or the download is damaged.

    Examples
    --------
    >>> from corelib.data import cub200
    >>> birds = cub200("data", download=True)  # doctest: +SKIP
    >>> birds.images.shape  # doctest: +SKIP
    (11788, 256, 256, 3)
    """
    size = check_int(size, "size", minimum=1)
    root = Path(folder) / "CUB_200_2011"
    if not (root / "images.txt").is_file():
        if not check_bool(download, "download"):
            raise FileNotFoundError(
                f"no CUB_200_2011 in {Path(folder)}; pass download=True to fetch it (1.1 GB)"
            )
        _download(Path(folder))
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'pictures are decoded by Pillow: pip install "keeping-score[notebooks]"'
        ) from error
    paths = _column(root / "images.txt")
    labels = np.array(_column(root / "image_class_labels.txt"), dtype=np.int64) - 1
    images = np.empty((len(paths), size, size, 3), dtype=np.uint8)

    def decode(row: int) -> None:
        with Image.open(root / "images" / paths[row]) as picture:
            images[row] = ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.BILINEAR)

    with ThreadPoolExecutor() as pool:
        list(pool.map(decode, range(len(paths))))
    return LabelledImages(images=images, labels=labels, names=tuple(_column(root / "classes.txt")))


def _column(path: Path) -> list[str]:
    """What stands behind the number that each line starts with."""
    return [line.split(maxsplit=1)[1] for line in path.read_text(encoding="utf-8").splitlines() if line]


def _download(folder: Path) -> None:
    with tarfile.open(fetch(URL, folder / "CUB_200_2011.tgz", MD5)) as content:
        content.extractall(folder, filter="data")

"""Fetching a file once, whole or not at all, and seeing that it is the right one."""

import hashlib
import urllib.request
from pathlib import Path


def fetch(url: str, path: Path, md5: str | None = None) -> Path:
    """``path``, downloaded from ``url`` if it is not there yet; its folder is made.

    Raises
    ------
    ValueError
        If the file there has another MD5 than ``md5``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        partial = path.with_suffix(".part")
        urllib.request.urlretrieve(url, partial)
        partial.rename(path)
    if md5 is not None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        if digest != md5:
            raise ValueError(f"{path} is damaged (MD5 {digest}, not {md5}): delete it and try again")
    return path

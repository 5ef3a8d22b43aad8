"""Winoground: photographs with captions of the same words in another order, the full-scale set of group metrics."""

import json
from pathlib import Path

import numpy as np

from corelib._checks import check_int
from corelib.data.caption_groups import CaptionGroups


def winoground(folder: str | Path = "data/winoground", *, size: int = 224) -> CaptionGroups:
    """Winoground: 400 groups of two photographs and two captions that consist of the same words.

    Each picture is scaled to ``size`` by ``size`` pixels, as the encoders of CLIP and SigLIP take it.

    Parameters
    ----------
    folder : str or Path
        Where ``examples.jsonl`` and the folder ``images`` (unpacked from ``images.zip``) lie. The set is given out by
        its authors to people who accept its licence (for research), `at Hugging Face
        <https://huggingface.co/datasets/facebook/winoground>`_, in the folder ``data``.
    size : int
        Height and width in pixels.

    Returns
    -------
    CaptionGroups
        ``images`` are uint8 of shape (400, 2, size, size, 3), in the order of the file.

    Raises
    ------
    FileNotFoundError
        If a file is missing; the message says how to get it.
    ModuleNotFoundError
        If Pillow is missing; ``pip install "keeping-score[notebooks]"`` brings it.
    TypeError, ValueError
        If ``size`` is no integer of at least 1, or a line of ``examples.jsonl`` is not what it should be.

    Notes
    -----
    T. Thrush et al., Winoground: probing vision and language models for visio-linguistic compositionality (CVPR 2022).

    Examples
    --------
    >>> from corelib.data import winoground
    >>> groups = winoground("data/winoground")  # doctest: +SKIP
    >>> groups.captions[0]  # doctest: +SKIP
    ('an old person kisses a young person', 'a young person kisses an old person')
    """
    size, root = check_int(size, "size", minimum=1), Path(folder)
    for name in ("examples.jsonl", "images"):
        if not (root / name).exists():
            raise FileNotFoundError(
                f"no {name} in {root}: accept the licence at https://huggingface.co/datasets/facebook/winoground, "
                f"download data/examples.jsonl and data/images.zip, and unpack both into {root}"
            )
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'pictures are decoded by Pillow: pip install "keeping-score[notebooks]"'
        ) from error
    examples = [
        _example(line, number)
        for number, line in enumerate((root / "examples.jsonl").read_text(encoding="utf-8").splitlines(), 1)
        if line.strip()
    ]
    images = np.empty((len(examples), 2, size, size, 3), dtype=np.uint8)
    for g, example in enumerate(examples):
        for i in range(2):
            path = root / "images" / f"{example[f'image_{i}']}.png"
            if not path.is_file():
                raise FileNotFoundError(f"no {path.name} in {path.parent}: unpack images.zip there again")
            with Image.open(path) as picture:
                images[g, i] = picture.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return CaptionGroups(images=images, captions=tuple((e["caption_0"], e["caption_1"]) for e in examples))


def _example(line: str, number: int) -> dict[str, str]:
    fields = ("image_0", "image_1", "caption_0", "caption_1")
    try:
        example = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"examples.jsonl, line {number}: no JSON ({error})") from error
    missing = [
        field for field in fields if not isinstance(example, dict) or not isinstance(example.get(field), str)
    ]
    if missing:
        raise ValueError(f"examples.jsonl, line {number}: no text in {', '.join(missing)}")
    return example

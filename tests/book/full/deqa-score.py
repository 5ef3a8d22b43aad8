"""Eighty tiny photographs in place of KonIQ-10k."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import stand_ins
from PIL import Image

FOLDER = Path(tempfile.mkdtemp())
OVERRIDES = {
    "KONIQ": FOLDER,
    "TRAIN": 40,
    "DEV_ITEMS": 20,
    "BATCH": 20,
    "PAIRS": 4,
    "EPOCHS": 2,
    "SETS_EPOCHS": 2,
    "RATES": (0.01, 0.03),
    "DRAWS": range(3),
}


def prepare() -> None:
    stand_ins.resnet50(crop=8)
    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(80)]
    (FOLDER / "512x384").mkdir()
    for name in names:
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(FOLDER / "512x384" / name)
    table = pd.DataFrame({"image_name": names, "MOS": rng.uniform(1, 5, 80), "SD": rng.uniform(0.4, 0.8, 80)})
    table.to_csv(FOLDER / "koniq10k_scores_and_distributions.csv", index=False)

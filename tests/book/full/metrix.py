"""Forty species of six tiny noise pictures in the place of CUB-200-2011, and a linear layer for the ResNet-50."""

import sys
import types

import numpy as np
import torch

OVERRIDES = {"FULL_STEPS": 2, "CROP": 6}


def prepare() -> None:
    import corelib.data
    from corelib.data import LabelledImages

    rng = np.random.default_rng(0)
    birds = LabelledImages(
        images=rng.integers(0, 256, (240, 8, 8, 3), dtype=np.uint8),
        labels=np.repeat(np.arange(40), 6),
        names=tuple(f"species {i}" for i in range(40)),
    )
    corelib.data.cub200 = lambda download: birds
    stub = types.ModuleType("torchvision.models")
    stub.resnet50 = lambda weights: Network()
    sys.modules["torchvision"] = types.ModuleType("torchvision")
    sys.modules["torchvision.models"] = stub


class Network(torch.nn.Module):
    """A layer of batch normalisation, and ``fc``, which the chapter replaces."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.fc = torch.nn.Linear(3 * 6 * 6, 1000)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(pictures).flatten(1))

"""Forty species of five tiny noise pictures in the place of CUB-200-2011, and a linear layer for the ResNet-50."""

import stand_ins

OVERRIDES = {"FULL_STEPS": 2, "CROP": 6}


def prepare() -> None:
    stand_ins.cub200(species=40, each=5, size=8)
    stand_ins.resnet50(crop=OVERRIDES["CROP"])

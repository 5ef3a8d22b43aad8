"""Random pictures in the place of CIFAR-10, and a linear layer's input in that of a ResNet-50's features."""

import stand_ins

OVERRIDES = {"BIG": {"side": 8, "batch": 50, "labels": (40, 60)}}


def prepare() -> None:
    stand_ins.cifar10()
    stand_ins.resnet50(crop=8)

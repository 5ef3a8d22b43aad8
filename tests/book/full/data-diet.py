"""Random pictures of a handful of classes in place of CIFAR-10, and a network of a few channels."""

import stand_ins

OVERRIDES = {"BIG": {"networks": 2, "epochs": 2, "early": 1, "batch": 32, "width": 4}}


def prepare():
    stand_ins.cifar10()

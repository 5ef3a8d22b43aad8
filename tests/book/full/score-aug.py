"""Random pictures in place of CIFAR-10, and U-Nets of eight channels."""

import stand_ins

OVERRIDES = {
    "BIG": {
        "steps": 12,
        "batch": 2,
        "pictures": 4,
        "judges": 4,
        "width": 8,
        "rates": {"plain": (1e-4, 2e-4, 4e-4), "augmented": (1e-4, 2e-4, 4e-4)},
    }
}


def prepare():
    stand_ins.cifar10()

"""Thirty-two species of five tiny noise pictures in the place of CUB-200-2011, and a handful of episodes."""

import stand_ins

OVERRIDES = {
    "FULL_EPISODES": 2,
    "FULL_ROUNDS": 2,
    "FULL_GRIDS": {
        "cross-entropy": (1.0, 16.0),
        "Proto-Triplet": (0.0, 0.5),
        "cross-entropy on distances": (1.0,),
    },
}


def prepare() -> None:
    stand_ins.cub200(species=32, each=5, size=32)

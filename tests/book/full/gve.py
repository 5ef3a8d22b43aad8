"""A leaderboard of twenty models and six tasks in the place of MTEB's results."""

import sys
import types

import numpy as np
import pandas as pd

OVERRIDES = {"SEEDS": range(2)}


def prepare() -> None:
    stub = types.ModuleType("mteb")
    stub.ResultCache = Cache
    stub.get_benchmark = lambda name: [name]
    sys.modules["mteb"] = stub


class Cache:
    def download_from_remote(self) -> None:
        pass

    def load_results(self, tasks: list[str]) -> "Cache":
        return self

    def to_dataframe(self, format: str) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        skill = rng.random(20)
        rows = [
            {
                "model_name": f"model {i}",
                "task_name": f"task {j}",
                "score": 0.5 * skill[i] + 0.5 * rng.random(),
            }
            for i in range(20)
            for j in range(6)
        ]
        return pd.DataFrame(rows[:-1])  # the last model has not done all tasks

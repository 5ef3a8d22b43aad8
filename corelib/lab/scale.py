"""How large the experiments run."""

import os

from corelib._checks import check_choice

VARIABLE = "KEEPING_SCORE_SCALE"

SCALE: str = check_choice(
    os.environ.get(VARIABLE, "small"), f"the environment variable {VARIABLE}", ("small", "full")
)

"""Measures what ``corelib/kernels/pair_costs.h`` states: ``python -m tools.fit_pair_costs``, on an idle machine.

The cost of a sum is modelled as nanoseconds per piece of work of each kind, none of them negative, fitted so that the
relative errors of the estimates are small. Needs a C compiler and SciPy; takes a minute.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

TOOLS = Path(__file__).parent
KERNELS = TOOLS.parent / "corelib" / "kernels"
OPTIONS = ["-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-w"]


def measure() -> dict[str, np.ndarray]:
    """Of each way, rows of nanoseconds and of the work of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "fit_pair_costs")
        source = str(TOOLS / "fit_pair_costs.c")
        subprocess.run(["cc", *OPTIONS, f"-I{KERNELS}", source, "-o", program, "-lm"], check=True)
        lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    rows: dict[str, list] = {}
    for way, *numbers in map(str.split, lines):
        rows.setdefault(way, []).append([float(number) for number in numbers])
    return {way: np.array(of_way) for way, of_way in rows.items()}


def fit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nanoseconds per piece of work, and the ratio of estimated to measured time of each row."""
    nanoseconds, work = rows[:, 0], rows[:, 1:]
    cost, _ = nnls(work / nanoseconds[:, None], np.ones(len(rows)))
    return cost, work @ cost / nanoseconds


if __name__ == "__main__":
    for way, rows in measure().items():
        cost, ratio = fit(rows)
        low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9])
        print(f"{way}: {', '.join(f'{c:.3g}' for c in cost)}")
        print(f"    estimated / measured: {low:.2f} to {high:.2f} (10 to 90 %), median {middle:.2f}")

"""Protects what every notebook starts with: threads, warnings, seeds, scale; and the time ratio."""

import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from corelib import lab
from tools.compare import environment


def run(code, **extra):
    """Run ``code`` in a fresh interpreter."""
    line = [sys.executable, "-W", "default", "-c", code]
    return subprocess.run(line, check=False, capture_output=True, text=True, env=environment(extra))


def test_setup_limits_every_pool_and_prints_nothing():
    code = """
import numpy, scipy.linalg, torch
from corelib import lab
lab.setup(threads=1)
import sklearn.cluster  # loads an OpenMP runtime of its own
from threadpoolctl import threadpool_info
pools = {pool["num_threads"] for pool in threadpool_info()}
assert pools == {1}, threadpool_info()
assert torch.get_num_threads() == 1
"""
    result = run(code, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2", MKL_NUM_THREADS="2")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_setup_gives_threads_back():
    code = """
import numpy, torch
from corelib import lab
lab.setup(threads=1)
lab.setup(threads=2)
from threadpoolctl import threadpool_info
assert {pool["num_threads"] for pool in threadpool_info()} == {2}, threadpool_info()
assert torch.get_num_threads() == 2
"""
    result = run(code)
    assert (result.returncode, result.stderr) == (0, "")


def test_setup_silences_warnings_about_the_future_and_no_others():
    code = """
import warnings
from corelib import lab
lab.setup()
for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, UserWarning, RuntimeWarning):
    warnings.warn(category.__name__, category)
"""
    shown = run(code).stderr
    assert "UserWarning: UserWarning" in shown
    assert "RuntimeWarning: RuntimeWarning" in shown
    assert "Deprecation" not in shown
    assert "FutureWarning: " not in shown


def test_setup_sets_the_style():
    code = """
from corelib import lab
lab.setup()
import matplotlib
assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"] == list(lab.COLORS.values())
assert matplotlib.rcParams["savefig.facecolor"] == "white"
"""
    assert run(code).returncode == 0


@pytest.mark.parametrize("missing", [["threadpoolctl"], ["matplotlib", "IPython", "nbformat", "nbclient"]])
def test_lab_works_without_the_extras_of_the_book(missing):
    code = f"""
import sys
sys.modules.update(dict.fromkeys({missing!r}))
from corelib import lab
lab.setup()
lab.say(lab.approx(0.5))
"""
    result = run(code)
    assert (result.returncode, result.stdout) == (0, "≈ 0.500\n"), result.stderr
    assert ("threadpoolctl is not installed" in result.stderr) == ("threadpoolctl" in missing)


def test_importing_lab_loads_neither_matplotlib_nor_a_notebook():
    code = """
import sys
from corelib import lab
assert not {"matplotlib", "IPython", "nbformat", "nbclient"} & sys.modules.keys()
"""
    result = run(code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("threads", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_setup_refuses(threads, error):
    with pytest.raises(error, match="threads must be"):
        lab.setup(threads)


def test_seed_everything_repeats_every_generator():
    draws = []
    for _ in range(2):
        rng = lab.seed_everything(7)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item(), rng.random()))
    assert draws[0] == draws[1]
    assert draws[0][3] == np.random.default_rng(7).random()
    lab.seed_everything(8)
    assert random.random() != draws[0][0]


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (2**32, ValueError), (0.0, TypeError), (None, TypeError)]
)
def test_seed_everything_refuses(seed, error):
    with pytest.raises(error, match="seed must be"):
        lab.seed_everything(seed)


@pytest.mark.parametrize(
    ("variables", "scale", "chosen"),
    [
        ({}, "small", 1),
        ({"KEEPING_SCORE_SCALE": "wide"}, "wide", 2),
        ({"KEEPING_SCORE_SCALE": "full"}, "full", 3),
    ],
)
def test_scale_comes_from_the_environment(variables, scale, chosen):
    code = "from corelib import lab; print(lab.SCALE, lab.at_scale(small=1, wide=2, full=3))"
    assert run(code, **variables).stdout == f"{scale} {chosen}\n"


def test_a_larger_scale_without_a_value_takes_that_of_the_smaller():
    code = "from corelib import lab; print(lab.at_scale(1), lab.at_scale(1, 2))"
    assert run(code, KEEPING_SCORE_SCALE="wide").stdout == "1 2\n"
    assert run(code, KEEPING_SCORE_SCALE="full").stdout == "1 2\n"


def test_an_unknown_scale_is_an_error():
    message = "KEEPING_SCORE_SCALE must be one of 'small', 'wide', 'full'; got 'huge'"
    assert message in run("from corelib import lab", KEEPING_SCORE_SCALE="huge").stderr


@pytest.mark.parametrize("call", ["lab.setup()", "lab.at_scale(1)"])
def test_a_scale_that_is_set_too_late_is_an_error(call):
    code = f"""
import os
from corelib import lab
os.environ["KEEPING_SCORE_SCALE"] = "full"
{call}
"""
    assert "was set to 'full' after corelib.lab was imported at scale 'small'" in run(code).stderr


def test_time_ratio_is_about_right():
    ratio = lab.time_ratio(lambda: time.sleep(0.02), lambda: time.sleep(0.002), repeat=5)
    assert 2 < ratio < 15


def test_time_ratio_runs_both_alternately_after_warming_up():
    calls = []
    lab.time_ratio(lambda: calls.append("s"), lambda: calls.append("f"), repeat=3)
    assert "".join(calls) == "sf" * 4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, print), TypeError, "slow must be callable without arguments; got int"),
        ((print, None), TypeError, "fast must be callable without arguments; got NoneType"),
        ((print, print, 0), ValueError, "repeat must be at least 1; got 0"),
        ((print, print, 2.5), TypeError, "repeat must be an integer; got float"),
    ],
)
def test_time_ratio_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        lab.time_ratio(*arguments)

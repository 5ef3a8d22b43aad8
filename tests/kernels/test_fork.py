"""After a fork: kernels that ran on two threads in the parent run on one in the child, and never hang."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from corelib.kernels import cpu

FORKED = Path(__file__).with_name("forked.py")
KERNELS = [
    "softplus",
    "sigmoid",
    "hinge",
    "squared_hinge",
    "softplus in groups",
    "sigmoid in groups",
    "hinge in groups",
    "squared_hinge in groups",
    "rank_queries",
    "auc",
    "auc in groups",
    "read_labels",
    "count_pairs",
    "multi_similarity",
    "info_nce",
    "leave_out",
    "both_sums",
    "both_weights",
    "empirical_score",
    "item_response",
    "glicko",
]

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.skipif(cpu.openmp_threads() == 0, reason="built without OpenMP"),
]


def run(*arguments, timeout):
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def outcomes():
    return json.loads(run(str(FORKED), timeout=150))


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel_gives_the_same_in_a_forked_child(outcomes, kernel):
    assert outcomes[kernel] == "the same"


def test_every_kernel_is_tried(outcomes):
    assert sorted(outcomes) == sorted(KERNELS)


def test_public_functions_and_torch_in_a_pool_of_forked_workers():
    """The workers of a DataLoader start like this."""
    code = """
    import multiprocessing
    import numpy as np, torch
    import corelib
    from corelib import losses, metrics
    rng = np.random.default_rng(0)
    scores, relevance = rng.normal(size=(400, 300)), rng.integers(0, 2, (400, 300))
    pos, neg, vector = torch.randn(50_000), torch.randn(50_000), torch.randn(1_000_000)

    def work(i):
        return [metrics.ndcg(scores, relevance).mean(), losses.mann_whitney_loss(pos, neg, temperature=1e-3).item(),
                vector.mul(2).sum().item(), torch.get_num_threads(), corelib.info()["kernel threads"]]

    here = work(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.map(work, range(4))
    assert here[3] == 2 and here[4].startswith("2 (in "), here
    for row in there:
        assert row[:2] == here[:2] and abs(row[2] - here[2]) < 1, (row, here)
        assert row[3:] == [1, "1 (forked child)"], row
    """
    run("-c", textwrap.dedent(code), timeout=90)


def test_kernels_stay_on_one_thread_when_the_child_asks_torch_for_two():
    code = """
    import os
    import numpy as np, torch
    from corelib.kernels import cpu, ratings
    answers = np.random.default_rng(0).integers(0, 2, 300 * 200).astype(np.uint8)
    given = answers, None, None, np.zeros(300), np.ones(200), np.zeros(200)
    ratings.item_response(*given)
    child = os.fork()
    if not child:
        torch.set_num_threads(2)
        ratings.item_response(*given)
        os._exit(0 if cpu.openmp_threads() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    """
    run("-c", textwrap.dedent(code), timeout=60)

"""The engines over the CUDA core, which is compiled for the CPU here: beside the CPU's own engines, on random arguments."""

import numpy as np
import pytest
import torch

from corelib.engines import gpu, info_nce_cuda, multi_similarity_cuda, strips_cuda
from corelib.engines.cuda_trial import worst_error
from corelib.kernels import cuda
from tests.cuda_cases import CASES, assert_as_in_float64
from tests.cuda_on_cpu import build, needs_compiler

pytestmark = needs_compiler


@pytest.fixture
def calls(monkeypatch):
    """Float32 tensors on the CPU go the way of those on a GPU; counts the calls of the core."""
    counted = []

    def counting(function):
        return lambda *arguments: (counted.append(function.__name__), function(*arguments))

    monkeypatch.setattr(cuda, "library", build)
    monkeypatch.setattr(cuda, "rows", counting(cuda.rows))
    monkeypatch.setattr(cuda, "pair_sum", counting(cuda.pair_sum))
    monkeypatch.setattr(gpu, "takes", lambda tensor: tensor.dtype == torch.float32)
    monkeypatch.setattr(gpu, "stream", lambda tensor: None)
    return counted


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("few", ["KS_FEW_PAIRS=0", ""], ids=["sorted", "pair by pair"])
@pytest.mark.parametrize("name", ["over_pairs", "soft_ranks"])
def test_sums_over_pairs(name, few, seed, calls, monkeypatch):
    monkeypatch.setattr(cuda, "library", lambda: build(*[few] * bool(few)))
    loss, leaves, tolerance = CASES[name](np.random.default_rng(seed))
    assert_as_in_float64(loss, leaves, "cpu", tolerance)
    assert "pair_sum" in calls


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("way", ["one strip", "strips", "strips in 16 bits"])
@pytest.mark.parametrize("name", ["contrasts", "multi_similarity", "scores"])
def test_strips(name, way, seed, calls, monkeypatch):
    if way != "one strip":
        monkeypatch.setattr(strips_cuda, "_LEAST", 0)
        monkeypatch.setattr(strips_cuda, "_MOST", 64)
    for engine in (info_nce_cuda, multi_similarity_cuda):
        monkeypatch.setattr(engine, "half_pays", lambda *_: way.endswith("16 bits"))
    loss, leaves, tolerance = CASES[name](np.random.default_rng(seed))
    if way.endswith("16 bits"):
        assert_as_in_float64(loss, leaves, "cpu", 1e-3, floor=1e-9)  # a weight below 6e-11 is lost
    else:
        assert_as_in_float64(loss, leaves, "cpu", tolerance)
    assert "rows" in calls


def test_the_trial_before_first_use(calls, monkeypatch):
    assert worst_error(torch.device("cpu")) < 1e-5
    with torch.inference_mode():
        assert worst_error(torch.device("cpu")) < 1e-5
    monkeypatch.setattr(cuda, "rows", lambda *_: None)  # a core that does nothing
    assert not worst_error(torch.device("cpu")) < 1e-4


def test_nothing_goes_to_a_gpu_that_is_not_there():
    assert not gpu.takes(torch.ones(3))

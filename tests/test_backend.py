"""The backend choice and ``info``: what they promise to say, and that two OpenMP runtimes never meet."""

import subprocess
import sys

import pytest

import corelib
from corelib._backend import use_torch
from corelib._openmp import share_torch_runtime


@pytest.fixture(autouse=True)
def restore_backend():
    before = corelib.get_backend()
    yield
    corelib.set_backend(before)


@pytest.mark.parametrize(
    ("backend", "device", "expected"),
    [
        ("auto", "cpu", False),
        ("auto", "cuda", True),
        ("compiled", "cpu", False),
        ("torch", "cpu", True),
        ("torch", "cuda", True),
    ],
)
def test_which_implementation_runs(backend, device, expected):
    corelib.set_backend(backend)
    assert corelib.get_backend() == backend
    assert use_torch(device) is expected


def test_compiled_backend_refuses_other_devices():
    corelib.set_backend("compiled")
    with pytest.raises(ValueError, match="with the CUDA core; got one on cuda"):
        use_torch("cuda")


@pytest.mark.parametrize("bad", ["cuda", "", None, 1, ["auto"]])
def test_unknown_backend_is_refused_and_changes_nothing(bad):
    with pytest.raises(ValueError, match="name must be one of 'auto', 'compiled', 'torch'"):
        corelib.set_backend(bad)
    assert corelib.get_backend() == "auto"


def test_info_names_what_is_in_use():
    corelib.set_backend("torch")
    info = corelib.info()
    assert info["corelib"] == corelib.__version__
    assert info["backend"].startswith("torch: plain torch everywhere")
    assert set(info) >= {"instruction set", "kernel threads", "thread pools", "GPU", "CUDA core"}
    assert len(str(info).splitlines()) == len(info)


def test_metrics_do_not_import_torch():
    calls = "m.ndcg([1, 2], [0, 1]); m.roc_auc([1, 2], [0, 1]); m.pooled_average_precision([1, 2], [0, 1])"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys, corelib.metrics as m; {calls}; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "False"


@pytest.mark.skipif(share_torch_runtime() is None, reason="this torch ships no libgomp")
@pytest.mark.parametrize("first", ["import torch", ""])
def test_kernels_use_the_openmp_runtime_of_torch(first):
    code = f"""{first}
import ctypes
from corelib.kernels import OPENMP_RUNTIME, cpu
ctypes.CDLL(str(OPENMP_RUNTIME)).omp_set_num_threads(5)
print(cpu.openmp_threads())"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "5"

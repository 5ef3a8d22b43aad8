"""The CUDA core for tensors: which it takes, and what its functions are handed."""

import functools

import torch
from torch import Tensor

from corelib._backend import get_backend
from corelib.kernels import cuda


def takes(tensor: Tensor) -> bool:
    """Whether the CUDA core takes this tensor; float64 stays with torch, as few GPUs are fast there."""
    return (
        tensor.is_cuda
        and tensor.dtype == torch.float32
        and get_backend() != "torch"
        and not why_not(tensor.device.index)
    )


@functools.cache
def why_not(device: int) -> str:
    """Why the CUDA core is not used on this device; empty if it is."""
    if cuda.library() is None:
        return "the CUDA core was not built (CORELIB_CUDA=1 when corelib is installed asks for it)"
    with torch.cuda.device(device):
        error = cuda.error_of_this_device() or _trial(device)
    return f"the CUDA core, built with CUDA {cuda.toolkit()}, does not run here: {error}" if error else ""


def _trial(device: int) -> str:
    """What is wrong with the core's results on this device, if anything: a wrong gradient must not go unnoticed."""
    from corelib.engines.cuda_trial import worst_error

    error = worst_error(torch.device("cuda", device))
    return (
        "" if error < 1e-4 else f"its results differ from those of plain torch by {error:.2g} of their size"
    )


def stream(tensor: Tensor) -> int:
    """The current stream of the tensor's device: ``torch.cuda.current_stream().cuda_stream``, in a fiftieth of its time."""
    return torch._C._cuda_getCurrentRawStream(tensor.device.index)


def address(tensor: Tensor | None) -> int | None:
    """Where a contiguous tensor begins."""
    return None if tensor is None else tensor.data_ptr()

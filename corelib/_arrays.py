"""What users call an array, read as one: lists, NumPy arrays, torch tensors; or an error that names the argument."""

import sys

import numpy as np

_NATIVE = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (4, 8)}


def as_numbers(value: object, name: str) -> np.ndarray:
    """``value`` as an array of bool, integer, float32 or float64, in native byte order.

    Narrower floats become float32; tensors of torch leave their graph and their device.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array, whose mask would be lost; fill it first")
    try:
        array = _of_tensor(value) if _is_tensor(value) else np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} must be an array or nested lists of equal length (ragged ones go flat, with indptr where there is one): {error}"
        ) from error
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"{name} must be an array or a list of numbers; got {type(value).__name__}: {error}"
        ) from error
    if not array.ndim and array.dtype.kind in "OSU":
        raise TypeError(f"{name} must be an array or a list of numbers; got {type(value).__name__}")
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.itemsize not in _NATIVE.get(array.dtype.kind, ()):
        raise TypeError(
            f"{name} must hold bool, integer, float32 or float64 numbers; got dtype {array.dtype}"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.aligned else array.copy()


def on_gpu(value: object) -> bool:
    """Whether ``value`` is a tensor on a GPU."""
    return _is_tensor(value) and value.is_cuda


def _is_tensor(value: object) -> bool:
    torch = sys.modules.get("torch")  # metrics never wait for torch: who has a tensor has imported it
    return torch is not None and isinstance(value, torch.Tensor)


def _of_tensor(tensor) -> np.ndarray:
    tensor = tensor.detach()
    narrow = tensor.is_floating_point() and tensor.itemsize < 4
    return (tensor.float() if narrow else tensor).numpy(force=True)

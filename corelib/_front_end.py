"""What every public function of tensors does with its arguments before it looks at their values."""

import contextlib
import difflib
import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from corelib._tensors import HALF

P = ParamSpec("P")
R = TypeVar("R")

_SYNONYMS = {
    "tau": "temperature",
    "t": "temperature",
    "target": "labels",
    "targets": "labels",
    "eps": "epsilon",
}


def front_end(*names: str, half: tuple[str, ...] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator of a public function whose arguments ``names`` are tensors.

    *NumPy*: if any of them is an array, all that are given must be; the function sees tensors that share their memory,
    and tensors among its results come back as arrays (0-dimensional ones as numbers).
    *Half precision*: float16 and bfloat16 are computed in float32, which the results have, too; gradients have the
    dtype of their tensor. Those in ``half`` are left as they are, for functions that convert them by blocks.
    *Views that are negated when they are read*, such as the imaginary part of a conjugate, are negated first.
    *Autocast*: inside of a ``torch.autocast`` region the numbers are those outside of it.
    *Keywords*: an unknown one gets a hint.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        known = frozenset(signature.parameters)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            if not known.issuperset(kwargs):
                _refuse_unknown(function.__name__, kwargs, signature)
            device, eager = None, not torch.compiler.is_compiling()  # which cannot trace is_neg
            for value in (*args, *kwargs.values()):
                if isinstance(value, np.ndarray) or (
                    isinstance(value, Tensor) and (value.dtype in HALF or (eager and value.is_neg()))
                ):
                    return _converted(function, signature.bind(*args, **kwargs), names, half)
                if isinstance(value, Tensor):
                    device = value.device.type
            if device not in (None, "meta") and torch.is_autocast_enabled(device):
                with torch.autocast(device, enabled=False):
                    return function(*args, **kwargs)
            return function(*args, **kwargs)

        return wrapper

    return decorate


def _converted(
    function: Callable[..., R], bound: inspect.BoundArguments, names: tuple[str, ...], half: tuple[str, ...]
) -> R:
    """The result for arrays, or for tensors of which some are in half precision."""
    given = {name: bound.arguments[name] for name in names if bound.arguments.get(name) is not None}
    arrays = [name for name, value in given.items() if isinstance(value, np.ndarray)]
    tensors = [name for name, value in given.items() if isinstance(value, Tensor)]
    if arrays and tensors:
        raise TypeError(
            f"{arrays[0]} is a numpy.ndarray but {tensors[0]} is a torch.Tensor; pass all arrays in one of the two"
        )
    for name, value in given.items():
        tensor = _view_as_tensor(value, name) if isinstance(value, np.ndarray) else value
        if isinstance(tensor, Tensor) and tensor.dtype in HALF and name not in half:
            tensor = tensor.float()
        bound.arguments[name] = tensor.resolve_neg() if isinstance(tensor, Tensor) else tensor
    device = next(
        (value.device.type for value in bound.arguments.values() if isinstance(value, Tensor)), "cpu"
    )
    with torch.autocast(device, enabled=False) if device != "meta" else contextlib.nullcontext():
        result = function(*bound.args, **bound.kwargs)
    return _to_numpy(result) if arrays else result


def _view_as_tensor(array: np.ndarray, name: str) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers; got dtype {array.dtype}")
    if not array.dtype.isnative:
        raise TypeError(f"{name} must be in native byte order; got dtype {array.dtype}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise TypeError(f"{name} must hold floats of 16, 32 or 64 bits; got dtype {array.dtype}")
    # torch has no negative strides, and a load from an odd address is undefined in C
    if not array.flags.aligned or any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():  # no function of this library writes to its inputs
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _to_numpy(result: Any) -> Any:
    if isinstance(result, Tensor):
        return result.item() if result.ndim == 0 else result.numpy()
    if isinstance(result, tuple):
        parts = [_to_numpy(part) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    return result


def _refuse_unknown(function: str, kwargs: dict[str, Any], signature: inspect.Signature) -> None:
    known = signature.parameters
    for name in kwargs:
        if name not in known:
            meant = _SYNONYMS.get(name)
            close = [meant] if meant in known else difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; it takes {', '.join(known)}"
            raise TypeError(f"{function} has no argument {name}{hint}")

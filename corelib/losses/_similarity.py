"""Checks of embeddings and labels, and gradients kept with a loss, for losses of similarities."""

import math

import torch
from torch import Tensor

from corelib._tensors import check_finite, check_tensor

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def check_embeddings(value: Tensor, name: str) -> None:
    check_tensor(value, name, ndim=2)
    if 0 in value.shape:
        raise ValueError(f"{name} must have at least one row and one column; got shape {tuple(value.shape)}")


def check_labels(labels: object, rows: Tensor, rows_name: str) -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a torch.Tensor or a numpy.ndarray; got {type(labels).__name__}")
    if labels.dtype not in INTEGERS:
        allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in INTEGERS)
        raise TypeError(f"labels must be one of {allowed}; got {str(labels.dtype).removeprefix('torch.')}")
    if labels.shape != rows.shape[:1]:
        raise ValueError(
            f"labels must be 1-dimensional with one entry for each row of {rows_name}, shape ({len(rows)},); "
            f"got shape {tuple(labels.shape)}"
        )
    if labels.device != rows.device:
        raise ValueError(
            f"labels and {rows_name} must be on the same device; got {labels.device} and {rows.device}"
        )


def longest_row(value: Tensor, name: str) -> float:
    """The largest norm of a row, or a bound of it where the squares overflow; refuses NaN and infinity."""
    longest = float(torch.linalg.vector_norm(value, dim=1).amax())
    if not math.isfinite(longest):
        check_finite(value, name)
        longest = float(value.abs().amax()) * math.sqrt(value.shape[1])
    return longest


def check_exponent(largest: float, dtype: torch.dtype, names: str, exponent: str) -> None:
    if not largest <= torch.finfo(dtype).max:
        limit = str(dtype).removeprefix("torch.")
        raise ValueError(
            f"{names} must be small enough for {exponent} to stay within {limit}; it may reach {largest:.3g}"
        )


def keep_gradients(ctx, inputs, output):
    """Keep the gradients that came with the loss, and the inputs in case of a second backward pass."""
    ctx.save_for_backward(*(value for value in inputs if isinstance(value, Tensor)))
    ctx.settings = [None if isinstance(value, Tensor) else (value,) for value in inputs]
    ctx.gradients = output[1:]
    ctx.mark_non_differentiable(*output[1:])


def take_gradients(ctx, operator):
    """The gradients, for the caller to overwrite: they never exist twice, a second pass recomputes them."""
    gradients, ctx.gradients = ctx.gradients, None
    if gradients is None:
        tensors = iter(ctx.saved_tensors)
        gradients = operator(*(next(tensors).detach() if s is None else s[0] for s in ctx.settings))[1:]
    return gradients

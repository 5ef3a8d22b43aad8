"""Checks of tensor arguments, once: each error names the argument, what it was and what is allowed.

Values are looked at where a function uses them; checks of shapes, dtypes and devices come first. In a traced graph
(``torch.compile``) checks of values are nodes that raise a RuntimeError with a shorter message: to look would end the graph.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from corelib._backend import checks_gpu
from corelib._checks import check_positive, check_real

FLOATS = (torch.float32, torch.float64)
HALF = (torch.float16, torch.bfloat16)
_SMALLEST_DIVISOR = {torch.float32: 1e-37, torch.float64: 1e-280}  # its inverse is still finite
INTEGERS = (
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
)


def check_tensor(value: object, name: str, *, ndim: int | tuple[int, ...], half: bool = False) -> Tensor:
    """``value`` if it is a dense float32 or float64 (or ``half`` precision) tensor with ``ndim`` dimensions."""
    _check_is_tensor(value, name)
    if value.dtype not in FLOATS and not (half and value.dtype in HALF):
        raise TypeError(f"{name} must hold floats of 16, 32 or 64 bits; got {dtype_name(value)}")
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if value.ndim not in allowed:
        wanted = " or ".join(f"{n}-dimensional" for n in allowed)
        raise ValueError(f"{name} must be {wanted}; got shape {tuple(value.shape)}")
    return value


def unseen(value: Tensor, holds: Callable[[], Tensor], message: str) -> bool:
    """Whether not to look at the entries of ``value``.

    Not while a graph is traced: whether it ``holds`` is asked when the graph runs. Nor on a GPU, for whose answer the
    host would have to wait, unless its checks are on.
    """
    if torch.compiler.is_compiling():
        torch._assert_async(holds(), message)
        return True
    return on_gpu_unchecked(value)


def on_gpu_unchecked(value: Tensor) -> bool:
    """Whether ``value`` lies on a GPU whose entries nobody looks at."""
    return value.is_cuda and not checks_gpu()


def check_finite(value: Tensor, name: str) -> Tensor:
    """``value`` if every entry is finite, else a ``ValueError`` that counts the others."""
    if unseen(value, lambda: value.detach().isfinite().all(), f"{name} must be finite"):
        return value
    if math.isfinite(value.detach().sum().item()):  # one pass: a NaN or an infinity would have spread
        return value
    finite = torch.isfinite(value.detach())
    if not bool(finite.all()):
        raise ValueError(
            f"{name} must be finite; {int((~finite).sum())} of {value.numel()} entries are NaN or infinite"
        )
    return value


def check_bounded(value: Tensor, name: str, largest: float) -> Tensor:
    """``value`` if its entries are finite and none exceeds ``largest``."""
    if value.numel() == 0 or unseen(
        value, lambda: (value.detach().abs() <= largest).all(), f"{name} must not exceed {largest:g}"
    ):
        return value
    found = value.detach().abs().amax().item()
    if not found <= largest:  # nor is NaN
        check_finite(value, name)
        raise ValueError(f"{name} must not exceed {largest:g}; got {found}")
    return value


def check_same(first: Tensor, first_name: str, second: Tensor, second_name: str) -> None:
    """A ``TypeError`` if the two tensors differ in dtype, a ``ValueError`` if in device."""
    if first.dtype != second.dtype:
        a, b = dtype_name(first), dtype_name(second)
        raise TypeError(f"{first_name} and {second_name} must have the same dtype; got {a} and {b}")
    check_device(second, second_name, first, first_name)


def check_device(value: Tensor, name: str, other: Tensor, other_name: str) -> None:
    """A ``ValueError`` if the two tensors are on different devices."""
    if value.device != other.device:
        raise ValueError(
            f"{name} and {other_name} must be on the same device; got {value.device} and {other.device}"
        )


def check_values(value: object, name: str, *, ndim: int | tuple[int, ...] = 1) -> Tensor:
    """``value`` as a finite float tensor with ``ndim`` dimensions that is not empty."""
    check_finite(check_tensor(value, name, ndim=ndim), name)
    if value.numel() == 0:
        raise ValueError(f"{name} must not be empty; got shape {tuple(value.shape)}")
    return value


def check_matrix(value: object, name: str) -> Tensor:
    """``value`` as a float tensor of at least one row and one column; its entries are not looked at."""
    check_tensor(value, name, ndim=2)
    if 0 in value.shape:
        raise ValueError(f"{name} must have at least one row and one column; got shape {tuple(value.shape)}")
    return value


def check_like(value: object, name: str, other: Tensor, other_name: str) -> Tensor:
    """``value`` as a finite float tensor of the shape, dtype and device of ``other``."""
    check_finite(check_tensor(value, name, ndim=other.ndim), name)
    check_same(value, name, other, other_name)
    _check_shape(value, name, other, other_name)
    return value


def check_rows(x: object, name: str) -> Tensor:
    """``x`` if it is a finite (rows, dimensions) tensor with at least one column."""
    points = check_finite(check_tensor(x, name, ndim=2), name)
    if points.shape[1] == 0:
        raise ValueError(f"{name} must have at least one column; got shape {tuple(points.shape)}")
    return points


def check_shaped(
    value: object,
    name: str,
    x: Tensor,
    shape: tuple[int | None, ...],
    x_name: str = "x",
    *,
    finite: bool = True,
) -> Tensor:
    """``value`` if it is a tensor of the dtype and device of ``x``, of ``shape`` (None: any length), and ``finite``."""
    tensor = check_tensor(value, name, ndim=len(shape))
    if finite:
        check_finite(tensor, name)
    check_same(x, x_name, tensor, name)
    if any(want is not None and got != want for got, want in zip(tensor.shape, shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} must have shape ({wanted}); got {tuple(tensor.shape)}")
    return tensor


def check_constant_like(value: object, name: str, other: Tensor, other_name: str) -> Tensor:
    """Like ``check_like``, for an argument that no gradient flows to."""
    return check_constant(check_like(value, name, other, other_name), name)


def check_constant(value: Tensor, name: str) -> Tensor:
    """``value`` unless it requires a gradient, which would be lost."""
    if value.requires_grad:
        raise ValueError(f"{name} must not require a gradient (it is a constant); pass {name}.detach()")
    return value


def check_numbers_like(value: object, name: str, other: Tensor, other_name: str) -> Tensor:
    """``value`` if it is a tensor of any real dtype in the shape and on the device of ``other``."""
    _check_is_tensor(value, name)
    if value.dtype.is_complex:
        raise TypeError(f"{name} must hold real numbers; got {dtype_name(value)}")
    check_device(value, name, other, other_name)
    _check_shape(value, name, other, other_name)
    return value


def check_binary_like(value: object, name: str, other: Tensor, other_name: str) -> Tensor:
    """``value``, zeros and ones of any real dtype in the shape and on the device of ``other``, as booleans."""
    value = check_numbers_like(value, name, other, other_name)
    if value.dtype == torch.bool:
        return value
    ones = value == 1
    right = ones | (value == 0)
    if unseen(right, right.all, f"{name} must hold zeros and ones"):
        return ones
    if not bool(right.all()):
        raise ValueError(
            f"{name} must hold zeros and ones; {int((~right).sum())} of {value.numel()} entries are neither"
        )
    return ones


def check_mask(value: object, name: str, shape: tuple[int, ...], other: Tensor, other_name: str) -> Tensor:
    """``value`` as a boolean tensor of this shape on the device of ``other``."""
    _check_is_tensor(value, name)
    if value.dtype != torch.bool:
        raise TypeError(f"{name} must be bool; got {dtype_name(value)}")
    if tuple(value.shape) != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}; got {tuple(value.shape)}")
    check_device(value, name, other, other_name)
    return value


def check_mask_like(value: object, name: str, other: Tensor, other_name: str) -> Tensor:
    """``value`` as a boolean tensor of the shape and device of ``other``."""
    return check_mask(value, name, other.shape, other, other_name)


def check_integers(
    value: object, name: str, other: Tensor, other_name: str, *, shape: tuple[int, ...] | None = None
) -> Tensor:
    """``value``, of any integer dtype, as contiguous int64 on the device of ``other``, of ``shape`` if given."""
    _check_is_tensor(value, name)
    if value.dtype not in INTEGERS:
        raise TypeError(f"{name} must hold integers; got {dtype_name(value)}")
    check_device(value, name, other, other_name)
    if shape is not None and tuple(value.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}; got {tuple(value.shape)}")
    if (
        value.dtype == torch.uint64
        and not on_gpu_unchecked(value)
        and bool((value.view(torch.int64) < 0).any())
    ):
        raise ValueError(f"{name} must be below 2**63; at least one entry is not")
    return value.long().contiguous()


def check_range(value: Tensor, name: str, below: int) -> Tensor:
    """``value`` if its integers lie in 0..below - 1."""
    if unseen(value, lambda: ((value >= 0) & (value < below)).all(), f"{name} must lie in 0..{below - 1}"):
        return value
    if value.numel():
        low, high = (int(v) for v in value.aminmax())
        if low < 0 or high >= below:
            raise ValueError(f"{name} must lie in 0..{below - 1}; got {low}..{high}")
    return value


def check_indptr(value: object, name: str, other: Tensor, other_name: str) -> Tensor:
    """``value`` as the boundaries of consecutive groups of ``other``: 0, then never falling, to its length."""
    value = check_integers(value, name, other, other_name)
    if value.ndim != 1 or len(value) < 2:
        raise ValueError(
            f"{name} must be 1-dimensional with at least 2 entries; got shape {tuple(value.shape)}"
        )
    if unseen(
        value,
        lambda: (value[0] == 0) & (value[-1] == len(other)) & (value.diff() >= 0).all(),
        f"{name} must run from 0 to the length of {other_name} and not fall",
    ):
        return value
    if int(value[0]) != 0 or int(value[-1]) != len(other):
        raise ValueError(
            f"{name} must run from 0 to the length of {other_name}, {len(other)}; got {int(value[0])}..{int(value[-1])}"
        )
    if bool((value.diff() < 0).any()):
        raise ValueError(
            f"{name} must not fall; it does after entry {int((value.diff() < 0).int().argmax())}"
        )
    return value


def check_scalar(value: object, name: str) -> float | Tensor:
    """A real number, or a tensor of one: as a 0-dimensional tensor if its gradient is asked for, else as a float.

    A tensor on a GPU whose checks are off stays one.
    """
    if not isinstance(value, Tensor):
        return check_real(value, name)
    _check_is_tensor(value, name)
    if value.numel() != 1 or value.dtype.is_complex or value.dtype == torch.bool:
        raise TypeError(
            f"{name} must be one real number; got shape {tuple(value.shape)}, dtype {dtype_name(value)}"
        )
    if on_gpu_unchecked(value):
        return value.reshape(())
    number = check_real(value.item(), name)
    return value.reshape(()) if value.requires_grad and torch.is_grad_enabled() else number


def number_of(value: float | Tensor) -> float:
    """The number that ``check_scalar`` found; NaN if it lies on a GPU and nobody looks."""
    if not isinstance(value, Tensor):
        return value
    return math.nan if on_gpu_unchecked(value) else value.item()


def check_positive_scalar(value: object, name: str) -> float | Tensor:
    """Like ``check_scalar``, above zero."""
    scalar = check_scalar(value, name)
    if not (isinstance(scalar, Tensor) and on_gpu_unchecked(scalar)):
        check_positive(number_of(scalar), name)
    return scalar


def check_temperature(temperature: object, dtype: torch.dtype) -> float | Tensor:
    """``temperature``, whose inverse does not overflow the dtype; as a tensor if it takes part in the gradient."""
    tau = check_scalar(temperature, "temperature")
    if isinstance(tau, Tensor) and on_gpu_unchecked(tau):
        return tau.to(dtype)
    number = check_divisor(number_of(tau), "temperature", dtype)
    return tau.to(dtype) if isinstance(tau, Tensor) else number


def check_divisor(value: object, name: str, dtype: torch.dtype) -> float:
    """``value`` as a float above zero whose inverse overflows no number of the dtype, nor its product with one."""
    number = check_positive(value, name)
    if not _SMALLEST_DIVISOR[dtype] <= number <= 1e280:
        smallest = _SMALLEST_DIVISOR[dtype]
        raise ValueError(
            f"{name} must lie between {smallest} and 1e280 for numbers of this dtype; got {number}"
        )
    return number


def longest_row(value: Tensor, name: str) -> float:
    """The largest norm of a row, or a bound of it where the squares overflow; refuses NaN and infinity."""
    longest = float(torch.linalg.vector_norm(value, dim=1).amax())
    if not math.isfinite(longest):
        check_finite(value, name)
        longest = float(value.abs().amax()) * math.sqrt(value.shape[1])
    return longest


def check_exponent(largest: float, dtype: torch.dtype, names: str, exponent: str) -> None:
    """A ``ValueError`` if an exponent may reach ``largest``, which overflows the dtype."""
    if not largest <= torch.finfo(dtype).max:
        limit = str(dtype).removeprefix("torch.")
        raise ValueError(
            f"{names} must be small enough for {exponent} to stay within {limit}; it may reach {largest:.3g}"
        )


def dtype_name(value: Tensor) -> str:
    """ "float32", say."""
    return str(value.dtype).removeprefix("torch.")


def _check_is_tensor(value: object, name: str) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor or a numpy.ndarray; got {type(value).__name__}")
    if value.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor; got layout {value.layout}")


def _check_shape(value: Tensor, name: str, other: Tensor, other_name: str) -> None:
    if value.shape != other.shape:
        raise ValueError(
            f"{name} must have the shape of {other_name}, {tuple(other.shape)}; got {tuple(value.shape)}"
        )

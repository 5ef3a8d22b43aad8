"""Strips of similarities around the row kernels of the CUDA core: torch's products, and factors in 16 bits where they pay."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from corelib.engines import gpu
from corelib.kernels import cuda

_LEAST, _MOST = 64 << 20, 256 << 20  # bytes of a strip; products of fewer than a thousand rows waste a GPU
_LARGE = 1 << 24  # similarities from which on 16 bits pay
GAIN = 1024.0  # lifts weights of at most 1 into the range of float16: what underflows is below 6e-11


class Strips:
    """Rows of similarities, ``columns`` each, a strip at a time in the same memory; then, there, what they become.

    ``half`` strips become float16, whose ten bits of mantissa are those of TF32: where that is allowed, and the products
    back are large, these then cost half.
    """

    def __init__(
        self, like: Tensor, rows: int, columns: int, *, whole: bool = False, half: bool = False
    ) -> None:
        stride = -(-columns // 8) * 8
        height = max(64, min(_MOST, max(_LEAST, rows * columns)) // (4 * stride) // 64 * 64)
        count = 1 if whole and 4 * rows * stride <= _MOST else -(-rows // height)
        height = min(rows, -(-rows // (64 * count)) * 64)  # of nearly equal size
        self.half, self.columns = half, columns
        self.bounds = [(start, min(start + height, rows)) for start in range(0, rows, height)]
        self._buffer = like.new_empty(height, stride)

    def __iter__(self) -> Iterator[tuple[int, int, Tensor]]:
        for start, stop in self.bounds:
            yield start, stop, self._buffer[: stop - start, : self.columns]

    def weights(self, strip: Tensor) -> Tensor:
        """What the strip has become."""
        if not self.half:
            return strip
        return self._buffer.view(torch.float16)[: len(strip), : self.columns]

    def run(self, name: str, strip: Tensor, arguments, *more: int) -> None:
        """A row kernel over a strip."""
        rows = cuda.Strip(
            gpu.address(strip), strip.stride(0), len(strip), cuda.TYPES["float16" if self.half else "float32"], gpu.stream(strip)
        )  # fmt: skip
        with torch.cuda.device_of(strip):
            cuda.rows(name, rows, arguments, *more)


@contextlib.contextmanager
def without_tf32():
    """Products in float32 proper, where a difference of them goes into an exponent."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32 = before


def half_pays(like: Tensor, rows: int, columns: int) -> bool:
    """Whether products back in float16 are allowed and worth it."""
    return torch.backends.cuda.matmul.allow_tf32 and rows * columns >= _LARGE


class Factor:
    """Embeddings as a factor of the products back: as they are, or as float16 of size at most 1 and a power of two."""

    def __init__(self, value: Tensor, half: bool) -> None:
        self.value, self.scale = value, None
        if half:
            exponent = torch.frexp(value.abs().amax()).exponent
            self.value = torch.ldexp(value, -exponent).half()
            self.scale = torch.ldexp(torch.ones_like(value[0, 0]), exponent)

    def finish(self, product: Tensor, scale: float) -> Tensor:
        """A product with this factor, in place, at its true size and times ``scale``."""
        return product.mul_(scale if self.scale is None else self.scale * scale)


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` in float32, of either type."""
    if a.dtype == torch.float32:
        return a @ b
    return torch.mm(a, b, out_dtype=torch.float32) if a.is_cuda else a.float() @ b.float()


def add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """``total += a @ b``, for a float32 total and factors of either type."""
    if a.dtype == torch.float32:
        total.addmm_(a, b)
    else:  # torch.addmm with out_dtype does not do what it says in every version
        total.add_(product(a, b))

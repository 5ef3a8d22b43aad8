"""The types of array arguments, each under a name that a signature can show."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from typing_extensions import TypeAliasType

if TYPE_CHECKING:
    import torch  # corelib.metrics does not wait for it


class SupportsArray(Protocol):
    """What ``numpy.asarray`` takes without looking inside: arrays, tensors on the CPU, columns of data frames."""

    def __array__(self) -> np.ndarray[Any, Any]: ...


_Entry = TypeAliasType("_Entry", float | SupportsArray)

ArrayLike = TypeAliasType(
    "ArrayLike",
    SupportsArray | Sequence[_Entry] | Sequence[Sequence[_Entry]] | Sequence[Sequence[Sequence[_Entry]]],
)
"""Numbers in up to three dimensions. Unlike ``numpy.typing.ArrayLike`` it leaves out strings, and is short in ``help``."""

TensorOrArray = TypeVar("TensorOrArray", "torch.Tensor", "np.ndarray[Any, Any]")
"""Tensors in, tensors out; arrays in, arrays out (0-dimensional ones as floats); not both in one call."""

Scalar = TypeAliasType("Scalar", "float | torch.Tensor")
"""A number, or a tensor of one, which may be learnt."""

Value = TypeAliasType("Value", "float | torch.Tensor")
"""A metric: a float, or a 0-dimensional tensor where the tensors that it was measured on lie on a GPU."""

Values = TypeAliasType("Values", "np.ndarray[Any, Any] | float | torch.Tensor")
"""A metric of each query, or their mean: an array or a float; a tensor where those that it was measured on lie on a GPU."""

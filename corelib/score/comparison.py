"""How much of one score function another explains."""

import math

import torch

from corelib._front_end import front_end
from corelib._tensors import FLOATS, check_finite, check_same


@front_end("reference", "approximation")
def explained_variance(reference, approximation):
    """Share of a score that an approximation explains, ``1 - sum |reference - approximation|^2 / sum |reference|^2``.

    Nothing is centred: 1 is a perfect approximation, 0 is as good as predicting zero, negative is worse.

    Parameters
    ----------
    reference : tensor or array, any shape, float32 or float64
        What is explained, for instance the score of a trained network, one point per row.
    approximation : tensor or array, same shape and dtype
        What explains it.

    Returns
    -------
    tensor of shape () or float
        The sums are taken in float64.

    Raises
    ------
    TypeError
        If an argument is not a float32 or float64 array, or the two differ in dtype.
    ValueError
        If the shapes differ, an entry is not finite, or the reference is zero everywhere.

    Notes
    -----
    O(size) time. Wang and Vastola, "The Unreasonable Effectiveness of Gaussian Score Approximation for Diffusion
    Models and its Applications" (TMLR 2024), section 4.

    Examples
    --------
    >>> import numpy as np
    >>> explained_variance(np.array([[3.0, 4.0]]), np.array([[3.0, 3.0]]))
    0.96
    """
    for value, name in ((reference, "reference"), (approximation, "approximation")):
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor or a numpy.ndarray; got {type(value).__name__}")
        if value.layout is not torch.strided:
            raise TypeError(f"{name} must be a dense tensor; got layout {value.layout}")
        if value.dtype not in FLOATS:
            raise TypeError(
                f"{name} must be float32 or float64; got {str(value.dtype).removeprefix('torch.')}"
            )
        check_finite(value, name)
    check_same(reference, "reference", approximation, "approximation")
    if reference.shape != approximation.shape:
        raise ValueError(
            "approximation must have the shape of reference, "
            f"{tuple(reference.shape)}; got {tuple(approximation.shape)}"
        )
    wide = reference.to(torch.float64)
    total = wide.square().sum()
    if not math.isfinite(float(total.detach())):
        raise ValueError("reference is too large: its squares overflow float64")
    if float(total.detach()) == 0:
        raise ValueError("reference must not be zero everywhere: there is no variance to explain")
    return (1 - (wide - approximation.to(torch.float64)).square().sum() / total).to(reference.dtype)

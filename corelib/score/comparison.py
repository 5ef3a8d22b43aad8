"""How much of one score function another explains."""

import torch

from corelib._front_end import front_end
from corelib._tensors import check_finite, check_same, check_tensor, unseen
from corelib._types import TensorOrArray
from corelib.score._arguments import check_result


@front_end("reference", "approximation")
def explained_variance(reference: TensorOrArray, approximation: TensorOrArray) -> TensorOrArray:
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
        If the shapes differ, an entry is not finite, the reference is zero everywhere, or the result overflows.

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
    check_finite(check_tensor(reference, "reference", ndim=getattr(reference, "ndim", 0)), "reference")
    check_tensor(approximation, "approximation", ndim=getattr(approximation, "ndim", 0))
    check_same(reference, "reference", approximation, "approximation")
    if reference.shape != approximation.shape:
        raise ValueError(
            "approximation must have the shape of reference, "
            f"{tuple(reference.shape)}; got {tuple(approximation.shape)}"
        )
    check_finite(approximation, "approximation")
    scale = reference.detach().abs().max().to(torch.float64) if reference.numel() else torch.zeros(())
    no_variance = "reference must not be zero everywhere: there is no variance to explain"
    if not unseen(scale, lambda: scale > 0, no_variance) and float(scale) == 0:
        raise ValueError(no_variance)
    wide = reference.to(torch.float64) / scale
    errors = wide - approximation.to(torch.float64) / scale
    share = 1 - errors.square().sum() / wide.square().sum()
    return check_result(share.to(reference.dtype), "the ratio of the sums", "approximation is too far off")

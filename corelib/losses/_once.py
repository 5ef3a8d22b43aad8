"""First derivatives that say so when somebody asks for the second."""

import torch
from torch import Tensor


class ScaleGradient(torch.autograd.Function):
    """``scale * gradient``, where ``gradient`` was computed from ``sources`` by an operator that has no second derivative."""

    @staticmethod
    def forward(ctx, scale: Tensor, gradient: Tensor, *sources: Tensor) -> Tensor:
        return scale * gradient

    @staticmethod
    def backward(ctx, grad_output):
        raise NotImplementedError("this loss of corelib is differentiable once; it has no second derivative")

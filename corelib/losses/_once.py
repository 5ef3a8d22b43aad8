"""First derivatives that say so when somebody asks for the second."""

import torch
from torch import Tensor


class ScaleGradient(torch.autograd.Function):
    """``scale * gradient``; an operator without second derivative made ``gradient`` of ``sources``."""

    @staticmethod
    def forward(ctx, scale: Tensor, gradient: Tensor, *sources: Tensor) -> Tensor:
        return scale * gradient

    @staticmethod
    def backward(ctx, grad_output):
        refuse(ctx, grad_output)


class ScaleGradientInPlace(ScaleGradient):
    """The same in the memory of ``gradient``, except while a graph is traced."""

    @staticmethod
    def forward(ctx, scale: Tensor, gradient: Tensor, *sources: Tensor) -> Tensor:
        if type(gradient) is not Tensor:
            return scale * gradient
        ctx.mark_dirty(gradient)
        return gradient.mul_(scale)


def refuse(ctx, *gradients):
    """Backward function of an operator that is itself a derivative."""
    raise NotImplementedError("this loss of corelib is differentiable once; it has no second derivative")

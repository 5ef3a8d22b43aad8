"""What tests of losses over labelled batches share: batches, loops over pairs, and a watch on memory."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode


def batch(n=23, d=4, classes=6, seed=0, scale=1.0):
    """Embeddings and labels in which some class has one member only."""
    generator = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(n, d, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (n,), generator=generator)
    y[0] = classes
    return x, y


def distances(x, measure):
    """All distances from differences, differentiable away from 0."""
    if measure == "cosine":
        unit = x / x.norm(dim=1, keepdim=True)
        return 1 - unit @ unit.T
    squared = (x[:, None] - x[None]).square().sum(2)
    return torch.where(squared > 0, squared, 1).sqrt() * (squared > 0)


def partners(y):
    """For each anchor, its positives and its negatives."""
    labels = y.tolist()
    for i, own in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i]
        yield i, [j for j in others if labels[j] == own], [j for j in others if labels[j] != own]


def close(function, oracle, x, rtol=1e-10, atol=1e-12):
    """Value and gradient of both, with unequal upstream gradients where there are several values."""
    results = []
    for f in (function, oracle):
        leaf = x.detach().clone().requires_grad_()
        value = f(leaf)
        upstream = torch.linspace(1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
        results.append((value.detach(), torch.autograd.grad((value * upstream).sum(), leaf)[0]))
    (value, gradient), (expected, expected_gradient) = results
    torch.testing.assert_close(value, expected, rtol=rtol, atol=atol)
    torch.testing.assert_close(gradient, expected_gradient, rtol=rtol, atol=atol)


class LargestTensor(TorchDispatchMode):
    """Remembers the most bytes that one tensor took, forward and backward."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, torch.Tensor):
                self.bytes = max(self.bytes, part.numel() * part.element_size())
        return result


def largest_tensor(function):
    """The largest tensor that ``function`` makes, in bytes."""
    with LargestTensor() as watch:
        function()
    return watch.bytes


def saved_bytes(function):
    """What autograd keeps between the forward pass of ``function`` and the backward pass, in bytes."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = function()
    total = sum(kept.values())
    result.backward()
    return total

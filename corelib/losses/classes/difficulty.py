"""How much an example still has to teach: the norm of its error and of its gradient, early in training."""

from collections.abc import Sequence

import torch

from corelib._checks import check_bool
from corelib._front_end import front_end
from corelib._tensors import HALF, check_integers, check_range, check_same, check_values
from corelib._types import TensorOrArray

_CHUNK = 1 << 17  # logits at a time, so that what is made of them stays in the cache


@front_end("logits", "labels")
def el2n_scores(logits: TensorOrArray, labels: TensorOrArray) -> TensorOrArray:
    r"""EL2N: the L2 norm of the error, :math:`\lVert \mathrm{softmax}(z) - \mathrm{onehot}(y) \rVert`.

    Parameters
    ----------
    logits : Tensor or ndarray, shape (n, classes) or (runs, n, classes), float32 or float64
        With several runs, the scores are the mean of the norms over the runs. At least two classes.
    labels : Tensor or ndarray of int64, shape (n,)

    Returns
    -------
    Tensor, shape (n,)
        Without a gradient.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is empty or not finite.

    Notes
    -----
    O(size) time, O(n) memory besides a fixed buffer. The entry of the right class is the sum of the others, never
    ``p - 1``: that is 0 in float32 once the model is sure, and the easiest examples would be out of order. Source: Paul
    et al., "Deep Learning on a Data Diet" (arXiv 2107.07075).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import el2n_scores
    >>> el2n_scores(torch.tensor([[0.0, 0.0], [30.0, 0.0]]), torch.tensor([0, 0]))
    tensor([7.0711e-01, 1.3234e-13])
    """
    check_values(logits, "logits", ndim=(2, 3))
    n, classes = logits.shape[-2:]
    if classes < 2:
        raise ValueError(f"logits must have at least 2 classes; got shape {tuple(logits.shape)}")
    labels = check_range(check_integers(labels, "labels", logits, "logits", shape=(n,)), "labels", classes)
    runs = logits.detach() if logits.ndim == 3 else logits.detach()[None]
    step = max(1, _CHUNK // classes)
    scores = logits.new_zeros(n)
    for run in runs:
        for start in range(0, n, step):
            part = slice(start, start + step)
            scores[part] += _error_norm(run[part], labels[part, None])
    return scores / len(runs)


def _error_norm(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(1 - p_y) sqrt(1 + sum of q_k^2), with q the softmax over the other classes."""
    others = logits.scatter(1, labels, -torch.inf)
    largest = others.amax(1, keepdim=True)
    powers = others.sub_(largest).exp_()
    total = powers.sum(1)
    wrong = torch.sigmoid(largest[:, 0] + total.log() - logits.gather(1, labels)[:, 0])
    return wrong * (1 + powers.square_().sum(1) / total**2).sqrt_()


@front_end()
def grand_scores(
    activations: Sequence[torch.Tensor], deltas: Sequence[torch.Tensor], *, bias: bool = True
) -> TensorOrArray:
    r"""GraNd: the norm of each example's gradient in all weights of the dense layers, without forming it.

    The gradient of a dense layer is the outer product of its input a and of the back-propagated error d, so

    .. math:: \lVert g \rVert^2 = \sum_\mathrm{layers} \lVert d \rVert^2 (\lVert a \rVert^2 + 1)

    Parameters
    ----------
    activations : sequence of Tensor, shapes (n, in_features), floats of 16, 32 or 64 bits
        The input of each layer.
    deltas : sequence of Tensor, shapes (n, out_features), of one dtype
        The gradient of the *summed* loss in each layer's output (a mean would divide it by n).
    bias : bool, default True
        Whether the layers have a bias: the 1 above.

    Returns
    -------
    Tensor, shape (n,)
        Of one run; average over runs. Computed in float64, without a gradient.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype or shape, is empty or not finite.

    Notes
    -----
    O(n sum(in + out)) time and O(n) memory, against O(n sum(in out)) of both for one gradient per example. Sources:
    Paul et al. (arXiv 2107.07075); Goodfellow, "Efficient Per-Example Gradient Computations" (arXiv 1510.01799).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import grand_scores
    >>> inputs, errors = torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.6, -0.8], [0.1, -0.1]])
    >>> grand_scores([inputs], [errors])
    tensor([3.1623, 0.1414])
    """
    for values, name in ((activations, "activations"), (deltas, "deltas")):
        if not isinstance(values, Sequence):
            raise TypeError(
                f"{name} must be a sequence of tensors, one per layer; got {type(values).__name__}"
            )
    if not len(activations) or len(activations) != len(deltas):
        raise ValueError(
            f"activations and deltas must have one tensor per layer each; got {len(activations)} and {len(deltas)}"
        )
    check_bool(bias, "bias")
    activations, deltas = ([_widened(value) for value in values] for values in (activations, deltas))
    first = check_values(activations[0], "activations[0]", ndim=2)
    norms = []
    for layer, pair in enumerate(zip(activations, deltas, strict=True)):
        for value, name in zip(pair, (f"activations[{layer}]", f"deltas[{layer}]"), strict=True):
            check_same(check_values(value, name, ndim=2), name, first, "activations[0]")
            if len(value) != len(first):
                raise ValueError(f"{name} must have {len(first)} rows, as activations[0]; got {len(value)}")
        a, d = (torch.linalg.vector_norm(value.detach(), dim=1, dtype=torch.float64) for value in pair)
        norms.append(d * (torch.hypot(a, torch.ones_like(a)) if bias else a))
    return torch.linalg.vector_norm(torch.stack(norms), dim=0).to(first.dtype)


def _widened(value: object) -> object:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype in HALF else value

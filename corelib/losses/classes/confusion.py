"""Losses that are classification metrics: a confusion matrix of soft counts, and what is computed from it."""

import torch

from corelib._checks import check_choice, check_positive, check_real
from corelib._front_end import front_end
from corelib._tensors import check_binary_like, check_values
from corelib._types import TensorOrArray
from corelib.engines.route import first_derivative_only
from corelib.losses._reduction import check_reduction, reduce

_METRICS = ("accuracy", "f_beta", "balanced_accuracy", "g_mean", "mcc", "jaccard")


_CHUNK = 1 << 15  # logits at a time, so that what is made of them stays in the cache


class _SoftCounts(torch.autograd.Function):
    """(columns, 2, 2) counts [true class, said class] in float64, from logits and labels of shape (n, columns)."""

    @staticmethod
    def forward(ctx, logits, labels, sharpness, threshold):
        columns = logits.shape[1]
        counts = logits.new_zeros(2, 2, columns, dtype=torch.float64)
        slopes = torch.empty_like(logits, memory_format=torch.contiguous_format)
        rows = max(1, _CHUNK // columns)
        for z, label, slope in zip(logits.split(rows), labels.split(rows), slopes.split(rows), strict=True):
            p, q = torch.sigmoid(z), torch.sigmoid(-z)  # 1 - p would round to 0
            amplified = (p - threshold).mul_(sharpness)
            said = torch.sigmoid(-amplified), torch.sigmoid(amplified)
            member = label.to(z.dtype)
            for true, weight in enumerate((1 - member, member)):
                for guess, amount in enumerate(said):
                    counts[true, guess] += (weight * amount).sum(0, dtype=torch.float64)
            torch.mul(p, q, out=slope).mul_(said[0]).mul_(said[1]).mul_(sharpness)
        ctx.save_for_backward(labels, slopes)
        return counts.permute(2, 0, 1)

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        labels, slopes = ctx.saved_tensors
        largest = torch.finfo(slopes.dtype).max / 4
        pull = (
            (upstream[..., 1] - upstream[..., 0]).clamp(-largest, largest).to(slopes.dtype)
        )  # of 1 over 0, by true class
        return torch.lerp(pull[:, 0], pull[:, 1], labels.to(slopes.dtype)).mul_(slopes), None, None, None


@front_end("logits", "labels")
def soft_confusion_matrix(
    logits: TensorOrArray, labels: TensorOrArray, *, sharpness: float = 73.0, threshold: float = 0.5
) -> TensorOrArray:
    r"""Confusion matrix in which an example is said to be positive by the amount :math:`\sigma(L (\sigma(z) - t))`.

    Parameters
    ----------
    logits : Tensor or ndarray, shape (n,) or (n, columns), float32 or float64
        z; each column is a two-class problem of its own, such as one class against the rest.
    labels : Tensor or ndarray, shape of ``logits``
        Zeros and ones of any real dtype.
    sharpness : float, default 73
        L; the counts become those of hard decisions as it grows, and the gradient zero.
    threshold : float, default 0.5
        t, in (0, 1): the probability from which an example counts as positive.

    Returns
    -------
    Tensor, shape (2, 2) or (columns, 2, 2)
        ``[true class, said class]``, that is ``[[tn, fp], [fn, tp]]``, in float64. A row sums to the number of
        examples of its class. Differentiable once in ``logits``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is empty or not finite.

    Notes
    -----
    O(size). Every count is a sum of its own, never a difference, and the gradient is a product of four sigmoids: it
    lives on where ``1 - y`` rounds to zero, so that float32 can be used at any sharpness. Source: Han et al.,
    "AnyLoss: Transforming Classification Metrics into Loss Functions" (arXiv 2405.14745).

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import soft_confusion_matrix
    >>> soft_confusion_matrix(torch.tensor([2.0, -1.0, -0.1, -3.0]), torch.tensor([1, 1, 0, 0]))
    tensor([[1.8610, 0.1390],
            [1.0000, 1.0000]], dtype=torch.float64)
    """
    return _soft_counts(logits, labels, sharpness, threshold)


def _soft_counts(logits, labels, sharpness, threshold) -> torch.Tensor:
    check_values(logits, "logits", ndim=(1, 2))
    labels = check_binary_like(labels, "labels", logits, "logits")
    check_positive(sharpness, "sharpness")
    if not 0 < check_real(threshold, "threshold") < 1:
        raise ValueError(f"threshold must lie between 0 and 1; got {threshold}")
    columns = (logits[:, None], labels[:, None]) if logits.ndim == 1 else (logits, labels)
    counts = _SoftCounts.apply(*columns, float(sharpness), float(threshold))
    return counts[0] if logits.ndim == 1 else counts


@front_end("logits", "labels")
def confusion_loss(
    logits: TensorOrArray,
    labels: TensorOrArray,
    metric: str = "f_beta",
    *,
    sharpness: float = 73.0,
    threshold: float = 0.5,
    beta: float = 1.0,
    reduction: str = "mean",
) -> TensorOrArray:
    r"""One minus a classification metric of the soft confusion matrix.

    =====================  ==========================================================
    metric                 with soft tp, fp, fn, tn
    =====================  ==========================================================
    "accuracy"             (tp + tn) / n
    "f_beta"               (1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp)
    "balanced_accuracy"    half of tp / (tp + fn) + tn / (tn + fp)
    "g_mean"               root of tp / (tp + fn) * tn / (tn + fp)
    "mcc"                  correlation of label and decision (Matthews); the loss lies in 0..2
    "jaccard"              tp / (tp + fp + fn)
    =====================  ==========================================================

    Parameters
    ----------
    logits : Tensor or ndarray, shape (n,) or (n, columns), float32 or float64
        Each column is a two-class problem of its own: their mean is a macro average.
    labels : Tensor or ndarray, shape of ``logits``
        Zeros and ones of any real dtype.
    metric : str, default "f_beta"
        One of the above.
    sharpness, threshold : float
        As in ``soft_confusion_matrix``.
    beta : float, default 1.0
        How many times as much recall counts as precision, for "f_beta".
    reduction : {"mean", "sum", "none"}
        Over columns.

    Returns
    -------
    Tensor
        A scalar, or shape () or (columns,) for "none". Differentiable once in ``logits``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or range, is empty or not finite.

    Notes
    -----
    O(size). Batches that leave a metric undefined have a finite loss and no gradient: where a class is missing,
    "balanced_accuracy", "g_mean" and "mcc" are 0, and "f_beta" and "jaccard" without positives are 1, or 0 if the soft
    false positives are 0 too (nothing to find, nothing claimed). "mcc" is 1 where all examples are said to be of one
    class. The metric of a batch is not the mean of the metrics of its parts. Source: arXiv 2405.14745; "mcc" and
    "jaccard" follow its recipe.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import confusion_loss
    >>> logits = torch.tensor([2.0, -1.0, -0.1, -3.0], requires_grad=True)
    >>> loss = confusion_loss(logits, torch.tensor([1, 1, 0, 0]), "f_beta")
    >>> round(loss.item(), 4)
    0.3629
    >>> loss.backward()
    >>> logits.grad.argmax()              # the false alarm that is almost one
    tensor(2)
    """
    counts = _soft_counts(logits, labels, sharpness, threshold)
    check_choice(metric, "metric", _METRICS)
    check_reduction(reduction)
    beta = check_positive(beta, "beta")
    value = _metric(counts, metric, 1 / (1 + beta**-2) if beta > 1 else beta**2 / (1 + beta**2))
    return reduce(1 - value, reduction).to(logits.dtype)


def _metric(counts: torch.Tensor, metric: str, recall_weight: float) -> torch.Tensor:
    (tn, fp), (fn, tp) = (row.unbind(-1) for row in counts.unbind(-2))
    if metric == "accuracy":
        return (tp + tn) / counts.sum((-2, -1))
    if metric == "f_beta":
        return _ratio(tp, tp + recall_weight * fn + (1 - recall_weight) * fp)
    if metric == "jaccard":
        return _ratio(tp, tp + fp + fn)
    negatives, positives = tn + fp, fn + tp
    both = (negatives > 0) & (positives > 0)
    specificity, recall = _ratio(tn, negatives), _ratio(tp, positives)
    if metric == "balanced_accuracy":
        value = (specificity + recall) / 2
    elif metric == "g_mean":
        value = _root(specificity) * _root(recall)
    else:
        informedness = recall * specificity - _ratio(fp, negatives) * _ratio(fn, positives)
        value = informedness * _root(_ratio(negatives * positives, (tn + fn) * (fp + tp), undefined=0.0))
    return torch.where(both, value, 1.0)


def _ratio(part: torch.Tensor, whole: torch.Tensor, undefined: float = 1.0) -> torch.Tensor:
    """``part / whole``, and ``undefined`` without a gradient where ``whole`` is 0."""
    positive = whole > 0
    return torch.where(positive, part / torch.where(positive, whole, 1.0), undefined)


def _root(value: torch.Tensor) -> torch.Tensor:
    """The square root, without a gradient at 0."""
    positive = value > 0
    return torch.where(positive, torch.where(positive, value, 1.0).sqrt(), 0.0)

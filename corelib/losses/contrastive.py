"""Losses of the similarities between embeddings: multi-similarity (with its miner) and InfoNCE."""

import math
from types import ModuleType

import torch
from torch import Tensor, nn

from corelib._backend import use_torch
from corelib._checks import check_bool, check_positive, check_real
from corelib._tensors import accepts_numpy, check_finite, check_same, check_tensor
from corelib.losses import _compiled_contrastive, _torch_contrastive
from corelib.losses._once import ScaleGradientInPlace

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@accepts_numpy("embeddings", "labels")
def multi_similarity_loss(
    embeddings: Tensor,
    labels: Tensor,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    epsilon: float | None = 0.1,
) -> Tensor:
    r"""Multi-similarity loss with its pair mining (Wang et al. 2019).

    With :math:`S_{ij}=\langle x_i,x_j\rangle`, and for each anchor :math:`i` the positives and negatives
    :math:`\mathcal P_i,\mathcal N_i` that mining keeps (see :func:`multi_similarity_miner`),

    .. math::

        L=\frac1n\sum_{i=1}^n\Big\{
        \frac1\alpha\log\Big[1+\sum_{k\in\mathcal P_i}e^{-\alpha(S_{ik}-\lambda)}\Big]+
        \frac1\beta\log\Big[1+\sum_{k\in\mathcal N_i}e^{\beta(S_{ik}-\lambda)}\Big]\Big\}.

    The similarities are plain inner products: the embeddings are taken as they are. The paper's are unit
    vectors, so pass ``torch.nn.functional.normalize(x)``; pytorch-metric-learning normalises inside the loss.

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, d), float32 or float64
        One embedding a row; n and d at least 1.
    labels : Tensor or ndarray, shape (n,), integer
        Class of each row. An anchor is never its own positive (told apart by index), so exact duplicates
        count.
    alpha, beta : float
        Inverse temperatures of the positive and of the negative pairs, above 0.
    base : float
        The similarity :math:`\lambda` beyond which a pair weighs in.
    epsilon : float or None
        Mining margin; smaller keeps fewer pairs. None keeps all pairs.

    Returns
    -------
    Tensor, 0-dimensional, of the embeddings' dtype (a float for arrays)
        The mean over all n anchors; an anchor that keeps no pair adds 0, so a batch of one class, or one in
        which no two labels agree, has loss 0 (unless ``epsilon`` is None). Mining counts as constant in the
        gradient.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, if an embedding is NaN or
        infinite, or so long that an exponent overflows its dtype. A second derivative raises
        NotImplementedError.

    Notes
    -----
    Time :math:`O(n^2d)`, almost all of it in matrix products; memory :math:`O(nd)`: similarities exist in
    strips of a few MB. The gradient is computed together with the loss, and only if ``embeddings`` requires
    one. Row results do not depend on the number of threads; the matrix products depend on it as far as
    torch's BLAS does.

    The official code (``beta=40``) skips an anchor that has lost either kind of pair, drops positives of
    similarity above 1 - 1e-5, and mines negatives after that. The paper is quoted with ``base=1``. The
    defaults here are those of pytorch-metric-learning, whose ``MultiSimilarityLoss`` on the pairs of its
    ``MultiSimilarityMiner`` is equal on unit vectors.

    References
    ----------
    X. Wang, X. Han, W. Huang, D. Dong, M. R. Scott. Multi-Similarity Loss with General Pair Weighting for
    Deep Metric Learning. CVPR 2019, equations 11 to 15. https://arxiv.org/abs/1904.06627

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import multi_similarity_loss
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]], requires_grad=True)
    >>> loss = multi_similarity_loss(x, torch.tensor([0, 0, 1]))
    >>> print(f"{loss.item():.4f}")
    0.2262
    >>> loss.backward()
    >>> x.grad.shape
    torch.Size([3, 2])
    """
    _check_embeddings(embeddings, "embeddings")
    _check_labels(labels, embeddings, "embeddings")
    alpha, beta = check_positive(alpha, "alpha"), check_positive(beta, "beta")
    base = check_real(base, "base")
    epsilon = None if epsilon is None else check_real(epsilon, "epsilon")
    need_grad = torch.is_grad_enabled() and embeddings.requires_grad
    return _multi_similarity(embeddings, labels, alpha, beta, base, epsilon, need_grad)[0]


@accepts_numpy("embeddings", "labels")
def multi_similarity_miner(
    embeddings: Tensor, labels: Tensor, epsilon: float = 0.1
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""The pairs that multi-similarity mining keeps: those that the other kind does not clearly beat.

    Of anchor :math:`i`, a positive :math:`j` (:math:`y_j=y_i`, :math:`j\ne i`) is kept iff
    :math:`S_{ij}-\epsilon<\max_{k\in N_i}S_{ik}`, a negative iff :math:`S_{ij}+\epsilon>\min_{k\in
    P_i}S_{ik}` (equations 11 and 12 of the paper that :func:`multi_similarity_loss` cites), so an anchor
    without positives keeps no negative, and one without negatives no positive. :math:`(i,j)` may be kept
    where :math:`(j,i)` is not.

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, d), float32 or float64
        One embedding a row, taken as it is (not normalised).
    labels : Tensor or ndarray, shape (n,), integer
        Class of each row.
    epsilon : float
        Mining margin.

    Returns
    -------
    anchors_pos, positives, anchors_neg, negatives : Tensor or ndarray, int64
        Row indices: the kept positive pairs are ``zip(anchors_pos, positives)``, the kept negative pairs
        ``zip(anchors_neg, negatives)``, both in ascending order. This is the form in which
        pytorch-metric-learning passes mined pairs (``indices_tuple``).

    Raises
    ------
    TypeError, ValueError
        As :func:`multi_similarity_loss`.

    Notes
    -----
    Time :math:`O(n^2d)`; memory :math:`O(nd)` plus the kept pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from corelib.losses import multi_similarity_miner
    >>> x = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    >>> anchors_pos, positives, anchors_neg, negatives = multi_similarity_miner(x, np.array([0, 0, 1]))
    >>> list(zip(anchors_pos.tolist(), positives.tolist()))
    [(1, 0)]
    >>> list(zip(anchors_neg.tolist(), negatives.tolist()))
    [(1, 2)]
    """
    _check_embeddings(embeddings, "embeddings")
    _check_labels(labels, embeddings, "embeddings")
    epsilon = check_real(epsilon, "epsilon")
    embeddings = embeddings.detach()
    longest = _longest_row(embeddings, "embeddings")
    largest = longest * longest + abs(epsilon)
    _check_exponent(largest, embeddings.dtype, "embeddings", "inner product + epsilon")
    with torch.autocast(embeddings.device.type, enabled=False):
        return _torch_contrastive.multi_similarity_pairs(embeddings, labels, epsilon)


@accepts_numpy("queries", "keys", "labels")
def info_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: float = 0.05,
    *,
    labels: Tensor | None = None,
    symmetric: bool = False,
) -> Tensor:
    r"""InfoNCE: cross-entropy of finding each query's key among all keys.

    Also called NT-Xent or the in-batch softmax.

    .. math::

        L=\frac1n\sum_{i=1}^n\Big\{\log\sum_{j=1}^m e^{\langle q_i,k_j\rangle/\tau}
        -\langle q_i,k_{t_i}\rangle/\tau\Big\}

    The similarities are plain inner products: pass ``torch.nn.functional.normalize(x)`` for cosines.

    Parameters
    ----------
    queries : Tensor or ndarray, shape (n, d), float32 or float64
        One query a row; n and d at least 1.
    keys : Tensor or ndarray, shape (m, d), same dtype and device
        One key a row. All m keys are candidates of every query, so rows beyond the n-th are extra (hard)
        negatives.
    temperature : float
        :math:`\tau` above 0.
    labels : Tensor or ndarray, shape (n,), integer, optional
        :math:`t_i`, the row of query i's key, in 0..m-1; several queries may share one. By default
        :math:`t_i=i`, which needs m >= n.
    symmetric : bool
        Whether to average with the loss of finding each key's query among all queries, as CLIP does; needs m
        = n and no ``labels``.

    Returns
    -------
    Tensor, 0-dimensional, of the queries' dtype (a float for arrays)
        The mean over the n queries, in nats.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, if an entry is NaN or
        infinite, or rows are so long that an exponent overflows their dtype. A second derivative raises
        NotImplementedError.

    Notes
    -----
    Time :math:`O(nmd)`, almost all of it in matrix products (three with gradients, four if symmetric and
    large); memory :math:`O((n+m)d)`: similarities exist in strips of a few MB. Gradients are computed
    together with the loss, for those of ``queries`` and ``keys`` that require one. Row results do not depend
    on the number of threads; the matrix products depend on it as far as torch's BLAS does.

    A key that matches a query but is not its ``labels`` entry (a duplicate in the batch) counts as a
    negative; remove duplicates before the call.

    References
    ----------
    A. van den Oord, Y. Li, O. Vinyals. Representation Learning with Contrastive Predictive Coding. 2018,
    equation 4. https://arxiv.org/abs/1807.03748

    A. Radford et al. Learning Transferable Visual Models From Natural Language Supervision. ICML 2021, figure
    3. https://arxiv.org/abs/2103.00020

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import info_nce
    >>> queries = torch.eye(2)
    >>> keys = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> print(f"{info_nce(queries, keys, temperature=0.5).item():.4f}")
    0.5256
    >>> print(f"{info_nce(queries, keys, temperature=0.5, labels=torch.tensor([0, 2])).item():.4f}")
    0.7256
    """
    _check_embeddings(queries, "queries")
    _check_embeddings(keys, "keys")
    check_same(queries, "queries", keys, "keys")
    if queries.shape[1] != keys.shape[1]:
        raise ValueError(
            "queries and keys must have the same number of columns; "
            f"got {queries.shape[1]} and {keys.shape[1]}"
        )
    temperature = check_positive(temperature, "temperature")
    if check_bool(symmetric, "symmetric") and labels is not None:
        raise ValueError("labels must be None if symmetric is True")
    if labels is not None:
        _check_labels(labels, queries, "queries")
    elif symmetric and len(keys) != len(queries):
        raise ValueError(
            f"keys must have as many rows as queries ({len(queries)}) if symmetric; got {len(keys)}"
        )
    elif len(keys) < len(queries):
        raise ValueError(f"keys must have at least as many rows as queries ({len(queries)}); got {len(keys)}")
    grad = torch.is_grad_enabled()
    need_queries, need_keys = grad and queries.requires_grad, grad and keys.requires_grad
    return _info_nce(queries, keys, labels, temperature, symmetric, need_queries, need_keys)[0]


class MultiSimilarityLoss(nn.Module):
    """:func:`multi_similarity_loss` as a module.

    Parameters
    ----------
    alpha, beta, base, epsilon
        As there.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import MultiSimilarityLoss
    >>> criterion = MultiSimilarityLoss(beta=40.0)
    >>> criterion(torch.eye(3), torch.tensor([0, 0, 1])).shape
    torch.Size([])
    """

    def __init__(
        self, alpha: float = 2.0, beta: float = 50.0, base: float = 0.5, epsilon: float | None = 0.1
    ) -> None:
        super().__init__()
        self.alpha = check_positive(alpha, "alpha")
        self.beta = check_positive(beta, "beta")
        self.base = check_real(base, "base")
        self.epsilon = None if epsilon is None else check_real(epsilon, "epsilon")

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of ``embeddings``, shape (n, d), of classes ``labels``, shape (n,)."""
        return multi_similarity_loss(embeddings, labels, self.alpha, self.beta, self.base, self.epsilon)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, beta={self.beta}, base={self.base}, epsilon={self.epsilon}"


class InfoNCELoss(nn.Module):
    """:func:`info_nce` as a module.

    Parameters
    ----------
    temperature, symmetric
        As there.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import InfoNCELoss
    >>> criterion = InfoNCELoss(temperature=0.1, symmetric=True)
    >>> criterion(torch.eye(3), torch.eye(3)).shape
    torch.Size([])
    """

    def __init__(self, temperature: float = 0.05, *, symmetric: bool = False) -> None:
        super().__init__()
        self.temperature = check_positive(temperature, "temperature")
        self.symmetric = check_bool(symmetric, "symmetric")

    def forward(self, queries: Tensor, keys: Tensor, labels: Tensor | None = None) -> Tensor:
        """The loss of ``queries``, shape (n, d), among ``keys``, shape (m, d)."""
        return info_nce(queries, keys, self.temperature, labels=labels, symmetric=self.symmetric)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, symmetric={self.symmetric}"


def _check_embeddings(value: Tensor, name: str) -> None:
    check_tensor(value, name, ndim=2)
    if 0 in value.shape:
        raise ValueError(f"{name} must have at least one row and one column; got shape {tuple(value.shape)}")


def _check_labels(labels: object, rows: Tensor, rows_name: str) -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a torch.Tensor or a numpy.ndarray; got {type(labels).__name__}")
    if labels.dtype not in _INTEGERS:
        allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in _INTEGERS)
        raise TypeError(f"labels must be one of {allowed}; got {str(labels.dtype).removeprefix('torch.')}")
    if labels.shape != rows.shape[:1]:
        raise ValueError(
            f"labels must be 1-dimensional with one entry for each row of {rows_name}, shape ({len(rows)},); "
            f"got shape {tuple(labels.shape)}"
        )
    if labels.device != rows.device:
        raise ValueError(
            f"labels and {rows_name} must be on the same device; got {labels.device} and {rows.device}"
        )


def _longest_row(value: Tensor, name: str) -> float:
    """The largest norm of a row, or a bound of it where the squares overflow; refuses NaN and infinity."""
    longest = float(torch.linalg.vector_norm(value, dim=1).amax())
    if not math.isfinite(longest):
        check_finite(value, name)
        longest = float(value.abs().amax()) * math.sqrt(value.shape[1])
    return longest


def _check_exponent(largest: float, dtype: torch.dtype, names: str, exponent: str) -> None:
    if not largest <= torch.finfo(dtype).max:
        limit = str(dtype).removeprefix("torch.")
        raise ValueError(
            f"{names} must be small enough for {exponent} to stay within {limit}; it may reach {largest:.3g}"
        )


def _check_range(labels: Tensor, stop: int) -> None:
    low, high = (int(v) for v in labels.aminmax())
    if low < 0 or high >= stop:
        raise ValueError(f"labels must be in 0..{stop - 1}, the rows of keys; got {low if low < 0 else high}")


def _backend(tensor: Tensor) -> ModuleType:
    return _torch_contrastive if use_torch(tensor.device.type) else _compiled_contrastive


def _keep_gradients(ctx, inputs, output):
    """Keep the gradients that came with the loss, and the inputs in case of a second backward pass."""
    ctx.save_for_backward(*(value for value in inputs if isinstance(value, Tensor)))
    ctx.settings = [None if isinstance(value, Tensor) else (value,) for value in inputs]
    ctx.gradients = output[1:]
    ctx.mark_non_differentiable(*output[1:])


def _take_gradients(ctx, operator):
    """The gradients, for the caller to overwrite: they never exist twice, a second pass recomputes them."""
    gradients, ctx.gradients = ctx.gradients, None
    if gradients is None:
        tensors = iter(ctx.saved_tensors)
        gradients = operator(*(next(tensors).detach() if s is None else s[0] for s in ctx.settings))[1:]
    return gradients


@torch.library.custom_op("corelib::multi_similarity", mutates_args=())
def _multi_similarity(
    embeddings: Tensor,
    labels: Tensor,
    alpha: float,
    beta: float,
    base: float,
    epsilon: float | None,
    need_grad: bool,
) -> tuple[Tensor, Tensor]:
    longest = _longest_row(embeddings, "embeddings")
    largest = max(alpha, beta) * max(longest * longest + abs(base), abs(epsilon or 0.0), 1.0)
    exponent = "beta * (inner product - base)" if beta >= alpha else "alpha * (inner product - base)"
    _check_exponent(largest, embeddings.dtype, "embeddings", exponent)
    with torch.autocast(embeddings.device.type, enabled=False):
        backend = _backend(embeddings)
        return backend.multi_similarity(embeddings, labels, alpha, beta, base, epsilon, need_grad)


@_multi_similarity.register_fake
def _(embeddings, labels, alpha, beta, base, epsilon, need_grad):
    return embeddings.new_empty(()), embeddings.new_empty(embeddings.shape if need_grad else 0)


def _multi_similarity_backward(ctx, grad_loss, _):
    (gradient,) = _take_gradients(ctx, _multi_similarity)
    return ScaleGradientInPlace.apply(grad_loss, gradient, ctx.saved_tensors[0]), *(None,) * 6


_multi_similarity.register_autograd(_multi_similarity_backward, setup_context=_keep_gradients)


@torch.library.custom_op("corelib::info_nce", mutates_args=())
def _info_nce(
    queries: Tensor,
    keys: Tensor,
    labels: Tensor | None,
    temperature: float,
    symmetric: bool,
    need_queries: bool,
    need_keys: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    largest = max(_longest_row(queries, "queries") * _longest_row(keys, "keys"), 1.0) / temperature
    _check_exponent(largest, queries.dtype, "queries and keys", "inner product / temperature")
    if labels is not None:
        _check_range(labels, len(keys))
    with torch.autocast(queries.device.type, enabled=False):
        backend = _backend(queries)
        return backend.info_nce(queries, keys, labels, temperature, symmetric, need_queries, need_keys)


@_info_nce.register_fake
def _(queries, keys, labels, temperature, symmetric, need_queries, need_keys):
    return (
        queries.new_empty(()),
        queries.new_empty(queries.shape if need_queries else 0),
        keys.new_empty(keys.shape if need_keys else 0),
    )


def _info_nce_backward(ctx, grad_loss, *_):
    sources = ctx.saved_tensors[:2]
    gradients = _take_gradients(ctx, _info_nce)
    scaled = (
        ScaleGradientInPlace.apply(grad_loss, gradient, *sources) if needed else None
        for gradient, needed in zip(gradients, ctx.needs_input_grad[:2], strict=True)
    )
    return *scaled, *(None,) * 5


_info_nce.register_autograd(_info_nce_backward, setup_context=_keep_gradients)

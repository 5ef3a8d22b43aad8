"""InfoNCE: finding each query's key among all keys, plain, and with weights for hard negatives and hard queries."""

from types import ModuleType

import torch
from torch import Tensor, nn

from corelib._backend import use_torch
from corelib._checks import check_bool, check_positive, check_real
from corelib._tensors import accepts_numpy, check_same, check_tensor
from corelib.losses import _compiled_info_nce, _torch_info_nce
from corelib.losses._arguments import check_constant_like
from corelib.losses._candidates import Candidates
from corelib.losses._once import ScaleGradientInPlace
from corelib.losses._similarity import (
    INTEGERS,
    check_embeddings,
    check_exponent,
    check_labels,
    keep_gradients,
    longest_row,
    take_gradients,
)


@accepts_numpy("queries", "keys", "labels", "hard_negatives", "key_ids", "mask")
def info_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: float = 0.05,
    *,
    labels: Tensor | None = None,
    symmetric: bool = False,
    hard_negatives: Tensor | None = None,
    key_ids: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    r"""InfoNCE: cross-entropy of finding each query's key among all keys.

    Also called NT-Xent or the in-batch softmax. With :math:`t_i` the row of query i's own key and
    :math:`\mathcal N_i` its negatives,

    .. math::

        L=\frac1n\sum_{i=1}^n\log\Big\{1+\sum_{x\in\mathcal N_i}
        e^{(\langle q_i,x\rangle-\langle q_i,k_{t_i}\rangle)/\tau}\Big\}.

    The similarities are plain inner products: pass ``torch.nn.functional.normalize(x)`` for cosines.

    Parameters
    ----------
    queries : Tensor or ndarray, shape (n, d), float32 or float64
        One query a row; n and d at least 1.
    keys : Tensor or ndarray, shape (m, d), same dtype and device
        One key a row. All m keys are candidates of every query, so rows beyond the n-th are further negatives
        that all queries share (mined hard negatives, a queue).
    temperature : float
        :math:`\tau` above 0.
    labels : Tensor or ndarray, shape (n,), integer, optional
        :math:`t_i`, the row of query i's key, in 0..m-1; several queries may share one. By default
        :math:`t_i=i`, which needs m >= n.
    symmetric : bool
        Whether to average with the loss of finding the query of each of the first n keys among all queries, as
        CLIP does; takes no ``labels``.
    hard_negatives : Tensor or ndarray, shape (n, h, d), same dtype and device, optional
        ``hard_negatives[i]`` are further negatives of query i alone; no key looks for a query among them. For
        mined negatives that all queries see, append ``hard_negatives.flatten(0, 1)`` to ``keys`` instead.
    key_ids : Tensor or ndarray, shape (m,), integer, optional
        What each key is, a document number say: a key with the id of a query's own key is no negative of that
        query. Costs O(m log m), and nothing of size n m.
    mask : Tensor or ndarray, shape (n, m), bool, optional
        True at pairs of query and key to leave out, such as known false negatives. A query's own key stays,
        whatever the mask says there.

    Returns
    -------
    Tensor, 0-dimensional, of the queries' dtype (a float for arrays)
        The mean over the n queries, in nats; a query without negatives adds 0.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape, device or range than stated, if an entry is NaN or
        infinite, or rows are so long that an exponent overflows their dtype. A second derivative raises
        NotImplementedError.

    See Also
    --------
    weighted_info_nce : with weights for hard negatives and for hard queries.
    matryoshka_info_nce : the sum over prefixes of the embeddings.
    distributed_info_nce : keys of all processes of a torch.distributed group.

    Notes
    -----
    Time :math:`O(n(m+h)d)`, almost all of it in matrix products (three with gradients, four if symmetric and
    large); memory :math:`O((n(1+h)+m)d)`: similarities exist in strips of a few MB. Gradients are computed
    together with the loss, for those embeddings that require one. Row results do not depend on the number of
    threads; the matrix products depend on it as far as torch's BLAS does.

    A key that matches a query but is not its own counts as a negative unless ``key_ids`` or ``mask`` leaves it
    out: a query whose own key comes twice cannot get below log 2.

    In float32 a confident loss keeps its digits, as the negatives are summed apart from the query's own key;
    ``torch.nn.functional.cross_entropy`` subtracts two logits there.

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

    The third key is the second document once more, so it is no negative of the second query:

    >>> print(f"{info_nce(queries, keys, temperature=0.5, key_ids=torch.tensor([7, 8, 8])).item():.4f}")
    0.2937
    """
    check_info_nce(queries, keys, labels, hard_negatives, key_ids, mask)
    temperature = check_positive(temperature, "temperature")
    if check_bool(symmetric, "symmetric") and labels is not None:
        raise ValueError("labels must be None if symmetric is True")
    return _loss(queries, keys, hard_negatives, labels, key_ids, mask, None, temperature, symmetric)


@accepts_numpy("queries", "keys", "weight", "labels", "hard_negatives", "key_ids", "mask")
def weighted_info_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: float = 0.05,
    *,
    beta: float = 0.0,
    gamma: float = 0.0,
    detach: bool = True,
    weight: Tensor | None = None,
    labels: Tensor | None = None,
    hard_negatives: Tensor | None = None,
    key_ids: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    r"""InfoNCE with weights on its negatives (by hardness) and on its queries (focal, or given).

    With :math:`s_{ij}` the similarities of query i to its negatives :math:`\mathcal N_i` and :math:`s_i` that to its
    own key,

    .. math::

        L=\frac1n\sum_{i=1}^n v_i(1-\pi_i)^\gamma(-\log\pi_i),\qquad
        \pi_i=\frac{e^{s_i/\tau}}{e^{s_i/\tau}+\sum_{j\in\mathcal N_i}w_{ij}e^{s_{ij}/\tau}},\qquad
        w_{ij}=\frac{|\mathcal N_i|\,e^{\beta s_{ij}}}{\sum_{l\in\mathcal N_i}e^{\beta s_{il}}}.

    Parameters
    ----------
    queries, keys, temperature, labels, hard_negatives, key_ids, mask
        As in :func:`info_nce`.
    beta : float
        Hardness exponent: above 0 the negatives most similar to the query weigh more, below 0 the others. The
        weights have mean 1 over a query's negatives. They count as constant in the gradient: as a function of the
        similarities they would pull easy negatives towards the query.
    gamma : float
        Focal exponent, at least 0: queries that find their key anyway weigh less.
    detach : bool
        Whether the focal weight counts as constant in the gradient. If not, the gradient of a query has the same
        direction and is longer by the factor :math:`1-\gamma\pi\log(\pi)/(1-\pi)`.
    weight : Tensor or ndarray, shape (n,), dtype of ``queries``, optional
        :math:`v_i`, constants of at least 0. The mean divides by n, not by their sum.

    Returns
    -------
    Tensor, 0-dimensional, of the queries' dtype (a float for arrays)
        The mean over the n queries; a query without negatives adds 0.

    Raises
    ------
    TypeError, ValueError
        As :func:`info_nce`.

    Notes
    -----
    Cost as :func:`info_nce`; ``beta`` adds one more sum of exponentials over a strip. No weight is ever stored:
    two log-sum-exps give :math:`\log(1/\pi_i)=\mathrm{softplus}\big(\log|\mathcal N_i|-\mathrm{LSE}_j(\beta s_{ij})
    +\mathrm{LSE}_j((1/\tau+\beta)s_{ij})-s_i/\tau\big)`. So the negatives share their gradient like a softmax at
    temperature :math:`1/(1/\tau+\beta)`: equally at :math:`\beta=-1/\tau`, the easiest most below that. With
    ``gamma`` below 1 the gradient stays finite where :math:`\pi` is 1.

    References
    ----------
    J. Robinson, C.-Y. Chuang, S. Sra, S. Jegelka. Contrastive Learning with Hard Negative Samples. ICLR 2021,
    section 3. https://arxiv.org/abs/2010.04592

    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár. Focal Loss for Dense Object Detection. ICCV 2017, equation 4.
    https://arxiv.org/abs/1708.02002

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import weighted_info_nce
    >>> queries = torch.eye(2)
    >>> keys = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> for beta in (-2.0, 0.0, 2.0):
    ...     print(f"{weighted_info_nce(queries, keys, 0.5, beta=beta).item():.4f}")
    0.3599
    0.5256
    0.6660
    >>> print(f"{weighted_info_nce(queries, keys, 0.5, gamma=0.5).item():.4f}")
    0.3372
    """
    check_info_nce(queries, keys, labels, hard_negatives, key_ids, mask)
    temperature = check_positive(temperature, "temperature")
    beta, gamma = check_real(beta, "beta"), check_real(gamma, "gamma")
    if gamma < 0:
        raise ValueError(f"gamma must be at least 0; got {gamma}")
    check_bool(detach, "detach")
    if weight is not None:
        _check_weight(weight, queries)
    return _loss(
        queries, keys, hard_negatives, labels, key_ids, mask, weight, temperature, False, beta, gamma, detach
    )


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

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        labels: Tensor | None = None,
        *,
        hard_negatives: Tensor | None = None,
        key_ids: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The loss of ``queries``, shape (n, d), among ``keys``, shape (m, d)."""
        return info_nce(
            queries,
            keys,
            self.temperature,
            labels=labels,
            symmetric=self.symmetric,
            hard_negatives=hard_negatives,
            key_ids=key_ids,
            mask=mask,
        )

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, symmetric={self.symmetric}"


def check_info_nce(queries, keys, labels, hard_negatives, key_ids, mask) -> None:
    """Types, dtypes, shapes and devices of the arrays of InfoNCE; values are checked where they are used."""
    check_embeddings(queries, "queries")
    check_embeddings(keys, "keys")
    check_same(queries, "queries", keys, "keys")
    if queries.shape[1] != keys.shape[1]:
        raise ValueError(
            f"queries and keys must have the same number of columns; got {queries.shape[1]} and {keys.shape[1]}"
        )
    if labels is not None:
        check_labels(labels, queries, "queries")
    elif len(keys) < len(queries):
        raise ValueError(f"keys must have at least as many rows as queries ({len(queries)}); got {len(keys)}")
    if hard_negatives is not None:
        _check_hard_negatives(hard_negatives, queries)
    if key_ids is not None:
        _check_ids(key_ids, keys)
    if mask is not None:
        _check_mask(mask, queries, keys)


def _check_hard_negatives(value: object, queries: Tensor) -> None:
    check_tensor(value, "hard_negatives", ndim=3)
    check_same(queries, "queries", value, "hard_negatives")
    n, d = queries.shape
    if value.shape[0] != n or value.shape[1] == 0 or value.shape[2] != d:
        raise ValueError(
            f"hard_negatives must have shape ({n}, h, {d}) with h at least 1, for queries of shape ({n}, {d}); "
            f"got {tuple(value.shape)}"
        )


def _check_ids(value: object, keys: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"key_ids must be a torch.Tensor or a numpy.ndarray; got {type(value).__name__}")
    if value.dtype not in INTEGERS:
        raise TypeError(f"key_ids must hold integers; got {str(value.dtype).removeprefix('torch.')}")
    if value.shape != keys.shape[:1]:
        raise ValueError(f"key_ids must have one entry for each key, shape ({len(keys)},); got {tuple(value.shape)}")
    if value.device != keys.device:
        raise ValueError(f"key_ids and keys must be on the same device; got {value.device} and {keys.device}")


def _check_mask(value: object, queries: Tensor, keys: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"mask must be a torch.Tensor or a numpy.ndarray; got {type(value).__name__}")
    if value.dtype != torch.bool:
        raise TypeError(f"mask must be bool; got {str(value.dtype).removeprefix('torch.')}")
    if value.shape != (len(queries), len(keys)):
        raise ValueError(
            f"mask must have shape (queries, keys), ({len(queries)}, {len(keys)}); got {tuple(value.shape)}"
        )
    if value.device != queries.device:
        raise ValueError(f"mask and queries must be on the same device; got {value.device} and {queries.device}")


def _check_weight(value: object, queries: Tensor) -> None:
    check_constant_like(value, "weight", queries[:, 0], "queries[:, 0]")
    if bool((value < 0).any()):
        raise ValueError(f"weight must not be negative; its smallest entry is {value.min().item()}")


def _check_range(labels: Tensor, stop: int) -> None:
    low, high = (int(v) for v in labels.aminmax())
    if low < 0 or high >= stop:
        raise ValueError(f"labels must be in 0..{stop - 1}, the rows of keys; got {low if low < 0 else high}")


def _check_lengths(queries: Tensor, keys: Tensor, hard_negatives: Tensor | None, steep: float) -> None:
    names, longest = "queries and keys", longest_row(keys, "keys")
    if hard_negatives is not None:
        names = "queries, keys and hard_negatives"
        longest = max(longest, longest_row(hard_negatives.flatten(0, 1), "hard_negatives"))
    largest = max(longest_row(queries, "queries") * longest, 1.0) * steep
    check_exponent(largest, queries.dtype, names, "inner product / temperature")


def _backend(tensor: Tensor) -> ModuleType:
    return _torch_info_nce if use_torch(tensor.device.type) else _compiled_info_nce


def _loss(
    queries, keys, hard_negatives, labels, key_ids, mask, weight, temperature, symmetric, beta=0.0, gamma=0.0, detach=True
) -> Tensor:
    embeddings = (queries, keys, hard_negatives)
    grad = torch.is_grad_enabled()
    needs = [grad and value is not None and value.requires_grad for value in embeddings]
    settings = (temperature, symmetric, beta, gamma, detach)
    return _info_nce(*embeddings, labels, key_ids, mask, weight, *settings, *needs)[0]


@torch.library.custom_op("corelib::info_nce", mutates_args=())
def _info_nce(
    queries: Tensor,
    keys: Tensor,
    hard_negatives: Tensor | None,
    labels: Tensor | None,
    key_ids: Tensor | None,
    mask: Tensor | None,
    weight: Tensor | None,
    temperature: float,
    symmetric: bool,
    beta: float,
    gamma: float,
    detach: bool,
    need_queries: bool,
    need_keys: bool,
    need_hard: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    _check_lengths(queries, keys, hard_negatives, 1 / temperature + abs(beta))
    if labels is not None:
        _check_range(labels, len(keys))
    own = torch.arange(len(queries), device=queries.device) if labels is None else labels.long().contiguous()
    candidates = Candidates(queries, keys, own, hard_negatives, key_ids, mask)
    needs = (need_queries, need_keys, need_hard)
    with torch.autocast(queries.device.type, enabled=False):
        if symmetric:
            return _backend(queries).both_ways(candidates, temperature, needs)
        return _backend(queries).one_way(candidates, weight, temperature, beta, gamma, detach, needs)


@_info_nce.register_fake
def _(queries, keys, hard_negatives, *arguments):
    pairs = zip((queries, keys, hard_negatives), arguments[-3:], strict=True)
    return queries.new_empty(()), *(queries.new_empty(value.shape if needed else 0) for value, needed in pairs)


def _info_nce_backward(ctx, grad_loss, *_):
    sources = ctx.saved_tensors[: 2 + (ctx.settings[2] is None)]
    gradients = take_gradients(ctx, _info_nce)
    scaled = (
        ScaleGradientInPlace.apply(grad_loss, gradient, *sources) if needed else None
        for gradient, needed in zip(gradients, ctx.needs_input_grad[:3], strict=True)
    )
    return *scaled, *(None,) * 12


_info_nce.register_autograd(_info_nce_backward, setup_context=keep_gradients)

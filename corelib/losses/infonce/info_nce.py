"""InfoNCE: finding each query's key among all keys, plain, and with weights for hard negatives and hard queries."""

import torch
from torch import Tensor, nn

from corelib._checks import check_bool, check_positive, check_real
from corelib._front_end import front_end
from corelib._tensors import (
    check_constant_like,
    check_integers,
    check_mask,
    check_matrix,
    check_same,
    check_temperature,
    check_tensor,
    number_of,
    unseen,
)
from corelib._types import Scalar, TensorOrArray
from corelib.engines import info_nce as engine


@front_end("queries", "keys", "labels", "hard_negatives", "hard_mask", "key_ids", "mask")
def info_nce(
    queries: TensorOrArray,
    keys: TensorOrArray,
    temperature: Scalar = 0.05,
    *,
    labels: TensorOrArray | None = None,
    symmetric: bool = False,
    hard_negatives: TensorOrArray | None = None,
    hard_mask: TensorOrArray | None = None,
    key_ids: TensorOrArray | None = None,
    mask: TensorOrArray | None = None,
) -> TensorOrArray:
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
    temperature : float or Tensor of one number
        :math:`\tau` above 0. A tensor may require a gradient: a temperature that is learned.
    labels : Tensor or ndarray, shape (n,), integer, optional
        :math:`t_i`, the row of query i's key, in 0..m-1; several queries may share one. By default
        :math:`t_i=i`, which needs m >= n.
    symmetric : bool
        Whether to average with the loss of finding the query of each of the first n keys among all queries, as
        CLIP does; takes no ``labels``.
    hard_negatives : Tensor or ndarray, shape (n, h, d), same dtype and device, optional
        ``hard_negatives[i]`` are further negatives of query i alone; no key looks for a query among them. For
        mined negatives that all queries see, append ``hard_negatives.flatten(0, 1)`` to ``keys`` instead.
    hard_mask : Tensor or ndarray, shape (n, h), bool, optional
        True at hard negatives to leave out, such as the padding of a query that has fewer.
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

    The NT-Xent of SimCLR, where each of 2n views ``z`` looks for its partner among all others, is ``info_nce(z, z, tau,
    labels=partner, mask=torch.eye(2 * n, dtype=torch.bool))``; ``symmetric`` alone leaves out pairs of the same side.

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
    labels, key_ids = check_info_nce(queries, keys, labels, hard_negatives, key_ids, mask, hard_mask)
    if check_bool(symmetric, "symmetric") and labels is not None:
        raise ValueError("labels must be None if symmetric is True")
    queries, left, _ = _in_temperatures(queries, temperature)
    return engine.info_nce(
        queries, keys, hard_negatives, labels, key_ids, mask, hard_mask, None, left, symmetric
    )


@front_end("queries", "keys", "weight", "labels", "hard_negatives", "hard_mask", "key_ids", "mask")
def weighted_info_nce(
    queries: TensorOrArray,
    keys: TensorOrArray,
    temperature: Scalar = 0.05,
    *,
    beta: float = 0.0,
    gamma: float = 0.0,
    detach: bool = True,
    weight: TensorOrArray | None = None,
    labels: TensorOrArray | None = None,
    hard_negatives: TensorOrArray | None = None,
    hard_mask: TensorOrArray | None = None,
    key_ids: TensorOrArray | None = None,
    mask: TensorOrArray | None = None,
) -> TensorOrArray:
    r"""InfoNCE with weights on its negatives (by hardness) and on its queries (focal, or given).

    With :math:`s_{ij}` the similarities of query i to its negatives :math:`\mathcal N_i` and :math:`s_i` that to its
    own key,

    .. math::

        L=\frac1n\sum_{i=1}^n v_i(1-\pi_i)^\gamma(-\log\pi_i),\qquad
        \pi_i=\frac{e^{s_i/\tau}}{e^{s_i/\tau}+\sum_{j\in\mathcal N_i}w_{ij}e^{s_{ij}/\tau}},\qquad
        w_{ij}=\frac{|\mathcal N_i|\,e^{\beta s_{ij}}}{\sum_{l\in\mathcal N_i}e^{\beta s_{il}}}.

    Parameters
    ----------
    queries, keys, temperature, labels, hard_negatives, hard_mask, key_ids, mask
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
    labels, key_ids = check_info_nce(queries, keys, labels, hard_negatives, key_ids, mask, hard_mask)
    beta, gamma = check_real(beta, "beta"), check_real(gamma, "gamma")
    if gamma < 0:
        raise ValueError(f"gamma must be at least 0; got {gamma}")
    check_bool(detach, "detach")
    if weight is not None:
        _check_weight(weight, queries)
    queries, left, tau = _in_temperatures(queries, temperature)
    return engine.info_nce(
        queries,
        keys,
        hard_negatives,
        labels,
        key_ids,
        mask,
        hard_mask,
        weight,
        left,
        False,
        beta * tau / left,
        gamma,
        detach,
    )


class InfoNCELoss(nn.Module):
    """:func:`info_nce` as a module.

    Parameters
    ----------
    temperature : float or torch.nn.Parameter of one number
        A parameter is learned; should it fall to 0, the next call raises (learn a logarithm, or clamp it after each step).
    symmetric
        As there.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import InfoNCELoss
    >>> criterion = InfoNCELoss(temperature=0.1, symmetric=True)
    >>> criterion(torch.eye(3), torch.eye(3)).shape
    torch.Size([])
    """

    def __init__(self, temperature: float | nn.Parameter = 0.05, *, symmetric: bool = False) -> None:
        super().__init__()
        learned = isinstance(temperature, nn.Parameter)
        self.temperature = temperature if learned else check_positive(temperature, "temperature")
        self.symmetric = check_bool(symmetric, "symmetric")

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        labels: Tensor | None = None,
        *,
        hard_negatives: Tensor | None = None,
        hard_mask: Tensor | None = None,
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
            hard_mask=hard_mask,
            key_ids=key_ids,
            mask=mask,
        )

    def extra_repr(self) -> str:
        number = torch.as_tensor(self.temperature).item()
        return f"temperature={number:g}, symmetric={self.symmetric}"


def check_info_nce(
    queries, keys, labels=None, hard_negatives=None, key_ids=None, mask=None, hard_mask=None
) -> tuple[Tensor | None, Tensor | None]:
    """Types, dtypes, shapes and devices of the arrays of InfoNCE; values are checked where they are used.

    The labels and the ids come back as int64.
    """
    check_matrix(queries, "queries")
    check_matrix(keys, "keys")
    check_same(queries, "queries", keys, "keys")
    n, d = queries.shape
    if keys.shape[1] != d:
        raise ValueError(
            f"queries and keys must have the same number of columns; got {d} and {keys.shape[1]}"
        )
    if labels is not None:
        labels = check_integers(labels, "labels", queries, "queries", shape=(n,))
    elif len(keys) < n:
        raise ValueError(f"keys must have at least as many rows as queries ({n}); got {len(keys)}")
    if key_ids is not None:
        key_ids = check_integers(key_ids, "key_ids", keys, "keys", shape=(len(keys),))
    if mask is not None:
        check_mask(mask, "mask", (n, len(keys)), queries, "queries")
    if hard_negatives is not None:
        check_tensor(hard_negatives, "hard_negatives", ndim=3)
        check_same(queries, "queries", hard_negatives, "hard_negatives")
        if hard_negatives.shape[0] != n or hard_negatives.shape[1] == 0 or hard_negatives.shape[2] != d:
            raise ValueError(
                f"hard_negatives must have shape ({n}, h, {d}) with h at least 1, for queries of shape ({n}, {d}); "
                f"got {tuple(hard_negatives.shape)}"
            )
    if hard_mask is not None:
        if hard_negatives is None:
            raise ValueError("hard_mask goes with hard_negatives, which are None")
        check_mask(hard_mask, "hard_mask", hard_negatives.shape[:2], queries, "queries")
    return labels, key_ids


def _check_weight(value: object, queries: Tensor) -> None:
    check_constant_like(value, "weight", queries[:, 0], "queries[:, 0]")
    must = "weight must not be negative"
    if not unseen(value, lambda: (value >= 0).all(), must) and bool((value < 0).any()):
        raise ValueError(f"{must}; its smallest entry is {value.min().item()}")


def _in_temperatures(queries: Tensor, temperature: object) -> tuple[Tensor, float, float]:
    """Queries, the temperature that is left to apply to their similarities, and the whole temperature.

    A temperature that requires a gradient is applied to the queries, by torch.
    """
    tau = check_temperature(temperature, queries.dtype)
    return (queries / tau, 1.0, number_of(tau)) if isinstance(tau, Tensor) else (queries, tau, tau)

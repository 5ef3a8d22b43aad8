"""Multi-similarity: a loss of the similarities between embeddings, and its pair mining."""

import torch
from torch import Tensor, nn

from corelib._checks import check_positive, check_real
from corelib._front_end import front_end
from corelib._tensors import check_divisor
from corelib._types import TensorOrArray
from corelib.engines.multi_similarity import kept_pairs, multi_similarity
from corelib.losses.embeddings._batch import check_classes, check_references


@front_end("embeddings", "labels", "references", "reference_labels")
def multi_similarity_loss(
    embeddings: TensorOrArray,
    labels: TensorOrArray,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    epsilon: float | None = 0.1,
    *,
    references: TensorOrArray | None = None,
    reference_labels: TensorOrArray | None = None,
) -> TensorOrArray:
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
    references, reference_labels : Tensors or ndarrays, shapes (m, d) and (m,), optional
        What the embeddings are compared with in place of each other, such as a memory bank, and its classes: anchors are
        the embeddings, their positives and negatives references. A bank that holds the batch itself pairs each
        anchor with itself.

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
    strips of a few MB; with references, :math:`O(nmd)` and :math:`O((n+m)d)`. Gradients are computed together with the
    loss, and only those that are asked for. Row results do not depend on the number of threads; the matrix products
    depend on it as far as torch's BLAS does.

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
    labels = check_classes(embeddings, labels)
    reference_labels = check_references(references, reference_labels, embeddings)
    alpha = check_divisor(alpha, "alpha", embeddings.dtype)
    beta = check_divisor(beta, "beta", embeddings.dtype)
    base = check_real(base, "base")
    epsilon = None if epsilon is None else check_real(epsilon, "epsilon")
    grad = torch.is_grad_enabled()
    needs = [grad and value is not None and value.requires_grad for value in (embeddings, references)]
    given = (embeddings, labels, references, reference_labels)
    return multi_similarity(*given, alpha, beta, base, epsilon, *needs)[0]


@front_end("embeddings", "labels")
def multi_similarity_miner(
    embeddings: TensorOrArray, labels: TensorOrArray, epsilon: float = 0.1
) -> tuple[TensorOrArray, TensorOrArray, TensorOrArray, TensorOrArray]:
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
    labels = check_classes(embeddings, labels)
    epsilon = check_real(epsilon, "epsilon")
    return kept_pairs(embeddings.detach(), labels, epsilon)


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

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        references: Tensor | None = None,
        reference_labels: Tensor | None = None,
    ) -> Tensor:
        """The loss of ``embeddings``, shape (n, d), of classes ``labels``, shape (n,)."""
        return multi_similarity_loss(
            embeddings,
            labels,
            self.alpha,
            self.beta,
            self.base,
            self.epsilon,
            references=references,
            reference_labels=reference_labels,
        )

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, beta={self.beta}, base={self.base}, epsilon={self.epsilon}"

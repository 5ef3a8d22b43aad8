"""Link prediction by cosines: how well embeddings of nodes tell the edges of a graph from other pairs."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from corelib._tensors import accepts_numpy
from corelib.losses._arguments import check_integers, check_range, check_reduction, check_values, reduce

_SHORTEST = 1e-100  # a shorter row counts as zero: the gradient would leave float64
_CHUNK_BYTES = 1 << 20


@accepts_numpy("embeddings", "pos_edges", "neg_edges")
def edge_cosine_bce(embeddings: Tensor, pos_edges: Tensor, neg_edges: Tensor, *, reduction: str = "mean") -> Tensor:
    r"""Binary cross-entropy of pairs of nodes, whose logit is the cosine of their embeddings.

    .. math:: \ell_{uv} = \log\bigl(1 + e^{\mp\cos(z_u, z_v)}\bigr)

    with the minus sign for an edge. There is no temperature, so a term lies between log(1 + 1/e) = 0.3133 and
    log(1 + e) = 1.3133.

    Parameters
    ----------
    embeddings : Tensor or ndarray, shape (n, e), float32 or float64
        One row per node. A row of zeros has cosine 0 with every other, and no gradient.
    pos_edges : Tensor or ndarray of int64, shape (2, m)
        Pairs of nodes that are joined, one a column; the order within a pair does not matter.
    neg_edges : Tensor or ndarray of int64, shape (2, k)
        Pairs that are not. One of m and k may be 0, not both.
    reduction : {"mean", "sum", "none"}
        Over all m + k pairs.

    Returns
    -------
    Tensor or float or ndarray
        A number, or with "none" the terms, shape (m + k,): those of ``pos_edges`` first.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype or shape, a number is not finite, a node lies outside 0..n - 1, or there
        is no pair.

    Notes
    -----
    O((m + k) e) time; O(n e + m + k) memory: rows are scaled to length 1 once per node, and pairs are gathered chunk by
    chunk, where the plain way keeps several matrices of m + k rows. The gradient is one sparse product. It can be
    differentiated once.

    References
    ----------
    X. Zheng, D. Song, Q. Wen, B. Du, S. Pan. Online GNN Evaluation Under Test-time Graph Distribution Shifts. ICLR 2024:
    the structure reconstruction loss of its official code.

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import edge_cosine_bce
    >>> z = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> edge_cosine_bce(z, torch.tensor([[0], [1]]), torch.tensor([[0, 1], [2, 2]]), reduction="none")
    tensor([0.3133, 0.6931, 0.6931])
    """
    check_values(embeddings, "embeddings", ndim=2)
    for name, edges in (("pos_edges", pos_edges), ("neg_edges", neg_edges)):
        check_integers(edges, name, embeddings, "embeddings")
        if edges.ndim != 2 or len(edges) != 2:
            raise ValueError(f"{name} must have shape (2, pairs); got {tuple(edges.shape)}")
        check_range(edges, name, len(embeddings))
    check_reduction(reduction)
    pairs = torch.cat([pos_edges, neg_edges], dim=1)
    if pairs.shape[1] == 0:
        raise ValueError("pos_edges and neg_edges must hold at least one pair; got none")
    signs = embeddings.new_ones(pairs.shape[1], dtype=torch.float64)
    signs[: pos_edges.shape[1]] = -1
    costs = F.softplus(signs * _Cosines.apply(embeddings.double(), pairs))
    return reduce(costs, reduction).to(embeddings.dtype)


class _Cosines(torch.autograd.Function):
    """Cosines of pairs of rows, chunk by chunk; the gradient sums the other ends of each row's pairs, weighted."""

    @staticmethod
    def forward(ctx, points, pairs):
        largest = points.abs().amax(1, keepdim=True)
        unit = points / largest.clamp_min(_SHORTEST)
        length = torch.linalg.vector_norm(unit, dim=1, keepdim=True)
        unit /= length.clamp_min(1)
        length = largest * length
        unit.masked_fill_(length < _SHORTEST, 0)
        ctx.save_for_backward(unit, length, pairs)
        rows = max(1, _CHUNK_BYTES // (8 * points.shape[1]))
        return torch.cat([(unit[u] * unit[v]).sum(1) for u, v in (chunk for chunk in pairs.split(rows, dim=1))])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        unit, length, pairs = ctx.saved_tensors
        ends = torch.cat([pairs, pairs.flip(0)], dim=1)
        weights = torch.sparse_coo_tensor(
            ends, torch.cat([grad, grad]), (len(unit), len(unit)), check_invariants=False
        )
        others = torch.sparse.mm(weights, unit)
        across = others - (others * unit).sum(1, keepdim=True) * unit
        return across.div_(length.clamp_min(_SHORTEST)).masked_fill_(length < _SHORTEST, 0), None

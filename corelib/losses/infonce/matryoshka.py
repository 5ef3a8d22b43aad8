"""InfoNCE on prefixes of the embeddings, so that short ones serve as well."""

from collections.abc import Sequence

from corelib._checks import check_bool, check_int, check_real
from corelib._front_end import front_end
from corelib._types import Scalar, TensorOrArray
from corelib.engines.distances import unit_rows
from corelib.losses.infonce.info_nce import check_info_nce, info_nce


@front_end("queries", "keys", "labels", "key_ids", "mask")
def matryoshka_info_nce(
    queries: TensorOrArray,
    keys: TensorOrArray,
    prefixes: Sequence[int],
    temperature: Scalar = 0.05,
    *,
    weights: Sequence[float] | None = None,
    normalize: bool = True,
    labels: TensorOrArray | None = None,
    symmetric: bool = False,
    key_ids: TensorOrArray | None = None,
    mask: TensorOrArray | None = None,
) -> TensorOrArray:
    r"""The weighted sum of :func:`info_nce` over prefixes of the embeddings (Matryoshka representation learning).

    .. math::

        L=\sum_p w_p\,L_{\mathrm{InfoNCE}}\big(q_{1:p}/\|q_{1:p}\|,\;k_{1:p}/\|k_{1:p}\|\big)

    Parameters
    ----------
    queries : Tensor or ndarray, shape (n, d), float32 or float64
    keys : Tensor or ndarray, shape (m, d), same dtype and device
    prefixes : sequence of int
        Numbers p of leading columns, strictly ascending, in 1..d. Name d itself where the whole counts too.
    temperature, labels, symmetric, key_ids, mask
        As in :func:`info_nce`.
    weights : sequence of float, optional
        :math:`w_p`, at least 0; by default 1 each.
    normalize : bool
        Whether each prefix is divided by its own norm, so that the similarities are cosines at every length. The
        prefix of a unit vector is shorter than 1, so normalising before the call does not do. A prefix of zeros stays
        zero; its gradient, and that of a prefix shorter than 1e-12, is taken as 0.

    Returns
    -------
    Tensor, 0-dimensional, of the queries' dtype (a float for arrays)

    Raises
    ------
    TypeError, ValueError
        As :func:`info_nce`; if ``prefixes`` or ``weights`` are not as stated.

    Notes
    -----
    Costs what the calls for each prefix cost, time :math:`O(nm\sum_p p)` and memory :math:`O((n+m)\sum_p p)`.

    References
    ----------
    A. Kusupati et al. Matryoshka Representation Learning. NeurIPS 2022, equation 1. https://arxiv.org/abs/2205.13147

    Examples
    --------
    >>> import torch
    >>> from corelib.losses import matryoshka_info_nce
    >>> x = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    >>> print(f"{matryoshka_info_nce(x, x, (2, 3), temperature=0.5, weights=(0.3, 1.0)).item():.4f}")
    0.2220
    """
    check_info_nce(queries, keys, labels, None, key_ids, mask)
    check_bool(normalize, "normalize")
    prefixes = _check_prefixes(prefixes, queries.shape[1])
    weights = _check_weights(weights, len(prefixes))
    options = {"labels": labels, "symmetric": symmetric, "key_ids": key_ids, "mask": mask}
    total = queries.new_zeros(())
    for width, weight in zip(prefixes, weights, strict=True):
        parts = [value[:, :width] for value in (queries, keys)]
        parts = [unit_rows(part) for part in parts] if normalize else parts
        total = total + weight * info_nce(*parts, temperature, **options)
    return total


def _check_prefixes(prefixes: object, columns: int) -> list[int]:
    if isinstance(prefixes, str | bytes) or not isinstance(prefixes, Sequence):
        raise TypeError(f"prefixes must be a sequence of integers; got {type(prefixes).__name__}")
    checked = [check_int(width, f"prefixes[{i}]", minimum=1) for i, width in enumerate(prefixes)]
    if not checked or checked != sorted(set(checked)) or checked[-1] > columns:
        raise ValueError(
            f"prefixes must be strictly ascending numbers in 1..{columns}, the columns of queries; got {checked}"
        )
    return checked


def _check_weights(weights: object, count: int) -> list[float]:
    if weights is None:
        return [1.0] * count
    if isinstance(weights, str | bytes) or not isinstance(weights, Sequence):
        raise TypeError(f"weights must be a sequence of real numbers; got {type(weights).__name__}")
    checked = [check_real(weight, f"weights[{i}]") for i, weight in enumerate(weights)]
    if len(checked) != count or min(checked, default=0.0) < 0:
        raise ValueError(f"weights must be {count} numbers of at least 0, one for each prefix; got {checked}")
    return checked

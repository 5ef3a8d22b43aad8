"""Metrics of tensors on a GPU: the front end of ``engines.ranking_torch``. Tensors in, a float64 tensor there out.

Types, shapes and devices are checked. Values are not, unless the checks of values on a GPU are on: then the functions give
None for what has to be refused, and the caller's way by the host finds out what it is and says so. Without checks a query
with such a value, and every mean with it, is NaN.
"""

import math

import torch
from torch import Tensor

from corelib.engines import ranking_torch as engine
from corelib.metrics._inputs import (
    check_indptr_shape,
    check_pooled,
    check_reduce,
    check_shapes,
    check_weighted_mean,
)


@torch.no_grad()
def measure_lists(
    wanted: list[tuple[str, int | None]],
    scores: object,
    relevance: object,
    indptr: object,
    *,
    exponential: bool,
    ties: str,
    min_relevance: float,
    max_relevance: float,
    empty: float,
    reduce: str | None,
    sample_weight: object,
) -> list[Tensor] | None:
    """What ``ranked.measure_lists`` gives, for metrics that the engine knows."""
    score, grade, bounds, single = _lists(scores, relevance, "relevance", indptr)
    queries = len(score) if bounds is None else len(bounds) - 1
    check_reduce(reduce, queries)
    weight = None
    if sample_weight is not None:
        check_weighted_mean(reduce)
        weight = _there(sample_weight, "sample_weight", score).double()
        if weight.shape != (queries,):
            raise ValueError(
                f"sample_weight must have shape {(queries,)}, one weight for each query; got {tuple(weight.shape)}"
            )
    values, bad = engine.rank_queries(
        wanted, score, grade, bounds,
        exponential=exponential, ties=ties, min_relevance=min_relevance, max_relevance=max_relevance, empty=empty,
    )  # fmt: skip
    if weight is not None:
        wrong = ~((weight >= 0) & (weight < math.inf)).all() | (weight == 0).all()
        bad = bad | wrong
    if engine.refused(bad):
        return None
    return [_reduced(value, bad, reduce, single=single, weight=weight) for value in values]


@torch.no_grad()
def roc_areas(
    scores: object,
    labels: object,
    indptr: object,
    empty: float | None,
    reduce: str | None,
    sample_weight: object,
) -> Tensor | None:
    """What ``binary.roc_auc`` gives."""
    score, label, bounds, single = _lists(scores, labels, "labels", indptr)
    check_reduce(reduce, len(score) if bounds is None else len(bounds) - 1)
    weight = _weights_of(sample_weight, scores, score)
    areas, bad, lacking = engine.roc_areas(
        score, label, weight, bounds, empty=math.nan if empty is None else empty
    )
    if empty is None:
        bad = bad | lacking
    if engine.refused(bad):
        return None
    return _reduced(areas, bad, reduce, single=single)


@torch.no_grad()
def pooled_average_precision(
    scores: object, labels: object, empty: float | None, sample_weight: object
) -> Tensor | None:
    """What ``binary.pooled_average_precision`` gives."""
    score, label = _pair(scores, labels, "labels")
    check_pooled(tuple(score.shape), tuple(label.shape))
    weight = _weights_of(sample_weight, scores, score[None])
    area, bad, lacking = engine.pooled_precision(score[None], label[None], weight)
    if empty is None:
        bad = bad | lacking
    if engine.refused(bad):
        return None
    value = area if empty is None else torch.where(lacking, empty, area)
    return torch.where(bad, math.nan, value)[0]


def _lists(
    scores: object, other: object, name: str, indptr: object
) -> tuple[Tensor, Tensor, Tensor | None, bool]:
    """Scores and what goes with them as a matrix, or flat with boundaries; and whether there is but one query."""
    score, value = _pair(scores, other, name)
    check_shapes(tuple(score.shape), tuple(value.shape), name, flat=indptr is not None)
    if indptr is None:
        return (score, value, None, False) if score.ndim == 2 else (score[None], value[None], None, True)
    bounds = _there(indptr, "indptr", score)
    check_indptr_shape(tuple(bounds.shape))
    if bounds.is_floating_point() or bounds.dtype == torch.bool:
        raise TypeError(f"indptr must hold integers; got dtype {_name(bounds.dtype)}")
    if len(bounds) == 1 and len(score):
        raise ValueError(f"indptr must end with the number of scores, {len(score)}; it has no query")
    return score, value, bounds.long().contiguous(), False


def _pair(scores: object, other: object, name: str) -> tuple[Tensor, Tensor]:
    if not isinstance(scores, Tensor):
        raise TypeError(
            f"scores must be a tensor on a GPU where another argument is; got {type(scores).__name__}"
        )
    score = _there(scores, "scores", scores)
    return score, _there(other, name, score)


def _there(value: object, name: str, scores: Tensor) -> Tensor:
    """``value`` as a dense tensor of real numbers on the device of the scores."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name} must be a tensor on {scores.device}, as scores is; got {type(value).__name__}"
        )
    if value.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor; got layout {value.layout}")
    if value.dtype.is_complex or value.is_quantized:
        raise TypeError(f"{name} must hold bool, integer or float numbers; got dtype {_name(value.dtype)}")
    if value.device != scores.device:
        raise ValueError(
            f"scores and {name} must be on the same device; got {scores.device} and {value.device}"
        )
    return value.detach()


def _weights_of(sample_weight: object, scores: Tensor, score: Tensor) -> Tensor | None:
    """A weight for each score, in the shape of these as the engine takes them."""
    if sample_weight is None:
        return None
    weight = _there(sample_weight, "sample_weight", scores)
    if weight.shape != scores.shape:
        raise ValueError(
            f"sample_weight must have shape {tuple(scores.shape)}, one weight for each score; got {tuple(weight.shape)}"
        )
    return weight.view_as(score)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _reduced(
    values: Tensor, bad: Tensor, reduce: str | None, *, single: bool, weight: Tensor | None = None
) -> Tensor:
    """NaN for bad queries; the mean without those that are NaN because they are empty, if asked for."""
    if reduce is None or single:
        values = torch.where(bad, math.nan, values)
        return values[0] if single else values
    defined = ~values.isnan()
    share = defined.double() if weight is None else torch.where(defined, weight / weight.amax(), 0.0)
    mean = (torch.where(defined, values, 0.0) * share).sum() / share.sum()
    return torch.where(bad.any(), math.nan, mean)

"""What you report: metrics of ranked lists and of scores. Array-likes in, one float64 per query out."""

from corelib.metrics.auc import roc_auc
from corelib.metrics.coverage import pass_at_k
from corelib.metrics.ranking import (
    average_precision,
    dcg,
    evaluate,
    ndcg,
    precision_at,
    recall_at,
    reciprocal_rank,
)

__all__ = [
    "average_precision",
    "dcg",
    "evaluate",
    "ndcg",
    "pass_at_k",
    "precision_at",
    "recall_at",
    "reciprocal_rank",
    "roc_auc",
]

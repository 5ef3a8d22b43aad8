"""What you report: metrics of ranked lists and of scores. Array-likes in, one float64 per query out.

**Input.** Lists, NumPy arrays, and torch tensors on any device, whose values alone are read: no metric has a gradient.
float16 and bfloat16 become float32, which holds them exactly. Scores and relevance have equal shape: ``(documents,)``
for one query, ``(queries, documents)`` for many, or flat ``(total,)`` with ``indptr``: query i owns the entries
``indptr[i]:indptr[i + 1]``. (A column of shape (n, 1) would be n queries of one document each; that is an error, which
says what to do.) A query has all its documents: those that were retrieved, and relevant ones that were not, with score
``-inf``. Such a document counts among the relevant ones and in the ideal ranking, and has no rank. Padding has score
``-inf`` and relevance 0.

**Order.** By score, highest first. Scores are compared as they are given (``trec_eval`` rounds them to float32 first).
Among equal scores, ``ties="reverse"``, the default, ranks the document first that stands later in the array. That is
what ``trec_eval`` does if the documents of a query stand in ascending order of their identifiers, compared as strings;
arrays carry no identifiers, so more cannot be told. ``ties="order"`` ranks the earlier one first, as a stable sort does.
``ties="average"`` gives the expectation over all orders of the equal scores, exactly (F. McSherry and M. Najork, Computing
information retrieval performance measures efficiently in the presence of tied scores, ECIR 2008).

**Relevance.** Bool, integer or float, never negative. To the metrics that know but two grades, a document is relevant if
its relevance is at least ``min_relevance``, 1 by default. A query without relevant documents gets 0, as in
``trec_eval``, or the value of ``empty``.

**Weights.** ``sample_weight`` means what it means in scikit-learn: to metrics of ranked lists a query is a sample, and the
weight is its share in the mean; to metrics of scores and labels each score is one.

**On a GPU.** ``ndcg``, ``dcg``, ``average_precision``, ``reciprocal_rank``, ``hit_rate``, ``precision_at``, ``recall_at``,
``r_precision``, an ``evaluate`` of these alone, ``roc_auc`` and ``pooled_average_precision`` of CUDA tensors are computed
where these lie. All array arguments are tensors on one device then; the result is a float64 tensor there, 0-dimensional in
place of a float; and the host never waits. So values are checked only after ``corelib.set_backend(..., check=True)``. Without,
a query with one that would be an error is NaN, and so is every mean with it; so is an area of one class if ``empty`` is None.
Every other metric copies its tensors to the host and gives arrays.

**Cost.** Time O(documents) per query where k or the number of relevant documents is small, O(documents log relevant) at
worst; nothing is sorted in full. Memory: the longest query, once per thread. Queries are shared among threads; no result
depends on how many there are. On a GPU: one sort of all documents, another for the ideal ranking, or a selection where k is
small; memory O(all documents).

**Beyond ranked lists.** TREC files (``read_run``, ``read_qrels``, ``align_run``); tests and intervals over queries
(``paired_randomization_test``, ``paired_bootstrap``, ``bootstrap_interval``); rank correlations (``kendall_tau``,
``spearman``); curves over pooled scores (``precision_recall_curve``, ``partial_roc_auc``); search among embeddings
(``evaluate_retrieval``); matchings within small groups (``group_metrics``); the relevance behind clicks
(``evaluate_clicks``).
"""

from corelib.metrics.binary import (
    PrecisionRecallCurve,
    ThresholdChoice,
    best_f1_threshold,
    partial_roc_auc,
    pooled_average_precision,
    precision_at_recall,
    precision_recall_curve,
    roc_auc,
)
from corelib.metrics.clicks import evaluate_clicks
from corelib.metrics.correlation import kendall_tau, pearson_matrix, spearman, spearman_matrix
from corelib.metrics.evaluation import evaluate
from corelib.metrics.groups import GroupMetrics, group_metrics
from corelib.metrics.ranked import (
    average_precision,
    bpref,
    dcg,
    expected_reciprocal_rank,
    hit_rate,
    ndcg,
    precision_at,
    r_precision,
    rank_biased_precision,
    recall_at,
    reciprocal_rank,
)
from corelib.metrics.retrieval import evaluate_retrieval
from corelib.metrics.sampling import best_of_n, pass_at_k
from corelib.metrics.significance import (
    BootstrapInterval,
    PairedBootstrap,
    PairedTest,
    bootstrap_interval,
    paired_bootstrap,
    paired_randomization_test,
)
from corelib.metrics.trec import AlignedRun, align_run, read_qrels, read_run, write_qrels, write_run

__all__ = [
    "AlignedRun",
    "BootstrapInterval",
    "GroupMetrics",
    "PairedBootstrap",
    "PairedTest",
    "PrecisionRecallCurve",
    "ThresholdChoice",
    "align_run",
    "average_precision",
    "best_f1_threshold",
    "best_of_n",
    "bootstrap_interval",
    "bpref",
    "dcg",
    "evaluate",
    "evaluate_clicks",
    "evaluate_retrieval",
    "expected_reciprocal_rank",
    "group_metrics",
    "hit_rate",
    "kendall_tau",
    "ndcg",
    "paired_bootstrap",
    "paired_randomization_test",
    "partial_roc_auc",
    "pass_at_k",
    "pearson_matrix",
    "pooled_average_precision",
    "precision_at",
    "precision_at_recall",
    "precision_recall_curve",
    "r_precision",
    "rank_biased_precision",
    "read_qrels",
    "read_run",
    "recall_at",
    "reciprocal_rank",
    "roc_auc",
    "spearman",
    "spearman_matrix",
    "write_qrels",
    "write_run",
]

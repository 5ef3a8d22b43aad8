"""One table of the public functions, each with ordinary arguments, and the results as plain numbers."""

import contextlib
import inspect
import warnings
from unittest import mock

import numpy as np

from corelib import losses, metrics, ratings, score, search
from corelib.engines import route

rng = np.random.default_rng(0)
SCORES, LABELS = rng.normal(size=6), np.array([0, 1, 1, 0, 1, 0])
POINTS, CLASSES = rng.normal(size=(6, 3)) * 0.5, np.array([0, 0, 1, 1, 2, 2])
LISTS, SOME = rng.normal(size=(3, 4)), np.arange(4) < np.array([[4], [2], [3]])
AXES = np.linalg.qr(rng.normal(size=(3, 2)))[0]

CALLS = {
    losses.approx_ndcg: dict(scores=SCORES, relevance=np.arange(6) % 4, temperature=0.3, indptr=np.array([0, 2, 6])),
    losses.class_means: dict(embeddings=POINTS, labels=CLASSES, classes=3),
    losses.click_loss: dict(logits=SCORES, clicks=LABELS, propensity=np.full(6, 0.4), clip=0.1),
    losses.confusion_loss: dict(logits=SCORES, labels=LABELS, sharpness=5.0, threshold=0.4, beta=1.0),
    losses.contrastive_loss: dict(embeddings=POINTS, labels=CLASSES, pos_margin=0.1, neg_margin=1.0, power=1),
    losses.el2n_scores: dict(logits=POINTS, labels=CLASSES),
    losses.icnn_loss: dict(embeddings=POINTS, labels=CLASSES, k=2, candidates=3),
    losses.icnn_score: dict(embeddings=POINTS[:2], labels=CLASSES[:2], k=2, targets=POINTS[2:], target_labels=CLASSES[2:]),
    losses.info_nce: dict(queries=POINTS[:3], keys=POINTS, temperature=0.3, labels=np.array([0, 4, 2]), hard_negatives=POINTS.reshape(3, 2, 3), key_ids=CLASSES, mask=POINTS.T[:, :6] > 0.2),
    losses.list_kl_loss: dict(scores=LISTS, teacher=-LISTS, temperature=0.5, teacher_temperature=0.7, mask=SOME),
    losses.mann_whitney_loss: dict(
        pos=SCORES[:2], neg=SCORES[2:], temperature=0.5, margin=0.2, pos_weight=np.array([1.0, 2.0]), neg_weight=np.ones(4),
        pos_indptr=np.array([0, 1, 2]), neg_indptr=np.array([0, 2, 4]),
    ),
    losses.mixed_pair_loss: dict(embeddings=POINTS, labels=CLASSES, mix=0.4, hardest=3),
    losses.matryoshka_info_nce: dict(
        queries=POINTS[:3], keys=POINTS, prefixes=(2, 3), temperature=0.3, normalize=True, labels=np.array([0, 4, 2]), key_ids=CLASSES,
    ),
    losses.multi_similarity_loss: dict(embeddings=POINTS, labels=CLASSES, alpha=2.0, beta=40.0, base=0.5, epsilon=0.1),
    losses.multi_similarity_miner: dict(embeddings=POINTS, labels=CLASSES, epsilon=0.1),
    losses.ordered_hinge_loss: dict(scores=LISTS, margin=0.1),
    losses.ordered_contrast_loss: dict(scores=SCORES, rank=CLASSES, indptr=np.array([0, 2, 6])),
    losses.pair_based_loss: dict(embeddings=POINTS, labels=CLASSES, loss=losses.LiftedStructurePairs()),
    losses.pair_weights: dict(similarity=POINTS @ POINTS.T, labels=CLASSES, loss=losses.BinomialDeviancePairs()),
    losses.pairwise_click_loss: dict(
        logits=POINTS, clicks=np.eye(6, 3, dtype=int), propensity=np.full((6, 3), 0.4), clip=0.1
    ),
    losses.pairwise_exponential_loss: dict(
        pos=SCORES[:2], neg=SCORES[2:], temperature=0.5, margin=0.2, pos_weight=np.array([1.0, 2.0]), neg_weight=np.ones(4)
    ),
    losses.pairwise_hinge_loss: dict(
        pos=SCORES[:2], neg=SCORES[2:], margin=0.5, pos_weight=np.array([1.0, 2.0]), neg_weight=np.ones(4),
        pos_indptr=np.array([0, 1, 2]), neg_indptr=np.array([0, 2, 4]),
    ),
    losses.pairwise_squared_hinge_loss: dict(
        pos=SCORES[:2], neg=SCORES[2:], margin=0.5, pos_weight=np.array([1.0, 2.0]), neg_weight=np.ones(4)
    ),
    losses.preference_loss: dict(margin=SCORES, reference_margin=SCORES * 0.5, beta=0.1, gamma=1.0, label_smoothing=0.1),
    losses.proto_triplet_loss: dict(queries=POINTS[:3], prototypes=POINTS[3:], labels=np.array([0, 1, 0]), margin=0.5),
    losses.sequence_log_probability: dict(
        logits=LISTS.reshape(2, 2, 3), targets=np.array([[0, 1], [2, 2]]), mask=np.array([[True, True], [False, True]]), average=True
    ),
    losses.set_contrast_loss: dict(
        pos=SCORES[:3], neg=SCORES[3:], pos_indptr=np.array([0, 1, 3]), neg_indptr=np.array([0, 2, 3])
    ),
    losses.smooth_ap: dict(scores=SCORES, relevance=LABELS, temperature=0.3, indptr=np.array([0, 2, 6])),
    losses.soft_confusion_matrix: dict(logits=POINTS, labels=np.eye(6, 3, dtype=int), sharpness=5.0, threshold=0.4),
    losses.soft_rank: dict(scores=SCORES, temperature=0.3, indptr=np.array([0, 2, 6])),
    losses.spherical_loss: dict(outputs=POINTS, targets=CLASSES, loss=losses.ZLoss()),
    losses.squared_click_loss: dict(
        users=POINTS[:2], items=POINTS, click_user=np.array([0, 1, 1]), click_item=np.array([5, 2, 1]), propensity=np.full(3, 0.4), clip=0.1
    ),
    losses.thurstone_fidelity_loss: dict(
        predicted=SCORES, mean=SCORES[::-1].copy(), sd=np.linspace(0.1, 1, 6), predicted_sd=np.linspace(1.0, 2, 6), groups=LABELS
    ),
    losses.triplet_loss: dict(embeddings=POINTS, labels=CLASSES, margin=0.2),
    losses.weighted_info_nce: dict(
        queries=POINTS[:3], keys=POINTS, temperature=0.3, beta=2.0, gamma=0.5, detach=False, weight=np.array([1.0, 0.5, 0.0]),
        labels=np.array([0, 4, 2]), hard_negatives=POINTS.reshape(3, 2, 3), key_ids=CLASSES, mask=POINTS.T[:, :6] > 0.2,
    ),
    metrics.average_precision: dict(scores=POINTS, relevance=np.eye(6, 3, dtype=int), k=2),
    metrics.best_f1_threshold: dict(scores=SCORES, labels=LABELS, beta=1.0),
    metrics.best_of_n: dict(scores=SCORES, quality=LABELS, n=2),
    metrics.bootstrap_interval: dict(values=SCORES, confidence=0.9, method="bca", resamples=200, rng=1),
    metrics.bpref: dict(scores=POINTS, relevance=np.eye(6, 3, dtype=int), judged=np.ones((6, 3), dtype=int)),
    metrics.dcg: dict(scores=POINTS, relevance=np.eye(6, 3), k=2),
    metrics.evaluate: dict(
        scores=POINTS, relevance=np.eye(6, 3, dtype=int), metrics=["ndcg@2", "map", "rbp", "err", "bpref"], min_relevance=1.0,
        persistence=0.8, max_relevance=1.0, judged=np.ones((6, 3), dtype=int),
    ),
    metrics.evaluate_clicks: dict(
        scores=POINTS, clicks=np.eye(3, dtype=int)[CLASSES], propensity=np.full((6, 3), 0.4), metrics=["dcg@2", "map"], clip=0.1, empty=0.0
    ),
    metrics.evaluate_retrieval: dict(embeddings=POINTS, labels=CLASSES, references=-POINTS, reference_labels=CLASSES, empty=0.0),
    metrics.expected_reciprocal_rank: dict(scores=POINTS, relevance=np.eye(6, 3), k=2, max_relevance=1.0),
    metrics.group_metrics: dict(similarity=POINTS.reshape(2, 3, 3)),
    metrics.hit_rate: dict(scores=POINTS, relevance=np.eye(6, 3, dtype=int), k=2),
    metrics.kendall_tau: dict(x=SCORES, y=CLASSES, empty=0.0),
    metrics.ndcg: dict(scores=POINTS, relevance=np.eye(6, 3), k=2),
    metrics.paired_bootstrap: dict(a=SCORES, b=SCORES[::-1].copy(), confidence=0.9, resamples=200, rng=1),
    metrics.paired_randomization_test: dict(a=SCORES, b=SCORES[::-1].copy(), resamples=200, rng=1),
    metrics.partial_roc_auc: dict(scores=SCORES, labels=LABELS, max_fpr=0.5),
    metrics.pass_at_k: dict(samples=np.full(6, 4), correct=np.array([0, 1, 4, 2, 3, 1]), k=2),
    metrics.pearson_matrix: dict(x=POINTS, empty=0.0),
    metrics.pooled_average_precision: dict(scores=SCORES, labels=LABELS),
    metrics.precision_at: dict(scores=POINTS, relevance=np.eye(6, 3, dtype=int), k=2),
    metrics.precision_at_recall: dict(scores=SCORES, labels=LABELS, recall=0.5),
    metrics.precision_recall_curve: dict(scores=SCORES, labels=LABELS),
    metrics.r_precision: dict(scores=POINTS, relevance=np.eye(6, 3, dtype=int), min_relevance=1.0),
    metrics.rank_biased_precision: dict(scores=POINTS, relevance=np.eye(6, 3, dtype=int), persistence=0.8),
    metrics.recall_at: dict(scores=POINTS, relevance=np.eye(6, 3, dtype=int), k=2),
    metrics.reciprocal_rank: dict(scores=POINTS, relevance=np.eye(6, 3, dtype=int), k=2),
    metrics.roc_auc: dict(scores=SCORES, labels=LABELS),
    metrics.spearman: dict(x=SCORES, y=CLASSES, empty=0.0),
    metrics.spearman_matrix: dict(x=POINTS, empty=0.0),
    ratings.fit_bradley_terry: dict(winner=np.array([0, 1]), loser=np.array([1, 2]), players=3, weight=np.ones(2), precision=0.1),
    ratings.fit_item_response: dict(responses=LABELS.reshape(2, 3), ability_precision=1.0, difficulty_precision=1.0),
    ratings.glicko2_period: dict(
        rating=np.full(3, 1500.0), deviation=np.full(3, 200.0), volatility=np.full(3, 0.06),
        player=np.array([0, 1]), opponent=np.array([1, 2]), score=np.array([1.0, 0.5]), tau=0.5, max_deviation=350.0,
    ),
    score.contractive_penalty: dict(encoder=POINTS[:2], decoder=POINTS[:2].T.copy(), slopes=POINTS[2:, :2] + 1),
    score.denoising_loss: dict(denoised=POINTS, clean=POINTS + 0.1, sigma=0.5, sigma_data=0.5),
    score.empirical_score: dict(x=POINTS[:2], data=POINTS[2:], sigma=0.5, weights=np.array([1.0, 2.0, 0.5, 1.0])),
    score.empirical_log_density: dict(x=POINTS[:2], data=POINTS[2:], sigma=0.5, weights=np.ones(4)),
    score.fit_gaussian: dict(data=POINTS, rank=2),
    score.explained_variance: dict(reference=POINTS, approximation=POINTS + 0.1),
    score.frechet_distance: dict(mean_a=np.zeros(3), covariance_a=np.eye(3), mean_b=np.ones(3), covariance_b=2 * np.eye(3)),
    score.gaussian_flow: dict(
        x=POINTS, mean=np.zeros(3), eigenvalues=np.array([2.0, 1.0]), eigenvectors=AXES, sigma_from=2.0, sigma_to=0.5
    ),
    score.gaussian_log_density: dict(
        x=POINTS @ AXES @ AXES.T, mean=np.zeros(3), eigenvalues=np.array([2.0, 1.0]), eigenvectors=AXES, sigma=0.5
    ),
    score.gaussian_score: dict(x=POINTS, mean=np.zeros(3), eigenvalues=np.array([2.0, 1.0]), eigenvectors=AXES, sigma=0.5),
    score.mixture_log_density: dict(
        x=POINTS, weights=np.array([0.5, 0.5]), means=POINTS[:2], eigenvalues=np.ones((2, 2)),
        eigenvectors=np.stack([AXES, AXES]), sigma=0.5,
    ),
    score.mixture_score: dict(
        x=POINTS, weights=np.array([0.5, 0.5]), means=POINTS[:2], eigenvalues=np.ones((2, 2)),
        eigenvectors=np.stack([AXES, AXES]), sigma=0.5,
    ),
    search.hard_negatives: dict(
        queries=POINTS[:3], keys=POINTS, positives=np.array([0, 4, 2]), k=2, margin=0.1, skip=1, stride=2, pool=4,
        exclude=np.array([[0, 1], [2, 2]]),
    ),
    search.top_inner_products: dict(queries=POINTS[:3], keys=POINTS, k=2, exclude=np.array([[0, 1], [2, 2]])),
}  # fmt: skip


ELSEWHERE = {  # functions that take more than arrays and numbers, and where they are tested
    "align_run": "metrics/test_trec.py",
    "distributed_info_nce": "losses/infonce/test_distributed.py",
    "grand_scores": "losses/classes/test_difficulty.py",
    "hyvarinen_loss": "score/test_matching.py",
    "read_qrels": "metrics/test_trec.py",
    "read_run": "metrics/test_trec.py",
    "sliced_score_loss": "score/test_matching.py",
    "write_qrels": "metrics/test_trec.py",
    "write_run": "metrics/test_trec.py",
}


def name_of(value):
    return value.__name__ if inspect.isfunction(value) else str(value)


def flat(result):
    """All numbers of a result, whatever its form."""
    if isinstance(result, dict):
        result = tuple(result.values())
    if hasattr(result, "__dataclass_fields__"):
        result = tuple(getattr(result, field) for field in result.__dataclass_fields__)
    if isinstance(result, tuple | list):
        return np.concatenate([flat(part) for part in result]) if result else np.empty(0)
    return np.asarray(result, dtype=np.float64).ravel()


def call(function, kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return flat(function(**kwargs))


@contextlib.contextmanager
def backend_choices():
    """Collects the choices between kernels and plain torch that are made inside: none, if no kernel was in reach."""
    with mock.patch.object(route, "use_torch", wraps=route.use_torch) as choice:
        choices = []
        choice.side_effect = lambda device: choices.append(device) or mock.DEFAULT
        yield choices

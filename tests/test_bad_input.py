"""One table for the whole public API: every argument of every function is broken in every way that applies.

Each attempt must end in one of two ways: a TypeError or ValueError that names the argument, or a result without NaN
that the plain torch implementation confirms. Nothing may crash, warn, or change its inputs.
"""

import inspect
import math
import re
import warnings

import numpy as np
import pytest
import torch

import corelib
from corelib import losses, metrics, ratings, score

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
    losses.cosine_adapter_loss: dict(
        cosines=0.1 + np.abs(LISTS) / 4, labels=np.eye(3, 4, dtype=int), slope=np.array([2.0, 5.0, 9.0]),
        offset=np.array([-1.0, -3.0, -2.0]), power=np.array([0.5, 1.0, 2.0]),
    ),
    losses.contrastive_loss: dict(embeddings=POINTS, labels=CLASSES, pos_margin=0.1, neg_margin=1.0, power=1),
    losses.coverage: dict(log_probability=-np.abs(SCORES), n=4),
    losses.dco_loss: dict(log_probability=-np.abs(SCORES), n=4),
    losses.edge_cosine_bce: dict(
        embeddings=POINTS, pos_edges=np.array([[0, 2, 4], [1, 3, 5]]), neg_edges=np.array([[0, 5], [2, 5]])
    ),
    losses.el2n_scores: dict(logits=POINTS, labels=CLASSES),
    losses.entropy_weighted_mixture: dict(logits=POINTS.reshape(2, 3, 3), gamma=2.0),
    losses.icnn_loss: dict(embeddings=POINTS, labels=CLASSES, k=2, candidates=3),
    losses.icnn_score: dict(embeddings=POINTS[:2], labels=CLASSES[:2], k=2, targets=POINTS[2:], target_labels=CLASSES[2:]),
    losses.idealized_ranking_accuracy: dict(reference_margin=SCORES, agreement=np.linspace(0.5, 1, 6), beta=0.5, epsilon=0.01),
    losses.info_nce: dict(queries=POINTS[:3], keys=POINTS, temperature=0.3, labels=np.array([0, 4, 2]), hard_negatives=POINTS.reshape(3, 2, 3), key_ids=CLASSES, mask=POINTS.T[:, :6] > 0.2),
    losses.jeffreys_loss: dict(scores=LISTS, teacher=-LISTS, temperature=0.5, teacher_temperature=0.7, mask=SOME),
    losses.list_kl_loss: dict(scores=LISTS, teacher=-LISTS, temperature=0.5, teacher_temperature=0.7, mask=SOME),
    losses.loss_weights: dict(losses=np.abs(SCORES), r=0.5, delta=1.0),
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
    losses.pairwise_diversity_loss: dict(features=POINTS.reshape(3, 2, 3)),
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
    losses.pairwise_softmax_loss: dict(pos=SCORES[:3], neg=LISTS, weight=np.array([1.0, 0.5, 0.0])),
    losses.preference_loss: dict(margin=SCORES, reference_margin=SCORES * 0.5, beta=0.1, gamma=1.0, label_smoothing=0.1),
    losses.proto_triplet_loss: dict(queries=POINTS[:3], prototypes=POINTS[3:], labels=np.array([0, 1, 0]), margin=0.5),
    losses.ranking_accuracy: dict(chosen=SCORES, rejected=SCORES[::-1].copy()),
    losses.rerank_loss: dict(yes=LISTS, no=-LISTS, weight="sft", direction="sft", threshold=0.2),
    losses.rerank_weights: dict(yes=LISTS, no=-LISTS, weight="unsolved", threshold=0.2, mask=SOME),
    losses.sequence_log_probability: dict(
        logits=LISTS.reshape(2, 2, 3), targets=np.array([[0, 1], [2, 2]]), mask=np.array([[True, True], [False, True]]), average=True
    ),
    losses.set_contrast_loss: dict(
        pos=SCORES[:3], neg=SCORES[3:], pos_indptr=np.array([0, 1, 3]), neg_indptr=np.array([0, 2, 3])
    ),
    losses.smooth_ap: dict(scores=SCORES, relevance=LABELS, temperature=0.3, indptr=np.array([0, 2, 6])),
    losses.soft_confusion_matrix: dict(logits=POINTS, labels=np.eye(6, 3, dtype=int), sharpness=5.0, threshold=0.4),
    losses.soft_label_kl: dict(logits=LISTS, labels=np.abs(LISTS[:, :2]), columns=np.array([3, 1])),
    losses.soft_rank: dict(scores=SCORES, temperature=0.3, indptr=np.array([0, 2, 6])),
    losses.soft_labels: dict(
        mean=np.linspace(2.0, 4, 6), sd=np.linspace(0.1, 1, 6), levels=5, low=1.0, high=5.0, min_sd=0.2, max_error=0.1
    ),
    losses.softmax_entropy: dict(logits=POINTS),
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
    score.denoising_loss: dict(denoised=POINTS, clean=POINTS + 0.1, sigma=0.5, sigma_data=0.5),
    score.empirical_score: dict(x=POINTS[:2], data=POINTS[2:], sigma=0.5, weights=np.array([1.0, 2.0, 0.5, 1.0])),
    score.empirical_log_density: dict(x=POINTS[:2], data=POINTS[2:], sigma=0.5, weights=np.ones(4)),
    score.explained_variance: dict(reference=POINTS, approximation=POINTS + 0.1),
    score.frechet_distance: dict(mean_a=np.zeros(3), covariance_a=np.eye(3), mean_b=np.ones(3), covariance_b=2 * np.eye(3)),
    score.gaussian_flow: dict(
        x=POINTS, mean=np.zeros(3), eigenvalues=np.array([2.0, 1.0]), eigenvectors=AXES, sigma_from=2.0, sigma_to=0.5
    ),
    score.gaussian_score: dict(x=POINTS, mean=np.zeros(3), eigenvalues=np.array([2.0, 1.0]), eigenvectors=AXES, sigma=0.5),
    score.mixture_score: dict(
        x=POINTS, weights=np.array([0.5, 0.5]), means=POINTS[:2], eigenvalues=np.ones((2, 2)),
        eigenvectors=np.stack([AXES, AXES]), sigma=0.5,
    ),
    score.relu_ntk: dict(a=POINTS, b=POINTS[:2]),
}  # fmt: skip


def changed(array, index, value):
    """``array`` in a dtype that can hold ``value``, with that value in one place."""
    out = array.astype(np.float64) if isinstance(value, float) else array.copy()
    out[index] = value
    return out


BREAK_ARRAY = {
    "None": lambda a: None,
    "a string": lambda a: "scores",
    "a number": lambda a: 1.0,
    "a dict": lambda a: {},
    "empty": lambda a: a[:0],
    "no columns": lambda a: a[..., :0],
    "one row more": lambda a: np.concatenate([a, a[:1]]),
    "one row less": lambda a: a[:-1],
    "one axis more": lambda a: a[None],
    "0-dimensional": lambda a: a.ravel()[0],
    "strings": lambda a: a.astype(str),
    "objects": lambda a: a.astype(object),
    "complex": lambda a: a.astype(complex),
    "float16": lambda a: a.astype(np.float16),
    "float32 among float64": lambda a: a.astype(np.float32),
    "int8": lambda a: a.astype(np.int8),
    "uint64": lambda a: np.abs(a).astype(np.uint64),
    "bool": lambda a: a.astype(bool),
    "dates": lambda a: a.astype("datetime64[s]"),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "NaN": lambda a: changed(a, 0, math.nan),
    "infinity": lambda a: changed(a, -1, math.inf),
    "minus infinity": lambda a: changed(a, 0, -math.inf),
    "1e300": lambda a: changed(a, 0, 1e300),
    "-1": lambda a: changed(a, 0, -1),
    "10**6": lambda a: changed(a, -1, 10**6),
    "zeros": lambda a: np.zeros_like(a),
    "all equal": lambda a: np.ones_like(a),
}
TWO_DISAGREE = ("empty", "no columns", "one row more", "one row less", "float32 among float64")
KEEP_ARRAY = {
    "read-only": lambda a: (c := a.copy(), c.setflags(write=False))[0],
    "every other": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed twice": lambda a: a[::-1].copy()[::-1],
    "Fortran order": lambda a: np.asfortranarray(a),
    "offset by one byte": lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
}
BREAK_SCALAR = {
    "None": None, "a string": "1", "a list": [1.0], "NaN": math.nan, "infinity": math.inf, "minus infinity": -math.inf,
    "zero": 0, "-1": -1, "-0.5": -0.5, "1e-320": 1e-320, "1e300": 1e300, "True": True, "complex": 1j, "array": np.ones(2),
}  # fmt: skip

ARRAYS = [(f, n) for f, kwargs in CALLS.items() for n, v in kwargs.items() if isinstance(v, np.ndarray)]
SCALARS = [(f, n) for f, kwargs in CALLS.items() for n, v in kwargs.items() if isinstance(v, int | float)]


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


def attempt(function, name, value, other_may_be_blamed=False):
    """Either a refusal that names the argument, or a number that both implementations agree on."""
    kwargs = CALLS[function] | {name: value}
    before = {n: v.copy() for n, v in kwargs.items() if isinstance(v, np.ndarray)}
    try:
        result = call(function, kwargs)
    except (TypeError, ValueError) as error:
        may_name = CALLS[function] if other_may_be_blamed else [name]
        assert re.search(rf"\b({'|'.join(may_name)})\b", str(error)), f"the message does not name {name}: {error}"
    except RuntimeError as error:
        assert "no convergence" in str(error)
    else:
        assert not np.isnan(result).any()
        if function.__module__.startswith(("corelib.losses", "corelib.score")):
            corelib.set_backend("torch")
            try:
                np.testing.assert_allclose(result, call(function, kwargs), rtol=1e-5, atol=1e-7)
            finally:
                corelib.set_backend("auto")
    for n, v in before.items():
        np.testing.assert_array_equal(kwargs[n], v)


@pytest.mark.parametrize(("function", "name"), ARRAYS, ids=name_of)
@pytest.mark.parametrize("how", BREAK_ARRAY)
def test_broken_array(function, name, how):
    try:
        broken = BREAK_ARRAY[how](CALLS[function][name])
    except ValueError:
        pytest.skip("NumPy itself refuses to make this array")
    attempt(function, name, broken, other_may_be_blamed=how in TWO_DISAGREE)


@pytest.mark.parametrize(("function", "name"), SCALARS, ids=name_of)
@pytest.mark.parametrize("how", BREAK_SCALAR)
def test_broken_scalar(function, name, how):
    attempt(function, name, BREAK_SCALAR[how])


@pytest.mark.parametrize(("function", "name"), ARRAYS, ids=name_of)
@pytest.mark.parametrize("how", KEEP_ARRAY)
def test_memory_layout_does_not_matter(function, name, how):
    kwargs = CALLS[function]
    moved = kwargs | {name: KEEP_ARRAY[how](kwargs[name])}
    np.testing.assert_allclose(call(function, moved), call(function, kwargs), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("function", "name"), [a for a in ARRAYS if a[0].__module__.startswith(("corelib.losses", "corelib.score"))], ids=name_of)
def test_sparse_and_lazy_tensors_are_refused(function, name):
    kwargs = {n: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for n, v in CALLS[function].items()}
    for bad in (kwargs[name].to_sparse(), kwargs[name].to("meta")):
        with pytest.raises((TypeError, ValueError, NotImplementedError, RuntimeError)):
            function(**kwargs | {name: bad})

"""Ranking metrics, the area under the ROC curve, and rank correlation."""

import warnings

import numpy as np

from benchmarks.case import Case, Peer, Work
from corelib import metrics

NAMES = ["ndcg@10", "map", "mrr"]
GRADE_SHARES = [0.6, 0.15, 0.1, 0.1, 0.05]


def ranked_lists(full: bool) -> dict:
    queries = 10_000 if full else 20
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(queries, 100)).astype(np.float32)
    return {"scores": scores, "relevance": rng.choice(5, p=GRADE_SHARES, size=scores.shape)}


def as_dictionaries(data: dict) -> tuple[dict, dict]:
    ids = [f"doc{j:03d}" for j in range(data["scores"].shape[1])]
    run = {f"q{q}": dict(zip(ids, map(float, row), strict=True)) for q, row in enumerate(data["scores"])}
    qrels = {f"q{q}": dict(zip(ids, map(int, row), strict=True)) for q, row in enumerate(data["relevance"])}
    return qrels, run


def evaluate(data: dict) -> Work:
    return lambda: list(metrics.evaluate(**data, metrics=NAMES, reduce="mean").values())


def with_pytrec_eval(data: dict) -> Work:
    import pytrec_eval

    qrels, run = as_dictionaries(data)
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map", "recip_rank"})

    def work():
        found = evaluator.evaluate(run).values()
        return [
            sum(query[name] for query in found) / len(found) for name in ("ndcg_cut_10", "map", "recip_rank")
        ]

    return work


def with_ranx(data: dict) -> Work:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ranx

        qrels, run = as_dictionaries(data)
        ready = ranx.Qrels(qrels), ranx.Run(run)
    return lambda: list(ranx.evaluate(*ready, NAMES, make_comparable=False).values())


def ndcg(data: dict) -> Work:
    return lambda: metrics.ndcg(**data, k=10, reduce="mean")


def with_scikit_learn_ndcg(data: dict) -> Work:
    from sklearn.metrics import ndcg_score

    # it gives 0 to a query without relevant documents, as we do
    return lambda: ndcg_score(data["relevance"], data["scores"], k=10)


def with_numpy_ndcg(data: dict) -> Work:
    discount = 1 / np.log2(np.arange(2, 12))

    def work():
        scores, relevance = data["scores"], data["relevance"]
        top = np.argpartition(scores, -10, axis=1)[:, -10:]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
        found = np.take_along_axis(relevance, np.take_along_axis(top, order, axis=1), axis=1) @ discount
        ideal = -np.sort(np.partition(-relevance, 10, axis=1)[:, :10], axis=1) @ discount
        return np.divide(found, ideal, out=np.zeros_like(found), where=ideal > 0).mean()

    return work


def one_long_list(full: bool) -> dict:
    rng = np.random.default_rng(0)
    labels = rng.random(1_000_000 if full else 1000) < 0.3
    return {"scores": rng.normal(size=labels.size) + labels, "labels": labels}


def roc_auc(data: dict) -> Work:
    return lambda: metrics.roc_auc(**data)


def with_scikit_learn_auc(data: dict) -> Work:
    from sklearn.metrics import roc_auc_score

    return lambda: roc_auc_score(data["labels"], data["scores"])


def two_scores(full: bool) -> dict:
    rng = np.random.default_rng(0)
    x = rng.normal(size=1_000_000 if full else 1000)
    return {"x": x, "y": np.round(x + rng.normal(size=x.size), 2)}


def kendall_tau(data: dict) -> Work:
    return lambda: metrics.kendall_tau(**data)


def with_scipy_kendall(data: dict) -> Work:
    from scipy.stats import kendalltau

    return lambda: kendalltau(**data).statistic


CASES = (
    Case(
        "rank-metrics",
        "nDCG@10, MAP and MRR together",
        "10,000 queries x 100 documents, grades 0 to 4",
        ranked_lists,
        evaluate,
        (
            Peer(
                "pytrec_eval, ready dictionaries",
                with_pytrec_eval,
                110,
                needs=("pytrec_eval",),
                reason="A query takes 0.6 us on one thread. The largest step, counting the ranks of its forty relevant "
                "documents, is a sixth of that, so there is none whose removal would bring the rest.",
            ),
            Peer(
                "ranx, ready objects",
                with_ranx,
                80,
                needs=("ranx",),
                reason="The prediction allowed 0.5 us for a query on two threads, of which it takes half.",
            ),
        ),
    ),
    Case(
        "ndcg",
        "nDCG@10",
        "10,000 queries x 100 documents, grades 0 to 4",
        ranked_lists,
        ndcg,
        (
            Peer(
                "scikit-learn ndcg_score",
                with_scikit_learn_ndcg,
                270,
                needs=("sklearn",),
                reason="A query takes 0.34 us on one thread, of which reading its 1.2 kB is a tenth. The rest is eight "
                "steps of about a tenth each (bound, contenders, positions, comparison, ideal ranking, checks).",
            ),
            Peer(
                "NumPy, argpartition",
                with_numpy_ndcg,
                12,
                reason="As above; and NumPy's own partition is vectorised by now, so that there is less to win.",
            ),
        ),
    ),
    Case(
        "roc-auc",
        "ROC AUC",
        "1,000,000 float64 scores",
        one_long_list,
        roc_auc,
        (
            Peer("scikit-learn roc_auc_score", with_scikit_learn_auc, 40, needs=("sklearn",)),
            Peer(
                "numpy.sort of the scores",
                lambda data: lambda: np.sort(data["scores"]),
                1.5,
                yardstick=True,
                reason="Scattered into buckets that a cache holds, and sorted there by digits, the scores go to memory "
                "and back fewer times than in a sort of all of them; two threads share the buckets.",
            ),
        ),
    ),
    Case(
        "kendall",
        "Kendall's tau-b",
        "1,000,000 float64 pairs, one side with ties",
        two_scores,
        kendall_tau,
        (
            Peer(
                "SciPy kendalltau",
                with_scipy_kendall,
                6,
                needs=("scipy",),
                reason="SciPy sorts and merges in compiled code too; ours does it in fewer passes, but on one thread.",
            ),
        ),
    ),
)

"""Runs every kernel on two threads, forks, and runs it again in the child; prints what became of each as JSON.

A script of its own, for a process that is lost when a child hangs.
"""

import json
import os
import signal
import sys
import time

import numpy as np

from corelib.kernels import contrastive, cpu, kendall, mixture, pairwise, ranking, ratings

PATIENCE_S = 20.0
rng = np.random.default_rng(0)


def pair_sum(kind, groups):
    n = 40_000 * groups
    pos, neg = rng.normal(1, 3, n), rng.normal(0, 3, n)
    indptr = np.arange(groups + 1) * 40_000

    def run():
        value, grad_pos, grad_neg = np.empty(groups), np.empty(n), np.empty(n)
        pairwise.pair_sum(
            kind,
            pos,
            neg,
            None,
            None,
            indptr,
            indptr,
            1e-3,
            0.0,
            np.ones(groups),
            1e300,
            value,
            grad_pos,
            grad_neg,
        )
        return value, grad_pos, grad_neg

    return run


def rank_queries():
    scores, relevance = rng.normal(size=(400, 300)), rng.integers(0, 2, (400, 300))
    discount = 1 / np.log2(np.arange(300) + 2.0)

    def run():
        out = np.empty((1, 400))
        kind, cutoff = np.array([ranking.KINDS["ndcg"]], np.int32), np.array([ranking.UNCUT])
        ranking.rank_queries(
            scores, relevance, None, None, kind, cutoff, discount, np.cumsum(discount), None, out,
            exponential=False, expected=False, last_first=False, min_relevance=0.0,
            max_relevance=1.0, persistence=0.8, stop_unit=1.0, empty=0.0, longest=300,
        )  # fmt: skip
        return (out,)

    return run


def auc(queries):
    scores, labels = rng.normal(size=200_000), rng.integers(0, 2, 200_000).astype(np.uint8)
    indptr = np.arange(queries + 1) * (200_000 // queries)

    def run():
        out = np.empty(queries)
        ranking.auc(scores, labels, indptr, out, 0.0)
        return (out,)

    return run


def read_labels():
    labels = rng.integers(0, 2, 200_000)

    def run():
        out = np.empty(200_000, np.uint8)
        ranking.read_labels(labels, out)
        return (out,)

    return run


def count_pairs():
    x, y = rng.normal(size=(2, 20_000))
    return lambda: kendall.count_pairs(x, y)


def strips(kernel):
    similarity, classes = rng.uniform(-1, 1, (256, 256)), np.arange(256) // 4 * 4

    def run():
        s, losses, sums = similarity.copy(), np.zeros(256), np.zeros(256)
        if kernel == "multi_similarity":
            contrastive.multi_similarity(s, 0, classes, classes + 4, 2.0, 50.0, 0.5, 0.1, 1.0, losses)
        elif kernel == "info_nce":
            contrastive.info_nce(s, np.arange(256), 0.1, 0.5, 1.0, True, losses, sums)
        elif kernel == "leave_out":
            contrastive.leave_out(s, np.arange(256), np.arange(256), classes, classes + 4)
        elif kernel == "both_sums":
            contrastive.both_sums(s, 0, 0.1, losses, sums, np.full(256, -1e9), np.zeros(256))
        else:
            contrastive.both_weights(s, 0, 0.1, np.full(256, 2.0), np.full(256, 2.0))
        return s, losses, sums

    return run


def empirical_score():
    x, data, grad = rng.normal(size=(400, 16)), rng.normal(size=(2000, 16)), rng.normal(size=(400, 16))
    centre, log_weight = np.zeros(16), np.full(2000, -np.log(2000))

    def run():
        score, log_total, product = np.empty_like(x), np.empty(400), np.empty_like(x)
        packed = mixture.pack(data, centre, log_weight)
        given = x, data, centre, log_weight, packed, np.full(400, 0.5)
        mixture.empirical_score(*given, score, log_total)
        mixture.empirical_score_vjp(*given, score, log_total, grad, product)
        return score, log_total, product

    return run


def item_response():
    answers = rng.integers(0, 2, 300 * 200).astype(np.uint8)
    theta, a, b = rng.normal(size=300), np.ones(200), rng.normal(size=200)
    return lambda: ratings.item_response(answers, None, None, theta, a, b)


def glicko():
    state, score = np.column_stack([rng.normal(size=500), np.full(500, 0.9)]), rng.integers(0, 2, 5000) * 1.0
    player, opponent = rng.integers(0, 500, (2, 5000))
    return lambda: ratings.glicko(state, np.full(500, 1.0), np.full(500, 0.06), player, opponent, score, 0.5)


KERNELS = {
    **{kind: pair_sum(kind, 1) for kind in ("softplus", "sigmoid", "hinge", "squared_hinge")},
    **{f"{kind} in groups": pair_sum(kind, 8) for kind in ("softplus", "sigmoid", "hinge", "squared_hinge")},
    "rank_queries": rank_queries(),
    "auc": auc(1),
    "auc in groups": auc(100),
    "read_labels": read_labels(),
    "count_pairs": count_pairs(),
    **{
        name: strips(name)
        for name in ("multi_similarity", "info_nce", "leave_out", "both_sums", "both_weights")
    },
    "empirical_score": empirical_score(),
    "item_response": item_response(),
    "glicko": glicko(),
}


def in_child(run, expected) -> str:
    child = os.fork()
    if not child:
        same = all(np.array_equal(x, y) for x, y in zip(run(), expected, strict=True))
        os._exit(0 if same and cpu.in_forked_child() and cpu.openmp_threads() == 1 else 1)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return "differs" if status else "the same"
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


if __name__ == "__main__":
    assert cpu.openmp_threads() == 2 and not cpu.in_forked_child()
    json.dump({name: in_child(run, run()) for name, run in KERNELS.items()}, sys.stdout)

"""Metrics of ranked lists by their definitions, in plain loops over sorted documents."""

import itertools
import math

PERSISTENCE, TOP_GRADE = 0.7, 3


def plain(order, relevance, ranked, name, *, gain=float, least=1, empty=0.0):
    """One metric of one query from the documents in rank order; those from `ranked` on have no rank."""
    kind, _, cutoff = name.partition("@")
    k = int(cutoff) if cutoff else len(order)
    graded = [gain(relevance[j]) for j in order]
    hit = [relevance[j] >= least for j in order]
    seen = min(k, ranked)
    if kind in ("ndcg", "dcg"):
        if not any(graded):
            return empty
        dcg = math.fsum(graded[i] / math.log2(i + 2) for i in range(seen))
        ideal = sorted(graded, reverse=True)
        return (
            dcg
            if kind == "dcg"
            else dcg / math.fsum(ideal[i] / math.log2(i + 2) for i in range(min(k, len(order))))
        )
    if not any(hit):
        return empty
    if kind == "map":
        return math.fsum(sum(hit[: i + 1]) / (i + 1) for i in range(seen) if hit[i]) / sum(hit)
    if kind == "mrr":
        return next((1 / (i + 1) for i in range(seen) if hit[i]), 0.0)
    return sum(hit[:seen]) / (k if kind == "p" else sum(hit))


def by_sorting(scores, relevance, name, ties="reverse", **options):
    scores, relevance = list(map(float, scores)), list(map(float, relevance))
    sign = -1 if ties == "reverse" else 1
    order = sorted(range(len(scores)), key=lambda j: (-scores[j], sign * j))
    return plain(order, relevance, sum(s > -math.inf for s in scores), name, **options)


def further(query, ties, k=2):
    """hit@k, R-precision, RBP, ERR, ERR@k, bpref of one list of (score, relevance, judged)."""
    order = query[::-1] if ties == "reverse" else query
    return further_of_order(sorted((d for d in order if d[0] > -math.inf), key=lambda d: -d[0]), query, k)


def further_of_order(ranked, query, k):
    hits = [d[1] >= 1 for d in ranked]
    total = sum(d[1] >= 1 for d in query)
    if not total:
        return [0.0] * 6
    err, goes_on = {}, 1.0
    for i, (_, grade, _) in enumerate(ranked, 1):
        stop = (2**grade - 1) / 2**TOP_GRADE
        err[i] = err.get(i - 1, 0.0) + goes_on * stop / i
        goes_on *= 1 - stop
    irrelevant = sum(d[1] == 0 and d[2] for d in query)
    preference, above = 0.0, 0
    for _, grade, judged in ranked:
        if grade:
            preference += 1 - min(above, total) / min(irrelevant, total) if above else 1
        else:
            above += judged
    return [
        float(any(hits[:k])),
        sum(hits[:total]) / total,
        (1 - PERSISTENCE) * sum(PERSISTENCE**i for i, hit in enumerate(hits) if hit),
        err.get(len(ranked), 0.0),
        err.get(min(k, len(ranked)), 0.0),
        preference / total,
    ]


def further_over_ties(query, k=2):
    """The means of ``further`` over all orders of equal scores."""
    ranked = [d for d in query if d[0] > -math.inf]
    scores = sorted({d[0] for d in ranked}, reverse=True)
    groups = [list(itertools.permutations([d for d in ranked if d[0] == score])) for score in scores]
    every = [
        further_of_order(list(itertools.chain(*order)), query, k) for order in itertools.product(*groups)
    ]
    return [math.fsum(column) / len(every) for column in zip(*every, strict=True)]

"""Metrics of a text corpus under stored vectors, by plain NumPy over full rankings."""

import numpy as np


def metrics_of_frozen_vectors(corpus, vectors):
    """nDCG@10, MRR@10 of the own text, recall@10 and recall@1 of the test queries, to three digits."""
    rows = corpus.rows("test")
    relevance = corpus.relevance[rows].astype(np.float64)
    order = np.argsort(-(vectors.queries[rows] @ vectors.documents.T), axis=1, kind="stable")
    ranked = np.take_along_axis(relevance, order, axis=1)
    discount = 1 / np.log2(np.arange(2, 12))
    ideal = -np.sort(-relevance, axis=1)[:, :10] @ discount
    own_rank = 1 + (ranked == 3).argmax(axis=1)
    relevant = (relevance > 0).sum(axis=1)
    found = {
        "nDCG@10": (ranked[:, :10] @ discount / ideal).mean(),
        "MRR@10": np.where(own_rank <= 10, 1 / own_rank, 0).mean(),
        "R@10": ((ranked[:, :10] > 0).sum(axis=1) / np.minimum(relevant, 10)).mean(),
        "R@1": (own_rank == 1).mean(),
    }
    return {name: round(float(value), 3) for name, value in found.items()}

"""All cases, in the order of the table."""

from benchmarks.case import Case
from benchmarks.cases import layers, losses, metrics, ratings, scores

CASES: tuple[Case, ...] = (*metrics.CASES, *losses.CASES, *layers.CASES, *scores.CASES, *ratings.CASES)

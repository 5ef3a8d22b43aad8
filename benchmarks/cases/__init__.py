"""All cases, in the order of the table."""

from benchmarks.case import Case
from benchmarks.cases import losses, metrics, scores

CASES: tuple[Case, ...] = (*metrics.CASES, *losses.CASES, *scores.CASES)

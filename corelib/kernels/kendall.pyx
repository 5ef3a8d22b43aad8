"""Concordant and discordant pairs of two scores."""

import numpy as np

from libc.stdint cimport int64_t

cdef extern from "kendall.h" nogil:
    ctypedef struct ks_kendall_counts:
        int64_t x_ties
        int64_t y_ties
        int64_t both_ties
        int64_t discordant

    ks_kendall_counts ks_kendall(const double *x, const double *y, int64_t n, void *a, void *b)


def count_pairs(const double[::1] x, const double[::1] y):
    """The pairs equal in x, equal in y, equal in both and discordant, as ints; neither may hold NaN."""
    cdef int64_t n = x.shape[0]
    cdef double[:, ::1] scratch = np.empty((2, 2 * n))
    cdef ks_kendall_counts counts
    if not n or n != y.shape[0]:
        raise ValueError(f"x and y must be of one length, at least 1; got {n} and {y.shape[0]}")
    with nogil:
        counts = ks_kendall(&x[0], &y[0], n, &scratch[0, 0], &scratch[1, 0])
    return counts.x_ties, counts.y_ties, counts.both_ties, counts.discordant

"""Sums over all pairs of a positive and a negative score, with gradients."""

import numpy as np

from cython cimport floating

cdef extern from "pairwise.h" nogil:
    double ks_softplus_direct(const double *x, const double *u, Py_ssize_t n, const double *y, const double *v,
                              Py_ssize_t m, double temperature, double *slope_x, double *slope_y)


def mann_whitney(const floating[::1] pos, const floating[::1] neg, pos_weight, neg_weight, double temperature,
                 double scale, floating[::1] grad_pos, floating[::1] grad_neg):
    """``scale`` times the weighted mean of softplus((neg - pos) / temperature), and its gradients."""
    cdef Py_ssize_t n = pos.shape[0], m = neg.shape[0], i
    cdef double[::1] x = np.array(pos, dtype=np.float64), y = np.array(neg, dtype=np.float64)
    cdef double[::1] u = np.array(pos_weight) if pos_weight is not None else np.full(n, 1.0 / n)
    cdef double[::1] v = np.array(neg_weight) if neg_weight is not None else np.full(m, 1.0 / m)
    cdef double[::1] fx = np.empty(n), fy = np.empty(m)
    cdef double value
    if not np.isfinite(x).all():
        return 1, 0.0
    if not np.isfinite(y).all():
        return 2, 0.0
    with nogil:
        value = ks_softplus_direct(&x[0], &u[0], n, &y[0], &v[0], m, temperature, &fx[0], &fy[0])
    if grad_pos is not None:
        for i in range(n):
            grad_pos[i] = <floating>(-scale / temperature * u[i] * fx[i])
    if grad_neg is not None:
        for i in range(m):
            grad_neg[i] = <floating>(scale / temperature * v[i] * fy[i])
    return 0, scale * value

"""Likelihood and gradient of the logistic item response models."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t

cdef extern from "ratings.h" nogil:
    enum: KS_IRT_CHUNKS
    enum: KS_UNANSWERED
    double ks_irt(const uint8_t *answers, const int64_t *start, const int64_t *item, Py_ssize_t solvers, Py_ssize_t items,
                  const double *theta, const double *a, const double *b, double *pull_theta, double *pull_b,
                  double *pull_log_a, double *scratch)

UNANSWERED = KS_UNANSWERED


def item_response(const uint8_t[::1] answers, const int64_t[::1] start, const int64_t[::1] item,
                  const double[::1] theta, const double[::1] a, const double[::1] b):
    """Negative log-likelihood and its gradients in ability, difficulty and log discrimination.

    ``answers`` is a flattened (solvers, items) matrix if ``start`` and ``item`` are None, else the answers of solver
    j to the items ``item[start[j]:start[j + 1]]``.
    """
    cdef Py_ssize_t solvers = theta.shape[0], items = b.shape[0]
    cdef double[::1] pull_theta = np.zeros(solvers), pull_b = np.zeros(items), pull_log_a = np.zeros(items)
    cdef double[::1] scratch = np.zeros(2 * KS_IRT_CHUNKS * items)
    cdef const int64_t *start_at = NULL
    cdef const int64_t *item_at = NULL
    cdef double nll
    if start is not None:
        start_at, item_at = &start[0], &item[0]
    with nogil:
        nll = ks_irt(&answers[0], start_at, item_at, solvers, items, &theta[0], &a[0], &b[0], &pull_theta[0],
                     &pull_b[0], &pull_log_a[0], &scratch[0])
    return nll, np.asarray(pull_theta), np.asarray(pull_b), np.asarray(pull_log_a)

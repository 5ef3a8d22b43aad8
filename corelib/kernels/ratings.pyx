"""A Glicko-2 period; likelihood, gradient and Fisher information of the logistic item response models."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t

cdef extern from "ratings.h" nogil:
    enum: KS_IRT_CHUNKS
    enum: KS_UNANSWERED
    enum: KS_SOLVER_SUMS
    enum: KS_ITEM_SUMS
    double ks_irt(const uint8_t *answers, const int64_t *start, const int64_t *item, Py_ssize_t solvers, Py_ssize_t items,
                  const double *theta, const double *a, const double *b, double *solver_sums, double *item_sums,
                  double *scratch)

cdef extern from "glicko.h" nogil:
    ctypedef struct ks_glicko_sums:
        pass
    int ks_glicko_chunks(Py_ssize_t players, Py_ssize_t games)
    void ks_glicko(const double *state, const int64_t *player, const int64_t *opponent, const double *score,
                   Py_ssize_t players, Py_ssize_t games, double tau, double *gain, double *phi, double *volatility,
                   ks_glicko_sums *sums)

UNANSWERED = KS_UNANSWERED


def item_response(const uint8_t[::1] answers, const int64_t[::1] start, const int64_t[::1] item,
                  const double[::1] theta, const double[::1] a, const double[::1] b):
    """Negative log-likelihood, its gradients in ability, difficulty and log discrimination, and the Fisher information
    about ability, difficulty, difficulty with log discrimination, and log discrimination.

    ``answers`` is a flattened (solvers, items) matrix if ``start`` and ``item`` are None, else the answers of solver
    j to the items ``item[start[j]:start[j + 1]]``.
    """
    cdef Py_ssize_t solvers = theta.shape[0], items = b.shape[0]
    cdef double[:, ::1] solver_sums = np.zeros((KS_SOLVER_SUMS, solvers))
    cdef double[:, ::1] item_sums = np.zeros((KS_ITEM_SUMS, items))
    cdef double[::1] scratch = np.zeros(KS_IRT_CHUNKS * KS_ITEM_SUMS * items)
    cdef const int64_t *start_at = NULL
    cdef const int64_t *item_at = NULL
    cdef double nll
    if start is not None:
        start_at, item_at = &start[0], &item[0]
    with nogil:
        nll = ks_irt(&answers[0], start_at, item_at, solvers, items, &theta[0], &a[0], &b[0], &solver_sums[0, 0],
                     &item_sums[0, 0], &scratch[0])
    pull_theta, information_theta = np.asarray(solver_sums)
    pull_b, pull_log_a, information_b, information_cross, information_log_a = np.asarray(item_sums)
    return (nll, pull_theta, pull_b, pull_log_a,
            information_theta, information_b, information_cross, information_log_a)


def glicko(const double[:, ::1] state, const double[::1] phi, const double[::1] volatility, const int64_t[::1] player,
           const int64_t[::1] opponent, const double[::1] score, double tau):
    """Gain of mu, and phi and volatility, after a period, on the internal scale; ``state`` has the columns mu and g(phi)."""
    cdef Py_ssize_t players = phi.shape[0], games = score.shape[0]
    cdef double[::1] gain = np.zeros(players), new_phi = np.array(phi), new_volatility = np.array(volatility)
    cdef double[::1] sums = np.zeros(2 * ks_glicko_chunks(players, games) * players if games else 0)
    if not games:
        return np.asarray(gain), np.hypot(phi, volatility), np.array(volatility)
    with nogil:
        ks_glicko(&state[0, 0], &player[0], &opponent[0], &score[0], players, games, tau, &gain[0], &new_phi[0],
                  &new_volatility[0], <ks_glicko_sums *>&sums[0])
    return np.asarray(gain), np.asarray(new_phi), np.asarray(new_volatility)

"""Sums over all pairs of a positive and a negative score, with gradients."""

from cython cimport floating


cdef extern from "pairwise.h" nogil:
    ctypedef struct ks_kernel:
        pass
    ctypedef struct ks_side:
        const void *data
        int is_float
        Py_ssize_t n
        const double *weight
    const ks_kernel KS_SOFTPLUS
    int KS_OK
    int KS_NO_MEMORY
    int ks_threads()
    int ks_pair_sum(const ks_kernel *kernel, const ks_side *side, double temperature, double factor, double limit,
                    double *value, void **slope, int threads)


def mann_whitney(
    const floating[::1] pos not None,
    const floating[::1] neg not None,
    const double[::1] pos_weight,
    const double[::1] neg_weight,
    double temperature,
    double scale,
    double limit,
    floating[::1] grad_pos,
    floating[::1] grad_neg,
):
    """``scale`` times the weighted mean of softplus((neg - pos) / temperature); the gradients go to ``grad_pos`` and
    ``grad_neg``, if they are given.

    Weights sum to 1; without them all scores weigh the same. None if a score is not finite or exceeds ``limit``.
    """
    cdef ks_side side[2]
    cdef void *slope[2]
    cdef double value = 0, factor = scale
    cdef int status
    if max(pos.shape[0], neg.shape[0]) > 1 << 30:
        raise ValueError("a side must not hold more than 2**30 scores")
    side[0].data, side[0].n, side[0].is_float = &pos[0], pos.shape[0], floating is float
    side[1].data, side[1].n, side[1].is_float = &neg[0], neg.shape[0], floating is float
    side[0].weight = side[1].weight = NULL
    if pos_weight is None:
        factor /= pos.shape[0]
    else:
        side[0].weight = &pos_weight[0]
    if neg_weight is None:
        factor /= neg.shape[0]
    else:
        side[1].weight = &neg_weight[0]
    slope[0] = NULL if grad_pos is None else <void *>&grad_pos[0]
    slope[1] = NULL if grad_neg is None else <void *>&grad_neg[0]
    with nogil:
        status = ks_pair_sum(&KS_SOFTPLUS, side, temperature, factor, limit, &value, slope, ks_threads())
    if status == KS_NO_MEMORY:
        raise MemoryError("not enough memory for the boxes of the pair sum")
    return value if status == KS_OK else None

"""Sums over all pairs of a positive and a negative score, with gradients."""

from cython cimport floating
from libc.stdint cimport int64_t


cdef extern from "pairwise.h" nogil:
    ctypedef struct ks_side:
        const void *data
        int is_float
        Py_ssize_t n
        const double *weight
        double shift
        const int64_t *indptr
    int KS_SOFTPLUS_PAIRS
    int KS_SIGMOID_PAIRS
    int KS_HINGE_PAIRS
    int KS_SQUARED_HINGE_PAIRS
    int KS_CHEAPEST
    int KS_BY_BOXES
    int KS_SORTED
    int KS_DIRECTLY
    int KS_OK
    int KS_NO_MEMORY
    int ks_threads()
    int ks_pairs(int kind, const ks_side *side, Py_ssize_t groups, double temperature, const double *factor,
                 double limit, int way, double *value, void **slope, int threads)


_KINDS = {
    "softplus": KS_SOFTPLUS_PAIRS,
    "sigmoid": KS_SIGMOID_PAIRS,
    "hinge": KS_HINGE_PAIRS,
    "squared_hinge": KS_SQUARED_HINGE_PAIRS,
}
_WAYS = {"cheapest": KS_CHEAPEST, "by boxes": KS_BY_BOXES, "sorted": KS_SORTED, "directly": KS_DIRECTLY}


def pair_sum(
    str kind not None,
    const floating[::1] pos not None,
    const floating[::1] neg not None,
    const double[::1] pos_weight,
    const double[::1] neg_weight,
    const int64_t[::1] pos_indptr not None,
    const int64_t[::1] neg_indptr not None,
    double temperature,
    double margin,
    const double[::1] factor not None,
    double limit,
    double[::1] value,
    floating[::1] grad_pos,
    floating[::1] grad_neg,
    str way not None = "cheapest",
):
    """``value[g] = factor[g] * sum_ij u_i v_j k((neg_j - pos_i + margin) / temperature)`` over the pairs of each group
    g; the gradients of the sum of ``value`` go to ``grad_pos`` and ``grad_neg``. Each of the three may be None.

    Weights are not negative; None stands for ones. The hinges take no temperature. False if a score is not finite or
    exceeds ``limit``. The ways of the smooth losses differ in speed only; all but the cheapest are for tests.
    """
    cdef ks_side side[2]
    cdef void *slope[2]
    cdef double *sum_of_group = NULL if value is None else &value[0]
    cdef int status, number = _KINDS[kind], chosen_way = _WAYS[way]
    if max(pos.shape[0], neg.shape[0]) > 1 << 30:
        raise ValueError("a side must not hold more than 2**30 scores")
    side[0].data, side[0].n = &pos[0], pos.shape[0]
    side[1].data, side[1].n = &neg[0], neg.shape[0]
    side[0].is_float = side[1].is_float = floating is float
    side[0].weight = side[1].weight = NULL
    if pos_weight is not None:
        side[0].weight = &pos_weight[0]
    if neg_weight is not None:
        side[1].weight = &neg_weight[0]
    side[0].shift, side[1].shift = 0, margin
    side[0].indptr = &pos_indptr[0]
    side[1].indptr = &neg_indptr[0]
    slope[0] = NULL if grad_pos is None else <void *>&grad_pos[0]
    slope[1] = NULL if grad_neg is None else <void *>&grad_neg[0]
    with nogil:
        status = ks_pairs(number, side, factor.shape[0], temperature, &factor[0], limit, chosen_way, sum_of_group,
                          slope, ks_threads())
    if status == KS_NO_MEMORY:
        raise MemoryError("not enough memory for a sum over pairs")
    return status == KS_OK

"""Metrics of ranked lists: the buffers of the front end handed to the C core."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t

ctypedef fused floating:
    float
    double

cdef extern from "ranking.h" nogil:
    ctypedef struct ks_values:
        const char *data
        int64_t row
        int64_t column
        int type

    ctypedef struct ks_ranking:
        ks_values scores
        ks_values relevance
        ks_values judged
        const int64_t *indptr
        int64_t queries
        int64_t documents
        int64_t longest
        int64_t metrics
        const int32_t *kind
        const int64_t *cutoff
        int64_t deepest
        int64_t ideal_depth
        int wants_first
        int wants_relevant
        int wants_ranks
        int exponential
        int expected
        int last_first
        double min_relevance
        double max_relevance
        double empty
        const double *discount
        const double *cumulative
        const double *power
        double persistence
        double stop_unit

    int KS_DCG
    int KS_NDCG
    int KS_AVERAGE_PRECISION
    int KS_RECIPROCAL_RANK
    int KS_PRECISION
    int KS_RECALL
    int KS_HIT_RATE
    int KS_R_PRECISION
    int KS_RANK_BIASED_PRECISION
    int KS_EXPECTED_RECIPROCAL_RANK
    int KS_BPREF
    int KS_FLOAT32
    int KS_FLOAT64
    int KS_BOOL
    int KS_INT8
    int KS_UINT8
    int KS_INT16
    int KS_UINT16
    int KS_INT32
    int KS_UINT32
    int KS_INT64
    int KS_UINT64
    int KS_NO_MEMORY
    int KS_BAD_SCORE
    int KS_BAD_RELEVANCE
    int KS_BAD_JUDGED
    void ks_tabulate_ones()
    int ks_rank_queries(const ks_ranking *r, double *out, int64_t *query)

cdef extern from "auc.h" nogil:
    int KS_ONE_CLASS
    int ks_auc_labels(const ks_values *labels, int64_t n, uint8_t *out)
    int ks_auc_queries(
        const void *scores, int is_f32, const uint8_t *labels, const double *weights, const int64_t *indptr,
        int64_t queries, double empty, double *out, int64_t *query
    )

ks_tabulate_ones()

KINDS = {
    "dcg": KS_DCG,
    "ndcg": KS_NDCG,
    "average_precision": KS_AVERAGE_PRECISION,
    "reciprocal_rank": KS_RECIPROCAL_RANK,
    "precision": KS_PRECISION,
    "recall": KS_RECALL,
    "hit_rate": KS_HIT_RATE,
    "r_precision": KS_R_PRECISION,
    "rank_biased_precision": KS_RANK_BIASED_PRECISION,
    "expected_reciprocal_rank": KS_EXPECTED_RECIPROCAL_RANK,
    "bpref": KS_BPREF,
}
UNCUT = INT64_MAX
BAD_SCORE = KS_BAD_SCORE
BAD_RELEVANCE = KS_BAD_RELEVANCE
BAD_JUDGED = KS_BAD_JUDGED
ONE_CLASS = KS_ONE_CLASS


cdef int type_of(const Py_buffer *view) except -1:
    cdef bytes letter = view.format
    cdef Py_ssize_t size = view.itemsize
    if letter == b"f":
        return KS_FLOAT32
    if letter == b"d":
        return KS_FLOAT64
    if letter == b"?":
        return KS_BOOL
    if letter in (b"b", b"h", b"i", b"l", b"q"):
        return KS_INT8 if size == 1 else KS_INT16 if size == 2 else KS_INT32 if size == 4 else KS_INT64
    if letter in (b"B", b"H", b"I", b"L", b"Q"):
        return KS_UINT8 if size == 1 else KS_UINT16 if size == 2 else KS_UINT32 if size == 4 else KS_UINT64
    raise TypeError(f"no kernel for buffers of format {letter!r}")


cdef ks_values values_of(const Py_buffer *view) except *:
    cdef ks_values values
    values.data = <const char *>view.buf
    values.type = type_of(view)
    values.row = view.strides[0] if view.ndim == 2 else 0
    values.column = view.strides[view.ndim - 1]
    return values


def rank_queries(
    scores,
    relevance,
    judged,
    const int64_t[::1] indptr,
    const int32_t[::1] kind,
    const int64_t[::1] cutoff,
    const double[::1] discount,
    const double[::1] cumulative,
    const double[::1] power,
    double[:, ::1] out,
    *,
    int64_t longest,
    bint exponential,
    bint expected,
    bint last_first,
    double min_relevance,
    double max_relevance,
    double persistence,
    double stop_unit,
    double empty,
):
    """Fill ``out[metric, query]``; (0, 0), or what is wrong with the first bad query, and that query.

    ``scores`` (float32, float64), ``relevance`` and ``judged`` (any native bool, integer or float; None if no metric
    asks) are buffers of one shape: (queries, documents), or (total,) with ``indptr``. ``discount`` and ``power`` (None if
    no metric asks) reach the longest list.
    """
    cdef Py_buffer score_view, relevance_view, judged_view
    cdef ks_ranking r
    cdef int64_t query = 0, i
    cdef int status
    r.deepest = r.ideal_depth = r.wants_first = r.wants_relevant = r.wants_ranks = 0
    for i in range(kind.shape[0]):
        r.wants_ranks |= kind[i] != KS_BPREF
        if kind[i] == KS_R_PRECISION:
            r.wants_relevant = 1
        elif kind[i] == KS_RECIPROCAL_RANK and cutoff[i] == INT64_MAX:
            r.wants_first = 1
        elif kind[i] != KS_BPREF:
            r.deepest = max(r.deepest, cutoff[i])
        if kind[i] == KS_NDCG:
            r.ideal_depth = max(r.ideal_depth, cutoff[i])
    r.metrics = kind.shape[0]
    r.kind = &kind[0]
    r.cutoff = &cutoff[0]
    r.exponential, r.expected, r.last_first = exponential, expected, last_first
    r.min_relevance, r.max_relevance, r.empty = min_relevance, max_relevance, empty
    r.persistence, r.stop_unit = persistence, stop_unit
    r.discount = &discount[0]
    r.cumulative = &cumulative[0]
    r.power = &power[0] if power is not None else NULL
    r.longest = longest
    r.queries = out.shape[1]
    r.indptr = &indptr[0] if indptr is not None else NULL
    r.judged.data = NULL
    PyObject_GetBuffer(scores, &score_view, PyBUF_STRIDES | PyBUF_FORMAT)
    try:
        PyObject_GetBuffer(relevance, &relevance_view, PyBUF_STRIDES | PyBUF_FORMAT)
        try:
            if judged is not None:
                PyObject_GetBuffer(judged, &judged_view, PyBUF_STRIDES | PyBUF_FORMAT)
            try:
                r.scores = values_of(&score_view)
                r.relevance = values_of(&relevance_view)
                if judged is not None:
                    r.judged = values_of(&judged_view)
                r.documents = score_view.shape[score_view.ndim - 1]
                with nogil:
                    status = ks_rank_queries(&r, &out[0, 0], &query)
            finally:
                if judged is not None:
                    PyBuffer_Release(&judged_view)
        finally:
            PyBuffer_Release(&relevance_view)
    finally:
        PyBuffer_Release(&score_view)
    if status == KS_NO_MEMORY:
        raise MemoryError("no memory to rank the queries")
    return status, query


def read_labels(labels, uint8_t[::1] out) -> bool:
    """Labels of any native type as 0 and 1; False if one is neither."""
    cdef Py_buffer view
    cdef ks_values values
    cdef int good
    PyObject_GetBuffer(labels, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    try:
        values = values_of(&view)
        with nogil:
            good = ks_auc_labels(&values, view.shape[0], &out[0])
    finally:
        PyBuffer_Release(&view)
    return bool(good)


def auc(const floating[::1] scores, const uint8_t[::1] labels, const int64_t[::1] indptr, double[::1] out, double empty):
    """Fill ``out[query]``; (0, 0), or the kind of the first bad query and its number."""
    cdef int64_t query = 0
    cdef int status
    with nogil:
        status = ks_auc_queries(
            &scores[0], floating is float, &labels[0], NULL, &indptr[0], out.shape[0], empty, &out[0], &query
        )
    return checked(status), query


def weighted_auc(
    const double[::1] scores,
    const uint8_t[::1] labels,
    const double[::1] weights,
    const int64_t[::1] indptr,
    double[::1] out,
    double empty,
):
    """``auc`` where each score has a weight, finite and not negative."""
    cdef int64_t query = 0
    cdef int status
    with nogil:
        status = ks_auc_queries(
            &scores[0], False, &labels[0], &weights[0], &indptr[0], out.shape[0], empty, &out[0], &query
        )
    return checked(status), query


cdef int checked(int status) except -1:
    if status == KS_NO_MEMORY:
        raise MemoryError("no memory to sort the scores")
    return status

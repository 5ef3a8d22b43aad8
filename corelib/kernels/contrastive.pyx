"""Fused passes over strips of a similarity matrix, in place: similarities in, gradient weights out."""

from libc.stdint cimport int64_t

ctypedef fused real:
    float
    double

cdef extern from "contrastive.h" nogil:
    void ks_multi_similarity_f32(float *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t start, const int64_t *first,
                                 const int64_t *last, double alpha, double beta, double base, double epsilon,
                                 bint mine, double weight, double *losses)
    void ks_multi_similarity_f64(double *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t start, const int64_t *first,
                                 const int64_t *last, double alpha, double beta, double base, double epsilon,
                                 bint mine, double weight, double *losses)
    void ks_info_nce_f32(float *s, Py_ssize_t rows, Py_ssize_t n, const int64_t *targets, double temperature,
                         double beta, double gamma, bint detach, double *losses, double *scales)
    void ks_info_nce_f64(double *s, Py_ssize_t rows, Py_ssize_t n, const int64_t *targets, double temperature,
                         double beta, double gamma, bint detach, double *losses, double *scales)
    void ks_leave_out_f32(float *s, Py_ssize_t rows, Py_ssize_t n, const int64_t *own, const int64_t *twins,
                          const int64_t *first, const int64_t *last)
    void ks_leave_out_f64(double *s, Py_ssize_t rows, Py_ssize_t n, const int64_t *own, const int64_t *twins,
                          const int64_t *first, const int64_t *last)
    void ks_both_sums_f32(const float *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t columns, Py_ssize_t start,
                          double temperature, double *row_lse, double *matched, float *column_top, double *column_sum)
    void ks_both_sums_f64(const double *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t columns, Py_ssize_t start,
                          double temperature, double *row_lse, double *matched, double *column_top, double *column_sum)
    void ks_both_weights_f32(float *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t columns, Py_ssize_t start,
                             double temperature, const double *row_lse, const double *column_lse)
    void ks_both_weights_f64(double *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t columns, Py_ssize_t start,
                             double temperature, const double *row_lse, const double *column_lse)


def multi_similarity(real[:, ::1] similarity, Py_ssize_t start, const int64_t[::1] first, const int64_t[::1] last,
                     double alpha, double beta, double base, epsilon, double weight, double[::1] losses):
    """Losses of the anchors start, start + 1, ...; their rows become weight * d loss / d similarity.

    The columns are grouped by class: that of anchor i is first[i] .. last[i] - 1. Column i is anchor i itself; with a start
    of -1, no column is, and the anchors are 0, 1, ... No mining if epsilon is None.
    """
    cdef Py_ssize_t rows = similarity.shape[0], n = similarity.shape[1]
    cdef bint mine = epsilon is not None
    cdef double margin = epsilon if mine else 0.0
    with nogil:
        if real is float:
            ks_multi_similarity_f32(&similarity[0, 0], rows, n, start, &first[0], &last[0], alpha, beta, base, margin,
                                    mine, weight, &losses[0])
        else:
            ks_multi_similarity_f64(&similarity[0, 0], rows, n, start, &first[0], &last[0], alpha, beta, base, margin,
                                    mine, weight, &losses[0])


def info_nce(real[:, ::1] similarity, const int64_t[::1] targets, double temperature, double beta, double gamma,
             bint detach, double[::1] losses, double[::1] scales):
    """Losses of the rows; scales[r] times what row r becomes is d loss / d similarity.

    Entries of minus infinity are left out; none of them may be a target's.
    """
    cdef Py_ssize_t rows = similarity.shape[0], n = similarity.shape[1]
    with nogil:
        if real is float:
            ks_info_nce_f32(&similarity[0, 0], rows, n, &targets[0], temperature, beta, gamma, detach, &losses[0],
                            &scales[0])
        else:
            ks_info_nce_f64(&similarity[0, 0], rows, n, &targets[0], temperature, beta, gamma, detach, &losses[0],
                            &scales[0])


def leave_out(real[:, ::1] similarity, const int64_t[::1] own, const int64_t[::1] twins, const int64_t[::1] first,
              const int64_t[::1] last):
    """Row r becomes minus infinity at the columns twins[first[r]:last[r]], except at own[r]."""
    cdef Py_ssize_t rows = similarity.shape[0], n = similarity.shape[1]
    with nogil:
        if real is float:
            ks_leave_out_f32(&similarity[0, 0], rows, n, &own[0], &twins[0], &first[0], &last[0])
        else:
            ks_leave_out_f64(&similarity[0, 0], rows, n, &own[0], &twins[0], &first[0], &last[0])


def both_sums(const real[:, ::1] similarity, Py_ssize_t start, double temperature, double[::1] row_lse,
              double[::1] matched, real[::1] column_top, double[::1] column_sum):
    """For the rows start, start + 1, ...: temperature * log-sum-exp(row / temperature) and the diagonal entry.

    And for each of the first len(column_top) columns, over all rows so far: its largest entry, which begins finite, and
    the sum of exp((entry - largest) / temperature).
    """
    cdef Py_ssize_t rows = similarity.shape[0], n = similarity.shape[1], columns = column_top.shape[0]
    with nogil:
        if real is float:
            ks_both_sums_f32(&similarity[0, 0], rows, n, columns, start, temperature, &row_lse[0], &matched[0],
                             &column_top[0], &column_sum[0])
        else:
            ks_both_sums_f64(&similarity[0, 0], rows, n, columns, start, temperature, &row_lse[0], &matched[0],
                             &column_top[0], &column_sum[0])


def both_weights(real[:, ::1] similarity, Py_ssize_t start, double temperature, const double[::1] row_lse,
                 const double[::1] column_lse):
    """The rows start, start + 1, ... become temperature * d (row + column cross-entropy) / d similarity."""
    cdef Py_ssize_t rows = similarity.shape[0], n = similarity.shape[1], columns = column_lse.shape[0]
    with nogil:
        if real is float:
            ks_both_weights_f32(&similarity[0, 0], rows, n, columns, start, temperature, &row_lse[0], &column_lse[0])
        else:
            ks_both_weights_f64(&similarity[0, 0], rows, n, columns, start, temperature, &row_lse[0], &column_lse[0])

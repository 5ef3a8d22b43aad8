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
                         double weight, double *losses)
    void ks_info_nce_f64(double *s, Py_ssize_t rows, Py_ssize_t n, const int64_t *targets, double temperature,
                         double weight, double *losses)
    void ks_both_sums_f32(const float *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t start, double temperature,
                          double *row_lse, double *matched, float *column_top, double *column_sum)
    void ks_both_sums_f64(const double *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t start, double temperature,
                          double *row_lse, double *matched, double *column_top, double *column_sum)
    void ks_both_weights_f32(float *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t start, double temperature,
                             const double *row_lse, const double *column_lse, double weight)
    void ks_both_weights_f64(double *s, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t start, double temperature,
                             const double *row_lse, const double *column_lse, double weight)


def multi_similarity(real[:, ::1] similarity, Py_ssize_t start, const int64_t[::1] first, const int64_t[::1] last,
                     double alpha, double beta, double base, epsilon, double weight, double[::1] losses):
    """Losses of the anchors start, start + 1, ...; their rows become weight * d loss / d similarity.

    The rows and columns are grouped by class: that of anchor i is first[i] .. last[i] - 1. No mining if epsilon is None.
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


def info_nce(real[:, ::1] similarity, const int64_t[::1] targets, double temperature, double weight, double[::1] losses):
    """Losses of the rows; each row becomes weight * d loss / d similarity."""
    cdef Py_ssize_t rows = similarity.shape[0], n = similarity.shape[1]
    with nogil:
        if real is float:
            ks_info_nce_f32(&similarity[0, 0], rows, n, &targets[0], temperature, weight, &losses[0])
        else:
            ks_info_nce_f64(&similarity[0, 0], rows, n, &targets[0], temperature, weight, &losses[0])


def both_sums(const real[:, ::1] similarity, Py_ssize_t start, double temperature, double[::1] row_lse,
              double[::1] matched, real[::1] column_top, double[::1] column_sum):
    """For the rows start, start + 1, ...: temperature * log-sum-exp(row / temperature) and the diagonal entry.

    And for every column, over all rows so far: its largest entry and the sum of exp((entry - largest) / temperature).
    """
    cdef Py_ssize_t rows = similarity.shape[0], n = similarity.shape[1]
    with nogil:
        if real is float:
            ks_both_sums_f32(&similarity[0, 0], rows, n, start, temperature, &row_lse[0], &matched[0], &column_top[0],
                             &column_sum[0])
        else:
            ks_both_sums_f64(&similarity[0, 0], rows, n, start, temperature, &row_lse[0], &matched[0], &column_top[0],
                             &column_sum[0])


def both_weights(real[:, ::1] similarity, Py_ssize_t start, double temperature, const double[::1] row_lse,
                 const double[::1] column_lse, double weight):
    """The rows start, start + 1, ... become weight * d (row + column cross-entropy) / d similarity."""
    cdef Py_ssize_t rows = similarity.shape[0], n = similarity.shape[1]
    with nogil:
        if real is float:
            ks_both_weights_f32(&similarity[0, 0], rows, n, start, temperature, &row_lse[0], &column_lse[0], weight)
        else:
            ks_both_weights_f64(&similarity[0, 0], rows, n, start, temperature, &row_lse[0], &column_lse[0], weight)

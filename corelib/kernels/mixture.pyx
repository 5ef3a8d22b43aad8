"""Score of a noised data set, and its Jacobian times a vector, by a streaming softmax."""

import numpy as np

ctypedef fused real:
    float
    double

cdef extern from "mixture.h" nogil:
    int KS_NO_MEMORY
    Py_ssize_t ks_empirical_packed_f32(Py_ssize_t n, Py_ssize_t d)
    Py_ssize_t ks_empirical_packed_f64(Py_ssize_t n, Py_ssize_t d)
    void ks_empirical_pack_f32(const float *data, Py_ssize_t n, Py_ssize_t d, const double *centre,
                               const double *log_weight, float *packed)
    void ks_empirical_pack_f64(const double *data, Py_ssize_t n, Py_ssize_t d, const double *centre,
                               const double *log_weight, double *packed)
    int ks_empirical_f32(const float *x, Py_ssize_t rows, const float *data, Py_ssize_t n, Py_ssize_t d,
                         const double *centre, const double *log_weight, float *packed, const double *sigma,
                         float *score, double *log_total, const float *grad, float *result)
    int ks_empirical_f64(const double *x, Py_ssize_t rows, const double *data, Py_ssize_t n, Py_ssize_t d,
                         const double *centre, const double *log_weight, double *packed, const double *sigma,
                         double *score, double *log_total, const double *grad, double *result)


def pack(const real[:, ::1] data, const double[::1] centre, const double[::1] log_weight):
    """``data`` in the order in which the kernels read it, for any number of calls; twice as large as ``data``.

    ``centre`` (d,) is any point amid the data.
    """
    cdef Py_ssize_t n = data.shape[0], d = data.shape[1]
    cdef real[::1] packed
    if real is float:
        result = np.empty(ks_empirical_packed_f32(n, d), np.float32)
        packed = result
        with nogil:
            ks_empirical_pack_f32(&data[0, 0], n, d, &centre[0], &log_weight[0], &packed[0])
    else:
        result = np.empty(ks_empirical_packed_f64(n, d), np.float64)
        packed = result
        with nogil:
            ks_empirical_pack_f64(&data[0, 0], n, d, &centre[0], &log_weight[0], &packed[0])
    return result


def empirical_score(const real[:, ::1] x, const real[:, ::1] data, const double[::1] centre,
                    const double[::1] log_weight, const real[::1] packed, const double[::1] sigma,
                    real[:, ::1] score, double[::1] log_total):
    """Fills ``score`` (rows, d) and ``log_total`` (rows,), the log of the softmax's denominator."""
    cdef Py_ssize_t rows = x.shape[0], n = data.shape[0], d = data.shape[1]
    cdef int status = 0
    check_packed(data, packed)
    if rows == 0:
        return
    with nogil:
        if real is float:
            status = ks_empirical_f32(&x[0, 0], rows, &data[0, 0], n, d, &centre[0], &log_weight[0], <float *>&packed[0],
                                      &sigma[0], &score[0, 0], &log_total[0], NULL, NULL)
        else:
            status = ks_empirical_f64(&x[0, 0], rows, &data[0, 0], n, d, &centre[0], &log_weight[0], <double *>&packed[0],
                                      &sigma[0], &score[0, 0], &log_total[0], NULL, NULL)
    if status == KS_NO_MEMORY:
        raise MemoryError(f"no memory for sums of {d} dimensions")


def empirical_score_vjp(const real[:, ::1] x, const real[:, ::1] data, const double[::1] centre,
                        const double[::1] log_weight, const real[::1] packed, const double[::1] sigma,
                        const real[:, ::1] score, const double[::1] log_total, const real[:, ::1] grad,
                        real[:, ::1] result):
    """Fills ``result`` (rows, d) with the Jacobian of the score times ``grad``, given what ``empirical_score`` filled."""
    cdef Py_ssize_t rows = x.shape[0], n = data.shape[0], d = data.shape[1]
    cdef int status = 0
    check_packed(data, packed)
    if rows == 0:
        return
    with nogil:
        if real is float:
            status = ks_empirical_f32(&x[0, 0], rows, &data[0, 0], n, d, &centre[0], &log_weight[0], <float *>&packed[0],
                                      &sigma[0], <float *>&score[0, 0], <double *>&log_total[0], &grad[0, 0],
                                      &result[0, 0])
        else:
            status = ks_empirical_f64(&x[0, 0], rows, &data[0, 0], n, d, &centre[0], &log_weight[0], <double *>&packed[0],
                                      &sigma[0], <double *>&score[0, 0], <double *>&log_total[0], &grad[0, 0],
                                      &result[0, 0])
    if status == KS_NO_MEMORY:
        raise MemoryError(f"no memory for sums of {d} dimensions")


cdef int check_packed(const real[:, ::1] data, const real[::1] packed) except -1:
    cdef Py_ssize_t size
    if real is float:
        size = ks_empirical_packed_f32(data.shape[0], data.shape[1])
    else:
        size = ks_empirical_packed_f64(data.shape[0], data.shape[1])
    if packed.shape[0] != size:
        raise ValueError(f"packed must hold {size} numbers; got {packed.shape[0]}")

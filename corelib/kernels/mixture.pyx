"""Score of a noised data set, and its Jacobian times a vector, by a streaming softmax."""

ctypedef fused real:
    float
    double

cdef extern from "mixture.h" nogil:
    int KS_NO_MEMORY
    int ks_empirical_f32(const float *x, Py_ssize_t rows, const float *data, Py_ssize_t n, Py_ssize_t d,
                         const double *centre, double radius, const double *sigma, const double *log_weight,
                         float *score, double *log_total, const float *grad, float *result)
    int ks_empirical_f64(const double *x, Py_ssize_t rows, const double *data, Py_ssize_t n, Py_ssize_t d,
                         const double *centre, double radius, const double *sigma, const double *log_weight,
                         double *score, double *log_total, const double *grad, double *result)


def empirical_score(const real[:, ::1] x, const real[:, ::1] data, const double[::1] centre, double radius,
                    const double[::1] sigma, const double[::1] log_weight, real[:, ::1] score, double[::1] log_total):
    """Fills ``score`` (rows, d) and ``log_total`` (rows,), the log of the softmax's denominator.

    ``centre`` (d,) is any point amid the data and ``radius`` the largest distance of a data point from it.
    """
    cdef Py_ssize_t rows = x.shape[0], n = data.shape[0], d = data.shape[1]
    cdef int status = 0
    if rows == 0:
        return
    with nogil:
        if real is float:
            status = ks_empirical_f32(&x[0, 0], rows, &data[0, 0], n, d, &centre[0], radius, &sigma[0], &log_weight[0],
                                      &score[0, 0], &log_total[0], NULL, NULL)
        else:
            status = ks_empirical_f64(&x[0, 0], rows, &data[0, 0], n, d, &centre[0], radius, &sigma[0], &log_weight[0],
                                      &score[0, 0], &log_total[0], NULL, NULL)
    if status == KS_NO_MEMORY:
        raise MemoryError(f"no memory for a packed copy of {n} x {d} data points")


def empirical_score_vjp(const real[:, ::1] x, const real[:, ::1] data, const double[::1] centre, double radius,
                        const double[::1] sigma, const double[::1] log_weight, const real[:, ::1] score,
                        const double[::1] log_total, const real[:, ::1] grad, real[:, ::1] result):
    """Fills ``result`` (rows, d) with the Jacobian of the score times ``grad``, given what ``empirical_score`` filled."""
    cdef Py_ssize_t rows = x.shape[0], n = data.shape[0], d = data.shape[1]
    cdef int status = 0
    if rows == 0:
        return
    with nogil:
        if real is float:
            status = ks_empirical_f32(&x[0, 0], rows, &data[0, 0], n, d, &centre[0], radius, &sigma[0], &log_weight[0],
                                      <float *>&score[0, 0], <double *>&log_total[0], &grad[0, 0], &result[0, 0])
        else:
            status = ks_empirical_f64(&x[0, 0], rows, &data[0, 0], n, d, &centre[0], radius, &sigma[0], &log_weight[0],
                                      <double *>&score[0, 0], <double *>&log_total[0], &grad[0, 0], &result[0, 0])
    if status == KS_NO_MEMORY:
        raise MemoryError(f"no memory for a packed copy of {n} x {d} data points")

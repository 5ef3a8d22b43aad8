/* Sums over all pairs of a positive and a negative score. */
#ifndef KS_PAIRWISE_H
#define KS_PAIRWISE_H

#include <stddef.h>
#include <stdlib.h>

#include "simd.h"
#include "vecmath.h"

/* Direct sum: value = sum_ij u_i v_j k(z_ij), slope_x[i] = sum_j v_j k'(z_ij), slope_y[j] = sum_i u_i k'(z_ij)
 * with k = softplus and z_ij = (y_j - x_i) / temperature. */
KS_MULTIVERSION static double ks_softplus_direct(const double *x, const double *u, ptrdiff_t n, const double *y,
                                                 const double *v, ptrdiff_t m, double temperature, double *slope_x,
                                                 double *slope_y) {
    double value = 0, rate = 1 / temperature;
    for (ptrdiff_t j = 0; j < m; j++) slope_y[j] = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        double row_value = 0, row_slope = 0, xi = x[i], ui = u[i];
#pragma omp simd reduction(+ : row_value, row_slope)
        for (ptrdiff_t j = 0; j < m; j++) {
            double slope;
            row_value += v[j] * ks_softplus_sigmoid((y[j] - xi) * rate, &slope);
            row_slope += v[j] * slope;
            slope_y[j] += ui * slope;
        }
        value += ui * row_value;
        slope_x[i] = row_slope;
    }
    return value;
}

#endif

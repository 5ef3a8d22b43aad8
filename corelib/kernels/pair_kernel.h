/* What the sums over pairs need to know of a pair loss. */
#ifndef KS_PAIR_KERNEL_H
#define KS_PAIR_KERNEL_H

#include <stddef.h>

#define KS_MAX_TERMS 12

/* A function of the scaled difference d, and its tails: for d < -reach it is sum_{k>=1} left(k) exp(k d), and
 * for d > reach it is constant + linear d + sum_{k>=1} right(k) exp(-k d). */
typedef struct {
    void (*at)(const double *d, double *out, ptrdiff_t count);
    double (*left)(int k);
    double (*right)(int k);
    double constant, linear;
} ks_function;

/* All pairs one by one: returns sum_ij u_i v_j k((y_j - x_i) / temperature) and fills slope_x[i] =
 * sum_j v_j k'(...) and slope_y[j] = sum_i u_i k'(...). */
typedef double (*ks_direct)(const double *x, const double *u, ptrdiff_t n, const double *y, const double *v,
                            ptrdiff_t m, double temperature, double *slope_x, double *slope_y);

/* The same for y = x and v = 1 without the sum of k: every pair of numbers is met once for its two orders. */
typedef void (*ks_direct_self)(const double *x, const double *u, ptrdiff_t n, double temperature, double *slope_x,
                               double *slope_y);

/* A pair loss: the function k, its derivative, and what the engine must know of both. The pairs [2] hold the
 * number for float64 results and that for float32 results. */
typedef struct {
    ks_function value, slope;
    double pole;     /* distance of the nearest singularity from the real line */
    double reach[2]; /* from here on the tails are used */
    int terms[2];    /* exponentials in each tail, a multiple of 4 (for SIMD) up to KS_MAX_TERMS */
    ks_direct direct;
    ks_direct_self direct_self;
    double direct_cost; /* nanoseconds per pair */
} ks_kernel;

#endif

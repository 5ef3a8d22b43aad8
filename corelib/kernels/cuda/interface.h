/* The C interface of the CUDA core: what Python fills in (corelib/kernels/cuda/__init__.py). All addresses but those of the
 * structures themselves are on the GPU; functions return 0 or an error, and never wait. */
#pragma once
#include <stdint.h>

enum { KS_SOFTPLUS, KS_SIGMOID };

typedef struct { /* group g is indptr[g] .. indptr[g + 1] - 1, or everything if indptr is NULL */
    const float *number, *weight; /* weight NULL: all 1 */
    const int64_t *indptr;
    int n;
    float *slope;                 /* NULL: not wanted */
} ks_side;

/* total_g = factor_g sum_ij u_i v_j k((y_j - x_i) / temperature) over the pairs of group g, and its derivatives. A number
 * that is not finite or overflows in temperatures, and a weight that is negative or not finite, makes the total of its group
 * NaN, and every slope that it has a part in. */
typedef struct {
    ks_side side[2]; /* x and y; neither is empty */
    int kind, groups, needs_value;
    double temperature;
    const double *factor; /* of every group */
    double *value;        /* of every group */
    void *space;          /* ks_pair_sum_bytes */
    void *stream;
} ks_pairs;

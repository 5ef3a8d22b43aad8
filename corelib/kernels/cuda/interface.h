/* The C interface of the CUDA core: what Python fills in (corelib/kernels/cuda/__init__.py). All addresses but those of the
 * structures themselves are on the GPU; functions return 0 or an error, and never wait. */
#pragma once
#include <stdint.h>

enum { KS_SOFTPLUS, KS_SIGMOID, KS_HINGE, KS_SQUARED_HINGE };

typedef struct { /* group g is indptr[g] .. indptr[g + 1] - 1, or everything if indptr is NULL */
    const float *number, *weight; /* weight NULL: all 1 */
    const int64_t *indptr;
    int n;
    float *slope;                 /* NULL: not wanted */
} ks_side;

/* total_g = factor_g sum_ij u_i v_j k((y_j - x_i) / temperature) over the pairs of group g, and its derivatives; the hinges take
 * no temperature. A number
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

/* ---- rows of a strip of similarities ------------------------------------------------------------------------
 * A strip holds `rows` rows of `stride` floats, a multiple of 8, of which the first `columns` are similarities and the
 * rest may be overwritten. Each is replaced by the derivatives of its loss, as `type`, from where the row begins. */

enum { KS_FLOAT32, KS_FLOAT16, KS_BFLOAT16 };

typedef struct {
    float *strip;
    int64_t stride;
    int rows, type;
    void *stream;
} ks_strip;

typedef struct { /* columns: the keys, then each row's hard negatives; masks hold a byte, not 0 where a pair is left out */
    const int64_t *key_ids;          /* of every key, or NULL */
    const uint8_t *mask, *hard_mask; /* rows x keys and rows x hard, of all rows, or NULL */
    int keys, hard;
} ks_candidates;

typedef struct {
    ks_candidates candidates;
    const int64_t *own;  /* the key of every row, or NULL: its own number */
    const float *weight; /* of every row, or NULL */
    float *losses;       /* of every row */
    float slope, beta, gamma, gain;
    int detach;
    int64_t first_row;
} ks_info_nce_rows;

typedef struct { /* both directions: row i and column i < pairs look for each other */
    ks_candidates candidates;
    float *row_top, *row_log, *row_missed, *column_top, *column_log, *column_missed; /* column_log holds sums at first */
    float *matched, *losses;
    float slope, gain;
    int pairs;
    int64_t first_row;
} ks_both_rows;

typedef struct {
    const int64_t *row_label, *column_label;
    float *losses;
    float alpha, beta, base, epsilon, gain;
    int mine, itself, columns; /* itself: column i is row i */
    int64_t first_row;
} ks_multi_similarity_rows;

typedef struct { /* softmax of rate (s + bias) + log_weight; of `exact` rows, of what ks_rows_exact has left in their place */
    const float *bias, *log_weight; /* of every column, and of the padding up to a multiple of 4 */
    const float *rate;              /* of every row */
    const uint8_t *exact;           /* of every row */
    const double *peak;             /* of every exact row: what has been taken off its logits */
    double *log_total;              /* of every row: log of the sum of exponentials */
    int columns;
    int64_t first_row;
} ks_softmax_rows;

typedef struct { /* logits log_weight - |x - y|^2 / (2 variance) of exact rows, less their largest, from differences in float64 */
    const float *x, *y, *log_weight;
    const double *variance;
    const uint8_t *exact;
    double *peak;
    int columns, dimensions;
    int64_t first_row;
} ks_exact_rows;

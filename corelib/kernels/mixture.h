/* Score of a noised data set: a softmax over all points that never stores the (rows, points) matrix.
 *
 * Rows go in groups of KS_GROUP and points in tiles of KS_TILE. A first product gives x.y for the group and the tile.
 * Where its rounding is harmless against sigma^2 (by_product), a row turns it into softmax weights and a second
 * product gives the weighted sums; a tile whose weights are all negligible costs neither. Where it is not, the
 * products only rule out the points that cannot matter, and the few others are summed from their differences in
 * float64. The softmax is an online one: when a larger logit turns up, the sums so far shrink.
 *
 * A block of KS_ROWS rows is the work of one thread from first to last tile, so the result does not depend on how
 * many there are. */
#ifndef KS_MIXTURE_H
#define KS_MIXTURE_H

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "blocks.h"
#include "simd.h"
#include "status.h"
#include "threads.h"
#include "vecmath.h"

/* A row on its way through the tiles. */
typedef struct {
    double norm, variance;      /* |x|^2, centred; sigma^2 */
    double peak, total;         /* the largest logit so far (of a Jacobian: log_total); the sum of weights */
    int by_product, filter;     /* weights come from x.y; x.y may rule points out */
} ks_row;

#define KS_REAL float
#define KS_REAL_EXP ks_expf
#define KS_TYPED(name) name##_f32
#define KS_WIDTH 16
#define KS_EPS 5.97e-8
#define KS_HUGE 1e15
#define KS_CANCELLATION 128.0
#define KS_DEPTH 19.0
#include "mixture_tile.h"
#undef KS_REAL
#undef KS_REAL_EXP
#undef KS_TYPED
#undef KS_WIDTH
#undef KS_EPS
#undef KS_HUGE
#undef KS_CANCELLATION
#undef KS_DEPTH

#define KS_REAL double
#define KS_REAL_EXP ks_exp
#define KS_TYPED(name) name##_f64
#define KS_WIDTH 8
#define KS_EPS 1.12e-16
#define KS_HUGE 1e130
#define KS_CANCELLATION 4096.0
#define KS_DEPTH 39.0
#include "mixture_tile.h"
#undef KS_REAL
#undef KS_REAL_EXP
#undef KS_TYPED
#undef KS_WIDTH
#undef KS_EPS
#undef KS_HUGE
#undef KS_CANCELLATION
#undef KS_DEPTH

#endif

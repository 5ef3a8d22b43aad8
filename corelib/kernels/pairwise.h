/* The pair losses. To add a smooth one, write its value and slope, its tails and a ks_kernel, what pairsum.h must know
 * of it, and give it a name in ks_pairs. */
#ifndef KS_PAIRWISE_H
#define KS_PAIRWISE_H

#include "hinge.h"
#include "pair_costs.h"
#include "pairsum.h"

/* name(d, out, count): out = function(d), vectorised. */
#define KS_ELEMENTWISE(name, function)                                                          \
    KS_MULTIVERSION static void name(const double *d, double *out, ptrdiff_t count) {           \
        for (ptrdiff_t i = 0; i < count; i++) out[i] = function(d[i]);                          \
    }

/* name: the ks_direct of a function that returns k(d) and stores k'(d). */
#define KS_DIRECT(name, value_and_slope)                                                                            \
    KS_MULTIVERSION static double name(const double *x, const double *u, ptrdiff_t n, const double *y,              \
                                       const double *v, ptrdiff_t m, double temperature, double *slope_x,           \
                                       double *slope_y) {                                                           \
        double total = 0, rate = 1 / temperature;                                                                   \
        memset(slope_y, 0, m * sizeof(double));                                                                     \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                         \
            double value_sum = 0, slope_sum = 0, xi = x[i], ui = u[i];                                              \
            _Pragma("omp simd reduction(+ : value_sum, slope_sum)")                                                 \
            for (ptrdiff_t j = 0; j < m; j++) {                                                                     \
                double slope, value = value_and_slope((y[j] - xi) * rate, &slope);                                  \
                value_sum += v[j] * value;                                                                          \
                slope_sum += v[j] * slope;                                                                          \
                slope_y[j] += ui * slope;                                                                           \
            }                                                                                                       \
            total += ui * value_sum;                                                                                \
            slope_x[i] = slope_sum;                                                                                 \
        }                                                                                                           \
        return total;                                                                                               \
    }

/* name: the ks_direct_self of a function that stores k'(d) and k'(-d). */
#define KS_DIRECT_SELF(name, both_slopes)                                                                           \
    KS_MULTIVERSION static void name(const double *x, const double *u, ptrdiff_t n, double temperature,             \
                                     double *slope_x, double *slope_y) {                                            \
        double rate = 1 / temperature, at_zero, again;                                                              \
        both_slopes(0.0, &at_zero, &again);                                                                         \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                         \
            slope_x[i] = at_zero;                                                                                   \
            slope_y[i] = at_zero * u[i];                                                                            \
        }                                                                                                           \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                         \
            double sum_x = 0, sum_y = 0, xi = x[i], ui = u[i];                                                      \
            _Pragma("omp simd reduction(+ : sum_x, sum_y)")                                                         \
            for (ptrdiff_t j = i + 1; j < n; j++) {                                                                 \
                double there, back;                                                                                 \
                both_slopes((x[j] - xi) * rate, &there, &back);                                                     \
                sum_x += there;                                                                                     \
                slope_x[j] += back;                                                                                 \
                sum_y += u[j] * back;                                                                               \
                slope_y[j] += ui * there;                                                                           \
            }                                                                                                       \
            slope_x[i] += sum_x;                                                                                    \
            slope_y[i] += sum_y;                                                                                    \
        }                                                                                                           \
    }

/* softplus(d) = log(1 + exp(d)): for d < 0 the series of log(1 + u) at u = exp(d); softplus(d) = d + softplus(-d).
 * Its singularities are at odd multiples of i pi. The tails leave out exp(-3 * 12) = 2e-16 and exp(-2.5 * 8) = 2e-9. */
static double ks_softplus_tail(int k) { return (k & 1 ? 1.0 : -1.0) / k; }
static double ks_sigmoid_left(int k) { return k & 1 ? 1.0 : -1.0; }
static double ks_sigmoid_right(int k) { return k & 1 ? -1.0 : 1.0; }

KS_INLINE void ks_both_sigmoids(double d, double *there, double *back) {
    double e = ks_exp(d < 0 ? d : -d), large = 1.0 / (1.0 + e), small = e * large;
    *there = d < 0 ? small : large;
    *back = d < 0 ? large : small;
}

KS_ELEMENTWISE(ks_softplus_at, ks_softplus)
KS_ELEMENTWISE(ks_sigmoid_at, ks_sigmoid)
KS_DIRECT(ks_softplus_direct, ks_softplus_sigmoid)
KS_DIRECT_SELF(ks_softplus_direct_self, ks_both_sigmoids)

static const ks_kernel KS_SOFTPLUS = {
    .value = {ks_softplus_at, ks_softplus_tail, ks_softplus_tail, 0.0, 1.0},
    .slope = {ks_sigmoid_at, ks_sigmoid_left, ks_sigmoid_right, 1.0, 0.0},
    .pole = 3.14159265358979323846,
    .reach = {3.0, 2.5},
    .terms = {12, 8},
    .direct = ks_softplus_direct,
    .direct_self = ks_softplus_direct_self,
    .direct_cost = KS_COST_SOFTPLUS_PAIR,
};

/* sigmoid(d) = 1 / (1 + exp(-d)) and its derivative sigmoid(d) sigmoid(-d), an even function. */
static double ks_bump_tail(int k) { return (k & 1 ? 1.0 : -1.0) * k; }

KS_INLINE double ks_sigmoid_bump(double d, double *bump) {
    double e = ks_exp(d < 0 ? d : -d), share = 1.0 / (1.0 + e);
    *bump = e * share * share;
    return (d < 0 ? e : 1.0) * share;
}

KS_INLINE double ks_bump(double d) {
    double bump;
    ks_sigmoid_bump(d, &bump);
    return bump;
}

KS_INLINE void ks_both_bumps(double d, double *there, double *back) { *there = *back = ks_bump(d); }

KS_ELEMENTWISE(ks_bump_at, ks_bump)
KS_DIRECT(ks_sigmoid_direct, ks_sigmoid_bump)
KS_DIRECT_SELF(ks_sigmoid_direct_self, ks_both_bumps)

static const ks_kernel KS_SIGMOID = {
    .value = {ks_sigmoid_at, ks_sigmoid_left, ks_sigmoid_right, 1.0, 0.0},
    .slope = {ks_bump_at, ks_bump_tail, ks_bump_tail, 0.0, 0.0},
    .pole = 3.14159265358979323846,
    .reach = {3.25, 2.75},
    .terms = {12, 8},
    .direct = ks_sigmoid_direct,
    .direct_self = ks_sigmoid_direct_self,
    .direct_cost = KS_COST_SIGMOID_PAIR,
};

/* ---- by name ---------------------------------------------------------------------------------------------- */

typedef struct {
    const ks_kernel *kernel;
    double temperature, limit;
    int way;
} ks_smooth;

static int ks_smooth_sum(const void *loss, const ks_side *side, double factor, double *value, void *const *slope,
                         int threads) {
    const ks_smooth *smooth = (const ks_smooth *)loss;
    return ks_pair_sum(smooth->kernel, side, smooth->temperature, factor, smooth->limit, smooth->way, value, slope,
                       threads);
}

enum { KS_SOFTPLUS_PAIRS, KS_SIGMOID_PAIRS, KS_HINGE_PAIRS, KS_SQUARED_HINGE_PAIRS };

/* The pair loss `kind` within every group; the shift of side[1] is the margin. Hinges know no temperature and only one
 * way. */
static int ks_pairs(int kind, const ks_side *side, ptrdiff_t groups, double temperature, const double *factor,
                    double limit, int way, double *value, void *const *slope, int threads) {
    if (kind == KS_HINGE_PAIRS || kind == KS_SQUARED_HINGE_PAIRS) {
        ks_hinge hinge = {kind == KS_SQUARED_HINGE_PAIRS, limit};
        return ks_for_groups(ks_hinge_sum, &hinge, side, groups, limit, factor, value, slope, threads);
    }
    ks_smooth smooth = {kind == KS_SIGMOID_PAIRS ? &KS_SIGMOID : &KS_SOFTPLUS, temperature, limit, way};
    return ks_for_groups(ks_smooth_sum, &smooth, side, groups, limit, factor, value, slope, threads);
}

#endif

/* Hinge losses over all pairs, exactly, in O(n log n): both sides are sorted, then swept.
 *
 * A pair is active if z = y - x + margin > 0, and costs z or z^2. Going down the x, more and more y become active; for
 * those that are, three sums are carried from one x to the next, `step` lower:
 *
 *     weight = sum w,    first = sum w z  += step weight,    second = sum w z^2  += step (2 first + step weight)
 *
 * Every term is non-negative and every z starts from the difference of two scores, so that nothing cancels, wherever
 * the scores lie and however far they spread. The derivatives by the y are the mirror image: y -> -x, x -> -y. */
#ifndef KS_HINGE_H
#define KS_HINGE_H

#include <stdlib.h>

#include "radix.h"
#include "sides.h"

typedef struct {
    int squared;
    double limit; /* largest allowed |x| and |y + margin| */
} ks_hinge;

typedef unsigned __int128 ks_uint128;

KS_DEFINE_SORT(ks_sort_wide, ks_uint128)

/* One side in ascending order. */
typedef struct {
    ptrdiff_t n;
    double *at, *weight; /* weight: NULL if all are 1 */
    uint32_t *index;     /* where each stood */
} ks_sorted;

/* NAME sorts one side as integers that hold the key above and the index below. */
#define KS_DEFINE_SORT_SIDE(NAME, FLOAT, KEY, UNKEY, WORD, KEY_WORD, SORT)                                        \
    KS_MULTIVERSION static int NAME(const ks_side *side, double limit, ks_sorted *out) {                          \
        const FLOAT *data = (const FLOAT *)side->data;                                                            \
        ptrdiff_t n = side->n;                                                                                    \
        int64_t bad = 0;                                                                                          \
        WORD *word = (WORD *)malloc(2 * (size_t)n * sizeof(WORD));                                                \
        if (!word) return KS_NO_MEMORY;                                                                           \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                       \
            bad += !(fabs((double)data[i] + side->shift) <= limit);                                               \
            word[i] = (WORD)KEY(data[i]) << 32 | (WORD)i;                                                         \
        }                                                                                                         \
        if (!bad) {                                                                                               \
            SORT(word, word + n, n);                                                                              \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                   \
                out->at[i] = UNKEY((KEY_WORD)(word[i] >> 32));                                                    \
                out->index[i] = (uint32_t)word[i];                                                                \
            }                                                                                                     \
            if (side->weight)                                                                                     \
                for (ptrdiff_t i = 0; i < n; i++) out->weight[i] = side->weight[out->index[i]];                   \
        }                                                                                                         \
        free(word);                                                                                               \
        return bad ? KS_BAD_SCORE : KS_OK;                                                                        \
    }

KS_DEFINE_SORT_SIDE(ks_sort_side_f32, float, ks_key_f32, ks_unkey_f32, uint64_t, uint32_t, ks_sort_f64)
KS_DEFINE_SORT_SIDE(ks_sort_side_f64, double, ks_key_f64, ks_unkey_f64, ks_uint128, uint64_t, ks_sort_wide)

/* A sum of many terms, with its rounding error (Kahan). */
typedef struct {
    double sum, excess;
} ks_total;

KS_INLINE void ks_add(ks_total *total, double term) {
    double corrected = term - total->excess, sum = total->sum + corrected;
    total->excess = (sum - total->sum) - corrected;
    total->sum = sum;
}

/* The sum of the pairs of sorted targets and sources; slope, if wanted, gets its derivatives by the targets. The x are
 * the targets for sign = 1, with both sides from the top; the y are for sign = -1, with both from the bottom. */
KS_INLINE double ks_sweep_targets(const ks_sorted *target, const ks_sorted *source, double margin, double factor,
                                  const int sign, const int squared, const int is_float, void *slope) {
    ks_total weight = {0, 0}, first = {0, 0}, second = {0, 0}, total = {0, 0};
    ptrdiff_t n = target->n, m = source->n, j = 0;
    double previous = 0;
    for (ptrdiff_t k = 0; k < n; k++) {
        ptrdiff_t i = sign > 0 ? n - 1 - k : k;
        double here = sign * target->at[i], step = previous - here;
        previous = here;
        if (j > 0) {
            if (squared) ks_add(&second, step * (2 * first.sum + step * weight.sum));
            ks_add(&first, step * weight.sum);
        }
        for (; j < m; j++) {
            ptrdiff_t b = sign > 0 ? m - 1 - j : j;
            double z = (sign * source->at[b] - here) + margin;
            if (!(z > 0)) break;
            double w = source->weight ? source->weight[b] : 1.0;
            ks_add(&weight, w);
            ks_add(&first, w * z);
            if (squared) ks_add(&second, w * z * z);
        }
        double own = target->weight ? target->weight[i] : 1.0;
        ks_add(&total, own * (squared ? second.sum : first.sum));
        if (!slope) continue;
        double result = 0.0 - sign * factor * own * (squared ? 2 * first.sum : weight.sum); /* never -0 */
        if (is_float)
            ((float *)slope)[target->index[i]] = (float)result;
        else
            ((double *)slope)[target->index[i]] = result;
    }
    return factor * total.sum;
}

static double ks_sweep_side(const ks_sorted *sorted, int s, double margin, double factor, int squared, int is_float,
                            void *slope) {
    const ks_sorted *target = sorted + s, *source = sorted + 1 - s;
#define KS_SWEEP(SIGN)                                                                                         \
    (squared ? is_float ? ks_sweep_targets(target, source, margin, factor, SIGN, 1, 1, slope)                  \
                        : ks_sweep_targets(target, source, margin, factor, SIGN, 1, 0, slope)                  \
             : is_float ? ks_sweep_targets(target, source, margin, factor, SIGN, 0, 1, slope)                  \
                        : ks_sweep_targets(target, source, margin, factor, SIGN, 0, 0, slope))
    return s ? KS_SWEEP(-1) : KS_SWEEP(1);
#undef KS_SWEEP
}

/* A ks_pair_function; the margin is the shift of the y. */
static int ks_hinge_sum(const void *loss, const ks_side *side, double factor, double *value, void *const *slope,
                        int threads) {
    const ks_hinge *hinge = (const ks_hinge *)loss;
    ptrdiff_t n = side[0].n, m = side[1].n;
    double *at = (double *)malloc((size_t)(n + m) * (2 * sizeof(double) + sizeof(uint32_t))), *weight = at + n + m;
    if (!at) return KS_NO_MEMORY;
    uint32_t *index = (uint32_t *)(weight + n + m);
    ks_sorted sorted[2] = {{n, at, side[0].weight ? weight : NULL, index},
                           {m, at + n, side[1].weight ? weight + n : NULL, index + n}};
    int status[2];
    if (n + m < 1 << 13) threads = 1;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int s = 0; s < 2; s++)
        status[s] = (side->is_float ? ks_sort_side_f32 : ks_sort_side_f64)(side + s, hinge->limit, sorted + s);
    int worst = status[0] > status[1] ? status[0] : status[1];
    if (worst == KS_OK) {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
        for (int s = 0; s < 2; s++) {
            if (s && !slope[1]) continue;
            double sum = ks_sweep_side(sorted, s, side[1].shift, factor, hinge->squared, side->is_float, slope[s]);
            if (!s) *value = sum;
        }
    }
    free(at);
    return worst;
}

#endif

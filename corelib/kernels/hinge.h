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

#include "sides.h"
#include "sorted_side.h"

typedef struct {
    int squared;
    double limit; /* largest allowed |x| and |y + margin| */
} ks_hinge;

/* A sum of many terms, and what its roundings left out. */
typedef struct {
    double sum, rest;
} ks_total;

enum { KS_PLAIN = 64 }; /* terms that may be added up plainly before they go to a total */

/* Move a plain sum to the total. */
KS_INLINE void ks_flush(ks_total *total, double *plain) {
    double term = *plain, sum = total->sum + term, added = sum - total->sum;
    total->rest += (total->sum - (sum - added)) + (term - added);
    total->sum = sum;
    *plain = 0;
}

KS_INLINE double ks_value(const ks_total *total) { return total->sum + total->rest; }

/* The sum of the pairs of sorted targets and sources; slope, if wanted, gets its derivatives by the targets. The x are
 * the targets for sign = 1, with both sides from the top; the y are for sign = -1, with both from the bottom. */
KS_INLINE double ks_sweep_targets(const ks_sorted *target, const ks_sorted *source, double margin, double factor,
                                  const int sign, const int squared, const int is_float, void *slope) {
    ks_total weight = {0, 0}, first = {0, 0}, second = {0, 0}, total = {0, 0};
    ptrdiff_t n = target->n, m = source->n, j = 0;
    double previous = 0, recent = 0;
    for (ptrdiff_t k = 0; k < n; k++) {
        ptrdiff_t i = sign > 0 ? n - 1 - k : k;
        double here = sign * ks_number(target, i, is_float), step = j > 0 ? previous - here : 0;
        double active = source->weight ? ks_value(&weight) : (double)j;
        double more_weight = 0, more_first = step * active, more_second = step * (2 * ks_value(&first) + more_first);
        previous = here;
        for (; j < m; j++) {
            ptrdiff_t b = sign > 0 ? m - 1 - j : j;
            double z = (sign * ks_number(source, b, is_float) - here) + margin;
            if (!(z > 0)) break;
            double w = source->weight ? source->weight[b] : 1.0;
            more_weight += w;
            more_first += w * z;
            more_second += w * z * z;
            if (j % KS_PLAIN) continue;
            ks_flush(&weight, &more_weight);
            ks_flush(&first, &more_first);
            ks_flush(&second, &more_second);
        }
        if (source->weight) ks_flush(&weight, &more_weight);
        ks_flush(&first, &more_first);
        if (squared) ks_flush(&second, &more_second);
        double own = target->weight ? target->weight[i] : 1.0;
        recent += own * ks_value(squared ? &second : &first);
        if (k % KS_PLAIN == 0) ks_flush(&total, &recent);
        if (!slope) continue;
        active = source->weight ? ks_value(&weight) : (double)j;
        double result = 0.0 - sign * factor * own * (squared ? 2 * ks_value(&first) : active); /* never -0 */
        if (is_float)
            ((float *)slope)[(uint32_t)((const uint64_t *)target->word)[i]] = (float)result;
        else
            ((double *)slope)[(uint32_t)((const ks_uint128 *)target->word)[i]] = result;
    }
    ks_flush(&total, &recent);
    return factor * ks_value(&total);
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
    ks_sorted sorted[2] = {{0}};
    int status[2];
    if (side[0].n + side[1].n < 1 << 13) threads = 1;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int s = 0; s < 2; s++)
        status[s] = (side->is_float ? ks_sort_side_f32 : ks_sort_side_f64)(side + s, hinge->limit, sorted + s);
    int worst = status[0] > status[1] ? status[0] : status[1];
    if (worst == KS_OK) {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
        for (int s = 0; s < 2; s++) {
            if (s && !slope[1]) continue;
            double sum = ks_sweep_side(sorted, s, side[1].shift, factor, hinge->squared, side->is_float, slope[s]);
            if (!s && value) *value = sum;
        }
    }
    for (int s = 0; s < 2; s++) free(sorted[s].memory);
    return worst;
}

#endif

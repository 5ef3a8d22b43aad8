/* Sums of a smooth function over all pairs of two sets of numbers, by the cheapest of three ways: by boxes where numbers
 * lie close together, sorted where they lie far apart, and pair by pair where there are few. */
#ifndef KS_PAIRSUM_H
#define KS_PAIRSUM_H

#include <stdlib.h>

#include "pair_costs.h"
#include "pair_kernel.h"
#include "pairsum_boxes.h"
#include "pairsum_sorted.h"
#include "sides.h"

#define KS_WORTH_THREADS 1e6 /* nanoseconds of work below which waking other threads may cost more than they save */

static void ks_store(const ks_side *side, double factor, const double *sum, const double *weight, void *out) {
    for (ptrdiff_t i = 0; i < side->n; i++) {
        double result = factor * weight[i] * sum[i];
        if (side->is_float)
            ((float *)out)[i] = (float)result;
        else
            ((double *)out)[i] = result;
    }
}

/* All pairs one by one; returns a status. */
static int ks_sum_directly(const ks_kernel *kernel, const ks_side *side, double temperature, double factor,
                           double *value, void *const *slope) {
    ptrdiff_t n = side[0].n, m = side[1].n;
    double *buffer = (double *)malloc(3 * (n + m) * sizeof(double)), *number[2], *weight[2], *sum[2];
    if (!buffer) return KS_NO_MEMORY;
    for (int s = 0; s < 2; s++) {
        number[s] = buffer + s * n;
        weight[s] = buffer + (n + m) + s * n;
        sum[s] = buffer + 2 * (n + m) + s * n;
        ks_load_all(side + s, number[s]);
        for (ptrdiff_t i = 0; i < side[s].n; i++) weight[s][i] = side[s].weight ? side[s].weight[i] : 1.0;
    }
    if (!value && side[0].data == side[1].data && n == m && !side[1].weight && side[1].shift == 0)
        kernel->direct_self(number[0], weight[0], n, temperature, sum[0], sum[1]);
    else {
        double total = kernel->direct(number[0], weight[0], n, number[1], weight[1], m, temperature, sum[0], sum[1]);
        if (value) *value = factor * total;
    }
    for (int s = 0; s < 2; s++)
        if (slope[s]) ks_store(side + s, (s ? factor : -factor) / temperature, sum[s], weight[s], slope[s]);
    free(buffer);
    return KS_OK;
}

/* The ways to a sum, all to the same accuracy. */
enum { KS_CHEAPEST, KS_BY_BOXES, KS_SORTED, KS_DIRECTLY };

/* The sum over all pairs of u_i v_j k((y_j - x_i) / temperature), times `factor`, and its derivatives by the x and by
 * the y in slope[0] and slope[1], of the type of the numbers; NULL where they, or the sum, are not wanted.
 * Numbers must be finite and at most `limit` in absolute value. */
static int ks_pair_sum(const ks_kernel *kernel, const ks_side *side, double temperature, double factor, double limit,
                       int way, double *value, void *const *slope, int threads) {
    ks_range range[2];
    ks_ranges(side, range, threads);
    for (int s = 0; s < 2; s++)
        if (range[s].bad || range[s].low < -limit || range[s].high > limit) return KS_BAD_SCORE;

    double by_boxes, directly = kernel->direct_cost * (double)side[0].n * (double)side[1].n;
    ks_grid grid = ks_choose_grid(kernel, side, range, temperature, &by_boxes);
    int unsorted = way == KS_CHEAPEST ? directly < by_boxes ? KS_DIRECTLY : KS_BY_BOXES : way;
    double least = unsorted == KS_DIRECTLY ? directly : by_boxes, sorted = ks_sorted_cost(side, 0), most = INFINITY;
    if (way == KS_CHEAPEST && sorted < least) {
        most = (least - sorted) / KS_COST_SORTED_PAIR;
        sorted = ks_sorted_cost(side, ks_guess_pairs(side, ks_sorted_reach(kernel, side->is_float) * temperature));
        if (sorted < least) way = KS_SORTED;
    }
    if (way == KS_SORTED) {
        int done, few = sorted < KS_WORTH_THREADS;
        int status = ks_sum_sorted(kernel, side, most, temperature, factor, value, slope, few ? 1 : threads, &done);
        if (done || status != KS_OK) return status;
    }
    if (unsorted == KS_DIRECTLY) return ks_sum_directly(kernel, side, temperature, factor, value, slope);
    if (by_boxes < KS_WORTH_THREADS) threads = 1;
    return ks_sum_by_boxes(kernel, side, &grid, range, temperature, factor, value, slope, threads);
}

#endif

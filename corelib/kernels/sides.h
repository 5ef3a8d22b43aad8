/* The two sides of a pair sum: sets of numbers with weights, and the groups that they may fall into. */
#ifndef KS_SIDES_H
#define KS_SIDES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "blocks.h"
#include "simd.h"
#include "status.h"
#include "threads.h"

/* One side: the n finite numbers data[i] + shift, and non-negative weights (NULL: all 1). */
typedef struct {
    const void *data;
    int is_float;
    ptrdiff_t n;
    const double *weight;
    double shift;
    const int64_t *indptr; /* group g is the numbers indptr[g] .. indptr[g + 1] - 1 */
} ks_side;

typedef struct {
    double low, high;
    ptrdiff_t bad; /* numbers that are NaN or infinite */
} ks_range;

/* out = factor times the numbers from `start` on. */
KS_INLINE void ks_load(const ks_side *side, ptrdiff_t start, int count, double factor, double *restrict out) {
    if (side->is_float) {
        const float *x = (const float *)side->data + start;
        for (int i = 0; i < count; i++) out[i] = (x[i] + side->shift) * factor;
    } else {
        const double *x = (const double *)side->data + start;
        for (int i = 0; i < count; i++) out[i] = (x[i] + side->shift) * factor;
    }
}

static void ks_load_all(const ks_side *side, double *out) {
    for (ptrdiff_t at = 0; at < side->n; at += KS_BLOCK)
        ks_load(side, at, (int)(side->n - at < KS_BLOCK ? side->n - at : KS_BLOCK), 1.0, out + at);
}

KS_MULTIVERSION static ks_range ks_range_of_piece(const ks_side *side, ptrdiff_t start, ptrdiff_t stop) {
    double low = INFINITY, high = -INFINITY, block[KS_BLOCK];
    int64_t bad = 0;
    for (ptrdiff_t at = start; at < stop; at += KS_BLOCK) {
        int count = (int)(stop - at < KS_BLOCK ? stop - at : KS_BLOCK);
        ks_load(side, at, count, 1.0, block);
#pragma omp simd reduction(min : low) reduction(max : high) reduction(+ : bad)
        for (int i = 0; i < count; i++) {
            low = block[i] < low ? block[i] : low;
            high = block[i] > high ? block[i] : high;
            bad += !(fabs(block[i]) <= 1.7976931348623157e308);
        }
    }
    return (ks_range){low, high, (ptrdiff_t)bad};
}

static int ks_compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* At most `most` of a side's numbers, taken evenly, in order and times `factor`; returns how many. */
static int ks_sample(const ks_side *side, double factor, int most, double *out) {
    int size = (int)(side->n < most ? side->n : most);
    for (int i = 0; i < size; i++) ks_load(side, side->n * i / size, 1, factor, out + i);
    qsort(out, (size_t)size, sizeof *out, ks_compare_doubles);
    return size;
}

static int ks_pieces(ptrdiff_t n, ptrdiff_t least) {
    ptrdiff_t pieces = n / least;
    return (int)(pieces < 1 ? 1 : pieces > KS_MAX_PIECES ? KS_MAX_PIECES : pieces);
}

static void ks_ranges(const ks_side *side, ks_range *range, int threads) {
    ks_range part[2 * KS_MAX_PIECES];
    int pieces[2] = {ks_pieces(side[0].n, 65536), ks_pieces(side[1].n, 65536)}, all = pieces[0] + pieces[1];
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (all > 2)
    for (int i = 0; i < all; i++) {
        int s = i >= pieces[0], c = i - s * pieces[0];
        part[i] = ks_range_of_piece(side + s, side[s].n * c / pieces[s], side[s].n * (c + 1) / pieces[s]);
    }
    for (int i = 0; i < all; i++) {
        int s = i >= pieces[0];
        if (i == s * pieces[0]) {
            range[s] = part[i];
            continue;
        }
        range[s].low = part[i].low < range[s].low ? part[i].low : range[s].low;
        range[s].high = part[i].high > range[s].high ? part[i].high : range[s].high;
        range[s].bad += part[i].bad;
    }
}

/* ---- groups ----------------------------------------------------------------------------------------------- */

/* A sum over all pairs of an x of side[0] and a y of side[1]: the sum times `factor` goes to value, its derivatives by
 * the x and by the y to slope[0] and slope[1], of the type of the numbers; NULL where one is not wanted. Returns a
 * status. */
typedef int (*ks_pair_function)(const void *loss, const ks_side *side, double factor, double *value,
                                void *const *slope, int threads);

static int ks_within(const ks_side *side, double limit) {
    int64_t bad = 0;
    double block[KS_BLOCK];
    for (ptrdiff_t at = 0; at < side->n; at += KS_BLOCK) {
        int count = (int)(side->n - at < KS_BLOCK ? side->n - at : KS_BLOCK);
        ks_load(side, at, count, 1.0, block);
        for (int i = 0; i < count; i++) bad += !(fabs(block[i]) <= limit);
    }
    return !bad;
}

static int ks_any_weight(const ks_side *side) {
    if (!side->weight) return side->n > 0;
    for (ptrdiff_t i = 0; i < side->n; i++)
        if (side->weight[i] > 0) return 1;
    return 0;
}

static int ks_one_group(ks_pair_function function, const void *loss, const ks_side *side, ptrdiff_t g,
                        double limit, double factor, double *value, void *const *slope, int threads) {
    ks_side part[2] = {side[0], side[1]};
    void *part_slope[2];
    size_t size = side->is_float ? sizeof(float) : sizeof(double);
    for (int s = 0; s < 2; s++) {
        int64_t start = side[s].indptr[g];
        part[s].n = (ptrdiff_t)(side[s].indptr[g + 1] - start);
        part[s].data = (const char *)side[s].data + start * (int64_t)size;
        if (side[s].weight) part[s].weight = side[s].weight + start;
        part_slope[s] = slope[s] ? (char *)slope[s] + start * (int64_t)size : NULL;
    }
    if (ks_any_weight(part) && ks_any_weight(part + 1))
        return function(loss, part, factor, value, part_slope, threads);
    if (value) *value = 0;
    for (int s = 0; s < 2; s++)
        if (slope[s]) memset(part_slope[s], 0, (size_t)part[s].n * size);
    return ks_within(part, limit) && ks_within(part + 1, limit) ? KS_OK : KS_BAD_SCORE;
}

/* The pairs within each group. A group without weight on one side has the sum 0; its numbers, too, must be finite and
 * at most `limit` in absolute value. Returns the worst status. */
static int ks_for_groups(ks_pair_function function, const void *loss, const ks_side *side, ptrdiff_t groups,
                         double limit, const double *factor, double *value, void *const *slope, int threads) {
    int worst = KS_OK;
    if (groups < 2 * threads || side[0].n + side[1].n < 1 << 13) {
        /* no region of one thread here: within it, those of the function would not find the threads that wait */
        for (ptrdiff_t g = 0; g < groups; g++) {
            int status = ks_one_group(function, loss, side, g, limit, factor[g], value ? value + g : NULL, slope, threads);
            worst = status > worst ? status : worst;
        }
        return worst;
    }
#pragma omp parallel for num_threads(threads) schedule(guided) reduction(max : worst)
    for (ptrdiff_t g = 0; g < groups; g++) {
        int status = ks_one_group(function, loss, side, g, limit, factor[g], value ? value + g : NULL, slope, 1);
        worst = status > worst ? status : worst;
    }
    return worst;
}

#endif

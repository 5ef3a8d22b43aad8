/* Sums of a smooth function over all pairs of two sets of numbers that lie far apart: where boxes would hold about one
 * number each, their moments and matrices are a waste.
 *
 * Both sides are sorted. Around each x is a window of the y within `reach` temperatures, whose pairs are met one by
 * one. Outside, k is a constant plus a line plus KS_SORTED_TERMS exponentials of the distance, all of which pass from
 * number to number in one sweep from each end. As in pairsum_boxes.h, a sweep carries nothing but non-negative sums. */
#ifndef KS_PAIRSUM_SORTED_H
#define KS_PAIRSUM_SORTED_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "pair_costs.h"
#include "pair_kernel.h"
#include "sides.h"
#include "sorted_side.h"
#include "vecmath.h"

enum { KS_SORTED_TERMS = 4 };

/* What a window's pairs, the numbers to the left and those to the right contribute. */
enum { KS_WITHIN, KS_FROM_LEFT, KS_FROM_RIGHT, KS_PARTS };

/* One side in ascending order. */
typedef struct {
    ptrdiff_t n;
    double *number, *weight;
    double *slope[KS_PARTS]; /* the sums of k', by part */
} ks_line;

/* y[low[i]] .. y[high[i] - 1] is the window of x[i]. */
typedef struct {
    const ks_kernel *kernel;
    double rate; /* 1 / temperature */
    ks_line line[2];
    int32_t *low, *high;
} ks_windows;

/* Few exponentials go as far as the kernel's many: what they leave out is of the same size. */
static double ks_sorted_reach(const ks_kernel *kernel, int is_float) {
    return kernel->reach[is_float] * kernel->terms[is_float] / KS_SORTED_TERMS;
}

/* ---- cost ------------------------------------------------------------------------------------------------- */

/* About how many pairs are within `reach`, both in the unit of the numbers: a guess from a few of them. */
static double ks_guess_pairs(const ks_side *side, double reach) {
    double sample[2][KS_BLOCK];
    ptrdiff_t size[2], low = 0, high = 0, pairs = 0;
    for (int s = 0; s < 2; s++) size[s] = ks_sample(side + s, 1.0, KS_BLOCK, sample[s]);
    for (ptrdiff_t i = 0; i < size[0]; i++) {
        while (low < size[1] && sample[1][low] < sample[0][i] - reach) low++;
        while (high < size[1] && sample[1][high] <= sample[0][i] + reach) high++;
        pairs += high - low;
    }
    return (double)pairs * ((double)side[0].n / (double)size[0]) * ((double)side[1].n / (double)size[1]);
}

static double ks_sorted_cost(const ks_side *side, double pairs) {
    return KS_COST_SORTED_NUMBER * (double)(side[0].n + side[1].n) + KS_COST_SORTED_PAIR * pairs;
}

/* ---- windows ---------------------------------------------------------------------------------------------- */

/* Fills the windows; returns how many pairs are in them. */
static double ks_find_windows(ks_windows *w, double reach) {
    const double *x = w->line[0].number, *y = w->line[1].number;
    ptrdiff_t low = 0, high = 0, m = w->line[1].n;
    double pairs = 0;
    for (ptrdiff_t i = 0; i < w->line[0].n; i++) {
        while (low < m && (y[low] - x[i]) * w->rate < -reach) low++;
        while (high < m && (y[high] - x[i]) * w->rate <= reach) high++;
        w->low[i] = (int32_t)low;
        w->high[i] = (int32_t)high;
        pairs += (double)(high - low);
    }
    return pairs;
}

/* Pairs that wait for the function: runs of neighbouring y with one x. */
typedef struct {
    struct {
        int32_t i, j, length;
    } run[KS_BLOCK];
    int runs, pairs;
    double d[KS_BLOCK];
} ks_batch;

/* Adds the slopes of a batch to the lines, empties it, and returns the sum of its values. */
static double ks_add_batch(const ks_windows *w, ks_batch *batch) {
    const ks_line *x = w->line, *y = w->line + 1;
    double value[KS_BLOCK], slope[KS_BLOCK], total = 0;
    w->kernel->value.at(batch->d, value, batch->pairs);
    w->kernel->slope.at(batch->d, slope, batch->pairs);
    for (int r = 0, p = 0; r < batch->runs; r++) {
        int32_t i = batch->run[r].i, j = batch->run[r].j, end = j + batch->run[r].length;
        double value_sum = 0, slope_sum = 0, own = x->weight[i];
        for (; j < end; j++, p++) {
            value_sum += y->weight[j] * value[p];
            slope_sum += y->weight[j] * slope[p];
            y->slope[KS_WITHIN][j] += own * slope[p];
        }
        total += own * value_sum;
        x->slope[KS_WITHIN][i] += slope_sum;
    }
    batch->runs = batch->pairs = 0;
    return total;
}

/* The pairs within the windows; returns the sum of their values. */
static double ks_sum_windows(const ks_windows *w) {
    const double *x = w->line[0].number, *y = w->line[1].number;
    double total = 0;
    ks_batch batch;
    batch.runs = batch.pairs = 0;
    for (int s = 0; s < 2; s++) memset(w->line[s].slope[KS_WITHIN], 0, (size_t)w->line[s].n * sizeof(double));
    for (ptrdiff_t i = 0; i < w->line[0].n; i++)
        for (int32_t j = w->low[i]; j < w->high[i];) {
            int32_t room = KS_BLOCK - batch.pairs, rest = w->high[i] - j, length = rest < room ? rest : room;
            batch.run[batch.runs].i = (int32_t)i;
            batch.run[batch.runs].j = j;
            batch.run[batch.runs++].length = length;
            for (int32_t end = j + length; j < end; j++) batch.d[batch.pairs++] = (y[j] - x[i]) * w->rate;
            if (batch.pairs == KS_BLOCK) total += ks_add_batch(w, &batch);
        }
    return total + ks_add_batch(w, &batch);
}

/* ---- tails ------------------------------------------------------------------------------------------------ */

/* factor[k - 1] times exp(-k distance), summed; the powers of one exponential do, for where they count, it is small. */
KS_INLINE double ks_decayed(const double *factor, double distance) {
    double e = ks_exp(-distance), power = e, sum = 0;
    for (int k = 0; k < KS_SORTED_TERMS; k++, power *= e) sum += factor[k] * power;
    return sum;
}

typedef struct {
    double position, weight, distance; /* the last source; of all sources so far, sum w and sum w |source - position| */
    double carried[KS_SORTED_TERMS];   /* sum w exp(-(k + 1) |source - position|), distances in temperatures */
} ks_tail;

KS_INLINE void ks_add_to_tail(ks_tail *tail, double source, double weight, double rate) {
    double gap = tail->weight > 0 ? fabs(source - tail->position) * rate : 0, e = ks_exp(-gap), power = e;
    for (int k = 0; k < KS_SORTED_TERMS; k++, power *= e) tail->carried[k] = tail->carried[k] * power + weight;
    tail->distance += tail->weight * gap;
    tail->weight += weight;
    tail->position = source;
}

KS_INLINE double ks_tail_sum(const ks_function *function, const double *factor, const ks_tail *tail, double gap,
                             int to_right) {
    double term[KS_SORTED_TERMS];
    for (int k = 0; k < KS_SORTED_TERMS; k++) term[k] = factor[k] * tail->carried[k];
    double sum = ks_decayed(term, gap);
    if (to_right) sum += function->constant * tail->weight + function->linear * (tail->distance + tail->weight * gap);
    return sum;
}

/* What the sources of line 1 - s to the left of every target of line s, or to its right, contribute from outside the
 * windows; returns the sum of their values. */
KS_MULTIVERSION static double ks_sum_tail(const ks_windows *w, int s, int part) {
    const ks_line *target = w->line + s, *source = w->line + 1 - s;
    const ks_function *value = &w->kernel->value, *slope = &w->kernel->slope;
    const int from_left = part == KS_FROM_LEFT, step = from_left ? 1 : -1;
    const int to_right = from_left == s; /* y - x > 0: y is the target and x comes from the left, or the reverse */
    double *out = target->slope[part], value_factor[KS_SORTED_TERMS], slope_factor[KS_SORTED_TERMS], total = 0;
    for (int k = 0; k < KS_SORTED_TERMS; k++) {
        value_factor[k] = (to_right ? value->right : value->left)(k + 1);
        slope_factor[k] = (to_right ? slope->right : slope->left)(k + 1);
    }
    ks_tail tail = {0};
    ptrdiff_t b = from_left ? 0 : source->n - 1, end = from_left ? source->n : -1;
    for (ptrdiff_t i = 0; i < target->n; i++) {
        ptrdiff_t a = from_left ? i : target->n - 1 - i;
        for (; b != end; b += step) {
            ptrdiff_t x = s ? b : a, y = s ? a : b;
            if (to_right ? y < w->high[x] : y >= w->low[x]) break;
            ks_add_to_tail(&tail, source->number[b], source->weight[b], w->rate);
        }
        double gap = fabs(target->number[a] - tail.position) * w->rate;
        if (tail.weight == 0) gap = 0;
        out[a] = ks_tail_sum(slope, slope_factor, &tail, gap, to_right);
        if (!s) total += target->weight[a] * ks_tail_sum(value, value_factor, &tail, gap, to_right);
    }
    return total;
}

/* ---- all together ----------------------------------------------------------------------------------------- */

/* Doubles of memory that the sorted numbers of a side need. */
static size_t ks_line_size(const ks_side *side) { return (size_t)side->n * (2 + KS_PARTS); }

static void ks_lay_out_line(const ks_side *side, const ks_sorted *sorted, double *memory, ks_line *line) {
    ptrdiff_t n = line->n = side->n;
    line->number = memory;
    line->weight = memory + n;
    for (int part = 0; part < KS_PARTS; part++) line->slope[part] = memory + (2 + part) * n;
    for (ptrdiff_t i = 0; i < n; i++) {
        line->number[i] = (side->is_float ? ks_number(sorted, i, 1) : ks_number(sorted, i, 0)) + side->shift;
        line->weight[i] = sorted->weight ? sorted->weight[i] : 1.0;
    }
}

static void ks_store_line(const ks_line *line, const ks_sorted *sorted, double factor, int is_float, void *out) {
    for (ptrdiff_t i = 0; i < line->n; i++) {
        double sum = line->slope[KS_WITHIN][i] + line->slope[KS_FROM_LEFT][i] + line->slope[KS_FROM_RIGHT][i];
        double result = factor * line->weight[i] * sum;
        if (is_float)
            ((float *)out)[(uint32_t)((const uint64_t *)sorted->word)[i]] = (float)result;
        else
            ((double *)out)[(uint32_t)((const ks_uint128 *)sorted->word)[i]] = result;
    }
}

/* The windows' pairs and the four sweeps, side by side. */
static double ks_sum_parts(const ks_windows *w, int wants_y, int threads) {
    const int tasks = wants_y ? 5 : 3;
    double value[5];
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int task = 0; task < tasks; task++)
        value[task] = task ? ks_sum_tail(w, task > 2, task & 1 ? KS_FROM_LEFT : KS_FROM_RIGHT) : ks_sum_windows(w);
    return value[0] + value[1] + value[2];
}

/* Like ks_sum_by_boxes. *done is 0 when more than `most` pairs are in the windows; then nothing was summed. */
static int ks_sum_sorted(const ks_kernel *kernel, const ks_side *side, double most, double temperature, double factor,
                         double *value, void *const *slope, int threads, int *done) {
    int is_float = side->is_float, status[2];
    ks_sorted sorted[2] = {{0}};
    ks_windows w = {.kernel = kernel, .rate = 1 / temperature};
    size_t size = ks_line_size(side), sizes = size + ks_line_size(side + 1);
    double *memory = (double *)malloc(sizes * sizeof(double) + 2 * (size_t)side[0].n * sizeof(int32_t));
    *done = 0;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int s = 0; s < 2; s++) {
        status[s] = (is_float ? ks_sort_side_f32 : ks_sort_side_f64)(side + s, INFINITY, sorted + s);
        if (memory && status[s] == KS_OK) ks_lay_out_line(side + s, sorted + s, memory + s * size, w.line + s);
    }
    int worst = memory ? status[0] > status[1] ? status[0] : status[1] : KS_NO_MEMORY;
    if (worst == KS_OK) {
        w.low = (int32_t *)(memory + sizes);
        w.high = w.low + side[0].n;
        *done = ks_find_windows(&w, ks_sorted_reach(kernel, is_float)) <= most;
    }
    if (*done) {
        double sum = ks_sum_parts(&w, slope[1] != NULL, threads);
        if (value) *value = factor * sum;
        for (int s = 0; s < 2; s++)
            if (slope[s]) ks_store_line(w.line + s, sorted + s, (s ? factor : -factor) / temperature, is_float, slope[s]);
    }
    for (int s = 0; s < 2; s++) free(sorted[s].memory);
    free(memory);
    return worst;
}

#endif

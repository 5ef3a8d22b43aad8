/* Sums of a smooth function over all pairs of two sets of numbers, in linear time, by boxes.
 *
 *     f(x_i) = sum_j w_j k((y_j - x_i) / temperature)      for all i at once, in O(n + m)
 *
 * 1. The line is cut into boxes whose width H is a power of two, so that the box of a number and its place t in
 *    [-1, 1] inside the box are found without rounding. Only occupied boxes are kept: a dense core of rows where
 *    most numbers lie, and a hash table for the others, so that one outlier at 1e30 costs one box.
 * 2. Spread: each box keeps the moments sum w t^l, l < p, of its numbers.
 * 3. Near: for boxes up to `reach` apart, k is a polynomial in both places, found once per distance between boxes
 *    by Chebyshev interpolation; a p x p matrix turns the moments of one box into a polynomial on the other.
 * 4. Tails: farther away, k is a constant plus a line plus a short sum of exponentials, all of which pass from box
 *    to box in one sweep. What a sweep carries is a sum of non-negative numbers, so that nothing cancels and even a
 *    result that is tiny beside the others keeps its digits.
 * 5. Gather: f(x_i) is the polynomial of the box of x_i at its place t.
 *
 * The interpolation error falls like (H / (4 pole temperature))^p, where `pole` is the distance of the nearest
 * singularity of k from the real line; p and H are chosen from the sizes, the range and the type by estimated cost.
 * The work is cut into pieces that depend on the sizes alone and the pieces are added in order, so that the result
 * does not depend on the number of threads. */
#ifndef KS_PAIRSUM_BOXES_H
#define KS_PAIRSUM_BOXES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pair_costs.h"
#include "pair_kernel.h"
#include "sides.h"
#include "vecmath.h"

#define KS_MAX_ORDER 16

/* Four numbers that the compiler keeps in one register where it can. */
typedef double ks_quad __attribute__((vector_size(32), aligned(8), may_alias));

typedef struct {
    int order;         /* p: coefficients per box */
    double width;      /* H, a power of two */
    double eta;        /* H / temperature */
    int near;          /* boxes up to this many apart interact through matrices */
    int terms;         /* exponentials in each tail */
} ks_grid;

/* The occupied boxes of one side, from left to right. */
typedef struct {
    double first;      /* key of row 0; the key of a box is its centre / H, an integer */
    ptrdiff_t core;    /* rows of the dense core */
    ptrdiff_t rows;    /* core + boxes outside it */
    int pieces;        /* tables that are filled side by side, then added to the first */
    double *table;     /* rows x order: moments, later the polynomials to gather from */
    uint64_t slots;    /* size of the hash table of the boxes outside the core, a power of two, or 0 */
    double *slot_key;
    int32_t *slot_row; /* -1: free */
    double *row_key;   /* keys of the rows outside the core */
    ptrdiff_t count;   /* occupied boxes */
    double *key;       /* count, increasing */
    ptrdiff_t *row;    /* count */
    double *moment;    /* count x order */
} ks_boxes;

/* ---- the grid --------------------------------------------------------------------------------------------- */

/* Rows that a dense core may have. */
static ptrdiff_t ks_core_limit(ptrdiff_t n) { return n < 4096 ? 4096 : n > 1 << 21 ? 1 << 21 : n; }

/* How much there is to do of each kind in one call, if the numbers were spread evenly over their range. */
static void ks_count_work(const ks_grid *grid, const ks_side *side, const ks_range *range, double *work) {
    double p = grid->order, distances = 2 * grid->near + 1, occupied[2], most_boxes = 0;
    memset(work, 0, KS_WORK_KINDS * sizeof *work);
    work[KS_WORK_CALL] = 1;
    work[KS_WORK_MATRIX_4 + grid->order / 4 - 1] = distances;
    for (int s = 0; s < 2; s++) {
        double n = (double)side[s].n, boxes = (range[s].high - range[s].low) / grid->width + 1;
        most_boxes = boxes > most_boxes ? boxes : most_boxes;
        occupied[s] = boxes * -expm1(-n / boxes);
        work[KS_WORK_NUMBER] += n;
        work[KS_WORK_MOMENT] += n * p;
        if (boxes > (double)ks_core_limit(side[s].n)) work[KS_WORK_HASH] += n;
    }
    double neighbours = distances < most_boxes ? distances / most_boxes : 1;
    work[KS_WORK_NEIGHBOUR] = occupied[0] * occupied[1] * neighbours;
    work[KS_WORK_NEIGHBOUR_MATRIX] = work[KS_WORK_NEIGHBOUR] * p * p;
    work[KS_WORK_BOX_TERM] = (occupied[0] + occupied[1]) * grid->terms * p;
}

/* Estimated nanoseconds of one call on one core. */
static double ks_cost(const ks_grid *grid, const ks_side *side, const ks_range *range) {
    double work[KS_WORK_KINDS], cost = 0;
    ks_count_work(grid, side, range, work);
    for (int k = 0; k < KS_WORK_KINDS; k++) cost += KS_COST_BY_BOXES[k] * work[k];
    return cost;
}

static ks_grid ks_make_grid(const ks_kernel *kernel, int order, double temperature, int is_float) {
    double tolerance = is_float ? 1e-8 : 1e-15, width = 4 * kernel->pole * temperature * pow(tolerance, 1.0 / order);
    ks_grid grid = {.order = order, .width = ldexp(1.0, ilogb(width)), .terms = kernel->terms[is_float]};
    grid.eta = grid.width / temperature;
    grid.near = (int)ceil(kernel->reach[is_float] / grid.eta);
    return grid;
}

static ks_grid ks_choose_grid(const ks_kernel *kernel, const ks_side *side, const ks_range *range, double temperature,
                              double *least_cost) {
    *least_cost = INFINITY;
    ks_grid best = {0};
    for (int order = 4; order <= KS_MAX_ORDER; order += 4) {
        ks_grid grid = ks_make_grid(kernel, order, temperature, side->is_float);
        double cost = ks_cost(&grid, side, range);
        if (cost < *least_cost) {
            *least_cost = cost;
            best = grid;
        }
    }
    return best;
}

/* ---- boxes outside the core ------------------------------------------------------------------------------- */

KS_INLINE uint64_t ks_slot(const ks_boxes *boxes, double key) {
    uint64_t hash = ks_bits_of_double(key) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    uint64_t slot = (hash ^ (hash >> 29)) & (boxes->slots - 1);
    while (boxes->slot_row[slot] >= 0 && boxes->slot_key[slot] != key) slot = (slot + 1) & (boxes->slots - 1);
    return slot;
}

static int ks_grow(ks_boxes *boxes) {
    uint64_t slots = boxes->slots ? 2 * boxes->slots : 256;
    free(boxes->slot_key);
    free(boxes->slot_row);
    boxes->slots = slots;
    boxes->slot_key = (double *)malloc(slots * sizeof(double));
    boxes->slot_row = (int32_t *)malloc(slots * sizeof(int32_t));
    double *row_key = (double *)realloc(boxes->row_key, slots * sizeof(double));
    if (row_key) boxes->row_key = row_key;
    if (!boxes->slot_key || !boxes->slot_row || !row_key) return 0;
    memset(boxes->slot_row, 0xff, slots * sizeof(int32_t));
    for (ptrdiff_t r = 0; r < boxes->rows - boxes->core; r++) {
        uint64_t slot = ks_slot(boxes, boxes->row_key[r]);
        boxes->slot_key[slot] = boxes->row_key[r];
        boxes->slot_row[slot] = (int32_t)r;
    }
    return 1;
}

/* A row for every box outside the core. */
static int ks_add_outer_boxes(ks_boxes *boxes, const ks_side *side, double per_width) {
    double block[KS_BLOCK], last = boxes->first + (double)boxes->core;
    for (ptrdiff_t at = 0; at < side->n; at += KS_BLOCK) {
        int count = (int)(side->n - at < KS_BLOCK ? side->n - at : KS_BLOCK);
        ks_load(side, at, count, per_width, block);
        for (int i = 0; i < count; i++) {
            double key = rint(block[i]) + 0.0; /* no negative zero among the keys */
            if (key >= boxes->first && key < last) continue;
            if ((uint64_t)(boxes->rows - boxes->core) * 2 >= boxes->slots && !ks_grow(boxes)) return 0;
            uint64_t slot = ks_slot(boxes, key);
            if (boxes->slot_row[slot] >= 0) continue;
            ptrdiff_t r = boxes->rows++ - boxes->core;
            boxes->slot_key[slot] = boxes->row_key[r] = key;
            boxes->slot_row[slot] = (int32_t)r;
        }
    }
    return 1;
}

/* Where the core begins: the window of `limit` boxes that holds the most of a sample of the numbers. */
static double ks_core_start(const ks_side *side, double per_width, ptrdiff_t limit) {
    double sample[1024];
    int size = ks_sample(side, per_width, 1024, sample), most = 0, best = 0;
    for (int from = 0, to = 0; from < size; from++) {
        while (to < size && sample[to] < sample[from] + (double)limit - 1) to++;
        if (to - from > most) {
            most = to - from;
            best = from;
        }
    }
    return rint(sample[best]);
}

/* ---- spread ----------------------------------------------------------------------------------------------- */

/* Row and place of `count` numbers. */
KS_INLINE void ks_locate(const ks_boxes *boxes, const ks_side *side, ptrdiff_t start, int count, double per_width,
                         int32_t *restrict row, double *restrict place) {
    double first = boxes->first, core = (double)boxes->core;
    int outside = 0;
    ks_load(side, start, count, per_width, place);
#pragma omp simd reduction(+ : outside)
    for (int i = 0; i < count; i++) {
        double key = rint(place[i]), relative = key - first;
        int inside = (relative >= 0) & (relative < core);
        outside += !inside;
        row[i] = (int32_t)(inside ? relative : -1.0);
        place[i] = 2 * (place[i] - key);
    }
    if (!outside) return;
    double number[KS_BLOCK];
    ks_load(side, start, count, per_width, number);
    for (int i = 0; i < count; i++)
        if (row[i] < 0) row[i] = (int32_t)(boxes->core + boxes->slot_row[ks_slot(boxes, rint(number[i]) + 0.0)]);
}

KS_INLINE void ks_spread_order(const ks_boxes *boxes, const ks_side *side, ptrdiff_t start, ptrdiff_t stop,
                               double per_width, double *restrict table, const int order) {
    int32_t row[KS_BLOCK];
    double place[KS_BLOCK];
    for (ptrdiff_t at = start; at < stop; at += KS_BLOCK) {
        int count = (int)(stop - at < KS_BLOCK ? stop - at : KS_BLOCK);
        ks_locate(boxes, side, at, count, per_width, row, place);
        for (int i = 0; i < count; i++) {
            double t = place[i], t2 = t * t, t4 = t2 * t2, w = side->weight ? side->weight[at + i] : 1.0;
            ks_quad power = {w, w * t, w * t2, w * t2 * t};
            ks_quad *moment = (ks_quad *)(table + (ptrdiff_t)row[i] * order);
            for (int l = 0; l < order / 4; l++) {
                moment[l] += power;
                power *= t4;
            }
        }
    }
}

KS_MULTIVERSION static void ks_spread_piece(const ks_boxes *boxes, const ks_side *side, ptrdiff_t start,
                                            ptrdiff_t stop, double per_width, double *table, int order) {
    switch (order) {
    case 4: ks_spread_order(boxes, side, start, stop, per_width, table, 4); break;
    case 8: ks_spread_order(boxes, side, start, stop, per_width, table, 8); break;
    case 12: ks_spread_order(boxes, side, start, stop, per_width, table, 12); break;
    default: ks_spread_order(boxes, side, start, stop, per_width, table, 16);
    }
}

typedef struct {
    uint64_t bits; /* the key, so encoded that unsigned integers order like the keys */
    int64_t row;
} ks_outer;

/* Sort `count` boxes by key: least significant byte first, skipping bytes that all keys share. */
static void ks_sort_outer(ks_outer *list, ks_outer *spare, ptrdiff_t count) {
    ks_outer *from = list, *to = spare;
    for (int shift = 0; shift < 64; shift += 8) {
        ptrdiff_t start[257] = {0};
        for (ptrdiff_t i = 0; i < count; i++) start[(from[i].bits >> shift & 255) + 1]++;
        if (start[(from[0].bits >> shift & 255) + 1] == count) continue;
        for (int digit = 0; digit < 256; digit++) start[digit + 1] += start[digit];
        for (ptrdiff_t i = 0; i < count; i++) to[start[from[i].bits >> shift & 255]++] = from[i];
        ks_outer *swap = from;
        from = to;
        to = swap;
    }
    if (from != list) memcpy(list, from, count * sizeof *list);
}

/* The boxes outside the core in order, in a list for the caller to free; NULL when out of memory. */
static ks_outer *ks_list_outer(const ks_boxes *boxes) {
    ptrdiff_t count = boxes->rows - boxes->core;
    ks_outer *list = (ks_outer *)malloc((2 * count + 1) * sizeof *list);
    if (!list || !count) return list;
    for (ptrdiff_t r = 0; r < count; r++) {
        uint64_t bits = ks_bits_of_double(boxes->row_key[r]);
        list[r] = (ks_outer){bits >> 63 ? ~bits : bits | (uint64_t)1 << 63, boxes->core + r};
    }
    ks_sort_outer(list, list + count, count);
    return list;
}

static void ks_list_box(ks_boxes *boxes, double key, ptrdiff_t row, int order) {
    const double *moment = boxes->table + row * order;
    if (moment[0] == 0) return; /* nothing there, or nothing but zero weights */
    boxes->key[boxes->count] = key;
    boxes->row[boxes->count] = row;
    memcpy(boxes->moment + boxes->count * order, moment, order * sizeof(double));
    boxes->count++;
}

/* List the occupied boxes in order. */
static int ks_list_boxes(ks_boxes *boxes, int order) {
    ptrdiff_t outers = boxes->rows - boxes->core, o = 0;
    boxes->key = (double *)malloc(boxes->rows * sizeof(double));
    boxes->row = (ptrdiff_t *)malloc(boxes->rows * sizeof(ptrdiff_t));
    boxes->moment = (double *)malloc(boxes->rows * order * sizeof(double));
    ks_outer *outer = boxes->key && boxes->row && boxes->moment ? ks_list_outer(boxes) : NULL;
    if (!outer) return 0;
    for (; o < outers && boxes->row_key[outer[o].row - boxes->core] < boxes->first; o++)
        ks_list_box(boxes, boxes->row_key[outer[o].row - boxes->core], outer[o].row, order);
    for (ptrdiff_t r = 0; r < boxes->core; r++) ks_list_box(boxes, boxes->first + (double)r, r, order);
    for (; o < outers; o++) ks_list_box(boxes, boxes->row_key[outer[o].row - boxes->core], outer[o].row, order);
    free(outer);
    return 1;
}

/* Rows and tables of one side: one table per piece of the numbers. Returns 0 when out of memory. */
static int ks_lay_out(ks_boxes *boxes, const ks_side *side, const ks_range *range, const ks_grid *grid) {
    double per_width = 1 / grid->width;
    double first = rint(range->low * per_width), extent = rint(range->high * per_width) - first + 1;
    ptrdiff_t limit = ks_core_limit(side->n);
    boxes->first = first;
    boxes->core = extent <= (double)limit ? (ptrdiff_t)extent : limit;
    if (extent > (double)limit) boxes->first = ks_core_start(side, per_width, limit);
    boxes->rows = boxes->core;
    if (extent > (double)limit && !ks_add_outer_boxes(boxes, side, per_width)) return 0;
    boxes->pieces = ks_pieces(side->n, boxes->rows * 16 > 8192 ? boxes->rows * 16 : 8192);
    boxes->table = (double *)malloc(boxes->rows * grid->order * boxes->pieces * sizeof(double));
    return boxes->table != NULL;
}

/* Boxes and moments of both sides. Returns 0 when out of memory. */
static int ks_spread(ks_boxes *boxes, const ks_side *side, const ks_range *range, const ks_grid *grid, int threads) {
    int order = grid->order;
    int done[2];
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int s = 0; s < 2; s++) done[s] = ks_lay_out(boxes + s, side + s, range + s, grid);
    if (!done[0] || !done[1]) return 0;
    int all = boxes[0].pieces + boxes[1].pieces;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int i = 0; i < all; i++) {
        int s = i >= boxes[0].pieces, c = i - s * boxes[0].pieces, pieces = boxes[s].pieces;
        ptrdiff_t size = boxes[s].rows * order, n = side[s].n;
        double *table = boxes[s].table + c * size;
        memset(table, 0, size * sizeof(double));
        ks_spread_piece(boxes + s, side + s, n * c / pieces, n * (c + 1) / pieces, 1 / grid->width, table, order);
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int s = 0; s < 2; s++) {
        ptrdiff_t size = boxes[s].rows * order;
        double *table = boxes[s].table;
        for (int c = 1; c < boxes[s].pieces; c++)
            for (ptrdiff_t i = 0; i < size; i++) table[i] += table[c * size + i];
        done[s] = ks_list_boxes(boxes + s, order);
    }
    return done[0] && done[1];
}

static void ks_free_boxes(ks_boxes *boxes) {
    free(boxes->table);
    free(boxes->slot_key);
    free(boxes->slot_row);
    free(boxes->row_key);
    free(boxes->key);
    free(boxes->row);
    free(boxes->moment);
}

/* Sums of one or two functions over the same sources, to be found as one polynomial per target box. */
typedef struct {
    const ks_boxes *target, *source;
    int functions;
    const ks_function *function[2];
    const double *matrix[2];
    double *polynomial[2];
} ks_job;

/* ---- near: one matrix per distance between boxes ---------------------------------------------------------- */

/* Chebyshev interpolation at p nodes, as p x p matrices: from values at the nodes to Chebyshev coefficients, from these
 * to coefficients of powers of t; and their transposes. Going through Chebyshev coefficients keeps the rounding error
 * of the interpolant at that of the function. */
typedef struct {
    double node[KS_MAX_ORDER];
    double transform[KS_MAX_ORDER * KS_MAX_ORDER], transform_t[KS_MAX_ORDER * KS_MAX_ORDER];
    double power[KS_MAX_ORDER * KS_MAX_ORDER], power_t[KS_MAX_ORDER * KS_MAX_ORDER];
} ks_chebyshev;

static void ks_chebyshev_fill(ks_chebyshev *c, int p) {
    const double pi = 3.14159265358979323846;
    memset(c->power_t, 0, sizeof c->power_t);
    c->power_t[0] = c->power_t[p + 1] = 1; /* row k: the coefficients of T_k */
    for (int k = 2; k < p; k++)
        for (int l = 0; l <= k; l++)
            c->power_t[k * p + l] = (l ? 2 * c->power_t[(k - 1) * p + l - 1] : 0) - c->power_t[(k - 2) * p + l];
    for (int i = 0; i < p; i++) {
        c->node[i] = cos(pi * (i + 0.5) / p);
        for (int k = 0; k < p; k++) {
            c->transform_t[i * p + k] = (k ? 2.0 : 1.0) / p * cos(pi * k * (i + 0.5) / p);
            c->transform[k * p + i] = c->transform_t[i * p + k];
            c->power[i * p + k] = c->power_t[k * p + i];
        }
    }
}

/* out = left x right, `rows` x p times p x p. */
KS_INLINE void ks_product(const double *left, const double *right, double *restrict out, int rows, int p) {
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < p; j++) out[i * p + j] = 0;
        for (int k = 0; k < p; k++)
            for (int j = 0; j < p; j++) out[i * p + j] += left[i * p + k] * right[k * p + j];
    }
}

/* matrix[(delta + near) p^2 + l p + k]: coefficient of s^l t^k of the function at d = eta (delta + (s - t) / 2). */
KS_MULTIVERSION static void ks_fill_matrices(const ks_function *function, const ks_grid *grid, const ks_chebyshev *c,
                                             double *matrix) {
    int p = grid->order;
    double d[KS_MAX_ORDER * KS_MAX_ORDER], value[KS_MAX_ORDER * KS_MAX_ORDER];
    for (int delta = -grid->near; delta <= grid->near; delta++) {
        double *out = matrix + (ptrdiff_t)(delta + grid->near) * p * p;
        for (int s = 0; s < p; s++)
            for (int t = 0; t < p; t++) d[s * p + t] = grid->eta * (delta + 0.5 * (c->node[s] - c->node[t]));
        function->at(d, value, p * p);
        ks_product(c->transform, value, d, p, p);
        ks_product(d, c->transform_t, value, p, p);
        ks_product(c->power, value, d, p, p);
        ks_product(d, c->power_t, out, p, p);
    }
}

/* The first box whose key is at least `key`. */
static ptrdiff_t ks_first_at_least(const ks_boxes *boxes, double key) {
    ptrdiff_t low = 0, high = boxes->count;
    while (low < high) {
        ptrdiff_t middle = low + (high - low) / 2;
        if (boxes->key[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

KS_INLINE void ks_near_order(const ks_boxes *target, ptrdiff_t start, ptrdiff_t stop, const ks_boxes *source, int near,
                             const double *matrix, double *restrict polynomial, const int p) {
    ptrdiff_t from = start < stop ? ks_first_at_least(source, target->key[start] - near) : 0, to = from;
    const int quads = p / 4, chains = p > 8 ? 2 : 4; /* independent sums, to hide the latency of the additions */
    for (ptrdiff_t a = start; a < stop; a++) {
        double key = target->key[a];
        /* not aligned, they straddle cache lines in some processes, which then take half as long again */
        ks_quad sum[4][KS_MAX_ORDER / 4] __attribute__((aligned(64))) = {{{0}}};
        while (from < source->count && source->key[from] < key - near) from++;
        if (to < from) to = from;
        while (to < source->count && source->key[to] <= key + near) to++;
        for (ptrdiff_t b = from; b < to; b++) {
            const ks_quad *c = (const ks_quad *)(matrix + (ptrdiff_t)(int)(source->key[b] - key + near) * (p * p));
            const double *moment = source->moment + b * p;
            for (int l = 0; l < p; l++)
                for (int k = 0; k < quads; k++) sum[l % chains][k] += moment[l] * c[l * quads + k];
        }
        ks_quad *out = (ks_quad *)(polynomial + a * p);
        for (int k = 0; k < quads; k++) {
            for (int j = 1; j < chains; j++) sum[0][k] += sum[j][k];
            out[k] = sum[0][k];
        }
    }
}

KS_MULTIVERSION static void ks_near_piece(const ks_boxes *target, ptrdiff_t start, ptrdiff_t stop,
                                          const ks_boxes *source, const ks_grid *grid, const double *matrix,
                                          double *polynomial) {
    switch (grid->order) {
    case 4: ks_near_order(target, start, stop, source, grid->near, matrix, polynomial, 4); break;
    case 8: ks_near_order(target, start, stop, source, grid->near, matrix, polynomial, 8); break;
    case 12: ks_near_order(target, start, stop, source, grid->near, matrix, polynomial, 12); break;
    default: ks_near_order(target, start, stop, source, grid->near, matrix, polynomial, 16);
    }
}

/* ---- tails: one sweep from each side ---------------------------------------------------------------------- */

/* exponential[k p + l]: coefficient of t^l of exp((k + 1) eta t / 2). */
static void ks_fill_exponentials(const ks_grid *grid, const ks_chebyshev *c, double *exponential) {
    int p = grid->order;
    double value[KS_MAX_TERMS * KS_MAX_ORDER], coefficient[KS_MAX_TERMS * KS_MAX_ORDER];
    for (int k = 0; k < grid->terms; k++)
        for (int i = 0; i < p; i++) value[k * p + i] = exp((k + 1) * 0.5 * grid->eta * c->node[i]);
    ks_product(value, c->transform_t, coefficient, grid->terms, p);
    ks_product(coefficient, c->power_t, exponential, grid->terms, p);
}

/* One sweep. side = -1: sources to the left of the target, targets from left to right; side = +1: the mirror image.
 * carried[k] = sum over the sources passed so far of w exp(-(k + 1) |y - centre of the target|). */
KS_INLINE void ks_sweep_order(int side, const ks_job *job, const ks_grid *grid, const double *exponential,
                              const int p) {
    const ks_boxes *target = job->target, *source = job->source;
    const int quads = p / 4, terms = grid->terms;
    double weight = 0, distance = 0; /* sum of w, and of w |y - centre of the target| */
    double carried[KS_MAX_TERMS] = {0}, decay[KS_MAX_TERMS], factor[2][KS_MAX_TERMS];
    double toward[KS_MAX_ORDER * KS_MAX_TERMS], away[KS_MAX_TERMS * KS_MAX_ORDER];
    for (int k = 0; k < terms; k++) {
        for (int f = 0; f < job->functions; f++)
            factor[f][k] = side < 0 ? job->function[f]->left(k + 1) : job->function[f]->right(k + 1);
        for (int l = 0; l < p; l++) { /* places s and t grow to the right, distances to the outside */
            toward[l * KS_MAX_TERMS + k] = exponential[k * p + l] * ((l & 1) ? -side : 1);
            away[k * p + l] = exponential[k * p + l] * ((l & 1) ? side : 1);
        }
    }
    ptrdiff_t b = side < 0 ? 0 : source->count - 1, end = side < 0 ? source->count : -1;
    double previous = target->key[side < 0 ? 0 : target->count - 1];
    for (ptrdiff_t i = 0; i < target->count; i++) {
        ptrdiff_t a = side < 0 ? i : target->count - 1 - i;
        double key = target->key[a], step = fabs(key - previous) * grid->eta;
        previous = key;
        if (weight > 0) {
            for (int k = 0; k < terms; k++) decay[k] = ks_exp(-step * (k + 1));
            for (int k = 0; k < terms; k++) carried[k] *= decay[k];
            distance += weight * step;
        }
        for (; b != end && side * (source->key[b] - key) > grid->near; b -= side) {
            const double *moment = source->moment + b * p;
            double gap = fabs(source->key[b] - key) * grid->eta, sum[KS_MAX_TERMS] = {0};
            for (int k = 0; k < terms; k++) decay[k] = ks_exp(-gap * (k + 1));
            for (int l = 0; l < p; l++)
                for (int k = 0; k < terms; k++) sum[k] += toward[l * KS_MAX_TERMS + k] * moment[l];
            for (int k = 0; k < terms; k++) carried[k] += decay[k] * sum[k];
            weight += moment[0];
            distance += moment[0] * gap + side * 0.5 * grid->eta * moment[1];
        }
        if (weight == 0) continue;
        for (int f = 0; f < job->functions; f++) {
            double *polynomial = job->polynomial[f] + a * p;
            ks_quad *out = (ks_quad *)polynomial;
            for (int k = 0; k < terms; k++) {
                const ks_quad *shape = (const ks_quad *)(away + k * p);
                for (int l = 0; l < quads; l++) out[l] += factor[f][k] * carried[k] * shape[l];
            }
            if (side > 0) {
                double linear = job->function[f]->linear;
                polynomial[0] += job->function[f]->constant * weight + linear * distance;
                polynomial[1] -= linear * weight * 0.5 * grid->eta;
            }
        }
    }
}

KS_MULTIVERSION static void ks_sweep(int side, const ks_job *job, const ks_grid *grid, const double *exponential) {
    switch (grid->order) {
    case 4: ks_sweep_order(side, job, grid, exponential, 4); break;
    case 8: ks_sweep_order(side, job, grid, exponential, 8); break;
    case 12: ks_sweep_order(side, job, grid, exponential, 12); break;
    default: ks_sweep_order(side, job, grid, exponential, 16);
    }
}

/* ---- gather ----------------------------------------------------------------------------------------------- */

KS_INLINE void ks_gather_order(const ks_boxes *boxes, const ks_side *side, ptrdiff_t start, ptrdiff_t stop,
                               double per_width, void *out, const int order) {
    int32_t row[KS_BLOCK];
    double place[KS_BLOCK], result[KS_BLOCK];
    for (ptrdiff_t at = start; at < stop; at += KS_BLOCK) {
        int count = (int)(stop - at < KS_BLOCK ? stop - at : KS_BLOCK);
        ks_locate(boxes, side, at, count, per_width, row, place);
        for (int i = 0; i < count; i++) {
            const ks_quad *c = (const ks_quad *)(boxes->table + (ptrdiff_t)row[i] * order);
            double t = place[i], t2 = t * t, t4 = t2 * t2;
            ks_quad part = c[order / 4 - 1];
            for (int l = order / 4 - 2; l >= 0; l--) part = part * t4 + c[l];
            result[i] = (part[0] + part[2] * t2) + (part[1] + part[3] * t2) * t;
        }
        if (side->weight)
            for (int i = 0; i < count; i++) result[i] *= side->weight[at + i];
        if (side->is_float)
            for (int i = 0; i < count; i++) ((float *)out)[at + i] = (float)result[i];
        else
            memcpy((double *)out + at, result, count * sizeof(double));
    }
}

KS_MULTIVERSION static void ks_gather_piece(const ks_boxes *boxes, const ks_side *side, ptrdiff_t start,
                                            ptrdiff_t stop, double per_width, void *out, int order) {
    switch (order) {
    case 4: ks_gather_order(boxes, side, start, stop, per_width, out, 4); break;
    case 8: ks_gather_order(boxes, side, start, stop, per_width, out, 8); break;
    case 12: ks_gather_order(boxes, side, start, stop, per_width, out, 12); break;
    default: ks_gather_order(boxes, side, start, stop, per_width, out, 16);
    }
}

/* The polynomials, times `factor`, replace the moments in the table; rows without a polynomial hold zeros. */
static void ks_place(ks_boxes *boxes, const double *polynomial, double factor, int order) {
    for (ptrdiff_t a = 0; a < boxes->count; a++)
        for (int k = 0; k < order; k++) boxes->table[boxes->row[a] * order + k] = factor * polynomial[a * order + k];
}

/* out[s][i] = w_i times the polynomial of the box of number i of side s, where out[s] is wanted. */
static void ks_gather(const ks_boxes *boxes, const ks_side *side, const ks_grid *grid, void *const *out, int threads) {
    int pieces[2];
    for (int s = 0; s < 2; s++) pieces[s] = out[s] ? ks_pieces(side[s].n, 8192) : 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int i = 0; i < pieces[0] + pieces[1]; i++) {
        int s = i >= pieces[0], c = i - s * pieces[0];
        ptrdiff_t n = side[s].n;
        ks_gather_piece(boxes + s, side + s, n * c / pieces[s], n * (c + 1) / pieces[s], 1 / grid->width, out[s],
                        grid->order);
    }
}

/* ---- all together ----------------------------------------------------------------------------------------- */

/* The boxes of the negated numbers: sum_i u_i k(y_j - x_i) over x is sum_i u_i k((-x_i) - (-y_j)). */
static int ks_mirror(const ks_boxes *boxes, int order, ks_boxes *mirror) {
    ptrdiff_t count = mirror->count = boxes->count;
    mirror->key = (double *)malloc(count * sizeof(double));
    mirror->moment = (double *)malloc(count * order * sizeof(double));
    if (!mirror->key || !mirror->moment) return 0;
    for (ptrdiff_t a = 0; a < count; a++) {
        mirror->key[count - 1 - a] = -boxes->key[a];
        for (int k = 0; k < order; k++)
            mirror->moment[(count - 1 - a) * order + k] = (k & 1 ? -1 : 1) * boxes->moment[a * order + k];
    }
    return 1;
}

static void ks_unmirror(double *polynomial, ptrdiff_t count, int order) {
    for (ptrdiff_t a = 0, z = count - 1; a <= z; a++, z--)
        for (int k = 0; k < order; k++) {
            double sign = k & 1 ? -1 : 1, left = polynomial[a * order + k];
            polynomial[a * order + k] = sign * polynomial[z * order + k];
            polynomial[z * order + k] = sign * left;
        }
}

/* Every job's polynomials on its target boxes. */
static void ks_run_jobs(const ks_job *job, int jobs, const ks_grid *grid, const double *exponential, int threads) {
    const int pieces = KS_NEAR_PIECES;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int i = 0; i < jobs * pieces; i++) {
        const ks_job *j = job + i / pieces;
        ptrdiff_t count = j->target->count, c = i % pieces;
        for (int f = 0; f < j->functions; f++)
            ks_near_piece(j->target, count * c / pieces, count * (c + 1) / pieces, j->source, grid, j->matrix[f],
                          j->polynomial[f]);
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int i = 0; i < jobs; i++)
        for (int s = -1; s <= 1; s += 2) ks_sweep(s, job + i, grid, exponential);
}

/* side[0] holds the x, side[1] the y, boxes likewise; returns a status. */
static int ks_sum_by_boxes(const ks_kernel *kernel, const ks_side *side, const ks_grid *grid, const ks_range *range,
                           double temperature, double factor, double *value, void *const *slope, int threads) {
    int order = grid->order, status = KS_NO_MEMORY;
    ptrdiff_t matrices = (ptrdiff_t)(2 * grid->near + 1) * order * order;
    ks_chebyshev chebyshev;
    double exponential[KS_MAX_TERMS * KS_MAX_ORDER];
    ks_boxes boxes[2] = {{0}}, mirror[2] = {{0}};
    double *matrix = (double *)malloc(2 * matrices * sizeof(double)), *polynomial[3] = {0};

    if (!ks_spread(boxes, side, range, grid, threads)) goto end;
    for (int j = 0; j < 3; j++) {
        polynomial[j] = (double *)malloc(boxes[j == 2].count * order * sizeof(double));
        if (!polynomial[j]) goto end;
    }
    if (!matrix) goto end;
    ks_chebyshev_fill(&chebyshev, order);
    ks_fill_exponentials(grid, &chebyshev, exponential);
    ks_fill_matrices(&kernel->value, grid, &chebyshev, matrix);
    if (slope[0] || slope[1]) ks_fill_matrices(&kernel->slope, grid, &chebyshev, matrix + matrices);
    ks_job job[2] = {{boxes, boxes + 1, slope[0] ? 2 : 1, {&kernel->value, &kernel->slope},
                      {matrix, matrix + matrices}, {polynomial[0], polynomial[1]}}};
    if (slope[1]) {
        for (int s = 0; s < 2; s++)
            if (!ks_mirror(boxes + s, order, mirror + s)) goto end;
        job[1] = (ks_job){mirror + 1, mirror, 1, {&kernel->slope}, {matrix + matrices}, {polynomial[2]}};
    }
    int jobs = slope[1] ? 2 : 1;
    ks_run_jobs(job, jobs, grid, exponential, threads);

    if (value) {
        *value = 0;
        for (ptrdiff_t i = 0; i < boxes[0].count * order; i++) *value += polynomial[0][i] * boxes[0].moment[i];
        *value *= factor;
    }
    if (slope[0]) ks_place(boxes, polynomial[1], -factor / temperature, order);
    if (slope[1]) {
        ks_unmirror(polynomial[2], boxes[1].count, order);
        ks_place(boxes + 1, polynomial[2], factor / temperature, order);
    }
    ks_gather(boxes, side, grid, slope, threads);
    status = KS_OK;
end:
    for (int s = 0; s < 2; s++) {
        ks_free_boxes(boxes + s);
        ks_free_boxes(mirror + s);
    }
    for (int j = 0; j < 3; j++) free(polynomial[j]);
    free(matrix);
    return status;
}

#endif

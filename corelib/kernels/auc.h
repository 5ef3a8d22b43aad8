/* Area under the ROC curve: the share of (positive, negative) pairs that the scores order right, ties half.
 *
 * The scores are scattered into buckets of their highest bits; each bucket is sorted on its own, in the cache, with
 * the label in the lowest bit of the key. All counts are integers, so threads cannot change the result. Where scores have
 * weights, a pair counts with the product of its two, and one thread sorts all the scores of a query. */
#ifndef KS_AUC_H
#define KS_AUC_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "radix.h"
#include "radix_items.h"
#include "ranking.h"
#include "simd.h"
#include "threads.h"

#ifdef _OPENMP
#define KS_THREAD omp_get_thread_num()
#else
#define KS_THREAD 0
#endif

enum { KS_AUC_SCATTER_BITS = 14, KS_AUC_PARALLEL = 32768 };

static int ks_auc_threads(int64_t n) {
#ifdef _OPENMP
    int64_t most = n / KS_AUC_PARALLEL, threads = ks_threads();
    return omp_in_parallel() || most < 1 ? 1 : (int)(most < threads ? most : threads);
#else
    return (void)n, 1;
#endif
}

/* 0/1 labels from values of any type; 0 if one is neither. */
static int ks_auc_labels(const ks_values *labels, int64_t n, uint8_t *out) {
    enum { STEP = 1024 };
    int bad = 0;
#pragma omp parallel for num_threads(ks_threads()) reduction(| : bad) if (n > KS_AUC_PARALLEL)
    for (int64_t from = 0; from < n; from += STEP) {
        double value[STEP];
        int64_t m = from + STEP < n ? STEP : n - from, wrong = 0;
        ks_load_grades(labels->data + from * labels->column, labels->column, m, labels->type, value);
        for (int64_t j = 0; j < m; j++) {
            wrong += (value[j] != 0) & (value[j] != 1);
            out[from + j] = value[j] != 0;
        }
        bad |= wrong > 0;
    }
    return !bad;
}

typedef struct {
    uint64_t twice; /* twice the pairs in order, ties counting one */
    int64_t positives;
} ks_auc_bucket;

/* The first of the buckets that starts at `place` or behind; `buckets` if none does. Ends of tasks of equal work. */
static int64_t ks_auc_first(const int64_t *start, int64_t buckets, int64_t place) {
    int64_t low = 0, high = buckets;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (start[middle] < place)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#define KEY double
#define BITS uint64_t
#define KEY_(name) ks_##name##_f64
#include "auc_core.h"
#undef KEY
#undef BITS
#undef KEY_

#define KEY float
#define BITS uint32_t
#define KEY_(name) ks_##name##_f32
#include "auc_core.h"
#undef KEY
#undef BITS
#undef KEY_

static int ks_auc_weighted(const double *score, const uint8_t *label, const double *weight, int64_t n, double *auc) {
    double largest[2] = {0, 0};
    for (int64_t j = 0; j < n; j++) {
        if (score[j] != score[j]) return KS_BAD_SCORE;
        if (weight[j] > largest[label[j]]) largest[label[j]] = weight[j];
    }
    if (largest[0] == 0 || largest[1] == 0) return KS_ONE_CLASS;
    int exponent[2]; /* the weights of each class are brought near 1, where no sum and no product leaves the range */
    frexp(largest[0], exponent);
    frexp(largest[1], exponent + 1);
    ks_item *item = malloc((size_t)(2 * n) * sizeof *item);
    if (!item) return KS_NO_MEMORY;
    for (int64_t j = 0; j < n; j++) {
        double w = ldexp(weight[j], -exponent[label[j]]);
        item[j] = (ks_item){.x = ks_key_f64(score[j]), .y = label[j] ? w : -w};
    }
    const ks_item *sorted = ks_sort_items(item, item + n, n);
    double of_class[2] = {0, 0}, in_order = 0;
    for (int64_t i = 0; i < n;) {
        double tied[2] = {0, 0};
        uint64_t x = sorted[i].x;
        for (; i < n && sorted[i].x == x; i++) tied[sorted[i].y > 0] += fabs(sorted[i].y);
        in_order += tied[1] * (of_class[0] + tied[0] / 2);
        of_class[0] += tied[0];
        of_class[1] += tied[1];
    }
    free(item);
    double share = in_order / (of_class[0] * of_class[1]);
    *auc = share < 1 ? share : 1;
    return KS_OK;
}

/* One value per query into out; queries of one class get `empty`. *query is the first bad (KS_BAD_SCORE) query or
 * the first of one class (KS_ONE_CLASS). `weights` (NULL: all 1) are finite and not negative, and go with double scores. */
static int ks_auc_query(const void *scores, int is_f32, const uint8_t *labels, const double *weights,
                        const int64_t *indptr, int64_t q, double *out) {
    int64_t from = indptr[q], n = indptr[q + 1] - from;
    if (weights) return ks_auc_weighted((const double *)scores + from, labels + from, weights + from, n, out + q);
    return is_f32 ? ks_auc_f32((const float *)scores + from, labels + from, n, out + q)
                  : ks_auc_f64((const double *)scores + from, labels + from, n, out + q);
}

static int ks_auc_queries(const void *scores, int is_f32, const uint8_t *labels, const double *weights,
                          const int64_t *indptr, int64_t queries, double empty, double *out, int64_t *query) {
    int64_t bad_score = INT64_MAX, one_class = INT64_MAX;
    int no_memory = 0;
    if (queries == 1) { /* its own loops are parallel: a region around them, even of one thread, would start new threads */
        *query = 0;
        int status = ks_auc_query(scores, is_f32, labels, weights, indptr, 0, out);
        if (status == KS_ONE_CLASS) out[0] = empty;
        return status;
    }
#pragma omp parallel for num_threads(ks_threads()) schedule(dynamic, 16) if (indptr[queries] > KS_AUC_PARALLEL) \
    reduction(min : bad_score, one_class) reduction(| : no_memory)
    for (int64_t q = 0; q < queries; q++) {
        int status = ks_auc_query(scores, is_f32, labels, weights, indptr, q, out);
        if (status == KS_NO_MEMORY) no_memory = 1;
        if (status == KS_BAD_SCORE && q < bad_score) bad_score = q;
        if (status == KS_ONE_CLASS) {
            out[q] = empty;
            if (q < one_class) one_class = q;
        }
    }
    if (no_memory) return KS_NO_MEMORY;
    if (bad_score < INT64_MAX) return *query = bad_score, KS_BAD_SCORE;
    if (one_class < INT64_MAX) return *query = one_class, KS_ONE_CLASS;
    return KS_OK;
}

#endif

/* Area under the ROC curve: the share of (positive, negative) pairs that the scores order right, ties half.
 *
 * The scores are scattered into buckets of their highest bits; each bucket is sorted on its own, in the cache, with
 * the label in the lowest bit of the key. All counts are integers, so threads cannot change the result. */
#ifndef KS_AUC_H
#define KS_AUC_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#define KS_THREAD omp_get_thread_num()
#else
#define KS_THREAD 0
#endif

#include "radix.h"
#include "ranking.h"
#include "simd.h"

enum { KS_AUC_SCATTER_BITS = 14, KS_AUC_PARALLEL = 32768 };

static int ks_auc_threads(int64_t n) {
#ifdef _OPENMP
    int64_t most = n / KS_AUC_PARALLEL, threads = omp_get_max_threads();
    return omp_in_parallel() || most < 1 ? 1 : (int)(most < threads ? most : threads);
#else
    return (void)n, 1;
#endif
}

/* 0/1 labels from values of any type; 0 if one is neither. */
static int ks_auc_labels(const ks_values *labels, int64_t n, uint8_t *out) {
    enum { STEP = 1024 };
    int bad = 0;
#pragma omp parallel for reduction(| : bad) if (n > KS_AUC_PARALLEL)
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

/* One value per query into out; queries of one class get `empty`. *query is the first bad (KS_BAD_SCORE) query or
 * the first of one class (KS_ONE_CLASS). */
static int ks_auc_query(const void *scores, int is_f32, const uint8_t *labels, const int64_t *indptr, int64_t q,
                        double *out) {
    int64_t from = indptr[q], n = indptr[q + 1] - from;
    return is_f32 ? ks_auc_f32((const float *)scores + from, labels + from, n, out + q)
                  : ks_auc_f64((const double *)scores + from, labels + from, n, out + q);
}

static int ks_auc_queries(const void *scores, int is_f32, const uint8_t *labels, const int64_t *indptr, int64_t queries,
                          double empty, double *out, int64_t *query) {
    int64_t bad_score = INT64_MAX, one_class = INT64_MAX;
    int no_memory = 0;
    if (queries == 1) { /* its own loops are parallel: a region around them, even of one thread, would start new threads */
        *query = 0;
        int status = ks_auc_query(scores, is_f32, labels, indptr, 0, out);
        if (status == KS_ONE_CLASS) out[0] = empty;
        return status;
    }
#pragma omp parallel for schedule(dynamic, 16) if (indptr[queries] > KS_AUC_PARALLEL) \
    reduction(min : bad_score, one_class) reduction(| : no_memory)
    for (int64_t q = 0; q < queries; q++) {
        int status = ks_auc_query(scores, is_f32, labels, indptr, q, out);
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

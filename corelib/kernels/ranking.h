/* Metrics of ranked lists, for many queries at once.
 *
 * Every metric here is a function of the ranks of the documents that have a relevance above zero. So nothing is
 * sorted: each of those documents (the candidates) counts the documents that stand above it, sixteen candidates to
 * a vector. Where only the first k ranks matter, a lower bound on the k-th best score leaves few candidates.
 * Long lists with many candidates sort the candidates and look every document up among them. */
#ifndef KS_RANKING_H
#define KS_RANKING_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "radix.h"
#include "simd.h"

#if defined(_MSC_VER)
#include <intrin.h>
KS_INLINE int ks_lowest_bit(uint64_t word) {
    unsigned long index;
    _BitScanForward64(&index, word);
    return (int)index;
}
#else
KS_INLINE int ks_lowest_bit(uint64_t word) { return __builtin_ctzll(word); }
#endif

enum { KS_DCG, KS_NDCG, KS_AVERAGE_PRECISION, KS_RECIPROCAL_RANK, KS_PRECISION, KS_RECALL };
enum { KS_FLOAT32, KS_FLOAT64, KS_BOOL, KS_INT8, KS_UINT8, KS_INT16, KS_UINT16, KS_INT32, KS_UINT32, KS_INT64, KS_UINT64 };
enum { KS_OK, KS_NO_MEMORY, KS_BAD_SCORE, KS_BAD_RELEVANCE };

enum {
    KS_LANES = 16,
    KS_LEVELS = 32,         /* whole grades below this are counted per grade */
    KS_DEEPEST_BOUND = 256, /* up to this k, a bound on the k-th best score is looked for */
    KS_COUNTED = 192,       /* up to so many candidates count; more are sorted */
    KS_ARRAYS = 19,
};

/* Values, with the strides of both axes in bytes. */
typedef struct {
    const char *data;
    int64_t row, column;
    int type;
} ks_values;

typedef struct {
    ks_values scores, relevance;
    const int64_t *indptr; /* of ragged queries; NULL if dense */
    int64_t queries, documents, longest;

    int64_t metrics;
    const int32_t *kind;
    const int64_t *cutoff;
    int64_t deepest;     /* the largest cutoff, but for that of an uncut reciprocal rank */
    int64_t ideal_depth; /* the largest cutoff of an nDCG; 0 without one */
    int wants_first;     /* whether the best relevant document is needed wherever it stands */
    int exponential, expected, last_first;
    double min_relevance, max_relevance, empty;
    const double *discount;   /* 1 / log2(rank + 1) from rank 1 on */
    const double *cumulative; /* its partial sums, from 0 on */
} ks_ranking;

/* The documents with gain, in rank order; those that share a rank are one group. */
typedef struct {
    int64_t *start, *size, *relevant;
    double *gain, *worth; /* worth: gain x discount at `start` */
    int64_t groups;
} ks_groups;

typedef struct {
    void *block;
    double *grade, *ideal, *spare_f64;
    void *key, *mine, *sorted, *spare;
    int64_t *candidate, *start, *size, *above, *seen, *slot;
    uint64_t *bits;
    ks_groups groups;
    double gain_of[KS_LEVELS];
} ks_scratch;

static inline int64_t ks_padded(int64_t n) { return (n + 4 * KS_DEEPEST_BOUND + 63) & ~(int64_t)63; }

static inline int ks_scratch_open(ks_scratch *s, int64_t longest, int exponential) {
    size_t n = (size_t)ks_padded(longest);
    char *p = s->block = malloc(KS_ARRAYS * n * 8 + 64);
    if (!p) return 0;
    p += 64 - ((uintptr_t)p & 63);
    void **arrays[] = {
        (void **)&s->grade, (void **)&s->ideal, (void **)&s->spare_f64, &s->key, &s->mine, &s->sorted, &s->spare,
        (void **)&s->candidate, (void **)&s->start, (void **)&s->size, (void **)&s->above, (void **)&s->seen,
        (void **)&s->slot, (void **)&s->bits, (void **)&s->groups.start, (void **)&s->groups.size,
        (void **)&s->groups.relevant, (void **)&s->groups.gain, (void **)&s->groups.worth,
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) *arrays[i] = p + i * n * 8;
    for (int level = 0; level < KS_LEVELS; level++) s->gain_of[level] = exponential ? exp2(level) - 1 : level;
    return 1;
}

KS_INLINE double ks_gain(const ks_ranking *r, const ks_scratch *s, double grade) {
    if (!r->exponential) return grade;
    int whole = grade < KS_LEVELS ? (int)grade : 0;
    return (double)whole == grade ? s->gain_of[whole] : exp2(grade) - 1;
}

/* out[0..n) from n values that lie `stride` bytes apart. */
#define KS_COPY(T, OUT)                                                               \
    if (stride == (int64_t)sizeof(T)) {                                               \
        for (int64_t j = 0; j < n; j++) out[j] = (OUT)((const T *)p)[j];              \
    } else {                                                                          \
        for (int64_t j = 0; j < n; j++) out[j] = (OUT) * (const T *)(p + j * stride); \
    }

KS_MULTIVERSION
static void ks_load_grades(const char *p, int64_t stride, int64_t n, int type, double *out) {
    switch (type) {
        case KS_FLOAT32: KS_COPY(float, double) break;
        case KS_FLOAT64: KS_COPY(double, double) break;
        case KS_INT8: KS_COPY(int8_t, double) break;
        case KS_BOOL:
        case KS_UINT8: KS_COPY(uint8_t, double) break;
        case KS_INT16: KS_COPY(int16_t, double) break;
        case KS_UINT16: KS_COPY(uint16_t, double) break;
        case KS_INT32: KS_COPY(int32_t, double) break;
        case KS_UINT32: KS_COPY(uint32_t, double) break;
        case KS_INT64: KS_COPY(int64_t, double) break;
        case KS_UINT64: KS_COPY(uint64_t, double) break;
    }
}

KS_MULTIVERSION
static void ks_load_f32(const char *p, int64_t stride, int64_t n, float *out) { KS_COPY(float, float) }

KS_MULTIVERSION
static void ks_load_f64(const char *p, int64_t stride, int64_t n, double *out) { KS_COPY(double, double) }

/* What the grades of one query look like. */
typedef struct {
    double highest;
    int64_t relevant;
    int bad, whole;
} ks_grades;

KS_INLINE ks_grades ks_survey(const ks_ranking *r, const double *grade, int64_t n) {
    const double least = r->min_relevance, most = r->max_relevance;
    double highest = 0;
    int64_t relevant = 0, bad = 0, broken = 0;
#pragma omp simd reduction(max : highest) reduction(+ : relevant, bad)
    for (int64_t j = 0; j < n; j++) {
        double x = grade[j];
        highest = x > highest ? x : highest;
        relevant += x >= least;
        bad += !(x >= 0) | !(x <= most);
    }
    if (r->relevance.type == KS_FLOAT32 || r->relevance.type == KS_FLOAT64)
        for (int64_t j = 0; j < n; j++) broken += grade[j] != floor(grade[j]);
    return (ks_grades){.highest = highest, .relevant = relevant, .bad = bad > 0, .whole = broken == 0};
}

/* How many maxima to take for a bound on the k-th best. */
KS_INLINE int64_t ks_bound_width(int64_t k) { return (k + k / 2 + KS_LANES - 1) & ~(int64_t)(KS_LANES - 1); }

/* Sum of the discounts of ranks start + 1 ... end; differences of partial sums lose digits on short stretches. */
KS_INLINE double ks_discounts(const ks_ranking *r, int64_t start, int64_t end) {
    if (end - start > 128) return r->cumulative[end] - r->cumulative[start];
    double sum = 0;
    for (int64_t i = start; i < end; i++) sum += r->discount[i];
    return sum;
}

KS_INLINE double ks_dcg(const ks_ranking *r, const ks_groups *g, int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < g->groups && g->start[i] < k; i++) {
        int64_t start = g->start[i], size = g->size[i];
        if (size == 1)
            sum += g->worth[i];
        else
            sum += g->gain[i] / (double)size * ks_discounts(r, start, start + size < k ? start + size : k);
    }
    return sum;
}

/* A group of equal scores stands for all its orders: below, the expectations over them (McSherry and Najork, 2008). */
KS_INLINE double ks_hits(const ks_groups *g, int64_t k) {
    double hits = 0;
    for (int64_t i = 0; i < g->groups && g->start[i] < k; i++) {
        int64_t start = g->start[i], size = g->size[i];
        hits += start + size <= k ? (double)g->relevant[i] : (double)g->relevant[i] * (double)(k - start) / (double)size;
    }
    return hits;
}

KS_INLINE double ks_precisions(const ks_groups *g, int64_t k) {
    double sum = 0;
    int64_t hits = 0;
    for (int64_t i = 0; i < g->groups && g->start[i] < k; i++) {
        int64_t start = g->start[i], size = g->size[i], relevant = g->relevant[i];
        if (!relevant) continue;
        if (size == 1) {
            sum += (double)(hits + 1) / (double)(start + 1);
        } else {
            double chance = (double)relevant / (double)size, more = (double)(relevant - 1) / (double)(size - 1), group = 0;
            for (int64_t j = 0; j < size && start + j < k; j++)
                group += ((double)(hits + 1) + (double)j * more) / (double)(start + j + 1);
            sum += chance * group;
        }
        hits += relevant;
    }
    return sum;
}

KS_INLINE double ks_reciprocal_rank(const ks_groups *g, int64_t k) {
    int64_t i = 0;
    while (i < g->groups && !g->relevant[i]) i++;
    if (i == g->groups || g->start[i] >= k) return 0;
    int64_t start = g->start[i], size = g->size[i], relevant = g->relevant[i];
    if (size == 1) return 1 / (double)(start + 1);
    double sum = 0, none_yet = 1;
    for (int64_t j = 0; j <= size - relevant && start + j < k; j++) {
        double here = (double)relevant / (double)(size - j);
        sum += none_yet * here / (double)(start + j + 1);
        none_yet *= 1 - here;
    }
    return sum;
}

KS_INLINE double ks_measure(const ks_ranking *r, const ks_groups *g, int32_t kind, int64_t k, const double *ideal,
                            int64_t ideals, const ks_grades *grades) {
    if (kind == KS_DCG || kind == KS_NDCG ? grades->highest == 0 : grades->relevant == 0) return r->empty;
    switch (kind) {
        case KS_DCG: return ks_dcg(r, g, k);
        case KS_NDCG: {
            double best = 0;
            for (int64_t i = 0; i < ideals && i < k; i++) best += ideal[i];
            double share = ks_dcg(r, g, k) / best;
            return share < 1 ? share : 1;
        }
        case KS_AVERAGE_PRECISION: return ks_precisions(g, k) / (double)grades->relevant;
        case KS_RECIPROCAL_RANK: return ks_reciprocal_rank(g, k);
        case KS_PRECISION: return ks_hits(g, k) / (double)k;
        default: return ks_hits(g, k) / (double)grades->relevant;
    }
}

#define KEY double
#define COUNT int64_t
#define BITS uint64_t
#define KEY_(name) ks_##name##_f64
#include "ranking_core.h"
#undef KEY
#undef COUNT
#undef BITS
#undef KEY_

#define KEY float
#define COUNT int32_t
#define BITS uint32_t
#define KEY_(name) ks_##name##_f32
#include "ranking_core.h"
#undef KEY
#undef COUNT
#undef BITS
#undef KEY_

/* out[metric, query]; on KS_BAD_SCORE and KS_BAD_RELEVANCE, *query is the first bad one. */
static int ks_rank_queries(const ks_ranking *r, double *out, int64_t *query) {
    int64_t bad_score = INT64_MAX, bad_relevance = INT64_MAX;
    int no_memory = 0;
    const int64_t step = r->indptr ? 16 : 64, work = r->indptr ? r->documents : r->queries * r->documents;
#pragma omp parallel if (work > 16384) reduction(min : bad_score, bad_relevance) reduction(| : no_memory)
    {
        ks_scratch scratch;
        if (!ks_scratch_open(&scratch, r->longest, r->exponential)) no_memory = 1;
#pragma omp for schedule(dynamic, 1)
        for (int64_t from = 0; from < r->queries; from += step) {
            if (!scratch.block) continue;
            int64_t to = from + step < r->queries ? from + step : r->queries;
            int64_t score = INT64_MAX, relevance = INT64_MAX;
            if (r->scores.type == KS_FLOAT32)
                ks_queries_f32(r, from, to, &scratch, out, &score, &relevance);
            else
                ks_queries_f64(r, from, to, &scratch, out, &score, &relevance);
            if (score < bad_score) bad_score = score;
            if (relevance < bad_relevance) bad_relevance = relevance;
        }
        free(scratch.block);
    }
    if (no_memory) return KS_NO_MEMORY;
    if (bad_score < INT64_MAX) return *query = bad_score, KS_BAD_SCORE;
    if (bad_relevance < INT64_MAX) return *query = bad_relevance, KS_BAD_RELEVANCE;
    return KS_OK;
}

#endif

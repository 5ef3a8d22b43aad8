/* Metrics of ranked lists, for many queries at once.
 *
 * Every metric here is a function of the ranks of the documents that have a relevance above zero. So nothing is
 * sorted: each of those documents (the candidates) counts the documents that stand above it. Three things make that
 * fast. Where only the first k ranks matter, a lower bound on the k-th best score leaves few documents to look at.
 * Many candidates count with 16-bit levels in place of scores, 48 at a time; the few whose level is not theirs alone
 * compare the scores themselves. Long lists with many candidates sort the candidates and look every document up. */
#ifndef KS_RANKING_H
#define KS_RANKING_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "radix.h"
#include "simd.h"
#include "status.h"
#include "threads.h"

enum {
    KS_DCG,
    KS_NDCG,
    KS_AVERAGE_PRECISION,
    KS_RECIPROCAL_RANK,
    KS_PRECISION,
    KS_RECALL,
    KS_HIT_RATE,
    KS_R_PRECISION,
    KS_RANK_BIASED_PRECISION,
    KS_EXPECTED_RECIPROCAL_RANK,
    KS_BPREF
};
enum { KS_FLOAT32, KS_FLOAT64, KS_BOOL, KS_INT8, KS_UINT8, KS_INT16, KS_UINT16, KS_INT32, KS_UINT32, KS_INT64, KS_UINT64 };

enum {
    KS_LANES = 16,           /* scores that are compared at a time */
    KS_WIDE = 48,            /* levels that are compared at a time */
    KS_TOP_LEVEL = 32000,    /* of the best candidate; the worst has level 0 */
    KS_COUNTED = 192,        /* up to so many candidates count, */
    KS_COUNTED_AMONG = 8192, /* among so many documents; else they are sorted */
    KS_DEEPEST_BOUND = 256,  /* up to this k, a bound on the k-th best score is looked for */
    KS_GRADES = 32,          /* whole grades below this are counted per grade */
};

/* Values, with the strides of both axes in bytes. */
typedef struct {
    const char *data;
    int64_t row, column;
    int type;
} ks_values;

typedef struct {
    ks_values scores, relevance;
    ks_values judged;      /* 0 or 1; data is NULL if no metric asks */
    const int64_t *indptr; /* of ragged queries; NULL if dense */
    int64_t queries, documents, longest;

    int64_t metrics;
    const int32_t *kind;
    const int64_t *cutoff;
    int64_t deepest;     /* the largest cutoff that is the same for all queries; an uncut reciprocal rank has none */
    int64_t ideal_depth; /* the largest cutoff of an nDCG; 0 without one */
    int wants_first;     /* whether the best relevant document is needed wherever it stands, */
    int wants_relevant;  /* whether as many ranks as there are relevant documents, */
    int wants_ranks;     /* whether any rank among all documents */
    int exponential, expected, last_first;
    double min_relevance, max_relevance, empty;
    const double *discount;   /* 1 / log2(rank + 1) from rank 1 on */
    const double *cumulative; /* its partial sums, from 0 on */
    const double *power;      /* of `persistence`, from 0 on; NULL if no metric asks */
    double persistence;
    double stop_unit; /* 2 ** -(highest grade) of the expected reciprocal rank; 0 if it is not asked for */
} ks_ranking;

/* The documents with gain, in rank order; those that share a rank are one group. */
typedef struct {
    int32_t *start, *size, *relevant;
    double *gain, *worth; /* worth: gain x discount at `start` */
    int32_t *members;     /* documents with gain, of `size` in all; set if r->expected */
    double *stop;         /* of each member of each group in turn: the chance that a reader stops there */
    int64_t groups;
} ks_groups;

/* Memory for one query at a time. `void *` are arrays of scores or of their keys. */
typedef struct {
    void *block;
    void *key, *kept, *mine, *sorted, *spare;
    double *grade, *kept_grade, *grade_at, *ideal, *spare_f64;
    int32_t *candidate, *start, *size, *above, *seen, *slot;
    int16_t *level, *mine_level;
    uint8_t *occupied;
    ks_groups groups;
    double exponential[KS_GRADES];
} ks_scratch;

static void *ks_take(char **free, size_t count, size_t size) {
    void *array = *free;
    *free += (count * size + 63) & ~(size_t)63;
    return array;
}

static int ks_scratch_open(ks_scratch *s, int64_t longest) {
    /* n values, 64 more, and the rest of a row of maxima (of at most n / 2) */
    size_t n = ((size_t)(longest + longest / 2) + 128 + 63) & ~(size_t)63;
    char *p = s->block = malloc(n * (13 * sizeof(double) + 10 * sizeof(int32_t) + 2 * sizeof(int16_t) + 1) + 64);
    if (!p) return 0;
    p += 64 - ((uintptr_t)p & 63);
    s->key = ks_take(&p, n, sizeof(double));
    s->kept = ks_take(&p, n, sizeof(double));
    s->mine = ks_take(&p, n, sizeof(double));
    s->sorted = ks_take(&p, n, sizeof(double));
    s->spare = ks_take(&p, n, sizeof(double));
    s->grade = ks_take(&p, n, sizeof(double));
    s->kept_grade = ks_take(&p, n, sizeof(double));
    s->grade_at = ks_take(&p, n, sizeof(double));
    s->ideal = ks_take(&p, n, sizeof(double));
    s->spare_f64 = ks_take(&p, n, sizeof(double));
    s->groups.gain = ks_take(&p, n, sizeof(double));
    s->groups.worth = ks_take(&p, n, sizeof(double));
    s->groups.stop = ks_take(&p, n, sizeof(double));
    s->candidate = ks_take(&p, n, sizeof(int32_t));
    s->start = ks_take(&p, n, sizeof(int32_t));
    s->size = ks_take(&p, n, sizeof(int32_t));
    s->above = ks_take(&p, n, sizeof(int32_t));
    s->seen = ks_take(&p, n, sizeof(int32_t));
    s->slot = ks_take(&p, n, sizeof(int32_t));
    s->groups.start = ks_take(&p, n, sizeof(int32_t));
    s->groups.size = ks_take(&p, n, sizeof(int32_t));
    s->groups.relevant = ks_take(&p, n, sizeof(int32_t));
    s->groups.members = ks_take(&p, n, sizeof(int32_t));
    s->level = ks_take(&p, n, sizeof(int16_t));
    s->mine_level = ks_take(&p, n, sizeof(int16_t));
    s->occupied = ks_take(&p, n, sizeof(uint8_t));
    for (int grade = 0; grade < KS_GRADES; grade++) s->exponential[grade] = exp2(grade) - 1;
    return 1;
}

/* For each byte: the places of its ones. */
static uint8_t ks_ones_at[256][8];
static uint8_t ks_ones[256];

static void ks_tabulate_ones(void) {
    for (int byte = 0; byte < 256; byte++) {
        ks_ones[byte] = 0;
        for (int bit = 0; bit < 8; bit++)
            if (byte >> bit & 1) ks_ones_at[byte][ks_ones[byte]++] = (uint8_t)bit;
    }
}

/* The positions, counted from `from`, of the ones among the first n (at most 64) flags. Zeros follow the flags up to a
 * multiple of 8; what is written behind the positions, up to 7 numbers, means nothing. */
KS_INLINE int64_t ks_positions(const uint8_t *flag, int64_t n, int64_t from, int32_t *restrict position) {
    int64_t count = 0;
    for (int64_t eight = 0; eight < n; eight += 8) {
        uint64_t flags;
        memcpy(&flags, flag + eight, sizeof flags);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        flags = __builtin_bswap64(flags);
#endif
        uint8_t byte = (uint8_t)((flags * UINT64_C(0x0102040810204080)) >> 56); /* gathers the eight low bits */
        int32_t first = (int32_t)(from + eight);
        for (int l = 0; l < 8; l++) position[count + l] = first + ks_ones_at[byte][l];
        count += ks_ones[byte];
    }
    return count;
}

/* 2 ** grade - 1; above 0 for every grade above 0. */
KS_INLINE double ks_exponential(const ks_scratch *s, double grade) {
    int whole = grade < KS_GRADES ? (int)grade : 0;
    if ((double)whole == grade) return s->exponential[whole];
    return grade < 1 ? expm1(grade * M_LN2) : exp2(grade) - 1;
}

KS_INLINE double ks_gain(const ks_ranking *r, const ks_scratch *s, double grade) {
    return r->exponential ? ks_exponential(s, grade) : grade;
}

/* out[0..n) from n values that lie `stride` bytes apart. */
#define KS_COPY(T, OUT)                                                               \
    if (stride == (int64_t)sizeof(T)) {                                               \
        for (int64_t j = 0; j < n; j++) out[j] = (OUT)((const T *)p)[j];              \
    } else {                                                                          \
        for (int64_t j = 0; j < n; j++) out[j] = (OUT) * (const T *)(p + j * stride); \
    }

KS_MULTIVERSION_256
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

KS_MULTIVERSION_256
static void ks_load_f32(const char *p, int64_t stride, int64_t n, float *out) { KS_COPY(float, float) }

KS_MULTIVERSION_256
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

/* For `lanes` of the values: start = how many of value[0..n) are higher, size = how many are the same. */
#define KS_DEFINE_COUNT(NAME, T, COUNT)                                                                   \
    KS_INLINE void NAME(const T *value, int64_t n, const T *mine, int32_t *start, int32_t *size, const int lanes) { \
        T x[KS_WIDE];                                                                                     \
        COUNT above[KS_WIDE], same[KS_WIDE];                                                              \
        _Pragma("omp simd") for (int l = 0; l < lanes; l++) {                                             \
            x[l] = mine[l];                                                                               \
            above[l] = 0;                                                                                 \
            same[l] = 0;                                                                                  \
        }                                                                                                 \
        for (int64_t j = 0; j < n; j++) {                                                                 \
            T y = value[j];                                                                               \
            _Pragma("omp simd") for (int l = 0; l < lanes; l++) {                                         \
                above[l] += y > x[l];                                                                     \
                same[l] += y == x[l];                                                                     \
            }                                                                                             \
        }                                                                                                 \
        _Pragma("omp simd") for (int l = 0; l < lanes; l++) {                                             \
            start[l] = (int32_t)above[l];                                                                 \
            size[l] = (int32_t)same[l];                                                                   \
        }                                                                                                 \
    }

KS_DEFINE_COUNT(ks_count_i16, int16_t, int16_t)
KS_DEFINE_COUNT(ks_count_f32, float, int32_t)
KS_DEFINE_COUNT(ks_count_f64, double, int64_t)

/* How many of value[0..n) equal x, which is not 0; zeros follow up to a multiple of KS_LANES. */
KS_INLINE int64_t ks_occurrences(const int16_t *value, int64_t n, int16_t x) {
    enum { STEP = 1 << 14 };
    int64_t total = 0;
    for (int64_t from = 0; from < n; from += STEP) {
        int64_t to = from + STEP < n ? from + STEP : n;
        int16_t count[KS_LANES] = {0};
        for (int64_t j = from; j < to; j += KS_LANES) {
#pragma omp simd
            for (int l = 0; l < KS_LANES; l++) count[l] += value[j + l] == x;
        }
        int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int l = 0; l < KS_LANES; l++) sum += count[l];
        total += sum;
    }
    return total;
}

/* How many maxima to take for a bound on the k-th best, which is not deeper than KS_DEEPEST_BOUND. */
KS_INLINE int64_t ks_bound_width(int64_t k) { return (k + k / 2 + KS_LANES - 1) & ~(int64_t)(KS_LANES - 1); }

/* Sum of the discounts of ranks start + 1 ... end; differences of partial sums lose digits on short stretches. */
KS_INLINE double ks_discounts(const ks_ranking *r, int64_t start, int64_t end) {
    if (end - start > 128) return r->cumulative[end] - r->cumulative[start];
    double sum = 0;
    for (int64_t i = start; i < end; i++) sum += r->discount[i];
    return sum;
}

/* The sum of terms that are added in the same order wherever they come from: equal terms have equal sums. */
KS_INLINE double ks_sum(const double *term, int64_t n) {
    double sum[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int l = 0; l < 4; l++) sum[l] += term[i + l];
    for (int l = 0; i < n; i++, l++) sum[l] += term[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* How many groups begin above rank k. */
KS_INLINE int64_t ks_groups_within(const ks_groups *g, int64_t k) {
    int64_t count = 0;
    for (int64_t i = 0; i < g->groups; i++) count += g->start[i] < k;
    return count;
}

/* A group of equal scores stands for all its orders: the functions below give the expectations over them
 * (McSherry and Najork, 2008). Only the last group within k can reach beyond it. */
KS_INLINE double ks_dcg(const ks_ranking *r, const ks_groups *g, int64_t k) {
    int64_t end = ks_groups_within(g, k);
    if (!r->expected || !end) return ks_sum(g->worth, end);
    int64_t last = end - 1, start = g->start[last], size = g->size[last];
    if (start + size <= k) return ks_sum(g->worth, end);
    return ks_sum(g->worth, last) + g->gain[last] / (double)size * ks_discounts(r, start, k);
}

KS_INLINE double ks_hits(const ks_ranking *r, const ks_groups *g, int64_t k) {
    int64_t end = ks_groups_within(g, k), hits = 0;
    for (int64_t i = 0; i < end; i++) hits += g->relevant[i];
    if (!r->expected || !end || g->start[end - 1] + g->size[end - 1] <= k) return (double)hits;
    double size = (double)g->size[end - 1], relevant = (double)g->relevant[end - 1];
    return (double)(hits - g->relevant[end - 1]) + relevant * (double)(k - g->start[end - 1]) / size;
}

KS_INLINE double ks_precisions(const ks_ranking *r, const ks_groups *g, int64_t k, double *restrict term, int32_t *restrict rank) {
    int64_t end = ks_groups_within(g, k), hits = 0;
    if (!r->expected) {
        for (int64_t i = 0; i < end; i++) {
            rank[hits] = g->start[i] + 1;
            hits += g->relevant[i];
        }
        for (int32_t i = 0; i < (int32_t)hits; i++) term[i] = (double)(i + 1) / (double)rank[i];
        return ks_sum(term, hits);
    }
    int64_t terms = 0;
    for (int64_t i = 0; i < end; i++) {
        int64_t start = g->start[i], size = g->size[i], relevant = g->relevant[i];
        if (!relevant) continue;
        double more = size > 1 ? (double)(relevant - 1) / (double)(size - 1) : 0, sum = 0;
        for (int64_t j = 0; j < size && start + j < k; j++)
            sum += ((double)(hits + 1) + (double)j * more) / (double)(start + j + 1);
        term[terms++] = (double)relevant / (double)size * sum;
        hits += relevant;
    }
    return ks_sum(term, terms);
}

/* 1, or (reciprocal) 1 / rank, of the first relevant document; 0 if it stands beyond rank k. */
KS_INLINE double ks_first_relevant(const ks_ranking *r, const ks_groups *g, int64_t k, int reciprocal) {
    int64_t i = 0;
    while (i < g->groups && !g->relevant[i]) i++;
    if (i == g->groups || g->start[i] >= k) return 0;
    int64_t start = g->start[i], size = r->expected ? g->size[i] : 1, relevant = g->relevant[i];
    if (reciprocal ? size == 1 : start + size - relevant < k) return reciprocal ? 1 / (double)(start + 1) : 1;
    double sum = 0, none_yet = 1;
    for (int64_t j = 0; j <= size - relevant && start + j < k; j++) {
        double here = (double)relevant / (double)(size - j);
        sum += reciprocal ? none_yet * here / (double)(start + j + 1) : none_yet * here;
        none_yet *= 1 - here;
    }
    return sum;
}

KS_INLINE double ks_rank_biased_precision(const ks_ranking *r, const ks_groups *g, double *restrict term) {
    const double p = r->persistence;
    for (int64_t i = 0; i < g->groups; i++) {
        double size = r->expected ? (double)g->size[i] : 1;
        double share = size > 1 ? -expm1(size * log(p)) / size : 1 - p; /* (1 - p) x the mean of p ** (0 ... size - 1) */
        term[i] = share * (double)g->relevant[i] * r->power[g->start[i]];
    }
    return ks_sum(term, g->groups);
}

/* The expected reciprocal rank within a group of `size` equal scores, `members` of which may stop a reader who arrives
 * at rank start + 1; only its first `seen` ranks count. Let F(t) be the chance of a stop among the first t ranks, over all
 * orders. It is the mean, over how many members are among them (a hypergeometric number), of the chance that so many
 * members, drawn at random, stop the reader. Both are built up one document at a time from terms above zero, and so is
 * sum (F(t) - F(t - 1)) / (start + t) after summation by parts: no digits are lost. */
KS_INLINE double ks_stops_among_equals(const double *stop, int64_t members, int64_t start, int64_t size, int64_t seen,
                                       double *restrict stopped, double *restrict share) {
    for (int64_t h = 0; h <= members; h++) stopped[h] = share[h] = 0;
    for (int64_t j = 1; j <= members; j++)
        for (int64_t h = j; h > 0; h--) {
            double drawn = (double)h / (double)j;
            stopped[h] = drawn * (stop[j - 1] + (1 - stop[j - 1]) * stopped[h - 1]) + (1 - drawn) * stopped[h];
        }
    double sum = 0;
    share[0] = 1; /* share[h]: the chance of h members among the first t */
    for (int64_t t = 1; t <= seen; t++) {
        double left = (double)(size - t + 1), chance = 0, rank = (double)(start + t);
        for (int64_t h = t < members ? t : members; h >= 0; h--) {
            share[h] *= (left - (double)(members - h)) / left;
            if (h > 0) share[h] += share[h - 1] * (double)(members - h + 1) / left;
            chance += share[h] * stopped[h];
        }
        sum += t < seen ? chance / (rank * (rank + 1)) : chance / rank;
    }
    return sum;
}

KS_INLINE double ks_expected_reciprocal_rank(const ks_ranking *r, const ks_groups *g, int64_t k, ks_scratch *s) {
    const double *stop = g->stop;
    double sum = 0, arrives = 1;
    int64_t end = ks_groups_within(g, k);
    for (int64_t i = 0; i < end; i++) {
        int64_t start = g->start[i], size = r->expected ? g->size[i] : 1, members = r->expected ? g->members[i] : 1;
        if (size == 1)
            sum += arrives * *stop / (double)(start + 1);
        else
            sum += arrives * ks_stops_among_equals(stop, members, start, size, start + size < k ? size : k - start,
                                                   s->spare_f64, s->spare);
        for (int64_t j = 0; j < members; j++) arrives *= 1 - *stop++;
    }
    return sum;
}

/* From ranks among the judged documents alone: of the `relevant` documents, each loses the share of the `irrelevant` ones
 * (the first `relevant` of them) that stand above it. Within a group of equal scores it has 0 ... b of the group's b
 * irrelevant documents above it, all with the same chance. */
KS_INLINE double ks_bpref(const ks_ranking *r, const ks_groups *g, int64_t relevant, int64_t irrelevant) {
    const int64_t bound = irrelevant < relevant ? irrelevant : relevant;
    int64_t hits = 0;
    double sum = 0;
    for (int64_t i = 0; i < g->groups; i++) {
        int64_t mine = g->relevant[i], above = g->start[i] - hits, more = (r->expected ? g->size[i] : 1) - mine, lost;
        if (!mine) continue;
        if (above >= relevant)
            lost = (more + 1) * relevant;
        else {
            int64_t low = more < relevant - above ? more : relevant - above; /* below the cap of `relevant` */
            lost = (low + 1) * above + low * (low + 1) / 2 + (more - low) * relevant;
        }
        sum += (double)mine * (1 - (lost ? (double)lost / ((double)(more + 1) * (double)bound) : 0));
        hits += mine;
    }
    return sum / (double)relevant;
}

KS_INLINE double ks_measure(const ks_ranking *r, const ks_groups *g, int32_t kind, int64_t k, const double *ideal,
                            int64_t ideals, ks_scratch *s, const ks_grades *grades) {
    const int graded = kind == KS_DCG || kind == KS_NDCG || kind == KS_EXPECTED_RECIPROCAL_RANK;
    if (graded ? grades->highest == 0 : grades->relevant == 0) return r->empty;
    switch (kind) {
        case KS_DCG: return ks_dcg(r, g, k);
        case KS_NDCG: {
            double share = ks_dcg(r, g, k) / ks_sum(ideal, ideals < k ? ideals : k);
            return share < 1 ? share : 1;
        }
        case KS_AVERAGE_PRECISION: return ks_precisions(r, g, k, s->spare_f64, s->slot) / (double)grades->relevant;
        case KS_RECIPROCAL_RANK: return ks_first_relevant(r, g, k, 1);
        case KS_PRECISION: return ks_hits(r, g, k) / (double)k;
        case KS_HIT_RATE: return ks_first_relevant(r, g, k, 0);
        case KS_R_PRECISION: return ks_hits(r, g, grades->relevant) / (double)grades->relevant;
        case KS_RANK_BIASED_PRECISION: return ks_rank_biased_precision(r, g, s->spare_f64);
        case KS_EXPECTED_RECIPROCAL_RANK: return ks_expected_reciprocal_rank(r, g, k, s);
        default: return ks_hits(r, g, k) / (double)grades->relevant;
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

/* out[metric, query]; if it is not KS_OK, *query is the first bad one. */
static int ks_rank_queries(const ks_ranking *r, double *out, int64_t *query) {
    enum { STATUSES = 8 };
    int64_t first_bad = INT64_MAX; /* query * STATUSES + status */
    int no_memory = 0;
    const int64_t step = r->indptr ? 16 : 64, work = r->indptr ? r->documents : r->queries * r->documents;
#pragma omp parallel num_threads(ks_threads()) if (work > 16384) reduction(min : first_bad) reduction(| : no_memory)
    {
        ks_scratch scratch;
        if (!ks_scratch_open(&scratch, r->longest)) no_memory = 1;
#pragma omp for schedule(dynamic, 1)
        for (int64_t from = 0; from < r->queries; from += step) {
            if (!scratch.block) continue;
            int64_t to = from + step < r->queries ? from + step : r->queries, q = from;
            int status = r->scores.type == KS_FLOAT32 ? ks_queries_f32(r, &q, to, &scratch, out)
                                                      : ks_queries_f64(r, &q, to, &scratch, out);
            int64_t bad = q * STATUSES + status;
            if (status != KS_OK && bad < first_bad) first_bad = bad;
        }
        free(scratch.block);
    }
    if (no_memory) return KS_NO_MEMORY;
    if (first_bad == INT64_MAX) return KS_OK;
    *query = first_bad / STATUSES;
    return (int)(first_bad % STATUSES);
}

#endif

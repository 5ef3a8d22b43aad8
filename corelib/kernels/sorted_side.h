/* One side of a pair sum in ascending order. */
#ifndef KS_SORTED_SIDE_H
#define KS_SORTED_SIDE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "radix.h"
#include "sides.h"

typedef unsigned __int128 ks_uint128;

KS_DEFINE_SORT(ks_sort_wide, ks_uint128)

/* One side in ascending order, each number a word: the key above its index, which takes 32 bits. */
typedef struct {
    ptrdiff_t n;
    const void *word; /* uint64_t for float32, ks_uint128 for float64 */
    double *weight;   /* NULL: all 1 */
    void *memory;
} ks_sorted;

enum { KS_DIGIT = 8, KS_VALUES = 1 << KS_DIGIT };

/* NAME sorts n words by their keys, in memory for 2 n, and returns where the sorted ones begin. Long sides by
 * counting, one digit of all keys after the other. */
#define KS_DEFINE_SORT_WORDS(NAME, WORD, DIGITS, SORT)                                                            \
    KS_INLINE WORD *NAME(WORD *word, int64_t n) {                                                                 \
        WORD *from = word, *to = word + n;                                                                        \
        if (n < 4 * KS_VALUES) {                                                                                  \
            SORT(from, to, n);                                                                                    \
            return from;                                                                                          \
        }                                                                                                         \
        uint32_t place[DIGITS][KS_VALUES] = {{0}};                                                                \
        for (int64_t i = 0; i < n; i++)                                                                           \
            for (int d = 0; d < DIGITS; d++) place[d][(word[i] >> (32 + d * KS_DIGIT)) & (KS_VALUES - 1)]++;      \
        for (int d = 0; d < DIGITS; d++) {                                                                        \
            int shift = 32 + d * KS_DIGIT;                                                                        \
            if (place[d][(word[0] >> shift) & (KS_VALUES - 1)] == n) continue;                                    \
            uint32_t sum = 0;                                                                                     \
            for (int v = 0; v < KS_VALUES; v++) {                                                                 \
                uint32_t count = place[d][v];                                                                     \
                place[d][v] = sum;                                                                                \
                sum += count;                                                                                     \
            }                                                                                                     \
            for (int64_t i = 0; i < n; i++) to[place[d][(from[i] >> shift) & (KS_VALUES - 1)]++] = from[i];       \
            WORD *swap = from;                                                                                    \
            from = to;                                                                                            \
            to = swap;                                                                                            \
        }                                                                                                         \
        return from;                                                                                              \
    }

KS_DEFINE_SORT_WORDS(ks_sort_words_f32, uint64_t, 4, ks_sort_f64)
KS_DEFINE_SORT_WORDS(ks_sort_words_f64, ks_uint128, 8, ks_sort_wide)

/* NAME sorts one side; returns a status. */
#define KS_DEFINE_SORT_SIDE(NAME, FLOAT, KEY, WORD, SORT_WORDS)                                                   \
    KS_MULTIVERSION static int NAME(const ks_side *side, double limit, ks_sorted *out) {                          \
        const FLOAT *data = (const FLOAT *)side->data;                                                            \
        ptrdiff_t n = side->n;                                                                                    \
        int64_t bad = 0;                                                                                          \
        WORD *word = (WORD *)malloc((size_t)n * (2 * sizeof(WORD) + (side->weight ? sizeof(double) : 0)));        \
        if (!word) return KS_NO_MEMORY;                                                                           \
        out->memory = word;                                                                                       \
        out->n = n;                                                                                               \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                       \
            bad += !(fabs((double)data[i] + side->shift) <= limit);                                               \
            word[i] = (WORD)KEY(data[i]) << 32 | (WORD)i;                                                         \
        }                                                                                                         \
        if (bad) return KS_BAD_SCORE;                                                                             \
        if (side->weight) out->weight = (double *)(word + 2 * n);                                                 \
        word = SORT_WORDS(word, n);                                                                               \
        if (side->weight)                                                                                         \
            for (ptrdiff_t i = 0; i < n; i++) out->weight[i] = side->weight[(uint32_t)word[i]];                   \
        out->word = word;                                                                                         \
        return KS_OK;                                                                                             \
    }

KS_DEFINE_SORT_SIDE(ks_sort_side_f32, float, ks_key_f32, uint64_t, ks_sort_words_f32)
KS_DEFINE_SORT_SIDE(ks_sort_side_f64, double, ks_key_f64, ks_uint128, ks_sort_words_f64)

KS_INLINE double ks_number(const ks_sorted *sorted, ptrdiff_t i, const int is_float) {
    return is_float ? ks_unkey_f32((uint32_t)(((const uint64_t *)sorted->word)[i] >> 32))
                    : ks_unkey_f64((uint64_t)(((const ks_uint128 *)sorted->word)[i] >> 32));
}

#endif

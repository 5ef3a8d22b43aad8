/* Sorting of keys without comparisons, and the order-preserving map from floats to unsigned integers. */
#ifndef KS_RADIX_H
#define KS_RADIX_H

#include <stdint.h>
#include <string.h>

#include "simd.h"

/* x < y if and only if key(x) < key(y); both zeros get the same key. x must not be NaN. */
KS_INLINE uint32_t ks_key_f32(float x) {
    uint32_t bits;
    x += 0.0f;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ ((uint32_t)-(int32_t)(bits >> 31) | UINT32_C(0x80000000));
}

KS_INLINE uint64_t ks_key_f64(double x) {
    uint64_t bits;
    x += 0.0;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ ((uint64_t)-(int64_t)(bits >> 63) | UINT64_C(0x8000000000000000));
}

KS_INLINE float ks_unkey_f32(uint32_t key) {
    float x;
    uint32_t bits = key ^ ((key >> 31) ? UINT32_C(0x80000000) : UINT32_C(0xffffffff));
    memcpy(&x, &bits, sizeof x);
    return x;
}

KS_INLINE double ks_unkey_f64(uint64_t key) {
    double x;
    uint64_t bits = key ^ ((key >> 63) ? UINT64_C(0x8000000000000000) : UINT64_C(0xffffffffffffffff));
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* NAME sorts the keys a[0..n) ascending; the spare array holds as many.
 *
 * Short inputs by insertion. Others by counting, one byte of the key after the other, from the lowest byte that n
 * keys with well-spread bits need to be told apart; insertion then puts right the few that agree above it. Where
 * that takes more than a few moves a key, the lower bytes are sorted too. */
#define KS_DEFINE_SORT(NAME, T)                                                                                   \
    KS_INLINE int NAME##_by_insertion(T *a, int64_t n, int64_t moves) {                                           \
        for (int64_t i = 1; i < n; i++) {                                                                         \
            T x = a[i];                                                                                           \
            int64_t j = i;                                                                                        \
            for (; j > 0 && a[j - 1] > x && moves > 0; j--, moves--) a[j] = a[j - 1];                             \
            a[j] = x;                                                                                             \
        }                                                                                                         \
        return moves > 0;                                                                                         \
    }                                                                                                             \
    KS_INLINE void NAME##_by_bytes(T *a, T *spare, int64_t n, T differ, int low) {                                \
        T *from = a, *to = spare;                                                                                 \
        for (int shift = low; shift < (int)(8 * sizeof(T)) && differ >> shift; shift += 8) {                      \
            if (!((differ >> shift) & 255)) continue;                                                             \
            int64_t place[256] = {0}, sum = 0;                                                                    \
            for (int64_t i = 0; i < n; i++) place[(from[i] >> shift) & 255]++;                                    \
            for (int v = 0; v < 256; v++) {                                                                       \
                int64_t count = place[v];                                                                         \
                place[v] = sum;                                                                                   \
                sum += count;                                                                                     \
            }                                                                                                     \
            for (int64_t i = 0; i < n; i++) to[place[(from[i] >> shift) & 255]++] = from[i];                      \
            T *swap = from;                                                                                       \
            from = to;                                                                                            \
            to = swap;                                                                                            \
        }                                                                                                         \
        if (from != a) memcpy(a, from, (size_t)n * sizeof(T));                                                    \
    }                                                                                                             \
    KS_INLINE void NAME(T *a, T *spare, int64_t n) {                                                              \
        enum { SHORT = 24, MOVES = 4 };                                                                           \
        if (n <= SHORT) {                                                                                         \
            NAME##_by_insertion(a, n, INT64_MAX);                                                                 \
            return;                                                                                               \
        }                                                                                                         \
        T differ = 0;                                                                                             \
        for (int64_t i = 1; i < n; i++) differ |= a[i] ^ a[0];                                                    \
        int bytes = 1, width = 0;                                                                                 \
        for (T x = differ; x; x >>= 1) width++;                                                                   \
        for (int64_t x = 4 * n; x >= 256; x >>= 8) bytes++;                                                       \
        int low = width > 8 * bytes ? width - 8 * bytes : 0;                                                      \
        NAME##_by_bytes(a, spare, n, differ, low);                                                                \
        if (low && !NAME##_by_insertion(a, n, MOVES * n)) NAME##_by_bytes(a, spare, n, differ, 0);                \
    }

KS_DEFINE_SORT(ks_sort_f32, uint32_t)
KS_DEFINE_SORT(ks_sort_f64, uint64_t)

#endif

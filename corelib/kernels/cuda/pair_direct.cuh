/* What the two ways to a sum over pairs share, and the functions themselves, one pair at a time. */
#pragma once
#include "pair_grid.cuh"

/* k(d), and k'(d) in *slope. */
template <int KIND>
KS_HD float ks_pair(float d, float *slope) {
    float e = expf(-fabsf(d)), share = 1.0f / (1.0f + e), other = e * share;
    if (KIND == KS_SIGMOID) {
        *slope = share * other;
        return d < 0 ? other : share;
    }
    *slope = d < 0 ? other : share;
    return fmaxf(d, 0.0f) + log1pf(e);
}

KS_HD float ks_side_weight(const ks_side &side, int i) { return side.weight ? side.weight[i] : 1.0f; }

/* Whether a number and its weight can be summed: finite, within the limit, not negative. NaN fails every comparison. */
KS_HD bool ks_fine(float number, float weight, float limit) { return fabsf(number) <= limit && weight >= 0 && weight < INFINITY; }

/* The largest number whose place among boxes does not overflow. */
KS_HD float ks_limit(float per_width) { return 3.4e38f / (per_width > 1 ? per_width : 1); }

KS_HD float ks_number_or_nan(const ks_side &side, int i) {
    return ks_fine(side.number[i], ks_side_weight(side, i), 3.4e38f) ? side.number[i] : NAN;
}

/* Up to here all pairs are quicker than a sort. */
#ifndef KS_FEW_PAIRS
#define KS_FEW_PAIRS (1 << 25)
#endif
KS_HD bool ks_few_pairs(int64_t n, int64_t m) { return n * m <= KS_FEW_PAIRS; }

/* The group of number i: the last one that begins at or before it, so that empty ones are passed over. */
KS_HD int ks_group_of(const int64_t *indptr, int groups, int64_t i) {
    if (!indptr) return 0;
    int low = 0, high = groups - 1;
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (indptr[middle] <= i) low = middle;
        else high = middle - 1;
    }
    return low;
}

/* The functions whose sums over pairs are taken, one pair at a time: for few pairs. */
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

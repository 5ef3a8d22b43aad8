/* exp, log(1 + u), softplus and the logistic sigmoid, written so that the compiler vectorises a loop over them:
 * no branch, no table, no call. Largest errors seen against long double, in units in the last place: exp 1.1 (in float32
 * too), log(1 + u) 1.9, sigmoid 2.4, softplus 2.7.
 *
 * exp: x = n log 2 + r with |r| <= log(2)/2, exp(r) = 1 + r + r^2 q(r) with a Chebyshev fit q, and 2^n as two
 * factors so that overflow, underflow and subnormal results come out right. NaN gives NaN.
 * log(1 + u): halve 1 + u where it exceeds sqrt(2), then 2 atanh(s) = 2 s + s^3 p(s^2).
 * tools/fit_vecmath.py makes the coefficients. */
#ifndef KS_VECMATH_H
#define KS_VECMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

KS_INLINE double ks_double_from_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

KS_INLINE uint64_t ks_bits_of_double(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

KS_INLINE float ks_float_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

KS_INLINE uint32_t ks_bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* exp(x) for every double. */
KS_INLINE double ks_exp(double x) {
    const double to_int = 4503599627370496.0 + 2048.0; /* 2^52 + 2048: the low bits hold n + 2048 */
    x = x < -746.0 ? -746.0 : x;
    x = x > 710.0 ? 710.0 : x;
    double shifted = x * 1.4426950408889634 + to_int;
    double n = shifted - to_int;
    double r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10;
    double q = 2.5100385495510319078e-8;
    q = q * r + 2.7620088445409748161e-7;
    q = q * r + 2.7557268459997064772e-6;
    q = q * r + 0.000024801521295954375131;
    q = q * r + 0.00019841269863053616878;
    q = q * r + 0.0013888888917213716901;
    q = q * r + 0.0083333333333300618325;
    q = q * r + 0.041666666666624127873;
    q = q * r + 0.16666666666666667453;
    q = q * r + 0.50000000000000010221;
    double e = 1.0 + (r + r * r * q);
    uint64_t biased = ks_bits_of_double(shifted) - 0x4330000000000000u; /* n + 2048 */
    uint64_t half = biased >> 1;
    uint64_t rest = biased - half;
    return e * ks_double_from_bits((half - 1) << 52) * ks_double_from_bits((rest - 1) << 52);
}

KS_INLINE float ks_expf(float x) {
    const float to_int = 8388608.0f + 256.0f; /* 2^23 + 256 */
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float shifted = x * 1.44269504f + to_int;
    float n = shifted - to_int;
    float r = (x - n * 0.693115234375f) - n * 3.1946184945309415e-05f;
    float q = 0.0013926183587713494542f;
    q = q * r + 0.0083631790527225773704f;
    q = q * r + 0.041666554617204574203f;
    q = q * r + 0.16666576989698775683f;
    q = q * r + 0.5f;
    float e = 1.0f + (r + r * r * q);
    uint32_t biased = ks_bits_of_float(shifted) - 0x4b000000u; /* n + 256 */
    uint32_t half = biased >> 1;
    uint32_t rest = biased - half;
    return e * ks_float_from_bits((half - 1) << 23) * ks_float_from_bits((rest - 1) << 23);
}

/* log(1 + u) for 0 <= u <= 1, accurate relative to the result also where u is tiny. */
KS_INLINE double ks_log1p_unit(double u) {
    int upper = u > 0.41421356237309503;
    double numerator = upper ? u - 1.0 : u; /* (1 + u) / 2 - 1, doubled; or (1 + u) - 1 */
    double s = numerator / (u + (upper ? 3.0 : 2.0));
    double z = s * s;
    double p = 0.1308803485092755383;
    p = p * z + 0.13268638369266823879;
    p = p * z + 0.15386244737621666606;
    p = p * z + 0.18181795547521136235;
    p = p * z + 0.22222222392581045097;
    p = p * z + 0.28571428570799785031;
    p = p * z + 0.40000000000000883236;
    p = p * z + 0.66666666666666666463;
    return (upper ? 0.69314718055994531 : 0.0) + (2.0 * s + s * z * p);
}

/* softplus(x) = log(1 + exp(x)) and its derivative sigmoid(x) = 1 / (1 + exp(-x)) from one exponential. */
KS_INLINE double ks_softplus_sigmoid(double x, double *sigmoid) {
    double e = ks_exp(x < 0 ? x : -x);
    *sigmoid = (x < 0 ? e : 1.0) / (1.0 + e);
    return (x < 0 ? 0.0 : x) + ks_log1p_unit(e);
}

KS_INLINE double ks_softplus(double x) { return (x < 0 ? 0.0 : x) + ks_log1p_unit(ks_exp(x < 0 ? x : -x)); }

KS_INLINE double ks_sigmoid(double x) {
    double e = ks_exp(x < 0 ? x : -x);
    return (x < 0 ? e : 1.0) / (1.0 + e);
}

#endif

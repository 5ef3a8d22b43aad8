/* The constants of a sum over pairs of a smooth function: width of the boxes, matrices between near boxes, tails.
 *
 * k is softplus or sigmoid. Both are analytic for |Im| < pi, so that within boxes of about a temperature eight
 * coefficients on each side give float precision; and both are a line and a series of exponentials far from 0,
 *     d < 0:   k(d) = sum_t a_t e^(t d),                 k'(d) = sum_t t a_t e^(t d),
 *     d > 0:   k(d) = line(d) + mirror sum_t a_t e^(-t d),    k'(d) = line' - mirror sum_t t a_t e^(-t d),
 * with a_t = (-1)^(t+1) / t, line = d and mirror = 1 for softplus; (-1)^(t+1), 1 and -1 for sigmoid. */
#pragma once
#include "interface.h"
#include "lanes.cuh"

#define KS_P 8      /* coefficients per box */
#define KS_TERMS 8  /* exponentials in each tail */
#define KS_NEAR 5   /* most boxes a near neighbour can be away */

typedef struct {
    float per_width;                          /* 1 / H, a power of two: places in boxes are exact */
    float eta;                                /* H / temperature */
    int near, kind;
    float term[KS_TERMS];                     /* a_t, t = 1 .. KS_TERMS */
    float away[KS_TERMS][KS_P];               /* coefficient of s^l of exp(t eta s / 2) */
    float value[2 * KS_NEAR + 1][KS_P][KS_P]; /* [delta + near][l][k]: s^l (source) t^k (target) */
    float slope[2 * KS_NEAR + 1][KS_P][KS_P];
} ks_grid;

static inline double ks_sigmoid_exact(double d) { return d > 0 ? 1 / (1 + exp(-d)) : exp(d) / (1 + exp(d)); }
static inline double ks_kind_value(int kind, double d) {
    return kind == KS_SIGMOID ? ks_sigmoid_exact(d) : (d > 0 ? d : 0) + log1p(exp(-fabs(d)));
}
static inline double ks_kind_slope(int kind, double d) {
    return kind == KS_SIGMOID ? ks_sigmoid_exact(d) * ks_sigmoid_exact(-d) : ks_sigmoid_exact(d);
}

/* weight[l][i]: from the value at Chebyshev node i to the coefficient of t^l. */
static inline void ks_chebyshev(double *node, double weight[KS_P][KS_P]) {
    const double pi = 3.14159265358979323846;
    double power[KS_P][KS_P] = {{0}}; /* power[k]: coefficients of T_k */
    power[0][0] = power[1][1] = 1;
    for (int k = 2; k < KS_P; k++)
        for (int l = 0; l <= k; l++) power[k][l] = (l ? 2 * power[k - 1][l - 1] : 0) - power[k - 2][l];
    for (int i = 0; i < KS_P; i++) node[i] = cos(pi * (i + 0.5) / KS_P);
    for (int l = 0; l < KS_P; l++)
        for (int i = 0; i < KS_P; i++) {
            weight[l][i] = 0;
            for (int k = 0; k < KS_P; k++)
                weight[l][i] += power[k][l] * ((k ? 2.0 : 1.0) / KS_P * cos(pi * k * (i + 0.5) / KS_P));
        }
}

/* coefficients[l][k] of the polynomial through at[s][t], a function of two nodes. */
static inline void ks_interpolate(const double weight[KS_P][KS_P], const double at[KS_P][KS_P], float coefficients[KS_P][KS_P]) {
    double half[KS_P][KS_P];
    for (int l = 0; l < KS_P; l++)
        for (int t = 0; t < KS_P; t++) {
            half[l][t] = 0;
            for (int s = 0; s < KS_P; s++) half[l][t] += weight[l][s] * at[s][t];
        }
    for (int l = 0; l < KS_P; l++)
        for (int k = 0; k < KS_P; k++) {
            double sum = 0;
            for (int t = 0; t < KS_P; t++) sum += half[l][t] * weight[k][t];
            coefficients[l][k] = (float)sum;
        }
}

/* On the host, in double. The width depends on the temperature alone, so that nothing is read back to choose it. */
static inline void ks_fill_grid(ks_grid *grid, int kind, double temperature) {
    const double pi = 3.14159265358979323846, reach[2] = {2.5, 2.75};
    double width = ldexp(1.0, ilogb(4 * pi * temperature * pow(1e-8, 1.0 / KS_P)));
    double eta = width / temperature, node[KS_P], weight[KS_P][KS_P];
    grid->kind = kind;
    grid->per_width = (float)(1 / width);
    grid->eta = (float)eta;
    grid->near = (int)ceil(reach[kind] / eta);
    ks_chebyshev(node, weight);
    for (int t = 0; t < KS_TERMS; t++) {
        grid->term[t] = (float)((t % 2 ? -1.0 : 1.0) / (kind == KS_SOFTPLUS ? t + 1 : 1));
        for (int l = 0; l < KS_P; l++) {
            double sum = 0;
            for (int i = 0; i < KS_P; i++) sum += weight[l][i] * exp((t + 1) * 0.5 * eta * node[i]);
            grid->away[t][l] = (float)sum;
        }
    }
    for (int delta = -grid->near; delta <= grid->near; delta++) {
        double value[KS_P][KS_P], slope[KS_P][KS_P];
        for (int s = 0; s < KS_P; s++)
            for (int t = 0; t < KS_P; t++) {
                double d = eta * (delta + 0.5 * (node[s] - node[t]));
                value[s][t] = ks_kind_value(kind, d);
                slope[s][t] = ks_kind_slope(kind, d);
            }
        ks_interpolate(weight, value, grid->value[delta + grid->near]);
        ks_interpolate(weight, slope, grid->slope[delta + grid->near]);
    }
}

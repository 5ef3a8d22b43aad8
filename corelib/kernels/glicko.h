/* One Glicko-2 rating period (M. Glickman, "Example of the Glicko-2 system", 2022): steps 3 to 7 on the internal scale.
 *
 * The games are cut into chunks, whose number depends on the sizes alone. Each chunk adds what its games say to an array
 * of its own, and the arrays are summed in order, so the result does not depend on the number of threads. */
#ifndef KS_GLICKO_H
#define KS_GLICKO_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "blocks.h"
#include "simd.h"
#include "threads.h"
#include "vecmath.h"

typedef struct {
    double information, surprise; /* 1 / v and delta / v */
} ks_glicko_sums;

/* As many arrays of sums as pay off beside the games. */
KS_INLINE int ks_glicko_chunks(ptrdiff_t players, ptrdiff_t games) {
    return games / players >= KS_GLICKO_CHUNKS ? KS_GLICKO_CHUNKS : 1 + (int)(games / players);
}

KS_MULTIVERSION
static void ks_glicko_games(const double *state, const int64_t *player, const int64_t *opponent, const double *score,
                            ptrdiff_t count, ks_glicko_sums *sums) {
    double gap[KS_GLICKO_BLOCK], g[KS_GLICKO_BLOCK], opposing_g[KS_GLICKO_BLOCK];
    double expected[KS_GLICKO_BLOCK], opposing[KS_GLICKO_BLOCK];
    for (ptrdiff_t at = 0; at < count; at += KS_GLICKO_BLOCK) {
        int block = count - at < KS_GLICKO_BLOCK ? (int)(count - at) : KS_GLICKO_BLOCK;
        for (int k = 0; k < block; k++) {
            const double *me = state + 2 * player[at + k], *other = state + 2 * opponent[at + k];
            gap[k] = me[0] - other[0];
            g[k] = me[1];
            opposing_g[k] = other[1];
        }
        for (int k = 0; k < block; k++) {
            expected[k] = ks_sigmoid(opposing_g[k] * gap[k]);
            opposing[k] = ks_sigmoid(-g[k] * gap[k]);
        }
        for (int k = 0; k < block; k++) {
            ks_glicko_sums *me = sums + player[at + k], *other = sums + opponent[at + k];
            me->information += opposing_g[k] * opposing_g[k] * expected[k] * (1 - expected[k]);
            me->surprise += opposing_g[k] * (score[at + k] - expected[k]);
            other->information += g[k] * g[k] * opposing[k] * (1 - opposing[k]);
            other->surprise += g[k] * (1 - score[at + k] - opposing[k]);
        }
    }
}

/* f of step 5; it falls, and its root is the logarithm of the new squared volatility. */
KS_INLINE double ks_glicko_f(double x, double a, double excess, double spread, double tau) {
    double e = ks_exp(x), total = spread + e;
    return e * (excess - e) / (2 * total * total) - (x - a) / (tau * tau);
}

/* What step 5 solves for up to KS_GLICKO_BLOCK players at once. */
typedef struct {
    double a[KS_GLICKO_BLOCK], excess[KS_GLICKO_BLOCK], spread[KS_GLICKO_BLOCK];
    double low[KS_GLICKO_BLOCK], high[KS_GLICKO_BLOCK], f_low[KS_GLICKO_BLOCK], f_high[KS_GLICKO_BLOCK];
} ks_glicko_roots;

/* Brackets of the roots. */
KS_INLINE void ks_glicko_bracket(ks_glicko_roots *r, int count, double tau) {
    for (int k = 0; k < count; k++) {
        double high = r->a[k] - tau;
        if (r->excess[k] > 0)
            high = log(r->excess[k]);
        else
            while (ks_glicko_f(high, r->a[k], r->excess[k], r->spread[k], tau) < 0) high -= tau;
        r->low[k] = r->a[k];
        r->high[k] = high;
    }
    for (int k = 0; k < count; k++) {
        r->f_low[k] = ks_glicko_f(r->low[k], r->a[k], r->excess[k], r->spread[k], tau);
        r->f_high[k] = ks_glicko_f(r->high[k], r->a[k], r->excess[k], r->spread[k], tau);
    }
}

KS_INLINE int ks_glicko_any_open(const ks_glicko_roots *r, int count) {
    for (int k = 0; k < count; k++)
        if (fabs(r->high[k] - r->low[k]) > 1e-6) return 1;
    return 0;
}

/* One step of the Illinois variant of regula falsi for every bracket wider than 1e-6, as the source asks. */
KS_INLINE void ks_glicko_narrow(ks_glicko_roots *restrict r, int count, double tau) {
    for (int k = 0; k < count; k++) {
        double low = r->low[k], high = r->high[k], f_low = r->f_low[k], f_high = r->f_high[k];
        int open = fabs(high - low) > 1e-6;
        double middle = low + (low - high) * f_low / (f_high - f_low);
        double f_middle = ks_glicko_f(middle, r->a[k], r->excess[k], r->spread[k], tau);
        int crossed = f_middle * f_high <= 0;
        double new_low = crossed ? high : low, new_f_low = crossed ? f_high : f_low / 2;
        r->low[k] = open ? new_low : low;
        r->f_low[k] = open ? new_f_low : f_low;
        r->high[k] = open ? middle : high;
        r->f_high[k] = open ? f_middle : f_high;
    }
}

/* At most KS_GLICKO_BLOCK players, each with the sums of `chunks` chunks that lie `players` apart. */
KS_MULTIVERSION
static void ks_glicko_players(double *phi, double *volatility, double *gain, const ks_glicko_sums *sums, int chunks,
                              ptrdiff_t players, int count, double tau) {
    double information[KS_GLICKO_BLOCK] = {0}, surprise[KS_GLICKO_BLOCK] = {0};
    ks_glicko_roots roots;
    for (int chunk = 0; chunk < chunks; chunk++)
        for (int k = 0; k < count; k++) {
            information[k] += sums[chunk * players + k].information;
            surprise[k] += sums[chunk * players + k].surprise;
        }
    for (int k = 0; k < count; k++) {
        double variance = information[k] > 0 ? 1 / information[k] : 1; /* who did not play solves for nothing */
        roots.a[k] = log(volatility[k] * volatility[k]);
        roots.spread[k] = phi[k] * phi[k] + variance;
        roots.excess[k] = variance * variance * surprise[k] * surprise[k] - roots.spread[k];
    }
    ks_glicko_bracket(&roots, count, tau);
    while (ks_glicko_any_open(&roots, count)) ks_glicko_narrow(&roots, count, tau);
    for (int k = 0; k < count; k++) {
        if (information[k] > 0) volatility[k] = ks_exp(roots.low[k] / 2);
        double new_phi2 = 1 / (1 / (phi[k] * phi[k] + volatility[k] * volatility[k]) + information[k]);
        phi[k] = sqrt(new_phi2);
        gain[k] = new_phi2 * surprise[k];
    }
}

/* `state` holds mu and g of each player in turn; `phi` and `volatility` are replaced, `gain` (of mu) is
 * written; `sums` holds ks_glicko_chunks * players zeros. */
static void ks_glicko(const double *state, const int64_t *player, const int64_t *opponent, const double *score,
                      ptrdiff_t players, ptrdiff_t games, double tau, double *gain, double *phi, double *volatility,
                      ks_glicko_sums *sums) {
    int chunks = ks_glicko_chunks(players, games);
#pragma omp parallel for num_threads(ks_threads()) schedule(dynamic)
    for (int chunk = 0; chunk < chunks; chunk++) {
        ptrdiff_t first = games * chunk / chunks, last = games * (chunk + 1) / chunks;
        ks_glicko_games(state, player + first, opponent + first, score + first, last - first, sums + chunk * players);
    }
#pragma omp parallel for num_threads(ks_threads()) schedule(dynamic, 16)
    for (ptrdiff_t first = 0; first < players; first += KS_GLICKO_BLOCK)
        ks_glicko_players(phi + first, volatility + first, gain + first, sums + first, chunks, players,
                          players - first < KS_GLICKO_BLOCK ? (int)(players - first) : KS_GLICKO_BLOCK, tau);
}

#endif

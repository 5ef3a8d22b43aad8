/* One Glicko-2 rating period (M. Glickman, "Example of the Glicko-2 system", 2022): steps 3 to 7 on the internal scale.
 *
 * The games are cut into chunks, whose number depends on the sizes alone. Each chunk adds what its games say to an array
 * of its own, and the arrays are summed in order, so the result does not depend on the number of threads. */
#ifndef KS_GLICKO_H
#define KS_GLICKO_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "simd.h"
#include "vecmath.h"

enum { KS_GLICKO_CHUNKS = 8, KS_GLICKO_BLOCK = 64 };

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

/* Step 5 for one player by the Illinois variant of regula falsi, to 1e-6 as the source asks. */
KS_INLINE double ks_glicko_volatility(double volatility, double phi2, double variance, double improvement, double tau) {
    double a = log(volatility * volatility), spread = phi2 + variance, excess = improvement * improvement - spread;
    double low = a, high = a - tau;
    if (excess > 0)
        high = log(excess);
    else
        while (ks_glicko_f(high, a, excess, spread, tau) < 0) high -= tau;
    double f_low = ks_glicko_f(low, a, excess, spread, tau), f_high = ks_glicko_f(high, a, excess, spread, tau);
    while (fabs(high - low) > 1e-6) {
        double middle = low + (low - high) * f_low / (f_high - f_low);
        double f_middle = ks_glicko_f(middle, a, excess, spread, tau);
        if (f_middle * f_high <= 0) {
            low = high;
            f_low = f_high;
        } else {
            f_low /= 2;
        }
        high = middle;
        f_high = f_middle;
    }
    return exp(low / 2);
}

KS_MULTIVERSION
static void ks_glicko_players(double *phi, double *volatility, double *gain, const ks_glicko_sums *sums,
                              int chunks, ptrdiff_t players, ptrdiff_t first, ptrdiff_t last, double tau) {
    for (ptrdiff_t i = first; i < last; i++) {
        double information = 0, surprise = 0, phi2 = phi[i] * phi[i];
        for (int chunk = 0; chunk < chunks; chunk++) {
            information += sums[chunk * players + i].information;
            surprise += sums[chunk * players + i].surprise;
        }
        if (information > 0)
            volatility[i] = ks_glicko_volatility(volatility[i], phi2, 1 / information, surprise / information, tau);
        double new_phi2 = 1 / (1 / (phi2 + volatility[i] * volatility[i]) + information);
        phi[i] = sqrt(new_phi2);
        gain[i] = new_phi2 * surprise;
    }
}

/* `state` holds mu and g of each player in turn; `phi` and `volatility` are replaced, `gain` (of mu) is
 * written; `sums` holds ks_glicko_chunks * players zeros. */
static void ks_glicko(const double *state, const int64_t *player, const int64_t *opponent, const double *score,
                      ptrdiff_t players, ptrdiff_t games, double tau, double *gain, double *phi, double *volatility,
                      ks_glicko_sums *sums) {
    int chunks = ks_glicko_chunks(players, games);
#pragma omp parallel for schedule(dynamic)
    for (int chunk = 0; chunk < chunks; chunk++) {
        ptrdiff_t first = games * chunk / chunks, last = games * (chunk + 1) / chunks;
        ks_glicko_games(state, player + first, opponent + first, score + first, last - first, sums + chunk * players);
    }
#pragma omp parallel for schedule(dynamic)
    for (ptrdiff_t first = 0; first < players; first += 1024)
        ks_glicko_players(phi, volatility, gain, sums, chunks, players, first,
                          players - first < 1024 ? players : first + 1024, tau);
}

#endif

/* Negative log-likelihood of the logistic item response models, and its gradient, in one pass over the answers.
 *
 * The rows (solvers) are cut into a fixed number of chunks. Each chunk adds what its rows say about the items to
 * arrays of its own, and the arrays are summed in order, so the result does not depend on the number of threads. */
#ifndef KS_RATINGS_H
#define KS_RATINGS_H

#include <stddef.h>
#include <stdint.h>

#include "simd.h"
#include "vecmath.h"

enum { KS_IRT_CHUNKS = 16, KS_IRT_BLOCK = 128, KS_UNANSWERED = 2 };

/* The sum of an array, in eight lanes: a loop with one accumulator would not be vectorised. */
KS_INLINE double ks_sum(const double *value, ptrdiff_t count) {
    double lane[8] = {0}, total = 0;
    ptrdiff_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int l = 0; l < 8; l++) lane[l] += value[i + l];
    for (; i < count; i++) total += value[i];
    for (int l = 0; l < 8; l++) total += lane[l];
    return total;
}

/* One solver with ability theta against at most KS_IRT_BLOCK items; adds to the items' sums and the solver's own. */
KS_INLINE double ks_irt_block(const uint8_t *restrict answer, const double *restrict a, const double *restrict b,
                              ptrdiff_t count, double theta, double *pull_theta, double *restrict pull_b,
                              double *restrict pull_log_a) {
    double nll[KS_IRT_BLOCK], pull[KS_IRT_BLOCK];
    for (ptrdiff_t i = 0; i < count; i++) {
        double z = a[i] * (theta - b[i]), p;
        double soft = ks_softplus_sigmoid(z, &p);
        double y = answer[i] == 1 ? 1.0 : 0.0;
        double seen = answer[i] == KS_UNANSWERED ? 0.0 : 1.0;
        double residual = seen * (p - y);
        nll[i] = seen * (soft - y * z);
        pull[i] = residual * a[i];
        pull_b[i] -= pull[i];
        pull_log_a[i] += residual * z;
    }
    *pull_theta += ks_sum(pull, count);
    return ks_sum(nll, count);
}

KS_MULTIVERSION
static double ks_irt_dense_rows(const uint8_t *answers, ptrdiff_t first, ptrdiff_t last, ptrdiff_t items,
                                const double *theta, const double *a, const double *b, double *pull_theta,
                                double *pull_b, double *pull_log_a) {
    double nll = 0;
    for (ptrdiff_t j = first; j < last; j++)
        for (ptrdiff_t i = 0; i < items; i += KS_IRT_BLOCK)
            nll += ks_irt_block(answers + j * items + i, a + i, b + i, items - i < KS_IRT_BLOCK ? items - i : KS_IRT_BLOCK,
                                theta[j], pull_theta + j, pull_b + i, pull_log_a + i);
    return nll;
}

KS_MULTIVERSION
static double ks_irt_sparse_rows(const uint8_t *answers, const int64_t *start, const int64_t *item, ptrdiff_t first,
                                 ptrdiff_t last, const double *theta, const double *a, const double *b,
                                 double *pull_theta, double *pull_b, double *pull_log_a) {
    double nll = 0;
    for (ptrdiff_t j = first; j < last; j++) {
        for (int64_t k = start[j]; k < start[j + 1]; k += KS_IRT_BLOCK) {
            int64_t count = start[j + 1] - k < KS_IRT_BLOCK ? start[j + 1] - k : KS_IRT_BLOCK;
            double block_a[KS_IRT_BLOCK], block_b[KS_IRT_BLOCK];
            double item_b[KS_IRT_BLOCK] = {0}, item_a[KS_IRT_BLOCK] = {0};
            for (int64_t i = 0; i < count; i++) {
                block_a[i] = a[item[k + i]];
                block_b[i] = b[item[k + i]];
            }
            nll += ks_irt_block(answers + k, block_a, block_b, count, theta[j], pull_theta + j, item_b, item_a);
            for (int64_t i = 0; i < count; i++) {
                pull_b[item[k + i]] += item_b[i];
                pull_log_a[item[k + i]] += item_a[i];
            }
        }
    }
    return nll;
}

/* `start` and `item` are NULL for a dense (solvers, items) matrix, whose missing entries are KS_UNANSWERED.
 * `scratch` holds 2 * KS_IRT_CHUNKS * items zeros. */
static double ks_irt(const uint8_t *answers, const int64_t *start, const int64_t *item, ptrdiff_t solvers,
                     ptrdiff_t items, const double *theta, const double *a, const double *b, double *pull_theta,
                     double *pull_b, double *pull_log_a, double *scratch) {
    double nll[KS_IRT_CHUNKS], total = 0;
#pragma omp parallel for schedule(dynamic)
    for (int chunk = 0; chunk < KS_IRT_CHUNKS; chunk++) {
        ptrdiff_t first = solvers * chunk / KS_IRT_CHUNKS, last = solvers * (chunk + 1) / KS_IRT_CHUNKS;
        double *own_b = scratch + 2 * chunk * items, *own_a = own_b + items;
        nll[chunk] = start == NULL ? ks_irt_dense_rows(answers, first, last, items, theta, a, b, pull_theta, own_b, own_a)
                                   : ks_irt_sparse_rows(answers, start, item, first, last, theta, a, b, pull_theta, own_b, own_a);
    }
    for (int chunk = 0; chunk < KS_IRT_CHUNKS; chunk++) {
        const double *own_b = scratch + 2 * chunk * items, *own_a = own_b + items;
        total += nll[chunk];
        for (ptrdiff_t i = 0; i < items; i++) {
            pull_b[i] += own_b[i];
            pull_log_a[i] += own_a[i];
        }
    }
    return total;
}

#endif

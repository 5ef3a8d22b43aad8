/* Negative log-likelihood of the logistic item response models, its gradient and the Fisher information, in one pass
 * over the answers.
 *
 * The rows (solvers) are cut into a fixed number of chunks. Each chunk adds what its rows say about the items to
 * arrays of its own, and the arrays are summed in order, so the result does not depend on the number of threads.
 *
 * With s = 1 for a wrong answer and -1 for a right one, an answer costs softplus(s z), z = a (theta - b). The logarithms
 * in softplus(u) = max(u, 0) + log(1 + exp(-|u|)) are taken of products of KS_IRT_BLOCK numbers between 1 and 2. */
#ifndef KS_RATINGS_H
#define KS_RATINGS_H

#include <stddef.h>
#include <stdint.h>

#include "blocks.h"
#include "simd.h"
#include "threads.h"
#include "vecmath.h"

enum { KS_UNANSWERED = 2 };

/* Rows of the sums about solvers, and of those about items, which still lack the factors a (pull_b, cross) and a^2 (b). */
enum { KS_PULL_THETA, KS_INFORMATION_THETA, KS_SOLVER_SUMS };
enum { KS_PULL_B, KS_PULL_LOG_A, KS_INFORMATION_B, KS_INFORMATION_CROSS, KS_INFORMATION_LOG_A, KS_ITEM_SUMS };

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

KS_INLINE double ks_product(const double *value, ptrdiff_t count) {
    double lane[8] = {1, 1, 1, 1, 1, 1, 1, 1}, total = 1;
    ptrdiff_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int l = 0; l < 8; l++) lane[l] *= value[i + l];
    for (; i < count; i++) total *= value[i];
    for (int l = 0; l < 8; l++) total *= lane[l];
    return total;
}

/* One solver with ability theta against at most KS_IRT_BLOCK items; adds to the solver's sums and to the items', whose
 * rows are `stride` apart. */
KS_INLINE double ks_irt_block(const uint8_t *restrict answer, const double *restrict a, const double *restrict b,
                              ptrdiff_t count, double theta, double *pull_theta, double *information_theta,
                              double *restrict item_sums, ptrdiff_t stride) {
    double *restrict pull_b = item_sums + KS_PULL_B * stride, *restrict pull_log_a = item_sums + KS_PULL_LOG_A * stride;
    double *restrict about_b = item_sums + KS_INFORMATION_B * stride;
    double *restrict cross = item_sums + KS_INFORMATION_CROSS * stride;
    double *restrict about_log_a = item_sums + KS_INFORMATION_LOG_A * stride;
    double linear[KS_IRT_BLOCK], factor[KS_IRT_BLOCK], pull[KS_IRT_BLOCK], information[KS_IRT_BLOCK];
    for (ptrdiff_t i = 0; i < count; i++) {
        double seen = answer[i] == KS_UNANSWERED ? 0.0 : 1.0;
        double s = answer[i] == 1 ? -1.0 : seen;
        double z = a[i] * (theta - b[i]), u = s * z;
        double e = ks_exp(u < 0 ? u : -u), inverse = 1.0 / (1.0 + e);
        double residual = s * (u < 0 ? e : 1.0) * inverse; /* P(right) - answer */
        double weight = seen * e * inverse * inverse;      /* P(right) P(wrong) */
        linear[i] = u < 0 ? 0.0 : u;
        factor[i] = 1.0 + seen * e;
        pull[i] = a[i] * residual;
        information[i] = a[i] * a[i] * weight;
        pull_b[i] -= residual;
        pull_log_a[i] += residual * z;
        about_b[i] += weight;
        cross[i] -= weight * z;
        about_log_a[i] += weight * z * z;
    }
    *pull_theta += ks_sum(pull, count);
    *information_theta += ks_sum(information, count);
    return ks_sum(linear, count) + log(ks_product(factor, count));
}

KS_MULTIVERSION
static double ks_irt_dense_rows(const uint8_t *answers, ptrdiff_t first, ptrdiff_t last, ptrdiff_t items,
                                const double *theta, const double *a, const double *b, double *pull_theta,
                                double *information_theta, double *item_sums) {
    double nll = 0;
    for (ptrdiff_t i = 0; i < items; i += KS_IRT_BLOCK)
        for (ptrdiff_t j = first; j < last; j++)
            nll += ks_irt_block(answers + j * items + i, a + i, b + i, items - i < KS_IRT_BLOCK ? items - i : KS_IRT_BLOCK,
                                theta[j], pull_theta + j, information_theta + j, item_sums + i, items);
    return nll;
}

KS_MULTIVERSION
static double ks_irt_sparse_rows(const uint8_t *answers, const int64_t *start, const int64_t *item, ptrdiff_t first,
                                 ptrdiff_t last, ptrdiff_t items, const double *theta, const double *a, const double *b,
                                 double *pull_theta, double *information_theta, double *item_sums) {
    double nll = 0;
    for (ptrdiff_t j = first; j < last; j++) {
        for (int64_t k = start[j]; k < start[j + 1]; k += KS_IRT_BLOCK) {
            int64_t count = start[j + 1] - k < KS_IRT_BLOCK ? start[j + 1] - k : KS_IRT_BLOCK;
            double block_a[KS_IRT_BLOCK], block_b[KS_IRT_BLOCK], sums[KS_ITEM_SUMS * KS_IRT_BLOCK] = {0};
            for (int64_t i = 0; i < count; i++) {
                block_a[i] = a[item[k + i]];
                block_b[i] = b[item[k + i]];
            }
            nll += ks_irt_block(answers + k, block_a, block_b, count, theta[j], pull_theta + j, information_theta + j,
                                sums, KS_IRT_BLOCK);
            for (int row = 0; row < KS_ITEM_SUMS; row++)
                for (int64_t i = 0; i < count; i++) item_sums[row * items + item[k + i]] += sums[row * KS_IRT_BLOCK + i];
        }
    }
    return nll;
}

/* `start` and `item` are NULL for a dense (solvers, items) matrix, whose missing entries are KS_UNANSWERED.
 * `solver_sums` holds KS_SOLVER_SUMS * solvers zeros, `item_sums` KS_ITEM_SUMS * items, `scratch` KS_IRT_CHUNKS times that. */
static double ks_irt(const uint8_t *answers, const int64_t *start, const int64_t *item, ptrdiff_t solvers,
                     ptrdiff_t items, const double *theta, const double *a, const double *b, double *solver_sums,
                     double *item_sums, double *scratch) {
    double *pull_theta = solver_sums + KS_PULL_THETA * solvers;
    double *information_theta = solver_sums + KS_INFORMATION_THETA * solvers;
    double nll[KS_IRT_CHUNKS], total = 0;
#pragma omp parallel for num_threads(ks_threads()) schedule(dynamic)
    for (int chunk = 0; chunk < KS_IRT_CHUNKS; chunk++) {
        ptrdiff_t first = solvers * chunk / KS_IRT_CHUNKS, last = solvers * (chunk + 1) / KS_IRT_CHUNKS;
        double *own = scratch + KS_ITEM_SUMS * chunk * items;
        nll[chunk] = start == NULL ? ks_irt_dense_rows(answers, first, last, items, theta, a, b, pull_theta,
                                                       information_theta, own)
                                   : ks_irt_sparse_rows(answers, start, item, first, last, items, theta, a, b, pull_theta,
                                                        information_theta, own);
    }
    for (int chunk = 0; chunk < KS_IRT_CHUNKS; chunk++) {
        total += nll[chunk];
        for (ptrdiff_t i = 0; i < KS_ITEM_SUMS * items; i++) item_sums[i] += scratch[KS_ITEM_SUMS * chunk * items + i];
    }
    for (ptrdiff_t i = 0; i < items; i++) {
        item_sums[KS_PULL_B * items + i] *= a[i];
        item_sums[KS_INFORMATION_B * items + i] *= a[i] * a[i];
        item_sums[KS_INFORMATION_CROSS * items + i] *= a[i];
    }
    return total;
}

#endif

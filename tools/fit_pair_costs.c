/* Times every way to a sum over pairs, one line each: its name, its nanoseconds, and how much work of each kind it was.
 * Compiled and run by fit_pair_costs.py. */
#include "pairwise.h"

#include <stdio.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* The least of several times of STATEMENT, in time of this thread alone: other programs only ever add to it. */
#define TIME(NANOSECONDS, STATEMENT)                                                              \
    do {                                                                                          \
        double begin = now();                                                                     \
        NANOSECONDS = INFINITY;                                                                   \
        for (int run = 0; run < 2 || (run < 400 && now() - begin < 1e7); run++) {                 \
            double start = now();                                                                 \
            STATEMENT;                                                                            \
            double took = now() - start;                                                          \
            NANOSECONDS = took < NANOSECONDS ? took : NANOSECONDS;                                \
        }                                                                                         \
    } while (0)

static void measure(const ks_kernel *kernel, const ks_side *side) {
    ptrdiff_t n = side->n;
    double value, nanoseconds, work[KS_WORK_KINDS];
    void *slope[2] = {malloc((size_t)n * sizeof(double)), malloc((size_t)n * sizeof(double))};
    ks_range range[2];
    ks_ranges(side, range, 1);
    for (int order = 4; order <= KS_MAX_ORDER; order += 4) {
        ks_grid grid = ks_make_grid(kernel, order, 1.0, side->is_float);
        ks_count_work(&grid, side, range, work);
        if (work[KS_WORK_NEIGHBOUR_MATRIX] > 2e9) continue;
        TIME(nanoseconds, ks_sum_by_boxes(kernel, side, &grid, range, 1.0, 1.0, &value, slope, 1));
        printf("boxes %g", nanoseconds);
        for (int k = 0; k < KS_WORK_KINDS; k++) printf(" %g", work[k]);
        printf("\n");
    }
    double reach = ks_sorted_reach(kernel, side->is_float), pairs = ks_guess_pairs(side, reach);
    int done;
    if (pairs < 3e7) {
        TIME(nanoseconds, ks_sum_sorted(kernel, side, INFINITY, 1.0, 1.0, &value, slope, 1, &done));
        printf("sorted %g %g %g\n", nanoseconds, 2.0 * (double)n, pairs);
    }
    if (n <= 1000) {
        TIME(nanoseconds, ks_sum_directly(kernel, side, 1.0, 1.0, &value, slope));
        printf("%s %g %g\n", kernel == &KS_SOFTPLUS ? "softplus" : "sigmoid", nanoseconds, (double)n * (double)n);
    }
    for (int s = 0; s < 2; s++) free(slope[s]);
}

int main(void) {
    const double scores_per_temperature[] = {1e-3, 0.3, 1, 3, 10, 100, 1000};
    const ptrdiff_t sizes[] = {100, 1000, 10000, 100000, 400000};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 7; j++)
            for (int is_float = 0; is_float < 2; is_float++) {
                ptrdiff_t n = sizes[i];
                ks_side side[2] = {{0}};
                for (int s = 0; s < 2; s++) {
                    double *data = (double *)malloc((size_t)n * sizeof(double));
                    for (ptrdiff_t k = 0; k < n; k++) {
                        double x = drand48() * (double)n / scores_per_temperature[j];
                        if (is_float)
                            ((float *)data)[k] = (float)x;
                        else
                            data[k] = x;
                    }
                    side[s] = (ks_side){.data = data, .is_float = is_float, .n = n};
                }
                measure(j & 1 ? &KS_SOFTPLUS : &KS_SIGMOID, side);
                for (int s = 0; s < 2; s++) free((void *)side[s].data);
            }
    return 0;
}

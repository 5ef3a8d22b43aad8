/* Pairs that two scores order alike or not, counted by a merge sort: O(n log n) time, n doubles of scratch. */
#ifndef KS_KENDALL_H
#define KS_KENDALL_H

#include <stdint.h>
#include <string.h>

#define KS_KENDALL_RUN 12

typedef struct {
    int64_t x_ties;     /* pairs equal in x */
    int64_t y_ties;     /* pairs equal in y */
    int64_t both_ties;  /* pairs equal in both */
    int64_t discordant; /* pairs that x and y order differently */
} ks_kendall_counts;

static int64_t ks_insertion_sort(double *a, int64_t n)
{
    int64_t swaps = 0;
    for (int64_t i = 1; i < n; i++) {
        double value = a[i];
        int64_t j = i;
        for (; j > 0 && a[j - 1] > value; j--)
            a[j] = a[j - 1];
        a[j] = value;
        swaps += i - j;
    }
    return swaps;
}

/* Merges a[0:middle] and a[middle:n] into out; returns how many pairs of the two stood in falling order. */
static int64_t ks_merge(const double *restrict a, int64_t middle, int64_t n, double *restrict out)
{
    int64_t swaps = 0, left = 0, right = middle, at = 0;
    while (left < middle && right < n) {
        int fell = a[right] < a[left];
        out[at++] = fell ? a[right] : a[left];
        swaps += fell ? middle - left : 0;
        right += fell;
        left += !fell;
    }
    memcpy(out + at, a + left, (size_t)(middle - left) * sizeof(double));
    memcpy(out + at + middle - left, a + right, (size_t)(n - right) * sizeof(double));
    return swaps;
}

/* Sorts a[0:n] with n doubles of scratch; returns how many pairs stood in falling order. */
static int64_t ks_merge_sort(double *a, int64_t n, double *scratch)
{
    int64_t swaps = 0;
    for (int64_t start = 0; start < n; start += KS_KENDALL_RUN)
        swaps += ks_insertion_sort(a + start, n - start < KS_KENDALL_RUN ? n - start : KS_KENDALL_RUN);
    double *from = a, *to = scratch;
    for (int64_t run = KS_KENDALL_RUN; run < n; run *= 2) {
        for (int64_t start = 0; start < n; start += 2 * run) {
            int64_t length = n - start < 2 * run ? n - start : 2 * run;
            swaps += ks_merge(from + start, length < run ? length : run, length, to + start);
        }
        double *swap = from;
        from = to;
        to = swap;
    }
    if (from != a)
        memcpy(a, from, (size_t)n * sizeof(double));
    return swaps;
}

static int64_t ks_equal_pairs(const double *sorted, int64_t n)
{
    int64_t pairs = 0, first = 0;
    for (int64_t i = 1; i < n; i++) {
        if (sorted[i] != sorted[first])
            first = i;
        pairs += i - first;
    }
    return pairs;
}

/* x ascending, y in the same order; y ends up sorted. */
static ks_kendall_counts ks_kendall(const double *x, double *y, int64_t n, double *scratch)
{
    ks_kendall_counts counts = {0, 0, 0, 0};
    for (int64_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && x[end] == x[first];)
            end++;
        int64_t group = end - first;
        if (group > 1) {
            ks_merge_sort(y + first, group, scratch);
            counts.x_ties += group * (group - 1) / 2;
            counts.both_ties += ks_equal_pairs(y + first, group);
        }
    }
    counts.discordant = ks_merge_sort(y, n, scratch);
    counts.y_ties = ks_equal_pairs(y, n);
    return counts;
}

#endif

/* Pairs that two scores order alike or not: a radix sort of x that carries y, a merge sort of y that counts. */
#ifndef KS_KENDALL_H
#define KS_KENDALL_H

#include <stdint.h>
#include <string.h>

#include "radix.h"
#include "radix_items.h"

enum { KS_KENDALL_RUN = 8 };

typedef struct {
    int64_t x_ties;     /* pairs equal in x */
    int64_t y_ties;     /* pairs equal in y */
    int64_t both_ties;  /* pairs equal in both */
    int64_t discordant; /* pairs that x and y order differently */
} ks_kendall_counts;

static int64_t ks_insertion_sort(double *a, int64_t n) {
    int64_t fallen = 0;
    for (int64_t i = 1; i < n; i++) {
        double value = a[i];
        int64_t j = i;
        for (; j > 0 && a[j - 1] > value; j--) a[j] = a[j - 1];
        a[j] = value;
        fallen += i - j;
    }
    return fallen;
}

/* Merges a[0:middle] and a[middle:n] into out; returns how many pairs of the two stood in falling order. */
static int64_t ks_merge(const double *restrict a, int64_t middle, int64_t n, double *restrict out) {
    int64_t fallen = 0, left = 0, right = middle, at = 0;
    while (left < middle && right < n) {
        int64_t fell = a[right] < a[left];
        out[at++] = fell ? a[right] : a[left];
        fallen += (middle - left) & -fell;
        right += fell;
        left += 1 - fell;
    }
    memcpy(out + at, a + left, (size_t)(middle - left) * sizeof(double));
    memcpy(out + at + middle - left, a + right, (size_t)(n - right) * sizeof(double));
    return fallen;
}

/* The same for two runs of equal length, from both ends at once: two chains of comparisons, no test for an end.
 *
 * A falling pair is counted where its right element is placed: from the front, with all left elements that are
 * still to be placed; from the back, with all left elements that were placed there before. */
static int64_t ks_merge_equal(const double *restrict a, int64_t run, double *restrict out) {
    int64_t fallen = 0, left = 0, right = run, last_left = run - 1, last_right = 2 * run - 1;
    for (int64_t i = 0; i < run; i++) {
        double l = a[left], r = a[right], last_l = a[last_left], last_r = a[last_right];
        int64_t fell = r < l, rose = !(last_r < last_l);
        out[i] = r < l ? r : l;
        out[2 * run - 1 - i] = last_r < last_l ? last_l : last_r;
        fallen += ((run - left) & -fell) + ((run - 1 - last_left) & -rose);
        right += fell;
        left += 1 - fell;
        last_right -= rose;
        last_left -= 1 - rose;
    }
    return fallen;
}

/* Sorts a[0:n] with n doubles of scratch; returns how many pairs stood in falling order. */
static int64_t ks_count_sort(double *a, int64_t n, double *scratch) {
    int64_t fallen = 0;
    for (int64_t start = 0; start < n; start += KS_KENDALL_RUN)
        fallen += ks_insertion_sort(a + start, n - start < KS_KENDALL_RUN ? n - start : KS_KENDALL_RUN);
    double *from = a, *to = scratch;
    for (int64_t run = KS_KENDALL_RUN; run < n; run *= 2) {
        int64_t start = 0;
        for (; n - start >= 2 * run; start += 2 * run)
            fallen += ks_merge_equal(from + start, run, to + start);
        fallen += ks_merge(from + start, n - start < run ? n - start : run, n - start, to + start);
        double *swap = from;
        from = to;
        to = swap;
    }
    if (from != a) memcpy(a, from, (size_t)n * sizeof(double));
    return fallen;
}

static int64_t ks_equal_pairs(const double *sorted, int64_t n) {
    int64_t pairs = 0, first = 0;
    for (int64_t i = 1; i < n; i++) {
        if (sorted[i] != sorted[first]) first = i;
        pairs += i - first;
    }
    return pairs;
}

/* n is at least 1; neither x nor y holds NaN; a and b have room for n items each. */
static ks_kendall_counts ks_kendall(const double *x, const double *y, int64_t n, void *a, void *b) {
    ks_item *items = a;
    for (int64_t i = 0; i < n; i++) items[i] = (ks_item){ks_key_f64(x[i]), y[i]};
    items = ks_sort_items(a, b, n);
    double *sorted = items == a ? b : a, *scratch = sorted + n;
    for (int64_t i = 0; i < n; i++) sorted[i] = items[i].y;
    ks_kendall_counts counts = {0, 0, 0, 0};
    for (int64_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && items[end].x == items[first].x;) end++;
        int64_t group = end - first;
        if (group > 1) {
            ks_count_sort(sorted + first, group, scratch);
            counts.x_ties += group * (group - 1) / 2;
            counts.both_ties += ks_equal_pairs(sorted + first, group);
        }
    }
    counts.discordant = ks_count_sort(sorted, n, scratch);
    counts.y_ties = ks_equal_pairs(sorted, n);
    return counts;
}

#endif

/* Sorting of keys that carry a number each, stably. */
#ifndef KS_RADIX_ITEMS_H
#define KS_RADIX_ITEMS_H

#include <stdint.h>

enum { KS_ITEM_BYTES = sizeof(uint64_t) };

typedef struct {
    uint64_t x; /* in the order of the scores */
    double y;
} ks_item;

/* Sorts by x, byte after byte but for those that all share; returns where the result stands, a or spare. */
static ks_item *ks_sort_items(ks_item *a, ks_item *spare, int64_t n) {
    int64_t place[KS_ITEM_BYTES][256] = {{0}};
    for (int64_t i = 0; i < n; i++)
        for (int byte = 0; byte < KS_ITEM_BYTES; byte++) place[byte][(a[i].x >> 8 * byte) & 255]++;
    for (int byte = 0; byte < KS_ITEM_BYTES; byte++) {
        int64_t *start = place[byte], sum = 0;
        if (start[(a[0].x >> 8 * byte) & 255] == n) continue;
        for (int value = 0; value < 256; value++) {
            int64_t count = start[value];
            start[value] = sum;
            sum += count;
        }
        for (int64_t i = 0; i < n; i++) spare[start[(a[i].x >> 8 * byte) & 255]++] = a[i];
        ks_item *swap = a;
        a = spare;
        spare = swap;
    }
    return a;
}

#endif

/* The part of auc.h that is written once for float and double scores: KEY is the type of the scores, BITS the
 * unsigned integer of its size, KEY_(name) the name of this instance. */

KS_MULTIVERSION_256
static int KEY_(auc_range)(const KEY *score, const uint8_t *label, int64_t n, KEY *least, KEY *most, int64_t *positives) {
    KEY low = (KEY)INFINITY, high = -(KEY)INFINITY;
    int64_t nan = 0, count = 0;
#pragma omp simd reduction(min : low) reduction(max : high) reduction(+ : nan)
    for (int64_t j = 0; j < n; j++) {
        KEY x = score[j];
        low = x < low ? x : low;
        high = x > high ? x : high;
        nan += x != x;
    }
    for (int64_t j = 0; j < n; j++) count += label[j];
    *least = low;
    *most = high;
    *positives = count;
    return nan == 0;
}

/* Sorts one bucket of (key << 1 | label) and counts its pairs. */
static ks_auc_bucket KEY_(auc_bucket)(BITS *key, BITS *spare, int64_t n) {
    ks_auc_bucket result = {0, 0};
    KEY_(sort)(key, spare, n);
    uint64_t negatives = 0, reached = 0, tied = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t positive = key[i] & 1;
        negatives += 1 - positive;
        reached += positive * negatives;
    }
    for (int64_t i = 1; i < n; i++)
        if ((key[i] >> 1) == (key[i - 1] >> 1)) {
            uint64_t group[2] = {0, 0};
            int64_t j = i - 1;
            for (; j < n && (key[j] >> 1) == (key[i] >> 1); j++) group[key[j] & 1]++;
            tied += group[0] * group[1];
            i = j;
        }
    result.twice = 2 * reached - tied;
    result.positives = n - (int64_t)negatives;
    return result;
}

static int KEY_(auc)(const KEY *score, const uint8_t *label, int64_t n, double *auc) {
    int threads = ks_auc_threads(n), finite = 1;
    KEY least = (KEY)INFINITY, most = -(KEY)INFINITY;
    int64_t positives = 0, share = (n + threads - 1) / threads;
#pragma omp parallel for num_threads(threads) if (threads > 1) \
    reduction(min : least) reduction(max : most) reduction(+ : positives) reduction(& : finite)
    for (int t = 0; t < threads; t++) {
        int64_t from = t * share < n ? t * share : n, to = from + share < n ? from + share : n, count;
        KEY low, high;
        finite &= KEY_(auc_range)(score + from, label + from, to - from, &low, &high, &count);
        least = low < least ? low : least;
        most = high > most ? high : most;
        positives += count;
    }
    if (!finite) return KS_BAD_SCORE;
    if (positives == 0 || positives == n) return KS_ONE_CLASS;

    BITS base = KEY_(key)(least), range = KEY_(key)(most) - base;
    int width = 0, bits = 1;
    for (BITS x = range; x; x >>= 1) width++;
    for (int64_t x = n; x > 16 && bits < KS_AUC_SCATTER_BITS; x >>= 1) bits++;
    int shift = width > bits ? width - bits : 0;
    int64_t buckets = (int64_t)(range >> shift) + 1;
    BITS keep = shift ? ((BITS)1 << shift) - 1 : 0;

    BITS *key = malloc((size_t)n * sizeof *key), *spare = NULL;
    int64_t *place = calloc((size_t)(threads * buckets), sizeof *place);
    int64_t *start = malloc((size_t)(buckets + 1) * sizeof *start);
    ks_auc_bucket *bucket = malloc((size_t)buckets * sizeof *bucket);
    int64_t largest = 0;
    int ok = key && place && start && bucket;
    if (ok) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
        for (int t = 0; t < threads; t++) {
            int64_t from = t * share < n ? t * share : n, to = from + share < n ? from + share : n;
            for (int64_t j = from; j < to; j++) place[t * buckets + ((KEY_(key)(score[j]) - base) >> shift)]++;
        }
        int64_t sum = 0;
        for (int64_t b = 0; b < buckets; b++) {
            start[b] = sum;
            for (int t = 0; t < threads; t++) {
                int64_t count = place[t * buckets + b];
                place[t * buckets + b] = sum;
                sum += count;
            }
            if (sum - start[b] > largest) largest = sum - start[b];
        }
        start[buckets] = sum;
        spare = malloc((size_t)(threads * largest) * sizeof *spare);
        ok = spare != NULL;
    }
    if (ok) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
        for (int t = 0; t < threads; t++) {
            int64_t from = t * share < n ? t * share : n, to = from + share < n ? from + share : n;
            for (int64_t j = from; j < to; j++) {
                BITS x = KEY_(key)(score[j]) - base;
                key[place[t * buckets + (x >> shift)]++] = (x & keep) << 1 | label[j];
            }
        }
        const int64_t tasks = threads > 1 ? 16 * threads : 1;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 1)
        for (int64_t task = 0; task < tasks; task++) {
            int64_t b = ks_auc_first(start, buckets, n * task / tasks), end = ks_auc_first(start, buckets, n * (task + 1) / tasks);
            for (; b < end; b++)
                bucket[b] = KEY_(auc_bucket)(key + start[b], spare + KS_THREAD * largest, start[b + 1] - start[b]);
        }
        uint64_t twice = 0, negatives = 0;
        for (int64_t b = 0; b < buckets; b++) {
            twice += bucket[b].twice + 2 * negatives * (uint64_t)bucket[b].positives;
            negatives += (uint64_t)(start[b + 1] - start[b] - bucket[b].positives);
        }
        *auc = (double)twice / (2.0 * (double)positives * (double)(n - positives));
    }
    free(key);
    free(spare);
    free(place);
    free(start);
    free(bucket);
    return ok ? KS_OK : KS_NO_MEMORY;
}

/* The part of ranking.h that is written once for float and double scores: KEY is the type of the scores, BITS and
 * COUNT are unsigned and signed integers of its size, KEY_(name) is the name of this instance. */

/* Documents in their order. */
typedef struct {
    const KEY *key;
    const double *grade;
    int64_t count;
} KEY_(list);

/* A value that at least k of key[0..n) reach and few exceed: the maxima of `width` columns are taken (a multiple of
 * KS_LANES, at least k), and the k-th largest of them is the bound. -infinity follows the keys for one more row. */
KS_INLINE KEY KEY_(bound)(const KEY *key, int64_t n, int64_t k, int64_t width, KEY *maxima) {
    for (int64_t b = 0; b < width; b += KS_LANES) {
        KEY top[KS_LANES];
#pragma omp simd
        for (int l = 0; l < KS_LANES; l++) top[l] = key[b + l];
        for (int64_t j = b + width; j < n; j += width) {
#pragma omp simd
            for (int l = 0; l < KS_LANES; l++) top[l] = key[j + l] > top[l] ? key[j + l] : top[l];
        }
#pragma omp simd
        for (int l = 0; l < KS_LANES; l++) maxima[b + l] = top[l];
    }
    KEY bound = (KEY)INFINITY;
    for (int64_t b = 0; b < width; b += KS_LANES) {
        COUNT above[KS_LANES];
#pragma omp simd
        for (int l = 0; l < KS_LANES; l++) above[l] = 0;
        for (int64_t j = 0; j < width; j++) {
            KEY x = maxima[j];
#pragma omp simd
            for (int l = 0; l < KS_LANES; l++) above[l] += x > maxima[b + l];
        }
#pragma omp simd reduction(min : bound)
        for (int l = 0; l < KS_LANES; l++) {
            KEY x = above[l] < (COUNT)k ? maxima[b + l] : (KEY)INFINITY;
            bound = x < bound ? x : bound;
        }
    }
    return bound;
}

/* Small integers in the order of the keys, where those of the m candidates (mine) are told apart as well as can be: equal
 * keys get equal levels, and a key above another never gets a lower one. */
KS_INLINE void KEY_(levels)(const KEY *restrict key, int64_t n, const KEY *restrict mine, int64_t m,
                            int16_t *restrict level) {
    KEY low = (KEY)INFINITY, high = -(KEY)INFINITY;
#pragma omp simd reduction(min : low) reduction(max : high)
    for (int64_t i = 0; i < m; i++) {
        low = mine[i] < low ? mine[i] : low;
        high = mine[i] > high ? mine[i] : high;
    }
    const KEY base = low, factor = KS_TOP_LEVEL / (high - low);
    if (!(factor > 0 && factor < (KEY)INFINITY)) { /* one value, or a range beyond the type: all on one level */
        memset(level, 0, (size_t)n * sizeof *level);
        return;
    }
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        KEY x = (key[j] - base) * factor;
        x = x > -1 ? x : -1;
        x = x < KS_TOP_LEVEL + 1 ? x : KS_TOP_LEVEL + 1;
        level[j] = (int16_t)x;
    }
}

/* What `stand` finds for one candidate, by comparing its score with all; -infinity follows them. */
KS_INLINE void KEY_(compare)(const ks_ranking *r, const KEY *key, int64_t n, int64_t position, int32_t *start,
                             int32_t *size) {
    const KEY x = key[position];
    COUNT above[KS_LANES], same[KS_LANES];
    int32_t higher = 0, equal = 0;
#pragma omp simd
    for (int l = 0; l < KS_LANES; l++) above[l] = same[l] = 0;
    for (int64_t j = 0; j < n; j += KS_LANES) {
#pragma omp simd
        for (int l = 0; l < KS_LANES; l++) {
            above[l] += key[j + l] > x;
            same[l] += key[j + l] == x;
        }
    }
#pragma omp simd reduction(+ : higher, equal)
    for (int l = 0; l < KS_LANES; l++) {
        higher += (int32_t)above[l];
        equal += (int32_t)same[l];
    }
    if (equal > 1 && !r->expected) {
        int64_t from = r->last_first ? position + 1 : 0, to = r->last_first ? n : position;
        for (int64_t j = from; j < to; j++) higher += key[j] == x;
        equal = 1;
    }
    *start = higher;
    *size = equal;
}

/* The same two results by sorting the candidates' scores and looking every document up among them. */
KS_INLINE void KEY_(look_up)(const ks_ranking *r, const KEY *key, int64_t n, const KEY *mine, int64_t m,
                             ks_scratch *s, int32_t *start, int32_t *size) {
    BITS *bits = s->sorted;
    KEY *level = s->spare;
    int64_t levels = 0, next = 0;
    for (int64_t i = 0; i < m; i++) bits[i] = ~KEY_(key)(mine[i]);
    KEY_(sort)(bits, s->spare, m);
    for (int64_t i = 0; i < m; i++) {
        KEY x = KEY_(unkey)(~bits[i]);
        if (!levels || x != level[levels - 1]) level[levels++] = x;
    }
    memset(s->above, 0, (size_t)(levels + 1) * sizeof *s->above);
    memset(s->seen, 0, (size_t)(levels + 1) * sizeof *s->seen);
    for (int64_t step = 0; step < n; step++) {
        int64_t j = r->last_first ? n - 1 - step : step, i = r->last_first ? m - 1 - next : next;
        const KEY *base = level;
        KEY x = key[j];
        for (int64_t left = levels; left > 0;) { /* first level that x reaches */
            int64_t half = (left + 1) / 2;
            base = base[half - 1] > x ? base + half : base;
            left -= half;
        }
        int64_t place = base - level;
        int equal = place < levels && *base == x;
        s->above[place + equal]++;
        if (next < m && s->candidate[i] == j) {
            s->slot[i] = (int32_t)place;
            size[i] = s->seen[place];
            next++;
        }
        s->seen[place] += equal;
    }
    for (int64_t i = 1; i < levels; i++) s->above[i] += s->above[i - 1];
    for (int64_t i = 0; i < m; i++) {
        int64_t place = s->slot[i];
        start[i] = s->above[place] + (r->expected ? 0 : size[i]);
        size[i] = r->expected ? s->seen[place] : 1;
    }
}

/* The documents that can stand among the first k ranks, in their order: all, or those that reach a bound. If asked for,
 * those down to the best relevant one are among them. */
KS_INLINE KEY_(list) KEY_(contenders)(const ks_ranking *r, ks_scratch *s, int64_t n, int64_t k, int wants_first) {
    KEY *restrict key = s->key, *restrict kept = s->kept;
    double *restrict grade = s->grade, *restrict kept_grade = s->kept_grade;
    if (k > KS_DEEPEST_BOUND || ks_bound_width(k) * 2 > n) return (KEY_(list)){key, grade, n};
    int64_t width = ks_bound_width(k), m = 0;
    for (int64_t j = n; j < n + width; j++) key[j] = -(KEY)INFINITY;
    KEY bound = KEY_(bound)(key, n, k, width, s->sorted);
    if (wants_first) {
        KEY best = -(KEY)INFINITY;
        for (int64_t j = 0; j < n; j++) best = grade[j] >= r->min_relevance && key[j] > best ? key[j] : best;
        if (best < bound) bound = best;
    }
    for (int64_t from = 0; from < n; from += 64) {
        uint8_t taken[64];
        int32_t position[72];
#pragma omp simd
        for (int l = 0; l < 64; l++) taken[l] = (key[from + l] >= bound) & (key[from + l] > -(KEY)INFINITY);
        int64_t count = ks_positions(taken, n - from < 64 ? n - from : 64, from, position);
        for (int64_t i = 0; i < count; i++) {
            kept[m] = key[position[i]];
            kept_grade[m++] = grade[position[i]];
        }
    }
    for (int64_t j = m; j < m + 8; j++) kept_grade[j] = 0;
    for (int64_t j = m; j < m + KS_LANES; j++) kept[j] = -(KEY)INFINITY;
    return (KEY_(list)){kept, kept_grade, m};
}

/* Positions of the contenders that have gain and a rank. */
KS_INLINE int64_t KEY_(candidates)(const KEY_(list) *list, int32_t *restrict candidate) {
    const KEY *restrict key = list->key;
    const double *restrict grade = list->grade;
    int64_t m = 0;
    for (int64_t from = 0; from < list->count; from += 64) {
        uint8_t taken[64];
#pragma omp simd
        for (int l = 0; l < 64; l++) taken[l] = (grade[from + l] > 0) & (key[from + l] > -(KEY)INFINITY);
        m += ks_positions(taken, list->count - from < 64 ? list->count - from : 64, from, candidate + m);
    }
    return m;
}

/* Where each of the m candidates stands: start, and (if r->expected) size. */
KS_INLINE void KEY_(stand)(const ks_ranking *r, ks_scratch *s, const KEY_(list) *list, int64_t m) {
    const KEY *key = list->key;
    const int64_t n = list->count;
    KEY *restrict mine = s->mine;
    int32_t *start = s->start, *size = s->size;
    for (int64_t i = 0; i < m; i++) mine[i] = key[s->candidate[i]];
    if (m > KS_COUNTED || n > KS_COUNTED_AMONG) {
        KEY_(look_up)(r, key, n, mine, m, s, start, size);
        return;
    }
    if (m <= KS_LANES) {
        for (int64_t i = m; i < KS_LANES; i++) mine[i] = (KEY)INFINITY;
        KEY_(count)(key, n, mine, start, size, KS_LANES);
    } else {
        int16_t *level = s->level, *my_level = s->mine_level;
        KEY_(levels)(key, n, mine, m, level);
        for (int64_t i = 0; i < m; i++) my_level[i] = level[s->candidate[i]];
        for (int64_t i = m; i < m + KS_WIDE; i++) my_level[i] = 0;
        for (int64_t b = 0; b < m;)
            if (m - b > KS_LANES) {
                ks_count_i16(level, n, my_level + b, start + b, size + b, KS_WIDE);
                b += KS_WIDE;
            } else {
                ks_count_i16(level, n, my_level + b, start + b, size + b, KS_LANES);
                b += KS_LANES;
            }
    }
    for (int64_t i = 0; i < m; i++)
        if (size[i] > 1) KEY_(compare)(r, key, n, s->candidate[i], start + i, size + i);
}

/* The candidates in rank order, those of equal rank together. */
KS_INLINE void KEY_(group)(const ks_ranking *r, ks_scratch *s, const KEY_(list) *list) {
    const double *restrict grade = list->grade;
    const int32_t *restrict candidate = s->candidate, *restrict start = s->start;
    int32_t *restrict slot = s->slot, *restrict next = s->seen;
    double *restrict grade_at = s->grade_at;
    uint8_t *restrict occupied = s->occupied;
    const double least = r->min_relevance;
    ks_groups g = s->groups;
    int64_t n = list->count, m = KEY_(candidates)(list, s->candidate);
    KEY_(stand)(r, s, list, m);
    memset(occupied, 0, (size_t)(n + 8));
    for (int64_t i = 0; i < m; i++) {
        int32_t rank = start[i];
        if (r->expected) { /* slot[rank] = the last candidate there; next[i] = one more of the same rank */
            next[i] = occupied[rank] ? slot[rank] : -1;
            slot[rank] = (int32_t)i;
        }
        occupied[rank] = 1;
        grade_at[rank] = grade[candidate[i]];
    }
    g.groups = 0;
    for (int64_t from = 0; from < n; from += 64)
        g.groups += ks_positions(occupied + from, n - from < 64 ? n - from : 64, from, g.start + g.groups);
    for (int64_t at = 0; at < g.groups; at++) {
        int32_t rank = g.start[at];
        double x = grade_at[rank];
        g.relevant[at] = x >= least;
        g.gain[at] = ks_gain(r, s, x);
        g.worth[at] = g.gain[at] * r->discount[rank];
    }
    if (r->stop_unit > 0 && !r->expected)
        for (int64_t at = 0; at < g.groups; at++) g.stop[at] = ks_exponential(s, grade_at[g.start[at]]) * r->stop_unit;
    if (r->expected) {
        double *stop = g.stop;
        for (int64_t at = 0; at < g.groups; at++) {
            int32_t rank = g.start[at], i = slot[rank], size = s->size[i];
            g.size[at] = size;
            g.members[at] = 0;
            g.gain[at] = 0;
            g.relevant[at] = 0;
            for (; i >= 0; i = next[i]) {
                double x = grade[candidate[i]];
                g.members[at]++;
                g.gain[at] += ks_gain(r, s, x);
                g.relevant[at] += x >= least;
                if (r->stop_unit > 0) *stop++ = ks_exponential(s, x) * r->stop_unit;
            }
            g.worth[at] = size > 1 ? g.gain[at] / size * ks_discounts(r, rank, rank + size) : g.gain[at] * r->discount[rank];
        }
    }
    s->groups.groups = g.groups;
}

/* The terms of the ideal DCG, largest gain first, up to rank `depth`. */
KS_INLINE int64_t KEY_(ideal)(const ks_ranking *r, ks_scratch *s, int64_t n, int64_t depth, const ks_grades *grades) {
    const double *grade = s->grade;
    double *ideal = s->ideal;
    int64_t filled = 0;
    if (grades->whole && grades->highest < KS_GRADES) {
        int16_t *restrict whole = s->level;
#pragma omp simd
        for (int64_t j = 0; j < n; j++) whole[j] = (int16_t)grade[j];
        for (int64_t j = n; j < n + KS_LANES; j++) whole[j] = 0;
        for (int level = (int)grades->highest; level > 0 && filled < depth; level--) {
            int64_t count = ks_occurrences(whole, n, (int16_t)level);
            int64_t end = count < depth - filled ? filled + count : depth;
            for (; filled < end; filled++) ideal[filled] = ks_gain(r, s, level) * r->discount[filled];
        }
        return filled;
    }
    double least = DBL_MIN * DBL_EPSILON; /* the smallest number above zero */
    if (depth <= KS_DEEPEST_BOUND && ks_bound_width(depth) * 2 <= n) {
        int64_t width = ks_bound_width(depth);
        for (int64_t j = n; j < n + width; j++) s->grade[j] = 0;
        double bound = ks_bound_f64(grade, n, depth, width, s->spare_f64);
        if (bound > least) least = bound;
    }
    uint64_t *bits = s->sorted;
    int64_t m = 0;
    for (int64_t j = 0; j < n; j++) {
        bits[m] = ~ks_key_f64(grade[j]);
        m += grade[j] >= least;
    }
    ks_sort_f64(bits, s->spare, m);
    int64_t end = m < depth ? m : depth;
    for (; filled < end; filled++) ideal[filled] = ks_gain(r, s, ks_unkey_f64(~bits[filled])) * r->discount[filled];
    return filled;
}

/* Leaves only the judged documents among the n, -infinity and 0 behind them; how many they are, or -1 if `judged` is
 * neither 0 nor 1 or is 0 for a relevant document. */
KS_INLINE int64_t KEY_(keep_judged)(const ks_ranking *r, ks_scratch *s, const char *judged, int64_t n) {
    KEY *key = s->key;
    double *grade = s->grade, *known = s->kept_grade;
    int64_t m = 0, bad = 0;
    ks_load_grades(judged, r->judged.column, n, r->judged.type, known);
    for (int64_t j = n; j < n + 8; j++) known[j] = 0;
    for (int64_t j = 0; j < n; j++)
        bad += ((known[j] != 0) & (known[j] != 1)) | ((known[j] == 0) & (grade[j] >= r->min_relevance));
    for (int64_t from = 0; from < n; from += 64) {
        uint8_t taken[64];
        int32_t position[72];
        for (int l = 0; l < 64; l++) taken[l] = known[from + l] != 0;
        int64_t count = ks_positions(taken, n - from < 64 ? n - from : 64, from, position);
        for (int64_t i = 0; i < count; i++, m++) { /* to the left: m is at most position[i] */
            key[m] = key[position[i]];
            grade[m] = grade[position[i]];
        }
    }
    for (int64_t j = m; j < m + KS_LANES; j++) key[j] = -(KEY)INFINITY;
    for (int64_t j = m; j < m + 8; j++) grade[j] = 0;
    return bad ? -1 : m;
}

/* Measures the queries from *query up to `to`. If it is not KS_OK, *query is the first bad one. */
KS_MULTIVERSION_256
static int KEY_(queries)(const ks_ranking *r, int64_t *query, int64_t to, ks_scratch *s, double *out) {
    KEY *key = s->key;
    for (int64_t q = *query; q < to; q++) {
        int64_t n = r->documents;
        const char *scores = r->scores.data, *relevance = r->relevance.data, *judged = r->judged.data;
        if (r->indptr) {
            n = r->indptr[q + 1] - r->indptr[q];
            scores += r->indptr[q] * r->scores.column;
            relevance += r->indptr[q] * r->relevance.column;
            if (judged) judged += r->indptr[q] * r->judged.column;
        } else {
            scores += q * r->scores.row;
            relevance += q * r->relevance.row;
            if (judged) judged += q * r->judged.row;
        }
        KEY_(load)(scores, r->scores.column, n, key);
        ks_load_grades(relevance, r->relevance.column, n, r->relevance.type, s->grade);
        for (int64_t j = n; j < n + 8; j++) s->grade[j] = 0;
        for (int64_t j = n; j < n + KS_LANES; j++) key[j] = -(KEY)INFINITY;

        int nan = 0;
        for (int64_t j = 0; j < n; j++) nan |= key[j] != key[j];
        ks_grades grades = ks_survey(r, s->grade, n);
        if (nan || grades.bad) return *query = q, nan ? KS_BAD_SCORE : KS_BAD_RELEVANCE;

        if (r->wants_ranks) {
            int64_t k = r->wants_relevant && grades.relevant > r->deepest ? grades.relevant : r->deepest;
            KEY_(list) list = KEY_(contenders)(r, s, n, k > 1 ? k : 1, r->wants_first);
            KEY_(group)(r, s, &list);
            int64_t ideal = r->ideal_depth ? KEY_(ideal)(r, s, n, n < r->ideal_depth ? n : r->ideal_depth, &grades) : 0;
            for (int64_t i = 0; i < r->metrics; i++)
                if (r->kind[i] != KS_BPREF)
                    out[i * r->queries + q] = ks_measure(r, &s->groups, r->kind[i], r->cutoff[i], s->ideal, ideal, s, &grades);
        }
        if (judged) {
            int64_t m = KEY_(keep_judged)(r, s, judged, n);
            if (m < 0) return *query = q, KS_BAD_JUDGED;
            double found = r->empty;
            if (grades.relevant) { /* a relevant document below rank 2 * relevant has lost all: too many stand above it */
                KEY_(list) list = KEY_(contenders)(r, s, m, 2 * grades.relevant, 0);
                KEY_(group)(r, s, &list);
                found = ks_bpref(r, &s->groups, grades.relevant, m - grades.relevant);
            }
            for (int64_t i = 0; i < r->metrics; i++)
                if (r->kind[i] == KS_BPREF) out[i * r->queries + q] = found;
        }
    }
    return KS_OK;
}

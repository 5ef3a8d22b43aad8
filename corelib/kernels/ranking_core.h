/* The part of ranking.h that is written once for float and double scores: KEY is the type of the scores, BITS and
 * COUNT are unsigned and signed integers of its size, KEY_(name) is the name of this instance. */

/* A value that at least k of key[0..n) reach and few exceed. key[n..] is -infinity for two more rows of maxima;
 * `width` (a multiple of KS_LANES, at least k) maxima are taken, and the k-th largest of them is the bound. */
KS_INLINE KEY KEY_(bound)(const KEY *key, int64_t n, int64_t k, int64_t width, KEY *maxima) {
    for (int64_t l = 0; l < width; l++) maxima[l] = key[l];
    for (int64_t j = width; j < n; j += width)
        for (int64_t l = 0; l < width; l++) maxima[l] = key[j + l] > maxima[l] ? key[j + l] : maxima[l];
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

KS_INLINE void KEY_(count_above)(const KEY *key, int64_t from, int64_t to, const KEY *x, COUNT *above) {
    for (int64_t j = from; j < to; j++) {
        KEY y = key[j];
#pragma omp simd
        for (int l = 0; l < KS_LANES; l++) above[l] += y > x[l];
    }
}

KS_INLINE void KEY_(count_reaching)(const KEY *key, int64_t from, int64_t to, const KEY *x, COUNT *above) {
    for (int64_t j = from; j < to; j++) {
        KEY y = key[j];
#pragma omp simd
        for (int l = 0; l < KS_LANES; l++) above[l] += y >= x[l];
    }
}

/* For m candidates, positions ascending: start = documents above, size = documents on the same rank. Equal scores
 * share a rank if r->expected, else the earlier document (the later one if r->last_first) stands above. */
KS_INLINE void KEY_(count)(const ks_ranking *r, const KEY *key, int64_t n, const KEY *mine, const int64_t *position,
                           int64_t m, int64_t *start, int64_t *size) {
    for (int64_t b = 0; b < m; b += KS_LANES) {
        int lanes = b + KS_LANES < m ? KS_LANES : (int)(m - b);
        int64_t first = r->expected ? 0 : position[b], end = r->expected ? n : position[b + lanes - 1] + 1;
        KEY x[KS_LANES];
        COUNT above[KS_LANES], same[KS_LANES];
#pragma omp simd
        for (int l = 0; l < KS_LANES; l++) {
            x[l] = mine[b + l];
            above[l] = 0;
            same[l] = 0;
        }
        if (r->last_first) {
            KEY_(count_above)(key, 0, first, x, above);
            KEY_(count_reaching)(key, end, n, x, above);
        } else {
            KEY_(count_reaching)(key, 0, first, x, above);
            KEY_(count_above)(key, end, n, x, above);
        }
        for (int64_t j = first; j < end; j++) {
            KEY y = key[j];
#pragma omp simd
            for (int l = 0; l < KS_LANES; l++) {
                above[l] += y > x[l];
                same[l] += y == x[l];
            }
        }
#pragma omp simd
        for (int l = 0; l < KS_LANES; l++) {
            start[b + l] = above[l];
            size[b + l] = same[l];
        }
        if (r->expected) continue;
        for (int64_t i = b; i < b + lanes; i++) {
            if (size[i] == 1) continue;
            COUNT before = 0;
            int64_t from = r->last_first ? position[i] + 1 : first, to = r->last_first ? end : position[i];
            for (int64_t j = from; j < to; j++) before += key[j] == mine[i];
            start[i] += before;
            size[i] = 1;
        }
    }
}

/* The same two results by sorting the candidates' scores and looking every document up among them. */
KS_INLINE void KEY_(look_up)(const ks_ranking *r, const KEY *key, int64_t n, const KEY *mine, int64_t m,
                             ks_scratch *s, int64_t *start, int64_t *size) {
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
            s->slot[i] = place;
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

/* The documents that a requested metric can see: they have gain, a rank, and no k of others surely above them. */
KS_INLINE int64_t KEY_(candidates)(const ks_ranking *r, ks_scratch *s, int64_t n) {
    KEY *restrict key = s->key, *restrict mine = s->mine;
    const double *restrict grade = s->grade;
    int64_t *restrict candidate = s->candidate;
    KEY floor_ = -(KEY)INFINITY;
    int64_t k = r->deepest, m = 0;
    if (k <= KS_DEEPEST_BOUND && ks_bound_width(k) * 2 <= n) {
        int64_t width = ks_bound_width(k);
        for (int64_t j = n; j < n + width; j++) key[j] = -(KEY)INFINITY;
        floor_ = KEY_(bound)(key, n, k, width, s->sorted);
        if (r->wants_first) {
            KEY best = -(KEY)INFINITY;
            for (int64_t j = 0; j < n; j++) best = grade[j] >= r->min_relevance && key[j] > best ? key[j] : best;
            if (best < floor_) floor_ = best;
        }
    }
    for (int64_t from = 0; from < n; from += 64) {
        uint8_t taken[64];
#pragma omp simd
        for (int l = 0; l < 64; l++) {
            KEY x = key[from + l];
            taken[l] = (grade[from + l] > 0) & (x >= floor_) & (x > -(KEY)INFINITY);
        }
        for (int eight = 0; eight < 64; eight += 8) {
            uint64_t any;
            memcpy(&any, taken + eight, sizeof any);
            if (!any) continue;
            for (int l = eight; l < eight + 8; l++) {
                candidate[m] = from + l;
                mine[m] = key[from + l];
                m += taken[l];
            }
        }
    }
    return m;
}

KS_INLINE void KEY_(group)(const ks_ranking *r, ks_scratch *s, int64_t n, int64_t m) {
    KEY *mine = s->mine;
    int64_t *restrict start = s->start, *restrict size = s->size, *restrict slot = s->slot, *restrict next = s->seen;
    uint64_t *restrict bits = s->bits;
    for (int64_t i = m; i < m + KS_LANES; i++) mine[i] = (KEY)INFINITY;
    if (m > KS_COUNTED) {
        KEY_(look_up)(r, s->key, n, mine, m, s, start, size);
    } else {
        KEY_(count)(r, s->key, n, mine, s->candidate, m, start, size);
    }

    /* slot[rank] = the last candidate there; next[i] = one more of the same rank */
    int64_t words = n / 64 + 1;
    for (int64_t w = 0; w < words; w++) bits[w] = 0;
    for (int64_t i = 0; i < m; i++) {
        int64_t rank = start[i];
        uint64_t bit = UINT64_C(1) << (rank & 63), word = bits[rank >> 6];
        next[i] = word & bit ? slot[rank] : -1;
        bits[rank >> 6] = word | bit;
        slot[rank] = i;
    }
    const double least = r->min_relevance;
    ks_groups g = s->groups;
    g.groups = 0;
    for (int64_t w = 0; w < words; w++)
        for (uint64_t word = bits[w]; word; word &= word - 1) {
            int64_t rank = w * 64 + ks_lowest_bit(word), relevant = 0;
            double gain = 0;
            for (int64_t i = slot[rank]; i >= 0; i = next[i]) {
                double grade = s->grade[s->candidate[i]];
                gain += ks_gain(r, s, grade);
                relevant += grade >= least;
            }
            g.start[g.groups] = rank;
            g.size[g.groups] = size[slot[rank]];
            g.relevant[g.groups] = relevant;
            g.gain[g.groups] = gain;
            g.worth[g.groups] = gain * r->discount[rank];
            g.groups++;
        }
    s->groups.groups = g.groups;
}

/* The terms of the ideal DCG, largest gain first, up to rank `depth`. */
KS_INLINE int64_t KEY_(ideal)(const ks_ranking *r, ks_scratch *s, int64_t n, int64_t depth, const ks_grades *grades) {
    const double *grade = s->grade;
    double *ideal = s->ideal;
    int64_t filled = 0;
    if (grades->whole && grades->highest < KS_LEVELS) {
        for (int level = (int)grades->highest; level > 0 && filled < depth; level--) {
            int64_t count = 0;
            for (int64_t j = 0; j < n; j++) count += grade[j] == level;
            int64_t end = count < depth - filled ? filled + count : depth;
            for (; filled < end; filled++) ideal[filled] = s->gain_of[level] * r->discount[filled];
        }
        return filled;
    }
    double least = DBL_MIN * DBL_EPSILON;
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

KS_MULTIVERSION
static void KEY_(queries)(const ks_ranking *r, int64_t from, int64_t to, ks_scratch *s, double *out, int64_t *bad_score,
                          int64_t *bad_relevance) {
    KEY *key = s->key;
    for (int64_t q = from; q < to; q++) {
        int64_t n = r->documents;
        const char *scores = r->scores.data, *relevance = r->relevance.data;
        if (r->indptr) {
            n = r->indptr[q + 1] - r->indptr[q];
            scores += r->indptr[q] * r->scores.column;
            relevance += r->indptr[q] * r->relevance.column;
        } else {
            scores += q * r->scores.row;
            relevance += q * r->relevance.row;
        }
        KEY_(load)(scores, r->scores.column, n, key);
        ks_load_grades(relevance, r->relevance.column, n, r->relevance.type, s->grade);
        for (int64_t j = n; j < n + 64; j++) s->grade[j] = 0;

        int nan = 0;
        for (int64_t j = 0; j < n; j++) nan |= key[j] != key[j];
        ks_grades grades = ks_survey(r, s->grade, n);
        if (nan && q < *bad_score) *bad_score = q;
        if (grades.bad && q < *bad_relevance) *bad_relevance = q;
        if (nan || grades.bad) continue;

        KEY_(group)(r, s, n, KEY_(candidates)(r, s, n));
        int64_t ideal = r->ideal_depth ? KEY_(ideal)(r, s, n, n < r->ideal_depth ? n : r->ideal_depth, &grades) : 0;
        for (int64_t i = 0; i < r->metrics; i++)
            out[i * r->queries + q] = ks_measure(r, &s->groups, r->kind[i], r->cutoff[i], s->ideal, ideal, &grades);
    }
}

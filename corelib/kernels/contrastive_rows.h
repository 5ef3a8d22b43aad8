/* The passes of contrastive.h for one floating-point type: KS_REAL, its exponential KS_REAL_EXP, and
 * KS_TYPED(name) to tell the functions apart. Sums are kept in double. */

/* The largest of sign * s[i] over first <= i < last and of floor. */
KS_INLINE KS_REAL KS_TYPED(largest)(const KS_REAL *s, ptrdiff_t first, ptrdiff_t last, KS_REAL sign, KS_REAL floor) {
    KS_REAL top[KS_LANES];
    ptrdiff_t i = first;
    for (int lane = 0; lane < KS_LANES; lane++) top[lane] = floor;
    for (; i + KS_LANES <= last; i += KS_LANES)
        for (int lane = 0; lane < KS_LANES; lane++) {
            KS_REAL value = sign * s[i + lane];
            top[lane] = value > top[lane] ? value : top[lane];
        }
    for (int lane = 0; lane < KS_LANES; lane++) floor = top[lane] > floor ? top[lane] : floor;
    for (; i < last; i++) floor = sign * s[i] > floor ? sign * s[i] : floor;
    return floor;
}

/* With t = sign * s[lane], replaces s[lane] by exp(slope * (t - shift)) where t + margin > limit and by 0
 * elsewhere, and adds that to sums[lane]. Most blocks of a trained model keep nothing and cost no
 * exponential. */
KS_INLINE void KS_TYPED(exponential_block)(KS_REAL *s, double *sums, KS_REAL sign, KS_REAL slope, KS_REAL shift,
                                           KS_REAL margin, KS_REAL limit) {
    int kept = 0;
    for (int lane = 0; lane < KS_LANES; lane++) kept += sign * s[lane] + margin > limit;
    if (!kept) {
        for (int lane = 0; lane < KS_LANES; lane++) s[lane] = 0;
        return;
    }
    for (int lane = 0; lane < KS_LANES; lane++) {
        KS_REAL t = sign * s[lane];
        KS_REAL e = KS_REAL_EXP(slope * (t - shift));
        s[lane] = t + margin > limit ? e : 0;
    }
    for (int lane = 0; lane < KS_LANES; lane++) sums[lane] += (double)s[lane];
}

/* exponential_block over first <= i < last; returns the sum. */
KS_INLINE double KS_TYPED(exponentials)(KS_REAL *s, ptrdiff_t first, ptrdiff_t last, KS_REAL sign, KS_REAL slope,
                                        KS_REAL shift, KS_REAL margin, KS_REAL limit) {
    double sums[KS_LANES] = {0.0}, sum = 0.0;
    ptrdiff_t i = first;
    for (; i + KS_LANES <= last; i += KS_LANES)
        KS_TYPED(exponential_block)(s + i, sums, sign, slope, shift, margin, limit);
    if (i < last) {
        KS_REAL rest[KS_LANES];
        for (int lane = 0; lane < KS_LANES; lane++) rest[lane] = i + lane < last ? s[i + lane] : -sign * (KS_REAL)INFINITY;
        KS_TYPED(exponential_block)(rest, sums, sign, slope, shift, margin, limit);
        for (int lane = 0; i + lane < last; lane++) s[i + lane] = rest[lane];
    }
    for (int lane = 0; lane < KS_LANES; lane++) sum += sums[lane];
    return sum;
}

KS_INLINE void KS_TYPED(multiply)(KS_REAL *s, ptrdiff_t first, ptrdiff_t last, KS_REAL factor) {
    for (ptrdiff_t i = first; i < last; i++) s[i] *= factor;
}

/* One side of a multi-similarity row: the pairs in [a, b) and [c, d), sign 1 for negatives and -1 for
 * positives. Returns log(1 + sum over kept pairs of exp(slope * (sign * s - sign * base))) / slope and leaves
 * the derivative of weight times that in place of the similarities. top is the side's largest sign * s. */
KS_INLINE double KS_TYPED(side)(KS_REAL *s, ptrdiff_t a, ptrdiff_t b, ptrdiff_t c, ptrdiff_t d, KS_REAL sign,
                                KS_REAL top, double slope, KS_REAL base, KS_REAL margin, KS_REAL limit,
                                double weight) {
    KS_REAL zero = sign * base;
    KS_REAL shift = top > zero ? top : zero;
    double sum = KS_TYPED(exponentials)(s, a, b, sign, (KS_REAL)slope, shift, margin, limit) +
                 KS_TYPED(exponentials)(s, c, d, sign, (KS_REAL)slope, shift, margin, limit);
    if (!(top + margin > limit)) return 0.0; /* mining dropped the hardest pair, so every pair */
    double above = (double)shift - (double)zero;
    double denominator = exp(-slope * above) + sum;
    KS_REAL factor = (KS_REAL)(sign * weight / denominator);
    KS_TYPED(multiply)(s, a, b, factor);
    KS_TYPED(multiply)(s, c, d, factor);
    return above + log(denominator) / slope;
}

/* The multi-similarity loss of the anchor `self` of class [first, last) from its n similarities, which become
 * weight * d loss / d s. */
KS_MULTIVERSION
double KS_TYPED(ks_multi_similarity_row)(KS_REAL *s, ptrdiff_t n, ptrdiff_t self, ptrdiff_t first, ptrdiff_t last,
                                         double alpha, double beta, KS_REAL base, KS_REAL margin, int mine,
                                         double weight) {
    ptrdiff_t before = self < 0 ? first : self, after = self < 0 ? first : self + 1;
    KS_REAL pos_top = KS_TYPED(largest)(s, first, before, -1, -(KS_REAL)INFINITY);
    pos_top = KS_TYPED(largest)(s, after, last, -1, pos_top);
    KS_REAL neg_top = KS_TYPED(largest)(s, 0, first, 1, -(KS_REAL)INFINITY);
    neg_top = KS_TYPED(largest)(s, last, n, 1, neg_top);
    KS_REAL pos_limit = mine ? -neg_top : -(KS_REAL)INFINITY;
    KS_REAL neg_limit = mine ? -pos_top : -(KS_REAL)INFINITY;
    if (self >= 0) s[self] = 0;
    return KS_TYPED(side)(s, first, before, after, last, -1, pos_top, alpha, base, margin, pos_limit, weight) +
           KS_TYPED(side)(s, 0, first, last, n, 1, neg_top, beta, base, margin, neg_limit, weight);
}

static void KS_TYPED(ks_multi_similarity)(KS_REAL *s, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t start,
                                          const int64_t *first, const int64_t *last, double alpha, double beta,
                                          double base, double epsilon, int mine, double weight, double *losses) {
#pragma omp parallel for num_threads(ks_threads()) schedule(dynamic, 4)
    for (ptrdiff_t r = 0; r < rows; r++) {
        ptrdiff_t self = start < 0 ? -1 : start + r, i = start < 0 ? r : self;
        losses[i] = KS_TYPED(ks_multi_similarity_row)(s + r * n, n, self, first[i], last[i], alpha, beta,
                                                      (KS_REAL)base, (KS_REAL)epsilon, mine, weight);
    }
}

/* The sum of exp(slope * (s[i] - top)) over a row, which stays as it is; top is its largest entry. */
KS_INLINE double KS_TYPED(shifted_sum)(const KS_REAL *s, ptrdiff_t n, double slope, KS_REAL *top) {
    double sum = 0.0;
    *top = KS_TYPED(largest)(s, 0, n, 1, -(KS_REAL)INFINITY);
    for (ptrdiff_t first = 0; first < n; first += KS_COLUMNS) {
        KS_REAL block[KS_COLUMNS];
        ptrdiff_t width = n - first < KS_COLUMNS ? n - first : KS_COLUMNS;
        memcpy(block, s + first, (size_t)width * sizeof *block);
        sum += KS_TYPED(exponentials)(block, 0, width, 1, (KS_REAL)slope, *top, 0, -(KS_REAL)INFINITY);
    }
    return sum;
}

/* log(sum of exp(slope * s[i])) / slope over a row. */
KS_MULTIVERSION
double KS_TYPED(ks_row_lse)(const KS_REAL *s, ptrdiff_t n, double slope) {
    KS_REAL top;
    double sum = KS_TYPED(shifted_sum)(s, n, slope, &top);
    return (double)top + log(sum) / slope;
}

/* s becomes -s, except where it is minus infinity. */
KS_INLINE void KS_TYPED(mirror)(KS_REAL *s, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) s[i] = s[i] > -(KS_REAL)INFINITY ? -s[i] : s[i];
}

KS_INLINE ptrdiff_t KS_TYPED(count_kept)(const KS_REAL *s, ptrdiff_t n) {
    ptrdiff_t kept = 0;
    for (ptrdiff_t i = 0; i < n; i++) kept += s[i] > -(KS_REAL)INFINITY;
    return kept;
}

/* InfoNCE of one row whose pairs to leave out are minus infinity, at temperature 1 / slope. With
 * x = log(mean weight of the negatives * their sum of exp(slope * s)) - slope * s[target], weights exp(beta * s):
 * returns the loss softplus(x), times sigmoid(x)^gamma; its derivative by s is *scale times what s becomes. */
KS_MULTIVERSION
double KS_TYPED(ks_info_nce_row)(KS_REAL *s, ptrdiff_t n, ptrdiff_t target, double slope, double beta, double gamma,
                                 int detach, double *scale) {
    double own = (double)s[target], steep = slope + beta, log_mean = 0.0;
    int easiest = beta < 0, flips = easiest && steep >= 0;
    KS_REAL top, far_end = 0;
    s[target] = -(KS_REAL)INFINITY;
    if (beta != 0.0) {
        double kept = (double)KS_TYPED(count_kept)(s, n);
        if (easiest) KS_TYPED(mirror)(s, n);
        log_mean = log(KS_TYPED(shifted_sum)(s, n, fabs(beta), &far_end) / kept);
        if (flips) KS_TYPED(mirror)(s, n);
    }
    top = KS_TYPED(largest)(s, 0, n, 1, -(KS_REAL)INFINITY);
    double sum = KS_TYPED(exponentials)(s, 0, n, 1, (KS_REAL)fabs(steep), top, 0, -(KS_REAL)INFINITY);
    s[target] = (KS_REAL)-sum;
    *scale = 0.0;
    if (sum == 0.0) return 0.0; /* no negative is left */
    if (flips) log_mean -= beta * ((double)top + (double)far_end);
    double centre = easiest && !flips ? -(double)top : (double)top;
    double x = slope * (centre - own) + log(sum) - log_mean;
    double e = exp(-fabs(x));
    double loss = (x > 0 ? x : 0.0) + log1p(e);
    double missed = (x > 0 ? 1.0 : e) / (1.0 + e); /* 1 - the probability of the target */
    double derivative = missed;
    if (gamma != 0.0) {
        double focus = exp(gamma * (x - loss)); /* missed^gamma */
        derivative = focus * (detach ? missed : missed + gamma * (1.0 - missed) * loss);
        loss *= focus;
    }
    *scale = derivative * slope / sum;
    return loss;
}

static void KS_TYPED(ks_info_nce)(KS_REAL *s, ptrdiff_t rows, ptrdiff_t n, const int64_t *targets, double temperature,
                                  double beta, double gamma, int detach, double *losses, double *scales) {
#pragma omp parallel for num_threads(ks_threads()) schedule(dynamic, 4)
    for (ptrdiff_t r = 0; r < rows; r++)
        losses[r] = KS_TYPED(ks_info_nce_row)(s + r * n, n, targets[r], 1.0 / temperature, beta, gamma, detach,
                                              scales + r);
}

/* Row r becomes minus infinity at the columns twins[first[r]] .. twins[last[r] - 1], except at own[r]. */
static void KS_TYPED(ks_leave_out)(KS_REAL *s, ptrdiff_t rows, ptrdiff_t n, const int64_t *own, const int64_t *twins,
                                   const int64_t *first, const int64_t *last) {
#pragma omp parallel for num_threads(ks_threads()) schedule(dynamic, 4)
    for (ptrdiff_t r = 0; r < rows; r++)
        for (int64_t i = first[r]; i < last[r]; i++)
            if (twins[i] != own[r]) s[r * n + twins[i]] = -(KS_REAL)INFINITY;
}

/* Adds `rows` rows of `width` columns, `stride` apart, to the running sums of exp(slope * (s - top)) per
 * column; top is the running largest entry of the column. */
KS_MULTIVERSION
void KS_TYPED(ks_add_columns)(const KS_REAL *s, ptrdiff_t rows, ptrdiff_t stride, ptrdiff_t width, KS_REAL slope,
                              KS_REAL *top, double *sums) {
    KS_REAL above[KS_COLUMNS];
    for (ptrdiff_t j = 0; j < width; j++) above[j] = top[j];
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < width; j++) above[j] = s[r * stride + j] > above[j] ? s[r * stride + j] : above[j];
    for (ptrdiff_t j = 0; j < width; j++) {
        sums[j] *= (double)KS_REAL_EXP(slope * (top[j] - above[j]));
        top[j] = above[j];
    }
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < width; j++) sums[j] += (double)KS_REAL_EXP(slope * (s[r * stride + j] - above[j]));
}

/* The last n - columns entries of a row are candidates that look for no row. */
static void KS_TYPED(ks_both_sums)(const KS_REAL *s, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t columns, ptrdiff_t start,
                                   double temperature, double *row_lse, double *matched, KS_REAL *column_top,
                                   double *column_sum) {
#pragma omp parallel num_threads(ks_threads())
    {
#pragma omp for schedule(static) nowait
        for (ptrdiff_t r = 0; r < rows; r++) {
            row_lse[start + r] = KS_TYPED(ks_row_lse)(s + r * n, n, 1.0 / temperature);
            matched[start + r] = (double)s[r * n + start + r];
        }
#pragma omp for schedule(static)
        for (ptrdiff_t first = 0; first < columns; first += KS_COLUMNS) {
            ptrdiff_t width = columns - first < KS_COLUMNS ? columns - first : KS_COLUMNS;
            KS_TYPED(ks_add_columns)(s + first, rows, n, width, (KS_REAL)(1.0 / temperature), column_top + first,
                                     column_sum + first);
        }
    }
}

/* Replaces a row by its softmax over the row plus its share of each column's softmax, less 2 at `self`: the
 * temperature times d loss / d s of the two cross-entropies together. */
KS_MULTIVERSION
void KS_TYPED(ks_both_weights_row)(KS_REAL *s, ptrdiff_t n, ptrdiff_t columns, ptrdiff_t self, double slope,
                                   double row_lse, const double *column_lse) {
    KS_REAL steep = (KS_REAL)slope, row = (KS_REAL)row_lse;
    double here = s[self];
    double at_self = expm1(slope * (here - row_lse)) + expm1(slope * (here - column_lse[self]));
    for (ptrdiff_t j = 0; j < columns; j++)
        s[j] = KS_REAL_EXP(steep * (s[j] - row)) + KS_REAL_EXP(steep * (s[j] - (KS_REAL)column_lse[j]));
    for (ptrdiff_t j = columns; j < n; j++) s[j] = KS_REAL_EXP(steep * (s[j] - row));
    s[self] = (KS_REAL)at_self;
}

static void KS_TYPED(ks_both_weights)(KS_REAL *s, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t columns, ptrdiff_t start,
                                      double temperature, const double *row_lse, const double *column_lse) {
#pragma omp parallel for num_threads(ks_threads()) schedule(static)
    for (ptrdiff_t r = 0; r < rows; r++)
        KS_TYPED(ks_both_weights_row)(s + r * n, n, columns, start + r, 1.0 / temperature, row_lse[start + r],
                                      column_lse);
}

/* The passes of mixture.h for one floating-point type. Expects KS_REAL, KS_TYPED(name), KS_REAL_EXP, and
 * KS_WIDTH (numbers in 64 bytes), KS_EPS (rounding), KS_HUGE (squares of larger numbers overflow),
 * KS_CANCELLATION (largest |x| |y| / sigma^2, centred, for which weights may come from products: their relative error is
 * about a tenth of KS_EPS times that) and KS_DEPTH (exp(-KS_DEPTH) of the largest sum of weights is nothing). */

typedef struct {
    ptrdiff_t n, d, tiles, strips; /* points, dimensions, tiles of KS_TILE points, strips of KS_WIDTH dimensions */
    const KS_REAL *data;           /* (n, d), as given */
    const double *log_weight;      /* (n,) */
    const double *centre;          /* (d,) */
    double radius;                 /* largest |y|, centred */
    double depth;                  /* all points with logits this far below the largest together weigh nothing */
    KS_REAL *across;               /* centred data for x.y: (n / KS_WIDTH, d, KS_WIDTH) */
    KS_REAL *along;                /* centred data for weighted sums: (tiles, strips, KS_TILE, KS_WIDTH) */
    KS_REAL *half_norm;            /* |y|^2 / 2, centred; 0 in the padding */
    KS_REAL *bias;                 /* log_weight; -inf in the padding */
} KS_TYPED(targets);

/* c (KS_GROUP, KS_WIDTH) = a (KS_GROUP, depth) b (depth, KS_WIDTH) */
#ifdef __GNUC__
typedef KS_REAL KS_TYPED(vector) __attribute__((vector_size(64), aligned(4), may_alias));

KS_INLINE void KS_TYPED(product)(ptrdiff_t depth, const KS_REAL *a, ptrdiff_t stride_a, const KS_REAL *b, KS_REAL *c,
                                 ptrdiff_t stride_c) {
    KS_TYPED(vector) c0 = {0}, c1 = {0}, c2 = {0}, c3 = {0}, c4 = {0}, c5 = {0};
    const KS_REAL *a0 = a, *a1 = a + stride_a, *a2 = a1 + stride_a, *a3 = a2 + stride_a, *a4 = a3 + stride_a,
                  *a5 = a4 + stride_a;
    for (ptrdiff_t k = 0; k < depth; k++) {
        KS_TYPED(vector) row = *(const KS_TYPED(vector) *)(b + k * KS_WIDTH);
        c0 += row * a0[k];
        c1 += row * a1[k];
        c2 += row * a2[k];
        c3 += row * a3[k];
        c4 += row * a4[k];
        c5 += row * a5[k];
    }
    *(KS_TYPED(vector) *)c = c0;
    *(KS_TYPED(vector) *)(c + stride_c) = c1;
    *(KS_TYPED(vector) *)(c + 2 * stride_c) = c2;
    *(KS_TYPED(vector) *)(c + 3 * stride_c) = c3;
    *(KS_TYPED(vector) *)(c + 4 * stride_c) = c4;
    *(KS_TYPED(vector) *)(c + 5 * stride_c) = c5;
}
#else
KS_INLINE void KS_TYPED(product)(ptrdiff_t depth, const KS_REAL *a, ptrdiff_t stride_a, const KS_REAL *b, KS_REAL *c,
                                 ptrdiff_t stride_c) {
    for (int i = 0; i < KS_GROUP; i++) {
        KS_REAL sum[KS_WIDTH] = {0};
        for (ptrdiff_t k = 0; k < depth; k++)
            for (int j = 0; j < KS_WIDTH; j++) sum[j] += a[i * stride_a + k] * b[k * KS_WIDTH + j];
        for (int j = 0; j < KS_WIDTH; j++) c[i * stride_c + j] = sum[j];
    }
}
#endif

/* products (KS_GROUP, KS_TILE) of KS_GROUP centred rows with the points of a tile */
KS_INLINE void KS_TYPED(products_with_tile)(const KS_TYPED(targets) *y, ptrdiff_t tile, const KS_REAL *rows,
                                            KS_REAL *products) {
    for (ptrdiff_t j = 0; j < KS_TILE; j += KS_WIDTH)
        KS_TYPED(product)(y->d, rows, y->d, y->across + (tile * KS_TILE + j) * y->d, products + j, KS_TILE);
}

/* sums (KS_GROUP, KS_WIDTH) of one strip of the points of a tile, by weight (KS_GROUP, KS_TILE) */
KS_INLINE void KS_TYPED(weighted_sums)(const KS_TYPED(targets) *y, ptrdiff_t tile, ptrdiff_t strip,
                                       const KS_REAL *weights, KS_REAL *sums) {
    KS_TYPED(product)(KS_TILE, weights, KS_TILE, y->along + (tile * y->strips + strip) * KS_TILE * KS_WIDTH, sums,
                      KS_WIDTH);
}

KS_INLINE double KS_TYPED(squared_distance)(const KS_REAL *x, const KS_REAL *y, ptrdiff_t d) {
    double lanes[KS_LANES] = {0.0}, sum = 0.0;
    ptrdiff_t k = 0;
    for (; k + KS_LANES <= d; k += KS_LANES)
        for (int j = 0; j < KS_LANES; j++) {
            double difference = (double)y[k + j] - (double)x[k + j];
            lanes[j] += difference * difference;
        }
    for (int j = 0; j < KS_LANES; j++) sum += lanes[j];
    for (; k < d; k++) {
        double difference = (double)y[k] - (double)x[k];
        sum += difference * difference;
    }
    return sum;
}

KS_INLINE KS_REAL KS_TYPED(largest)(const KS_REAL *values) {
    KS_REAL lanes[KS_LANES], top;
    for (int j = 0; j < KS_LANES; j++) lanes[j] = values[j];
    for (ptrdiff_t i = KS_LANES; i < KS_TILE; i += KS_LANES)
        for (int j = 0; j < KS_LANES; j++) lanes[j] = values[i + j] > lanes[j] ? values[i + j] : lanes[j];
    top = lanes[0];
    for (int j = 1; j < KS_LANES; j++) top = lanes[j] > top ? lanes[j] : top;
    return top;
}

KS_INLINE double KS_TYPED(sum)(const KS_REAL *values) {
    double lanes[KS_LANES] = {0.0}, sum = 0.0;
    for (ptrdiff_t i = 0; i < KS_TILE; i += KS_LANES)
        for (int j = 0; j < KS_LANES; j++) lanes[j] += (double)values[i + j];
    for (int j = 0; j < KS_LANES; j++) sum += lanes[j];
    return sum;
}

/* Whether the rounding of x.y is harmless at this noise level, and if not, whether x.y can at least rule points out. */
KS_INLINE void KS_TYPED(choose)(double radius, double x_norm, double variance, int *by_product, int *filter) {
    double reach = sqrt(x_norm);
    reach = reach > radius ? reach : radius;
    *filter = reach < KS_HUGE;
    *by_product = *filter && variance > 1 / KS_HUGE && variance < KS_HUGE && reach * radius <= KS_CANCELLATION * variance;
}

/* The points of a tile that may carry a weight, given products x.y with their rounding errors; marks them in keep.
 * In units of sigma^2, up to |x|^2 / 2, the logit of point j is x.y_j - |y_j|^2 / 2 + variance * bias_j within
 * slack * (|x|^2 + |y_j|^2). Returns how many. A product that overflowed to NaN keeps its point. */
KS_INLINE int KS_TYPED(candidates)(const KS_TYPED(targets) *y, ptrdiff_t tile, const KS_REAL *products, double x_norm,
                                   double variance, double peak, int filter, unsigned char *keep) {
    const ptrdiff_t first = tile * KS_TILE, count = y->n - first < KS_TILE ? y->n - first : KS_TILE;
    if (!filter) {
        memset(keep, 1, (size_t)count);
        return (int)count;
    }
    const KS_REAL *half_norm = y->half_norm + first, *bias = y->bias + first;
    const double slack = (double)(y->d + 16) * KS_EPS;
    const KS_REAL v = (KS_REAL)variance, below = (KS_REAL)(1 + 2 * slack), above = (KS_REAL)(1 - 2 * slack);
    KS_REAL bounds[KS_TILE];
    int kept = 0;
    for (ptrdiff_t j = 0; j < KS_TILE; j++) bounds[j] = products[j] - below * half_norm[j] + v * bias[j];
    double floor = (double)KS_TYPED(largest)(bounds) - slack * x_norm, known = variance * peak + x_norm / 2;
    floor = (known > floor ? known : floor) - y->depth * variance - slack * x_norm;
    const KS_REAL least = (KS_REAL)(floor - slack * fabs(floor));
    for (ptrdiff_t j = 0; j < KS_TILE; j++) {
        int out = products[j] - above * half_norm[j] + v * bias[j] < least;
        keep[j] = (unsigned char)!out;
    }
    for (ptrdiff_t j = 0; j < count; j++) kept += keep[j];
    return kept;
}

/* Centre and pack one tile of points. */
KS_MULTIVERSION static void KS_TYPED(pack)(KS_TYPED(targets) *y, ptrdiff_t tile) {
    const ptrdiff_t d = y->d;
    for (ptrdiff_t j = 0; j < KS_TILE; j++) {
        const ptrdiff_t i = tile * KS_TILE + j;
        KS_REAL *across = y->across + (i / KS_WIDTH) * d * KS_WIDTH + i % KS_WIDTH;
        KS_REAL *along = y->along + (tile * y->strips * KS_TILE + j) * KS_WIDTH;
        double norm = 0.0;
        for (ptrdiff_t k = 0; k < y->strips * KS_WIDTH; k++) {
            const int padding = i >= y->n || k >= d;
            double c = padding ? 0.0 : (double)y->data[i * d + k] - y->centre[k];
            if (k < d) across[k * KS_WIDTH] = (KS_REAL)c;
            along[(k / KS_WIDTH) * KS_TILE * KS_WIDTH + k % KS_WIDTH] = (KS_REAL)c;
            norm += c * c;
        }
        y->half_norm[i] = (KS_REAL)(norm / 2);
        y->bias[i] = i < y->n ? (KS_REAL)y->log_weight[i] : -(KS_REAL)INFINITY;
    }
}

/* One block of rows: score and log of the softmax's denominator. */
KS_MULTIVERSION static void KS_TYPED(score_block)(const KS_TYPED(targets) *y, const KS_REAL *x, ptrdiff_t rows,
                                                  const double *sigma, KS_REAL *score, double *log_total,
                                                  double *scratch) {
    const ptrdiff_t d = y->d, width = y->strips * KS_WIDTH;
    double *sums = scratch;
    KS_REAL *centred = (KS_REAL *)(scratch + KS_ROWS * width);
    double x_norm[KS_ROWS], variance[KS_ROWS], peak[KS_ROWS], total[KS_ROWS];
    int by_product[KS_ROWS], filter[KS_ROWS];
    KS_REAL weights[KS_GROUP * KS_TILE], strip_sums[KS_GROUP * KS_WIDTH];
    unsigned char keep[KS_TILE];

    memset(sums, 0, sizeof(double) * (size_t)(KS_ROWS * width));
    memset(centred, 0, sizeof(KS_REAL) * (size_t)(KS_ROWS * d));
    for (ptrdiff_t i = 0; i < rows; i++) {
        x_norm[i] = 0.0;
        for (ptrdiff_t k = 0; k < d; k++) {
            double c = (double)x[i * d + k] - y->centre[k];
            centred[i * d + k] = (KS_REAL)c;
            x_norm[i] += c * c;
        }
        variance[i] = sigma[i] * sigma[i];
        KS_TYPED(choose)(y->radius, x_norm[i], variance[i], &by_product[i], &filter[i]);
        peak[i] = -INFINITY;
        total[i] = 0.0;
    }
    for (ptrdiff_t tile = 0; tile < y->tiles; tile++) {
        const ptrdiff_t first = tile * KS_TILE;
        const KS_REAL *half_norm = y->half_norm + first, *bias = y->bias + first;
        for (ptrdiff_t group = 0; group < rows; group += KS_GROUP) {
            double shrink[KS_GROUP];
            int any = 0;
            KS_TYPED(products_with_tile)(y, tile, centred + group * d, weights);
            for (ptrdiff_t i = group; i < group + KS_GROUP; i++) {
                KS_REAL *w = weights + (i - group) * KS_TILE;
                double *sum = sums + i * width;
                int live = 0;
                shrink[i - group] = 1.0;
                if (i < rows && by_product[i]) {
                    const KS_REAL inverse = (KS_REAL)(1 / variance[i]);
                    for (ptrdiff_t j = 0; j < KS_TILE; j++) w[j] = (w[j] - half_norm[j]) * inverse + bias[j];
                    double top = (double)KS_TYPED(largest)(w);
                    live = top > peak[i] - y->depth;
                    if (top > peak[i]) {
                        shrink[i - group] = exp(peak[i] - top);
                        peak[i] = top;
                    }
                    if (live) {
                        const KS_REAL shift = (KS_REAL)peak[i];
                        for (ptrdiff_t j = 0; j < KS_TILE; j++) w[j] = KS_REAL_EXP(w[j] - shift);
                        total[i] = total[i] * shrink[i - group] + KS_TYPED(sum)(w);
                        any = 1;
                    }
                } else if (i < rows
                           && KS_TYPED(candidates)(y, tile, w, x_norm[i], variance[i], peak[i], filter[i], keep)) {
                    for (ptrdiff_t j = first; j < y->n && j < first + KS_TILE; j++) {
                        if (!keep[j - first]) continue;
                        const KS_REAL *from = x + i * d, *to = y->data + j * d;
                        double logit = y->log_weight[j] - KS_TYPED(squared_distance)(from, to, d) / (2 * variance[i]);
                        double weight = 1.0;
                        if (logit > peak[i]) {
                            double fade = exp(peak[i] - logit);
                            for (ptrdiff_t k = 0; k < d; k++) sum[k] *= fade;
                            total[i] *= fade;
                            peak[i] = logit;
                        } else {
                            weight = exp(logit - peak[i]);
                        }
                        total[i] += weight;
                        for (ptrdiff_t k = 0; k < d; k++) sum[k] += weight * ((double)to[k] - (double)from[k]);
                    }
                }
                if (!live) memset(w, 0, sizeof(KS_REAL) * KS_TILE);
            }
            if (!any) continue;
            for (ptrdiff_t strip = 0; strip < y->strips; strip++) {
                KS_TYPED(weighted_sums)(y, tile, strip, weights, strip_sums);
                for (int i = 0; i < KS_GROUP; i++) {
                    double *sum = sums + (group + i) * width + strip * KS_WIDTH;
                    for (int j = 0; j < KS_WIDTH; j++)
                        sum[j] = sum[j] * shrink[i] + (double)strip_sums[i * KS_WIDTH + j];
                }
            }
        }
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (ptrdiff_t k = 0; k < d; k++) {
            double step = sums[i * width + k] / total[i];
            if (by_product[i]) step -= (double)x[i * d + k] - y->centre[k];
            score[i * d + k] = (KS_REAL)(step / variance[i]);
        }
        log_total[i] = peak[i] + log(total[i]) - (by_product[i] ? x_norm[i] / (2 * variance[i]) : 0.0);
    }
}

/* One block of rows of the Jacobian of the score, (Cov_w(y) / sigma^2 - I) / sigma^2, times grad. */
KS_MULTIVERSION static void KS_TYPED(vjp_block)(const KS_TYPED(targets) *y, const KS_REAL *x, ptrdiff_t rows,
                                                const double *sigma, const KS_REAL *score, const double *log_total,
                                                const KS_REAL *grad, KS_REAL *result, double *scratch) {
    const ptrdiff_t d = y->d, width = y->strips * KS_WIDTH;
    double *sums = scratch;
    KS_REAL *centred = (KS_REAL *)(scratch + KS_ROWS * width), *direction = centred + KS_ROWS * d;
    double x_norm[KS_ROWS], variance[KS_ROWS], total[KS_ROWS], level[KS_ROWS];
    int by_product[KS_ROWS], filter[KS_ROWS];
    KS_REAL weights[KS_GROUP * KS_TILE], slopes[KS_GROUP * KS_TILE], strip_sums[KS_GROUP * KS_WIDTH];
    unsigned char keep[KS_TILE];

    memset(sums, 0, sizeof(double) * (size_t)(KS_ROWS * width));
    memset(centred, 0, sizeof(KS_REAL) * (size_t)(2 * KS_ROWS * d));
    memcpy(direction, grad, sizeof(KS_REAL) * (size_t)(rows * d));
    for (ptrdiff_t i = 0; i < rows; i++) {
        variance[i] = sigma[i] * sigma[i];
        x_norm[i] = level[i] = total[i] = 0.0;
        for (ptrdiff_t k = 0; k < d; k++) {
            double c = (double)x[i * d + k] - y->centre[k];
            centred[i * d + k] = (KS_REAL)c;
            x_norm[i] += c * c;
            level[i] += (c + variance[i] * (double)score[i * d + k]) * (double)grad[i * d + k];
        }
        KS_TYPED(choose)(y->radius, x_norm[i], variance[i], &by_product[i], &filter[i]);
    }
    for (ptrdiff_t tile = 0; tile < y->tiles; tile++) {
        const ptrdiff_t first = tile * KS_TILE;
        const KS_REAL *half_norm = y->half_norm + first, *bias = y->bias + first;
        for (ptrdiff_t group = 0; group < rows; group += KS_GROUP) {
            int any = 0;
            for (ptrdiff_t i = group; i < rows && i < group + KS_GROUP; i++) any |= by_product[i];
            KS_TYPED(products_with_tile)(y, tile, centred + group * d, weights);
            if (any) KS_TYPED(products_with_tile)(y, tile, direction + group * d, slopes);
            for (ptrdiff_t i = group; i < group + KS_GROUP; i++) {
                KS_REAL *w = weights + (i - group) * KS_TILE;
                const KS_REAL *slope = slopes + (i - group) * KS_TILE;
                double *sum = sums + i * width;
                if (i < rows && by_product[i]) {
                    const KS_REAL inverse = (KS_REAL)(1 / variance[i]), offset = (KS_REAL)level[i];
                    const KS_REAL shift = (KS_REAL)(log_total[i] + x_norm[i] / (2 * variance[i]));
                    for (ptrdiff_t j = 0; j < KS_TILE; j++)
                        w[j] = KS_REAL_EXP((w[j] - half_norm[j]) * inverse + bias[j] - shift) * (slope[j] - offset);
                    total[i] += KS_TYPED(sum)(w);
                    continue;
                }
                if (i < rows
                    && KS_TYPED(candidates)(y, tile, w, x_norm[i], variance[i], log_total[i], filter[i], keep)) {
                    const KS_REAL *from = x + i * d, *s = score + i * d, *g = grad + i * d;
                    for (ptrdiff_t j = first; j < y->n && j < first + KS_TILE; j++) {
                        if (!keep[j - first]) continue;
                        const KS_REAL *to = y->data + j * d;
                        double logit = y->log_weight[j] - KS_TYPED(squared_distance)(from, to, d) / (2 * variance[i]);
                        double along = 0.0, weight = exp(logit - log_total[i]);
                        for (ptrdiff_t k = 0; k < d; k++)
                            along += (((double)to[k] - (double)from[k]) - variance[i] * (double)s[k]) * (double)g[k];
                        for (ptrdiff_t k = 0; k < d; k++)
                            sum[k] += weight * along * (((double)to[k] - (double)from[k]) - variance[i] * (double)s[k]);
                    }
                }
                memset(w, 0, sizeof(KS_REAL) * KS_TILE);
            }
            if (!any) continue;
            for (ptrdiff_t strip = 0; strip < y->strips; strip++) {
                KS_TYPED(weighted_sums)(y, tile, strip, weights, strip_sums);
                for (int i = 0; i < KS_GROUP; i++) {
                    double *sum = sums + (group + i) * width + strip * KS_WIDTH;
                    for (int j = 0; j < KS_WIDTH; j++) sum[j] += (double)strip_sums[i * KS_WIDTH + j];
                }
            }
        }
    }
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t k = 0; k < d; k++) {
            double spread = sums[i * width + k];
            if (by_product[i]) {
                double c = (double)x[i * d + k] - y->centre[k];
                spread -= total[i] * (c + variance[i] * (double)score[i * d + k]);
            }
            result[i * d + k] = (KS_REAL)((spread / variance[i] - (double)grad[i * d + k]) / variance[i]);
        }
}

/* Scores of all rows (grad NULL), or the Jacobian times grad; returns a status. */
static int KS_TYPED(ks_empirical)(const KS_REAL *x, ptrdiff_t rows, const KS_REAL *data, ptrdiff_t n, ptrdiff_t d,
                                  const double *centre, double radius, const double *sigma, const double *log_weight,
                                  KS_REAL *score, double *log_total, const KS_REAL *grad, KS_REAL *result) {
    KS_TYPED(targets) y = {n, d, (n + KS_TILE - 1) / KS_TILE, (d + KS_WIDTH - 1) / KS_WIDTH, data, log_weight, centre,
                           radius, KS_DEPTH + log((double)n), NULL, NULL, NULL, NULL};
    const ptrdiff_t padded = y.tiles * KS_TILE, width = y.strips * KS_WIDTH, blocks = (rows + KS_ROWS - 1) / KS_ROWS;
    const size_t scratch_size = KS_ROWS * (sizeof(double) * (size_t)width + 2 * sizeof(KS_REAL) * (size_t)d);
    int failed = 0;
    y.across = malloc(sizeof(KS_REAL) * (size_t)padded * (size_t)(d + width + 2));
    if (y.across == NULL) return KS_NO_MEMORY;
    y.along = y.across + padded * d;
    y.half_norm = y.along + padded * width;
    y.bias = y.half_norm + padded;
#pragma omp parallel num_threads(ks_threads())
    {
#pragma omp for schedule(static)
        for (ptrdiff_t tile = 0; tile < y.tiles; tile++) KS_TYPED(pack)(&y, tile);
        double *scratch = malloc(scratch_size);
#pragma omp for schedule(dynamic, 1)
        for (ptrdiff_t block = 0; block < blocks; block++) {
            const ptrdiff_t first = block * KS_ROWS, count = rows - first < KS_ROWS ? rows - first : KS_ROWS;
            if (scratch == NULL) {
#pragma omp atomic write
                failed = 1;
            } else if (grad == NULL) {
                KS_TYPED(score_block)(&y, x + first * d, count, sigma + first, score + first * d, log_total + first,
                                      scratch);
            } else {
                KS_TYPED(vjp_block)(&y, x + first * d, count, sigma + first, score + first * d, log_total + first,
                                    grad + first * d, result + first * d, scratch);
            }
        }
        free(scratch);
    }
    free(y.across);
    return failed ? KS_NO_MEMORY : KS_OK;
}

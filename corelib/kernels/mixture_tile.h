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

/* The points of a tile that may carry a weight, given products x.y with their rounding errors; marks them in keep.
 * In units of sigma^2, up to |x|^2 / 2, the logit of point j is x.y_j - |y_j|^2 / 2 + variance * bias_j within
 * slack * (|x|^2 + |y_j|^2). Returns how many. A product that overflowed to NaN keeps its point. */
KS_INLINE int KS_TYPED(candidates)(const KS_TYPED(targets) *y, ptrdiff_t tile, const KS_REAL *products,
                                   const ks_row *row, unsigned char *keep) {
    const ptrdiff_t first = tile * KS_TILE, count = y->n - first < KS_TILE ? y->n - first : KS_TILE;
    const double x_norm = row->norm, variance = row->variance;
    if (!row->filter) {
        memset(keep, 1, (size_t)count);
        return (int)count;
    }
    const KS_REAL *half_norm = y->half_norm + first, *bias = y->bias + first;
    const double slack = (double)(y->d + 16) * KS_EPS;
    const KS_REAL v = (KS_REAL)variance, below = (KS_REAL)(1 + 2 * slack), above = (KS_REAL)(1 - 2 * slack);
    KS_REAL bounds[KS_TILE];
    int kept = 0;
    for (ptrdiff_t j = 0; j < KS_TILE; j++) bounds[j] = products[j] - below * half_norm[j] + v * bias[j];
    double floor = (double)KS_TYPED(largest)(bounds) - slack * x_norm, known = variance * row->peak + x_norm / 2;
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

/* ---- rows ------------------------------------------------------------------------------------------------- */

/* Centres a row, and chooses its algorithm: whether the rounding of x.y is harmless at this noise level, and if not,
 * whether x.y can at least rule points out. */
KS_INLINE void KS_TYPED(open_row)(const KS_TYPED(targets) *y, const KS_REAL *x, double sigma, KS_REAL *centred,
                                  ks_row *row) {
    double norm = 0.0, variance = sigma * sigma;
    for (ptrdiff_t k = 0; k < y->d; k++) {
        double c = (double)x[k] - y->centre[k];
        centred[k] = (KS_REAL)c;
        norm += c * c;
    }
    const double length = sqrt(norm), reach = length > y->radius ? length : y->radius;
    const int filter = reach < KS_HUGE;
    *row = (ks_row){.norm = norm, .variance = variance, .peak = -INFINITY, .filter = filter};
    row->by_product = filter && variance > 1 / KS_HUGE && variance < KS_HUGE
                      && reach * y->radius <= KS_CANCELLATION * variance;
}

/* sums of a group = shrink * sums + the points of a tile by their weights */
KS_INLINE void KS_TYPED(add_tile)(const KS_TYPED(targets) *y, ptrdiff_t tile, const KS_REAL *weights,
                                  const double *shrink, double *sums) {
    KS_REAL strip_sums[KS_GROUP * KS_WIDTH];
    for (ptrdiff_t strip = 0; strip < y->strips; strip++) {
        KS_TYPED(weighted_sums)(y, tile, strip, weights, strip_sums);
        for (int i = 0; i < KS_GROUP; i++) {
            double *sum = sums + (i * y->strips + strip) * KS_WIDTH;
            for (int j = 0; j < KS_WIDTH; j++)
                sum[j] = sum[j] * shrink[i] + (double)strip_sums[i * KS_WIDTH + j];
        }
    }
}

/* ---- score ------------------------------------------------------------------------------------------------ */

/* Products x.y of a row with a tile become softmax weights, relative to the peak, and go into the row's total. Returns
 * whether any counts; *shrink is what a new peak makes of the sums so far. */
KS_INLINE int KS_TYPED(weigh_products)(const KS_TYPED(targets) *y, ptrdiff_t tile, ks_row *row, KS_REAL *w,
                                       double *shrink) {
    const KS_REAL *half_norm = y->half_norm + tile * KS_TILE, *bias = y->bias + tile * KS_TILE;
    const KS_REAL inverse = (KS_REAL)(1 / row->variance);
    for (ptrdiff_t j = 0; j < KS_TILE; j++) w[j] = (w[j] - half_norm[j]) * inverse + bias[j];
    const double top = (double)KS_TYPED(largest)(w);
    if (!(top > row->peak - y->depth)) return 0;
    if (top > row->peak) {
        *shrink = exp(row->peak - top);
        row->peak = top;
    }
    const KS_REAL shift = (KS_REAL)row->peak;
    for (ptrdiff_t j = 0; j < KS_TILE; j++) w[j] = KS_REAL_EXP(w[j] - shift);
    row->total = row->total * *shrink + KS_TYPED(sum)(w);
    return 1;
}

/* Adds the points of a tile that the products with row x do not rule out, from their differences to x. */
KS_INLINE void KS_TYPED(add_differences)(const KS_TYPED(targets) *y, ptrdiff_t tile, const KS_REAL *products,
                                         const KS_REAL *x, ks_row *row, double *sum) {
    const ptrdiff_t first = tile * KS_TILE, d = y->d;
    unsigned char keep[KS_TILE];
    if (!KS_TYPED(candidates)(y, tile, products, row, keep)) return;
    for (ptrdiff_t j = first; j < y->n && j < first + KS_TILE; j++) {
        if (!keep[j - first]) continue;
        const KS_REAL *to = y->data + j * d;
        double logit = y->log_weight[j] - KS_TYPED(squared_distance)(x, to, d) / (2 * row->variance), weight = 1.0;
        if (logit == -INFINITY) continue; /* the squared distance overflowed */
        if (logit > row->peak) {
            double fade = exp(row->peak - logit);
            for (ptrdiff_t k = 0; k < d; k++) sum[k] *= fade;
            row->total *= fade;
            row->peak = logit;
        } else {
            weight = exp(logit - row->peak);
        }
        row->total += weight;
        for (ptrdiff_t k = 0; k < d; k++) sum[k] += weight * ((double)to[k] - (double)x[k]);
    }
}

/* One block of rows: score and log of the softmax's denominator. */
KS_MULTIVERSION static void KS_TYPED(score_block)(const KS_TYPED(targets) *y, const KS_REAL *x, ptrdiff_t rows,
                                                  const double *sigma, KS_REAL *score, double *log_total,
                                                  double *scratch) {
    const ptrdiff_t d = y->d, width = y->strips * KS_WIDTH;
    double *sums = scratch;
    KS_REAL *centred = (KS_REAL *)(scratch + KS_ROWS * width), weights[KS_GROUP * KS_TILE];
    ks_row row[KS_ROWS];

    memset(sums, 0, sizeof(double) * (size_t)(KS_ROWS * width));
    memset(centred, 0, sizeof(KS_REAL) * (size_t)(KS_ROWS * d));
    for (ptrdiff_t i = 0; i < rows; i++) KS_TYPED(open_row)(y, x + i * d, sigma[i], centred + i * d, row + i);
    for (ptrdiff_t tile = 0; tile < y->tiles; tile++)
        for (ptrdiff_t group = 0; group < rows; group += KS_GROUP) {
            double shrink[KS_GROUP];
            int any = 0;
            KS_TYPED(products_with_tile)(y, tile, centred + group * d, weights);
            for (ptrdiff_t g = 0; g < KS_GROUP; g++) {
                const ptrdiff_t i = group + g;
                KS_REAL *w = weights + g * KS_TILE;
                int live = 0;
                shrink[g] = 1.0;
                if (i < rows && row[i].by_product)
                    live = KS_TYPED(weigh_products)(y, tile, row + i, w, shrink + g);
                else if (i < rows)
                    KS_TYPED(add_differences)(y, tile, w, x + i * d, row + i, sums + i * width);
                if (!live) memset(w, 0, sizeof(KS_REAL) * KS_TILE);
                any |= live;
            }
            if (any) KS_TYPED(add_tile)(y, tile, weights, shrink, sums + group * width);
        }
    for (ptrdiff_t i = 0; i < rows; i++) {
        const double variance = row[i].variance;
        for (ptrdiff_t k = 0; k < d; k++) {
            double step = sums[i * width + k] / row[i].total;
            if (row[i].by_product) step -= (double)x[i * d + k] - y->centre[k];
            score[i * d + k] = (KS_REAL)(step / variance);
        }
        log_total[i] = row[i].peak + log(row[i].total) - (row[i].by_product ? row[i].norm / (2 * variance) : 0.0);
    }
}

/* ---- the score's Jacobian times a vector ------------------------------------------------------------------ */

/* Products x.y of a row with a tile become weights times how far each point lies from the mean along grad, given the
 * products of grad with the points and of grad with the mean (`level`). */
KS_INLINE void KS_TYPED(weigh_slopes)(const KS_TYPED(targets) *y, ptrdiff_t tile, ks_row *row, double level,
                                      const KS_REAL *slope, KS_REAL *w) {
    const KS_REAL *half_norm = y->half_norm + tile * KS_TILE, *bias = y->bias + tile * KS_TILE;
    const KS_REAL inverse = (KS_REAL)(1 / row->variance), offset = (KS_REAL)level;
    const KS_REAL shift = (KS_REAL)(row->peak + row->norm / (2 * row->variance));
    for (ptrdiff_t j = 0; j < KS_TILE; j++)
        w[j] = KS_REAL_EXP((w[j] - half_norm[j]) * inverse + bias[j] - shift) * (slope[j] - offset);
    row->total += KS_TYPED(sum)(w);
}

/* Adds the same of the points of a tile that the products with row x do not rule out, from their differences to x. */
KS_INLINE void KS_TYPED(add_slopes)(const KS_TYPED(targets) *y, ptrdiff_t tile, const KS_REAL *products,
                                    const KS_REAL *x, const KS_REAL *score, const KS_REAL *grad, const ks_row *row,
                                    double *sum) {
    const ptrdiff_t first = tile * KS_TILE, d = y->d;
    const double variance = row->variance;
    unsigned char keep[KS_TILE];
    if (!KS_TYPED(candidates)(y, tile, products, row, keep)) return;
    for (ptrdiff_t j = first; j < y->n && j < first + KS_TILE; j++) {
        if (!keep[j - first]) continue;
        const KS_REAL *to = y->data + j * d;
        double logit = y->log_weight[j] - KS_TYPED(squared_distance)(x, to, d) / (2 * variance);
        double along = 0.0, weight = exp(logit - row->peak);
        if (weight == 0.0) continue; /* what it multiplies may have overflowed */
        for (ptrdiff_t k = 0; k < d; k++)
            along += (((double)to[k] - (double)x[k]) - variance * (double)score[k]) * (double)grad[k];
        for (ptrdiff_t k = 0; k < d; k++)
            sum[k] += weight * along * (((double)to[k] - (double)x[k]) - variance * (double)score[k]);
    }
}

/* One block of rows of the Jacobian of the score, (Cov_w(y) / sigma^2 - I) / sigma^2, times grad. */
KS_MULTIVERSION static void KS_TYPED(vjp_block)(const KS_TYPED(targets) *y, const KS_REAL *x, ptrdiff_t rows,
                                                const double *sigma, const KS_REAL *score, const double *log_total,
                                                const KS_REAL *grad, KS_REAL *result, double *scratch) {
    static const double as_they_are[KS_GROUP] = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
    const ptrdiff_t d = y->d, width = y->strips * KS_WIDTH;
    double *sums = scratch, level[KS_ROWS];
    KS_REAL *centred = (KS_REAL *)(scratch + KS_ROWS * width), *direction = centred + KS_ROWS * d;
    KS_REAL weights[KS_GROUP * KS_TILE], slopes[KS_GROUP * KS_TILE];
    ks_row row[KS_ROWS];

    memset(sums, 0, sizeof(double) * (size_t)(KS_ROWS * width));
    memset(centred, 0, sizeof(KS_REAL) * (size_t)(2 * KS_ROWS * d));
    memcpy(direction, grad, sizeof(KS_REAL) * (size_t)(rows * d));
    for (ptrdiff_t i = 0; i < rows; i++) {
        KS_TYPED(open_row)(y, x + i * d, sigma[i], centred + i * d, row + i);
        row[i].peak = log_total[i];
        level[i] = 0.0;
        for (ptrdiff_t k = i * d; k < (i + 1) * d; k++) {
            double mean = ((double)x[k] - y->centre[k - i * d]) + row[i].variance * (double)score[k];
            level[i] += mean * (double)grad[k];
        }
    }
    for (ptrdiff_t tile = 0; tile < y->tiles; tile++)
        for (ptrdiff_t group = 0; group < rows; group += KS_GROUP) {
            int any = 0;
            for (ptrdiff_t i = group; i < rows && i < group + KS_GROUP; i++) any |= row[i].by_product;
            KS_TYPED(products_with_tile)(y, tile, centred + group * d, weights);
            if (any) KS_TYPED(products_with_tile)(y, tile, direction + group * d, slopes);
            for (ptrdiff_t g = 0; g < KS_GROUP; g++) {
                const ptrdiff_t i = group + g, at = i * d;
                KS_REAL *w = weights + g * KS_TILE;
                if (i < rows && row[i].by_product) {
                    KS_TYPED(weigh_slopes)(y, tile, row + i, level[i], slopes + g * KS_TILE, w);
                    continue;
                }
                if (i < rows)
                    KS_TYPED(add_slopes)(y, tile, w, x + at, score + at, grad + at, row + i, sums + i * width);
                memset(w, 0, sizeof(KS_REAL) * KS_TILE);
            }
            if (any) KS_TYPED(add_tile)(y, tile, weights, as_they_are, sums + group * width);
        }
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t k = 0; k < d; k++) {
            const double variance = row[i].variance;
            double spread = sums[i * width + k];
            if (row[i].by_product) {
                double c = (double)x[i * d + k] - y->centre[k];
                spread -= row[i].total * (c + variance * (double)score[i * d + k]);
            }
            result[i * d + k] = (KS_REAL)((spread / variance - (double)grad[i * d + k]) / variance);
        }
}

/* ---- all together ----------------------------------------------------------------------------------------- */

/* Numbers in the packed form of n points. */
static ptrdiff_t KS_TYPED(ks_empirical_packed)(ptrdiff_t n, ptrdiff_t d) {
    const ptrdiff_t tiles = (n + KS_TILE - 1) / KS_TILE, strips = (d + KS_WIDTH - 1) / KS_WIDTH;
    return tiles * KS_TILE * (d + strips * KS_WIDTH + 2);
}

/* The points with their packed form, which KS_TYPED(pack) fills. */
static KS_TYPED(targets) KS_TYPED(unpacked)(const KS_REAL *data, ptrdiff_t n, ptrdiff_t d, const double *centre,
                                           const double *log_weight, KS_REAL *packed) {
    KS_TYPED(targets) y = {n, d, (n + KS_TILE - 1) / KS_TILE, (d + KS_WIDTH - 1) / KS_WIDTH, data, log_weight, centre,
                           0.0, KS_DEPTH + log((double)n), packed, NULL, NULL, NULL};
    const ptrdiff_t padded = y.tiles * KS_TILE;
    y.along = y.across + padded * d;
    y.half_norm = y.along + padded * y.strips * KS_WIDTH;
    y.bias = y.half_norm + padded;
    return y;
}

static void KS_TYPED(ks_empirical_pack)(const KS_REAL *data, ptrdiff_t n, ptrdiff_t d, const double *centre,
                                        const double *log_weight, KS_REAL *packed) {
    KS_TYPED(targets) y = KS_TYPED(unpacked)(data, n, d, centre, log_weight, packed);
#pragma omp parallel for schedule(static) num_threads(ks_threads())
    for (ptrdiff_t tile = 0; tile < y.tiles; tile++) KS_TYPED(pack)(&y, tile);
}

/* Scores of all rows (grad NULL), or the Jacobian times grad; returns a status. `packed` is only read. */
static int KS_TYPED(ks_empirical)(const KS_REAL *x, ptrdiff_t rows, const KS_REAL *data, ptrdiff_t n, ptrdiff_t d,
                                  const double *centre, const double *log_weight, KS_REAL *packed, const double *sigma,
                                  KS_REAL *score, double *log_total, const KS_REAL *grad, KS_REAL *result) {
    KS_TYPED(targets) y = KS_TYPED(unpacked)(data, n, d, centre, log_weight, packed);
    const ptrdiff_t width = y.strips * KS_WIDTH, blocks = (rows + KS_ROWS - 1) / KS_ROWS;
    const size_t scratch_size = KS_ROWS * (sizeof(double) * (size_t)width + 2 * sizeof(KS_REAL) * (size_t)d);
    int failed = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        if (y.half_norm[i] > y.radius) y.radius = y.half_norm[i];
    y.radius = sqrt(2 * y.radius);
#pragma omp parallel num_threads(ks_threads())
    {
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
    return failed ? KS_NO_MEMORY : KS_OK;
}

/* Rows of a strip of similarities: each row is reduced, then replaced by the derivatives of its loss.
 *
 * Every row loss has the same phases, each over all entries s of the row at their columns j:
 *   enter   four entries at a time as they are read: what does not count becomes minus infinity;
 *   look    the tops: maxima;
 *   weigh   an exponential of each entry, taken at the tops, and sums of them;
 *   scale   what the exponential becomes, once `finish` has the loss and the factors of the row;
 *   leave   four results at a time as they are written: the row's own entry.
 * Enter and leave ask once per four entries, so that the inner phases hold a few instructions each. The GPU keeps a row
 * in registers between the phases. NaN is never compared away: it reaches the sums, and so the loss of its row. */
#pragma once
#include "interface.h"
#include "lanes.cuh"

template <int N>
struct ks_numbers {
    float v[N];
};
struct ks_greater {
    KS_HD float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct ks_plus {
    KS_HD float operator()(float a, float b) const { return a + b; }
};
template <int N, class Join>
KS_HD ks_numbers<N> ks_joined(ks_numbers<N> a, const ks_numbers<N> &b, Join join) {
    for (int i = 0; i < N; i++) a.v[i] = join(a.v[i], b.v[i]);
    return a;
}
template <int N>
KS_HD ks_numbers<N> ks_filled(float value) {
    ks_numbers<N> all;
    for (int i = 0; i < N; i++) all.v[i] = value;
    return all;
}

/* exp(x) for x <= 0. On the GPU the error is 2 + |x| ulp, where the term itself is exp(x) of the largest. */
KS_HD float ks_exp_below(float x) {
#ifdef __CUDA_ARCH__
    return __expf(x);
#else
    return expf(x);
#endif
}

/* Minus infinity, from which minus infinity could not be subtracted, becomes the lowest finite number. */
KS_HD float ks_finite(float top) { return fmaxf(top, -3.4028235e38f); }

/* Entry `at` - j of the four from column j on becomes `value`, if it is among them. */
KS_HD void ks_set_one(float *v, int j, int at, float value) {
    if ((unsigned)(at - j) < 4u) {
        if (at == j) v[0] = value;
        if (at == j + 1) v[1] = value;
        if (at == j + 2) v[2] = value;
        if (at == j + 3) v[3] = value;
    }
}
/* Columns from m on do not count. */
KS_HD void ks_cut(float *v, int j, int m) {
    for (int e = 1; e < 4; e++)
        if (j + e >= m) v[e] = -INFINITY;
}

/* Softplus of x, and the sigmoids of x and of minus x. */
KS_HD float ks_softplus_of(float x, float *up, float *down) {
    float e = expf(-fabsf(x)), share = 1.0f / (1.0f + e), other = e * share;
    *up = x > 0 ? share : other;
    *down = x > 0 ? other : share;
    if (x != x) *up = *down = x;
    return fmaxf(x, 0.0f) + log1pf(e);
}

/* ---- InfoNCE ---------------------------------------------------------------------------------------------- */

/* What a query does not look at, apart from its own key: the keys of its key's id, and what masks leave out. */
struct ks_left_out {
    const int64_t *key_ids;
    const uint8_t *mask, *hard_mask; /* of this row; hard_mask from column `keys` on */
    int keys, columns;
    int64_t id;

    KS_HD ks_left_out(const ks_candidates &c, int64_t row, int64_t own) {
        key_ids = c.key_ids;
        mask = c.mask ? c.mask + row * c.keys : nullptr;
        hard_mask = c.hard_mask ? c.hard_mask + row * c.hard : nullptr;
        keys = c.keys;
        columns = c.keys + c.hard;
        id = key_ids ? key_ids[own] : 0;
    }
    KS_HD void from(float *v, int j) const {
        for (int e = 0; e < 4; e++) {
            int at = j + e;
            bool out = at >= keys ? at < columns && hard_mask && hard_mask[at - keys] : (mask && mask[at]) || (key_ids && key_ids[at] == id);
            if (out) v[e] = -INFINITY;
        }
    }
};

/* softplus of the log of the sum over the others of exp(slope s), less slope own: the own entry is summed apart, so that a
 * confident loss keeps its digits. With beta, others count exp(beta s) times, in the mean once; with gamma the loss is
 * multiplied by (1 - probability of the own key)^gamma. gain lifts the derivatives into the range of 16-bit floats.
 * SOME: some pairs are left out. BETA: there is a beta, with which the steepness may be negative. */
template <bool SOME, bool BETA>
struct ks_info_nce {
    enum { TOPS = BETA ? 2 : 1, SUMS = BETA ? 3 : 1, LEAN = !SOME };
    ks_info_nce_rows a;
    float steep;

    struct row {
        int64_t number, own;
        float matched;
        ks_left_out left_out;
    };
    struct factors {
        float others, own;
    };

    KS_HD int columns() const { return a.candidates.keys + a.candidates.hard; }
    KS_HD row begin(int64_t r, const float *s) const {
        int64_t number = a.first_row + r, own = a.own ? a.own[number] : number;
        bool is = own >= 0 && own < a.candidates.keys;
        return {number, is ? own : 0, is ? s[own] : NAN, ks_left_out(a.candidates, number, is ? own : 0)};
    }
    KS_HD void enter(const row &r, float *v, int j) const {
        if (SOME) r.left_out.from(v, j);
        ks_set_one(v, j, (int)r.own, -INFINITY);
        ks_cut(v, j, columns());
    }
    KS_HD void look(const row &, ks_numbers<TOPS> &top, float s, int) const {
        top.v[0] = fmaxf(top.v[0], s);
        if (BETA && s != -INFINITY) top.v[TOPS - 1] = fmaxf(top.v[TOPS - 1], -s);
    }
    KS_HD float centre(const ks_numbers<TOPS> &top, float rate) const {
        return BETA && rate < 0 ? -ks_finite(top.v[TOPS - 1]) : ks_finite(top.v[0]);
    }
    KS_HD float weigh(const row &, const ks_numbers<TOPS> &top, ks_numbers<SUMS> &sum, float s, int) const {
        if (BETA && s == -INFINITY) return 0.0f;
        float e = ks_exp_below(steep * (s - centre(top, steep)));
        sum.v[0] += e;
        if (BETA) {
            sum.v[1 % SUMS] += ks_exp_below(a.beta * (s - centre(top, a.beta)));
            sum.v[2 % SUMS] += 1.0f;
        }
        return e;
    }
    KS_HD factors finish(const row &r, const ks_numbers<TOPS> &top, const ks_numbers<SUMS> &sum, bool writes) const {
        bool none = !(top.v[0] > -INFINITY) && sum.v[0] == 0.0f;
        float total = sum.v[0], middle = centre(top, steep), missed, found;
        float x = a.slope * (middle - r.matched) + logf(total);
        if (BETA) x -= logf(sum.v[1 % SUMS]) + a.beta * (centre(top, a.beta) - middle) - logf(sum.v[2 % SUMS]);
        float loss = ks_softplus_of(x, &missed, &found), derivative = missed, weight = a.weight ? a.weight[r.number] : 1.0f;
        if (a.gamma != 0.0f) {
            float unused, focus = expf(-a.gamma * ks_softplus_of(-x, &unused, &unused));
            derivative = focus * (a.detach ? missed : missed + a.gamma * found * loss);
            loss *= focus;
        }
        if (none) loss = derivative = 0.0f, total = 1.0f;
        if (writes) a.losses[r.number] = weight * loss;
        float scale = a.gain * weight * derivative;
        return {scale / total, -scale};
    }
    KS_HD float scale(const row &, const factors &f, float e, int) const { return e * f.others; }
    KS_HD void leave(const row &r, const factors &f, float *g, int j) const { ks_set_one(g, j, (int)r.own, f.own); }
};

/* run(loss) for the plainest of these losses that does what is asked. */
template <class Run>
static inline int ks_with_info_nce(const ks_info_nce_rows &a, Run run) {
    bool some = a.candidates.key_ids || a.candidates.mask || a.candidates.hard_mask;
    float steep = a.slope + a.beta;
    if (a.beta != 0) return run(ks_info_nce<true, true>{a, steep});
    return some ? run(ks_info_nce<true, false>{a, steep}) : run(ks_info_nce<false, false>{a, steep});
}

/* Running log-sum-exp of slope s: the largest s so far, and the sum of exp(slope (s - top)). */
KS_HD void ks_run(float &top, float &sum, float s, float slope) {
    if (s > top) {
        sum = sum * ks_exp_below(slope * (top - s)) + 1.0f;
        top = s;
    } else if (s != -INFINITY) {
        sum += ks_exp_below(slope * (s - top));
    }
}
KS_HD void ks_join(float &top, float &sum, float other_top, float other_sum, float slope) {
    float high = fmaxf(top, other_top);
    if (high > -INFINITY) sum = sum * ks_exp_below(slope * (top - high)) + other_sum * ks_exp_below(slope * (other_top - high));
    else sum += other_sum;
    top = high;
}

/* Four entries of a row in both directions, the own one kept. */
KS_HD void ks_enter_both(const ks_both_rows &b, const ks_left_out &left_out, int64_t row, float *v, int j) {
    float own = 0;
    for (int e = 0; e < 4; e++)
        if (j + e == row) own = v[e];
    left_out.from(v, j);
    ks_set_one(v, j, (int)row, own);
    ks_cut(v, j, b.candidates.keys + b.candidates.hard);
}
/* Of one direction: what the others of a query weigh against its own key. Returns softplus of the log of their sum, less
 * the own; *log becomes that of all, relative to slope top; *missed one minus the probability of the own key. */
KS_HD float ks_one_of_both(float top, float sum, float own, float slope, float *log, float *missed) {
    float unused, x = slope * (ks_finite(top) - own) + logf(sum);
    if (sum == 0.0f) return *log = *missed = 0.0f;
    *log = logf(sum) + ks_softplus_of(-x, &unused, missed);
    return ks_softplus_of(x, &unused, &unused);
}
/* Half of gain times (share of the row + share of the column), less gain at the own entry. */
KS_HD float ks_both_weight(const ks_both_rows &b, int64_t row, float s, int j) {
    float half = 0.5f * b.gain;
    if (j == row) return -half * (b.row_missed[row] + b.column_missed[row]);
    float share = ks_exp_below(b.slope * (s - ks_finite(b.row_top[row])) - b.row_log[row]);
    if (j < b.pairs) share += ks_exp_below(b.slope * (s - ks_finite(b.column_top[j])) - b.column_log[j]);
    return half * share;
}

/* ---- multi-similarity ------------------------------------------------------------------------------------- */

/* Tops are the hardest positive (largest -s) and the hardest negative (largest s). A positive's exponential is stored
 * negative, which tells the two apart in the last phase. */
KS_HD float ks_log_sum(float sum, float lifted) { return lifted > 0 ? logf(sum + expf(-lifted)) : log1pf(sum); } /* a small sum keeps its digits */

struct ks_multi_similarity {
    enum { TOPS = 2, SUMS = 2, LEAN = 0 };
    ks_multi_similarity_rows a;

    struct row {
        int64_t number, label;
        int self;
    };
    struct factors {
        float positive, negative;
    };

    KS_HD int columns() const { return a.columns; }
    KS_HD row begin(int64_t r, const float *) const {
        return {a.first_row + r, a.row_label[a.first_row + r], a.itself ? (int)(a.first_row + r) : -1};
    }
    KS_HD void enter(const row &, float *, int) const {}
    KS_HD void look(const row &r, ks_numbers<2> &top, float s, int j) const {
        if (j == r.self || j >= a.columns) return;
        if (a.column_label[j] == r.label) top.v[0] = fmaxf(top.v[0], -s);
        else top.v[1] = fmaxf(top.v[1], s);
    }
    KS_HD float weigh(const row &r, const ks_numbers<2> &top, ks_numbers<2> &sum, float s, int j) const {
        if (j == r.self || j >= a.columns) return 0.0f;
        if (a.column_label[j] == r.label) {
            if (a.mine && -s + a.epsilon <= -top.v[1]) return 0.0f;
            float e = ks_exp_below(a.alpha * (-s - fmaxf(top.v[0], -a.base)));
            sum.v[0] += e;
            return -e;
        }
        if (a.mine && s + a.epsilon <= -top.v[0]) return 0.0f;
        float e = ks_exp_below(a.beta * (s - fmaxf(top.v[1], a.base)));
        sum.v[1] += e;
        return e;
    }
    KS_HD factors finish(const row &r, const ks_numbers<2> &top, const ks_numbers<2> &sum, bool writes) const {
        float up = fmaxf(top.v[0], -a.base) + a.base, down = fmaxf(top.v[1], a.base) - a.base;
        float positive = expf(-a.alpha * up) + sum.v[0], negative = expf(-a.beta * down) + sum.v[1];
        bool has_p = sum.v[0] != 0, has_n = sum.v[1] != 0; /* mining keeps a side if it keeps the hardest pair of it */
        if (writes)
            a.losses[r.number] = (has_p ? up + ks_log_sum(sum.v[0], a.alpha * up) / a.alpha : 0.0f) +
                                 (has_n ? down + ks_log_sum(sum.v[1], a.beta * down) / a.beta : 0.0f);
        return {has_p ? a.gain / positive : 0.0f, has_n ? a.gain / negative : 0.0f};
    }
    KS_HD float scale(const row &, const factors &f, float e, int) const { return e < 0 ? e * f.positive : e * f.negative; }
    KS_HD void leave(const row &, const factors &, float *, int) const {}
};

/* ---- softmax ---------------------------------------------------------------------------------------------- */

struct ks_softmax {
    enum { TOPS = 1, SUMS = 1, LEAN = 1 };
    ks_softmax_rows a;

    struct row {
        int64_t number;
        float rate;
        bool exact;
    };
    struct factors {
        float share;
    };

    KS_HD int columns() const { return a.columns; }
    KS_HD row begin(int64_t r, const float *) const { return {a.first_row + r, a.rate[a.first_row + r], a.exact[a.first_row + r] != 0}; }
    KS_HD void enter(const row &r, float *v, int j) const {
        if (!r.exact)
            for (int e = 0; e < 4; e++) v[e] = r.rate * (v[e] + a.bias[j + e]) + a.log_weight[j + e];
        ks_cut(v, j, a.columns);
    }
    KS_HD void look(const row &, ks_numbers<1> &top, float s, int) const { top.v[0] = fmaxf(top.v[0], s); }
    KS_HD float weigh(const row &, const ks_numbers<1> &top, ks_numbers<1> &sum, float s, int) const {
        float e = ks_exp_below(s - ks_finite(top.v[0]));
        sum.v[0] += e;
        return e;
    }
    KS_HD factors finish(const row &r, const ks_numbers<1> &top, const ks_numbers<1> &sum, bool writes) const {
        if (writes) a.log_total[r.number] = (r.exact ? a.peak[r.number] : 0.0) + top.v[0] + log((double)sum.v[0]);
        return {1.0f / sum.v[0]};
    }
    KS_HD float scale(const row &, const factors &f, float e, int) const { return e * f.share; }
    KS_HD void leave(const row &, const factors &, float *, int) const {}
};

KS_HD double ks_exact_logit(const ks_exact_rows &a, int64_t row, int column, double squared) {
    return a.log_weight[column] - squared / (2 * a.variance[row]);
}

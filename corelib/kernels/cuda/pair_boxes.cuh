/* Sums of a smooth function over all pairs of two sets of numbers, within groups, in linear time after one sort:
 *
 *     total = sum_ij u_i v_j k((y_j - x_i) / temperature), and its derivatives by every x_i and y_j.
 *
 * As on the CPU (pairsum_boxes.h): boxes of width H, moments up to t^7 per box, 8 x 8 matrices between boxes at most
 * `near` apart, eight exponentials and a line beyond. What differs:
 *  - both sides are sorted together, by group and number, so that there is one list of occupied boxes, each with
 *    moments of both sides;
 *  - a long box is cut where the place in the sorted array is a multiple of KS_PIECE: its head and these pieces are summed
 *    by groups of lanes. No atomics: the result does not depend on scheduling;
 *  - the sweeps are scans: a lane holds a box, a warp 32 boxes at a time of its chunk. An exponential that has come 104
 *    temperatures is below the smallest float, so a chunk begins KS_HALO boxes early and needs no other chunk; only the
 *    weights and their centres, for the line, are summed over all chunks before it.
 * A group ends every scan: what crosses its border is multiplied by 0.
 * Sums are float, except totals, weights and centres (double, a few operations per box). */
#pragma once
#include "pair_grid.cuh"

#define KS_PIECE 256
#ifndef KS_MAX_CHUNKS /* the tests have fewer, so that chunks get long */
#define KS_MAX_CHUNKS 1024
#endif
#define KS_HALO 192 /* boxes; times the least eta, 0.628, more than 104 */

typedef struct {
    const float *sorted, *signed_weight; /* +u for an x, -v for a y; the sign bit tells the sides apart */
    const int *group;                    /* of every sorted number, or NULL: there is one */
    const int *start, *count;            /* first number of every box; how many boxes, known to the GPU alone */
    int total;                           /* n + m */
    float *piece;                        /* total / KS_PIECE x 2 x P: moments of x and y from a multiple of KS_PIECE on */
    float *moment;                       /* boxes x 2 x P */
    float *key;                          /* boxes: centre / H */
    int *box_group;                      /* boxes */
    float *polynomial;                   /* boxes x 3 x P: value at x, slope at x, slope at y */
    double *value;                       /* boxes: their share of the total */
    double *chunk_sum;                   /* chunks x 3: weight of the x, weight of the y, weighted centre of the y */
} ks_boxes;

/* ---- numbers and boxes ------------------------------------------------------------------------------------ */

/* Exact, as H is a power of two: the centre of the box of x, divided by H, and x's place in [-1, 1] in it. */
KS_HD float ks_key(float x, float per_width) { return rintf(x * per_width); }
KS_HD float ks_place(float x, float per_width) {
    float scaled = x * per_width;
    return 2 * (scaled - rintf(scaled));
}

KS_HD bool ks_same_box(const float *sorted, const int *group, int i, int j, float per_width) {
    return ks_key(sorted[i], per_width) == ks_key(sorted[j], per_width) && (!group || group[i] == group[j]);
}
KS_HD bool ks_box_begins(const float *sorted, const int *group, int i, float per_width) {
    return i == 0 || !ks_same_box(sorted, group, i, i - 1, per_width);
}

/* Pieces from multiples of KS_PIECE on; the first belongs to a box head. */
KS_HD int ks_pieces(int total) { return (total - 1) / KS_PIECE; }

/* A warp sums four runs of numbers, eight lanes each: the pieces, then the heads of the boxes. */
KS_HD void ks_run_moments(const ks_boxes *b, float per_width, int first_run) {
    ks_lanes<float> sum[2][KS_P];
    int pieces = ks_pieces(b->total), runs = pieces + *b->count;
    KS_EACH_LANE(lane) {
        for (int l = 0; l < KS_P; l++) sum[0][l][lane] = sum[1][l][lane] = 0;
        int run = first_run + lane / 8;
        if (run < runs) {
            int start = run < pieces ? (run + 1) * KS_PIECE : b->start[run - pieces];
            int stop = start / KS_PIECE * KS_PIECE + KS_PIECE;
            if (stop > b->total) stop = b->total;
            for (int i = start + lane % 8; i < stop && ks_same_box(b->sorted, b->group, start, i, per_width); i += 8) {
                float w = b->signed_weight[i], t = ks_place(b->sorted[i], per_width);
                float x = signbit(w) ? 0.0f : w, y = signbit(w) ? -w : 0.0f;
                for (int l = 0; l < KS_P; l++) {
                    sum[0][l][lane] += x;
                    sum[1][l][lane] += y;
                    x *= t;
                    y *= t;
                }
            }
            if (run >= pieces && lane % 8 == 0) {
                b->key[run - pieces] = ks_key(b->sorted[start], per_width);
                b->box_group[run - pieces] = b->group ? b->group[start] : 0;
            }
        }
    }
    for (int s = 0; s < 2; s++)
        for (int l = 0; l < KS_P; l++) ks_group_sum(sum[s][l], 8);
    KS_EACH_LANE(lane) {
        int run = first_run + lane / 8;
        if (run < runs) {
            float *out = run < pieces ? b->piece + (int64_t)run * 16 : b->moment + (int64_t)(run - pieces) * 16;
            for (int s = 0; s < 2; s++)
                for (int l = 0; l < KS_P; l++)
                    if (lane % 8 == l) out[s * KS_P + l] = sum[s][l][lane];
        }
    }
}

/* Part `part` of `parts` of what the pieces add to moment `value` of box a (0 .. 7: x side, 8 .. 15: y side). */
KS_HD double ks_box_part(const ks_boxes *b, int a, int value, int part, int parts) {
    int stop = a + 1 < *b->count ? b->start[a + 1] : b->total, last = (stop - 1) / KS_PIECE;
    double sum = 0;
    for (int p = b->start[a] / KS_PIECE + 1 + part; p <= last; p += parts) sum += b->piece[(int64_t)(p - 1) * 16 + value];
    return sum;
}
/* Parts that a box is summed in: few boxes have many pieces each. */
KS_HD int ks_box_parts(int boxes) { return boxes <= 2048 ? 32 : 1; }
KS_HD void ks_add_pieces(const ks_boxes *b, int a, int value, double sum) {
    float *m = b->moment + (int64_t)a * 16 + value;
    *m = (float)(*m + sum);
}

/* Coefficient k of the polynomials of box a, from the boxes at most `near` away. */
KS_HD void ks_near(const ks_boxes *b, const ks_grid *grid, int a, int k) {
    int boxes = *b->count, near = grid->near, group = b->box_group[a];
    double here = b->key[a];
    float value = 0, slope_x = 0, slope_y = 0;
    for (int side = 0; side < 2; side++)
        for (int c = a + side; c >= 0 && c < boxes; c += side ? 1 : -1) {
            double gap = (double)b->key[c] - here;
            if (b->box_group[c] != group || !(fabs(gap) <= near)) break;
            int delta = (int)gap;
            const float *m = b->moment + (int64_t)c * 16;
            for (int l = 0; l < KS_P; l++) {
                value += m[8 + l] * grid->value[near + delta][l][k];
                slope_x += m[8 + l] * grid->slope[near + delta][l][k];
                slope_y += m[l] * grid->slope[near - delta][k][l]; /* target y: s and t change places */
            }
        }
    float *out = b->polynomial + (int64_t)a * 24;
    out[k] = value;
    out[8 + k] = slope_x;
    out[16 + k] = slope_y;
}

/* ---- tails ------------------------------------------------------------------------------------------------ */

/* Boxes per chunk, a multiple of 32, from the number of boxes. */
KS_HD int ks_chunk(int boxes) { return ((boxes + KS_MAX_CHUNKS - 1) / KS_MAX_CHUNKS + 31) / 32 * 32; }
KS_HD int ks_chunk_stop(int boxes, int size, int chunk) { return (chunk + 1) * size < boxes ? (chunk + 1) * size : boxes; }

/* A warp sums what a chunk hands on: the x weights of its last group to the right; the y weights of its first group, and
 * their centres in widths, to the left. */
KS_HD void ks_chunk_sums(const ks_boxes *b, int chunk) {
    int boxes = *b->count, size = ks_chunk(boxes), start = chunk * size, stop = ks_chunk_stop(boxes, size, chunk);
    int first = b->box_group[start], last = b->box_group[stop - 1];
    ks_lanes<double> sum[3];
    KS_EACH_LANE(lane) {
        for (int j = 0; j < 3; j++) sum[j][lane] = 0;
        for (int i = start + lane; i < stop; i += 32) {
            const float *m = b->moment + (int64_t)i * 16;
            if (b->box_group[i] == last) sum[0][lane] += m[0];
            if (b->box_group[i] == first) {
                sum[1][lane] += m[8];
                sum[2][lane] += m[8] * (double)b->key[i] + 0.5 * m[9];
            }
        }
    }
    for (int j = 0; j < 3; j++) ks_group_sum(sum[j], 32);
    KS_EACH_LANE(lane)
    if (lane < 3) b->chunk_sum[(int64_t)chunk * 3 + lane] = lane == 0 ? sum[0][lane] : lane == 1 ? sum[1][lane] : sum[2][lane];
}

/* sum[lane] += sum[lane - step] times `by`, for all lanes at once. */
template <class T, class By>
KS_HD void ks_add_from_below(ks_lanes<T> &sum, int step, const ks_lanes<By> &by) {
    ks_lanes<T> below;
    KS_EACH_LANE(lane) below[lane] = ks_from(sum, lane >= step ? lane - step : lane);
    KS_EACH_LANE(lane) if (lane >= step) sum[lane] += below[lane] * by[lane];
}

/* What a sweep keeps of 32 boxes: scans of both sides' exponentials, of the weights and of their centres. */
struct ks_scan {
    ks_lanes<float> sum[2][KS_TERMS];
    ks_lanes<double> weight, centre, key;
    ks_lanes<int> group;
};

/* exp(-eta times the distance between two boxes), 0 between groups. */
KS_HD float ks_decay(bool same, double key, double other, float eta) { return same ? expf(-(float)(fabs(key - other) * eta)) : 0.0f; }

/* Adds to the polynomials of a chunk what comes from beyond `near`: direction -1 from the left, +1 from the right, which
 * comes second and completes the values. Lanes hold boxes in the order in which the sweep meets them. */
KS_HD void ks_tails(const ks_boxes *b, const ks_grid *grid, int chunk, int chunks, int direction) {
    int boxes = *b->count, size = ks_chunk(boxes), start = chunk * size, stop = ks_chunk_stop(boxes, size, chunk);
    int halo = (KS_HALO + size - 1) / size * size, near = grid->near;
    int from = direction < 0 ? (start > halo ? start - halo : 0) : (boxes - stop > halo ? stop + halo : boxes) - 1;
    int count = direction < 0 ? stop - from : from - start + 1;
    float eta = grid->eta, mirror = grid->kind == KS_SOFTPLUS ? 1.0f : -1.0f;

    ks_scan now, before;
    KS_EACH_LANE(lane) {
        for (int s = 0; s < 2; s++)
            for (int k = 0; k < KS_TERMS; k++) before.sum[s][k][lane] = 0;
        double w = 0, c = 0; /* of the chunks that are wholly passed */
        int first = direction < 0 ? 0 : (from + 1 < boxes ? (from + 1) / size : chunks), last = direction < 0 ? from / size : chunks;
        for (int i = first + lane; i < last; i += 32) {
            int border = direction < 0 ? ks_chunk_stop(boxes, size, i) - 1 : i * size;
            if (b->box_group[border] != b->box_group[from]) continue;
            w += b->chunk_sum[(int64_t)i * 3 + (direction < 0 ? 0 : 1)];
            c += b->chunk_sum[(int64_t)i * 3 + 2];
        }
        before.weight[lane] = w;
        before.centre[lane] = c;
        before.key[lane] = direction * 1e300;
        before.group[lane] = b->box_group[from];
    }
    ks_group_sum(before.weight, 32);
    ks_group_sum(before.centre, 32);

    for (int base = 0; base < count; base += 32) {
        KS_EACH_LANE(lane) {
            int at = base + lane, i = from - direction * (at < count ? at : count - 1);
            const float *m = b->moment + (int64_t)i * 16;
            bool is = at < count;
            now.key[lane] = b->key[i];
            now.group[lane] = b->box_group[i];
            for (int s = 0; s < 2; s++) {
                float moment[KS_P];
                for (int l = 0; l < KS_P; l++) moment[l] = is ? ((l & 1) ? -direction : 1) * m[s * KS_P + l] : 0.0f;
                for (int k = 0; k < KS_TERMS; k++) {
                    float toward = 0;
                    for (int l = 0; l < KS_P; l++) toward += grid->away[k][l] * moment[l];
                    now.sum[s][k][lane] = toward;
                }
            }
            double w = is ? m[direction < 0 ? 0 : 8] : 0.0f;
            now.weight[lane] = w;
            now.centre[lane] = is && direction > 0 ? w * now.key[lane] + 0.5 * m[9] : 0.0;
        }
        for (int step = 1; step < 32; step *= 2) {
            ks_lanes<float> decay, power;
            ks_lanes<double> joined;
            KS_EACH_LANE(lane) {
                int below = lane >= step ? lane - step : lane;
                double key = ks_from(now.key, below);
                bool same = ks_from(now.group, below) == now.group[lane];
                decay[lane] = power[lane] = ks_decay(same, now.key[lane], key, eta);
                joined[lane] = same;
            }
            for (int k = 0; k < KS_TERMS; k++) {
                for (int s = 0; s < 2; s++) ks_add_from_below(now.sum[s][k], step, power);
                KS_EACH_LANE(lane) power[lane] *= decay[lane];
            }
            ks_add_from_below(now.weight, step, joined);
            ks_add_from_below(now.centre, step, joined);
        }
        KS_EACH_LANE(lane) { /* what the 32 boxes before hand on */
            bool same = ks_from(before.group, 31) == now.group[lane];
            float decay = ks_decay(same, now.key[lane], ks_from(before.key, 31), eta), power = decay;
            for (int k = 0; k < KS_TERMS; k++) {
                for (int s = 0; s < 2; s++) now.sum[s][k][lane] += ks_from(before.sum[s][k], 31) * power;
                power *= decay;
            }
            double weight = ks_from(before.weight, 31), centre = ks_from(before.centre, 31);
            now.weight[lane] += same ? weight : 0.0;
            now.centre[lane] += same ? centre : 0.0;
        }
        KS_EACH_LANE(lane) {
            int back = 1; /* the nearest box beyond `near` is so many places back */
            for (int j = 1; j <= KS_NEAR; j++) {
                int source = (lane - j) & 31;
                double key_now = ks_from(now.key, source), key_before = ks_from(before.key, source);
                int group_now = ks_from(now.group, source), group_before = ks_from(before.group, source);
                bool same = (lane >= j ? group_now : group_before) == now.group[lane];
                if (same && fabs(now.key[lane] - (lane >= j ? key_now : key_before)) <= near) back = j + 1;
            }
            int source = (lane - back) & 31;
            bool here = lane >= back;
            double key_now = ks_from(now.key, source), key_before = ks_from(before.key, source);
            int group_now = ks_from(now.group, source), group_before = ks_from(before.group, source);
            double weight_now = ks_from(now.weight, source), weight_before = ks_from(before.weight, source);
            double centre_now = ks_from(now.centre, source), centre_before = ks_from(before.centre, source);
            bool same = (here ? group_now : group_before) == now.group[lane];
            float decay = ks_decay(same, now.key[lane], here ? key_now : key_before, eta), power = decay;
            float value[KS_P] = {0}, slope_x[KS_P] = {0}, slope_y[KS_P] = {0};
            for (int k = 0; k < KS_TERMS; k++) {
                float x_now = ks_from(now.sum[0][k], source), x_before = ks_from(before.sum[0][k], source);
                float y_now = ks_from(now.sum[1][k], source), y_before = ks_from(before.sum[1][k], source);
                float from_x = (here ? x_now : x_before) * power * grid->term[k];
                float from_y = (here ? y_now : y_before) * power * grid->term[k];
                power *= decay;
                for (int l = 0; l < KS_P; l++) {
                    value[l] += from_y * grid->away[k][l];
                    slope_x[l] += from_y * (k + 1) * grid->away[k][l];
                    slope_y[l] += from_x * (k + 1) * grid->away[k][l];
                }
            }
            int at = base + lane, i = from - direction * at;
            if (at < count && i >= start && i < stop) {
                double w = same ? (here ? weight_now : weight_before) : 0.0, c = same ? (here ? centre_now : centre_before) : 0.0;
                float *out = b->polynomial + (int64_t)i * 24;
                const float *m = b->moment + (int64_t)i * 16;
                double part = 0;
                for (int l = 0; l < KS_P; l++) {
                    /* places grow to the right, distances to the outside; (y - x) / temperature is positive where
                     * the x lie to the left or the y to the right */
                    float odd = (l & 1) ? (float)direction : 1.0f;
                    float v = value[l] * odd * (direction < 0 ? 1.0f : mirror);
                    float x = slope_x[l] * odd * (direction < 0 ? 1.0f : -mirror);
                    float y = slope_y[l] * odd * (direction < 0 ? -mirror : 1.0f);
                    if (grid->kind == KS_SOFTPLUS) {
                        if (direction < 0 && l == 0) y += (float)w;
                        if (direction > 0 && l == 0) x += (float)w, v += (float)(eta * (c - w * now.key[lane]));
                        if (direction > 0 && l == 1) v -= (float)(0.5 * eta * w);
                    } else if (direction > 0 && l == 0) {
                        v += (float)w;
                    }
                    v += out[l];
                    out[l] = v;
                    out[8 + l] += x;
                    out[16 + l] += y;
                    part += (double)v * m[l];
                }
                if (direction > 0) b->value[i] = part;
            }
        }
        KS_EACH_LANE(lane) {
            for (int s = 0; s < 2; s++)
                for (int k = 0; k < KS_TERMS; k++) before.sum[s][k][lane] = now.sum[s][k][lane];
            before.weight[lane] = now.weight[lane];
            before.centre[lane] = now.centre[lane];
            before.key[lane] = now.key[lane];
            before.group[lane] = now.group[lane];
        }
    }
}

KS_HD void ks_sweeps(const ks_boxes *b, const ks_grid *grid, int chunk, int chunks) {
    ks_tails(b, grid, chunk, chunks, -1);
    ks_warp_sync(); /* other lanes go on with what these have written */
    ks_tails(b, grid, chunk, chunks, 1);
}

/* The slope at x of side s (0: x, 1: y), before weights: `first` and `last` are the boxes of its group, between whose keys
 * lie at most last - first + 1 boxes, which narrows the search to nothing where every box is occupied. */
KS_HD float ks_gather(const ks_boxes *b, int first, int last, float per_width, float x, int s) {
    float here = ks_key(x, per_width), t = ks_place(x, per_width);
    float after_first = here - b->key[first], before_last = b->key[last] - here, span = (float)(last - first);
    bool exact = span < 8388608.0f; /* then floats count boxes exactly */
    int low = exact && before_last < span ? last - (int)before_last : first;
    int high = exact && after_first < span ? first + (int)after_first : last;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (b->key[middle] < here) low = middle + 1;
        else high = middle;
    }
    const float *c = b->polynomial + (int64_t)low * 24 + 8 + 8 * s;
    float sum = c[7];
    for (int l = 6; l >= 0; l--) sum = sum * t + c[l];
    return sum;
}

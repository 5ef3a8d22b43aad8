/* The C interface of the CUDA core on the CPU: the same row and box functions, one warp after another, so that they can be
 * tested where there is no GPU. What only a GPU does (sorting, selecting, adding parts) is written out here.
 * With KS_REVERSED in the stream's place, warps run in reverse order: no result may depend on it. */
#include <string.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "hinge.cuh"
#include "pair_boxes.cuh"
#include "pair_direct.cuh"
#include "rows.cuh"

#define KS_API extern "C"
static char KS_REVERSED;
KS_API void *ks_reversed() { return &KS_REVERSED; }

template <class Run>
static void ks_warps(const void *stream, int count, Run run) {
    for (int i = 0; i < count; i++) run(stream == &KS_REVERSED ? count - 1 - i : i);
}

static void ks_sum_by_boxes(const ks_pairs *p) {
    ks_grid grid;
    ks_fill_grid(&grid, p->kind, p->temperature);
    float per_width = grid.per_width, rate = (float)(1 / p->temperature);
    int n = p->side[0].n, all = n + p->side[1].n, groups = p->groups;
    std::vector<float> number(all), weight(all);
    std::vector<int> owner(all), order(all), bad(groups, 0);
    for (int i = 0; i < all; i++) {
        const ks_side &side = p->side[i >= n];
        int at = i < n ? i : i - n;
        number[i] = side.number[at];
        weight[i] = ks_side_weight(side, at);
        owner[i] = ks_group_of(side.indptr, groups, at);
        if (!ks_fine(number[i], weight[i], ks_limit(per_width))) {
            bad[owner[i]] = 1;
            number[i] = weight[i] = 0;
        }
        if (i >= n) weight[i] = -weight[i];
    }
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return owner[a] != owner[b] ? owner[a] < owner[b] : number[a] < number[b];
    });
    std::vector<float> sorted(all), signed_weight(all);
    std::vector<int> group(all), start;
    for (int i = 0; i < all; i++) {
        sorted[i] = number[order[i]];
        group[i] = owner[order[i]];
        signed_weight[i] = weight[order[i]];
    }
    const int *grouped = groups > 1 ? group.data() : nullptr;
    for (int i = 0; i < all; i++)
        if (ks_box_begins(sorted.data(), grouped, i, per_width)) start.push_back(i);
    int boxes = (int)start.size(), pieces = ks_pieces(all);
    std::vector<float> piece(pieces * 16, NAN), moment(boxes * 16, NAN), key(boxes, NAN), polynomial(boxes * 24, NAN);
    std::vector<int> box_group(boxes, -1);
    std::vector<double> value(boxes, NAN), chunk_sum(KS_MAX_CHUNKS * 3, NAN);
    ks_boxes b = {sorted.data(), signed_weight.data(), grouped, start.data(), &boxes, all, piece.data(), moment.data(),
                  key.data(), box_group.data(), polynomial.data(), value.data(), chunk_sum.data()};
    int size = ks_chunk(boxes), chunks = (boxes + size - 1) / size, parts = ks_box_parts(boxes);
    ks_warps(p->stream, (pieces + boxes + 3) / 4, [&](int i) { ks_run_moments(&b, per_width, 4 * i); });
    ks_warps(p->stream, boxes * 16, [&](int i) {
        double sum = 0;
        for (int part = 0; part < parts; part++) sum += ks_box_part(&b, i / 16, i % 16, part, parts);
        ks_add_pieces(&b, i / 16, i % 16, sum);
    });
    ks_warps(p->stream, boxes * KS_P, [&](int i) { ks_near(&b, &grid, i / KS_P, i % KS_P); });
    ks_warps(p->stream, chunks, [&](int i) { ks_chunk_sums(&b, i); });
    ks_warps(p->stream, chunks, [&](int i) { ks_sweeps(&b, &grid, i, chunks); });

    std::vector<int> first(groups, 0), last(groups, -1);
    std::vector<double> total(groups, 0.0);
    for (int a = 0; a < boxes; a++) {
        int g = box_group[a];
        if (a == 0 || box_group[a - 1] != g) first[g] = a;
        last[g] = a;
        total[g] += value[a];
    }
    for (int g = 0; p->needs_value && g < groups; g++) p->value[g] = bad[g] ? NAN : p->factor[g] * total[g];
    for (int s = 0; s < 2; s++)
        for (int i = 0; p->side[s].slope && i < p->side[s].n; i++) {
            int g = ks_group_of(p->side[s].indptr, groups, i);
            float scale = (s ? 1.0f : -1.0f) * (float)p->factor[g] * rate * ks_side_weight(p->side[s], i);
            p->side[s].slope[i] = bad[g] ? NAN : scale * ks_gather(&b, first[g], last[g], per_width, p->side[s].number[i], s);
        }
}

template <int KIND>
static void ks_sum_directly(const ks_pairs *p) {
    float rate = (float)(1 / p->temperature);
    for (int g = 0; p->needs_value && g < p->groups; g++) p->value[g] = 0;
    for (int s = 0; s < 2; s++) {
        const ks_side &row = p->side[s], &column = p->side[1 - s];
        for (int i = 0; i < row.n; i++) {
            int g = ks_group_of(row.indptr, p->groups, i);
            int64_t low = column.indptr ? column.indptr[g] : 0, high = column.indptr ? column.indptr[g + 1] : column.n;
            double value = 0, slope = 0, scale = p->factor[g] * ks_side_weight(row, i);
            for (int64_t j = low; j < high; j++) {
                float slope_here, d = (s ? -1 : 1) * rate * (ks_number_or_nan(column, (int)j) - ks_number_or_nan(row, i));
                value += ks_side_weight(column, (int)j) * ks_pair<KIND>(d, &slope_here);
                slope += ks_side_weight(column, (int)j) * slope_here;
            }
            if (s == 0 && p->needs_value) p->value[g] += scale * value;
            if (row.slope) row.slope[i] = (float)((s ? 1 : -1) * scale * slope * rate);
        }
    }
}

static void ks_sum_hinges(const ks_pairs *p) {
    int m = p->side[1].n, all = p->side[0].n + m, groups = p->groups;
    std::vector<float> number(all), sorted(all);
    std::vector<int> owner(all), order(all), group(all), bad(groups, 0);
    for (int i = 0; i < all; i++) {
        const ks_side &side = p->side[i < m];
        int at = i < m ? i : i - m;
        number[i] = side.number[at] + 0.0f;
        owner[i] = ks_group_of(side.indptr, groups, at);
        if (!ks_fine(number[i], ks_side_weight(side, at), 3.4e38f)) bad[owner[i]] = 1, number[i] = 0;
    }
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return owner[a] != owner[b] ? owner[a] < owner[b] : number[a] < number[b];
    });
    for (int i = 0; i < all; i++) sorted[i] = number[order[i]], group[i] = owner[order[i]];
    int chunks = ks_hinge_chunks(all);
    std::vector<ks_hinge_state> state[2] = {std::vector<ks_hinge_state>(chunks), std::vector<ks_hinge_state>(chunks)};
    std::vector<double> value(all, NAN);
    ks_hinge h = {sorted.data(), order.data(), groups > 1 ? group.data() : nullptr, {p->side[0], p->side[1]}, all,
                  p->kind == KS_SQUARED_HINGE, {state[0].data(), state[1].data()}, value.data()};
    for (int store = 0; store < 2; store++) {
        ks_warps(p->stream, 2 * chunks, [&](int i) {
            ks_hinge_state *here = h.state[i >= chunks] + i % chunks;
            ks_hinge_state passed = ks_sweep_chunk(&h, i >= chunks, i % chunks, store ? *here : ks_nothing_passed(), store, p->factor);
            if (!store) *here = passed;
        });
        for (int s = 0; s < 2 && !store; s++) ks_scan_chunks(h.state[s], chunks);
    }
    std::vector<double> total(groups, 0.0);
    for (int i = 0; i < all; i++) total[group[i]] += value[i];
    for (int g = 0; p->needs_value && g < groups; g++) p->value[g] = bad[g] ? NAN : p->factor[g] * total[g];
    for (int i = 0; i < all; i++) {
        const ks_side &side = p->side[i < m];
        if (side.slope && bad[owner[i]]) side.slope[i < m ? i : i - m] = NAN;
    }
}

KS_API int64_t ks_pair_sum_bytes(int, int64_t, int64_t, int64_t) { return 0; }
KS_API int ks_pair_sum(const ks_pairs *p) {
    if (p->kind >= KS_HINGE) ks_sum_hinges(p);
    else if (!ks_few_pairs(p->side[0].n, p->side[1].n)) ks_sum_by_boxes(p);
    else if (p->kind == KS_SIGMOID) ks_sum_directly<KS_SIGMOID>(p);
    else ks_sum_directly<KS_SOFTPLUS>(p);
    return 0;
}
KS_API const char *ks_error_string(int) { return "an error"; }
KS_API int ks_runs_here() { return 0; }
KS_API int ks_toolkit() { return 13000; }

/* ---- rows ------------------------------------------------------------------------------------------------- */

/* The nearest float16, ties to even, as bits. */
static uint16_t ks_half_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    double size = fabs((double)value);
    if (value != value) return sign | 0x7e00;
    if (size >= 65520) return sign | 0x7c00;
    int exponent = std::max(size > 0 ? ilogb(size) : -14, -14);
    int mantissa = (int)nearbyint(ldexp(size, 10 - exponent)); /* 2048 goes over into the exponent by itself */
    return sign | (uint16_t)(mantissa + ((exponent + 14) << 10));
}

static void ks_put(const ks_strip *s, int r, const float *row, int columns) {
    float *out = s->strip + r * s->stride;
    if (s->type == KS_FLOAT32) std::copy(row, row + columns, out);
    else
        for (int j = 0; j < columns; j++) ((uint16_t *)out)[j] = ks_half_bits(row[j]);
}

/* What ks_rows_kernel does with 128 threads, phase by phase. */
template <class Loss>
static int ks_rows(const ks_strip *s, const Loss &loss) {
    const int threads = 128;
    int columns = loss.columns();
    for (int i = 0; i < s->rows; i++) {
        int r = s->stream == &KS_REVERSED ? s->rows - 1 - i : i;
        typename Loss::row row = loss.begin(r, s->strip + r * s->stride);
        std::vector<float> v(s->strip + r * s->stride, s->strip + (r + 1) * s->stride);
        std::vector<ks_numbers<Loss::TOPS>> top(threads, ks_filled<Loss::TOPS>(-INFINITY));
        std::vector<ks_numbers<Loss::SUMS>> sum(threads, ks_filled<Loss::SUMS>(0.0f));
        auto each_four = [&](auto visit) {
            for (int thread = 0; thread < threads; thread++)
                for (int j = 4 * thread; j < columns; j += 4 * threads) visit(thread, j);
        };
        auto each = [&](auto visit) {
            each_four([&](int thread, int j) {
                for (int e = 0; e < 4; e++) visit(thread, j + e);
            });
        };
        auto reduce = [&](auto value, auto join) {
            for (int step = 16; step; step /= 2) {
                auto other = value;
                for (int i = 0; i < threads; i++) value[i] = ks_joined(other[i], other[i ^ step], join);
            }
            for (int w = 1; w < threads / 32; w++) value[0] = ks_joined(value[0], value[32 * w], join);
            return value[0];
        };
        each_four([&](int, int j) { loss.enter(row, &v[j], j); });
        each([&](int thread, int j) { loss.look(row, top[thread], v[j], j); });
        auto tops = reduce(top, ks_greater());
        each([&](int thread, int j) { v[j] = loss.weigh(row, tops, sum[thread], v[j], j); });
        typename Loss::factors f = loss.finish(row, tops, reduce(sum, ks_plus()), true);
        each([&](int, int j) { v[j] = loss.scale(row, f, v[j], j); });
        each_four([&](int, int j) { loss.leave(row, f, &v[j], j); });
        ks_put(s, r, v.data(), columns);
    }
    return 0;
}

KS_API int ks_rows_info_nce(const ks_strip *s, const ks_info_nce_rows *a) {
    return ks_with_info_nce(*a, [&](const auto &loss) { return ks_rows(s, loss); });
}
KS_API int ks_rows_multi_similarity(const ks_strip *s, const ks_multi_similarity_rows *a) { return ks_rows(s, ks_multi_similarity{*a}); }

static void ks_enter_row(const ks_both_rows *b, int64_t row, float *s) {
    ks_left_out left_out(b->candidates, row, row);
    for (int j = 0; j < b->candidates.keys + b->candidates.hard; j += 4) ks_enter_both(*b, left_out, row, s + j, j);
}
KS_API int ks_rows_both_sums(const ks_strip *s, const ks_both_rows *b) {
    int columns = b->candidates.keys + b->candidates.hard;
    for (int r = 0; r < s->rows; r++) {
        float *v = s->strip + r * s->stride, top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
        ks_enter_row(b, b->first_row + r, v);
        int64_t row = b->first_row + r;
        for (int j = 0; j < columns; j++)
            if (j != row) ks_run(top[j % 2], sum[j % 2], v[j], b->slope);
        ks_join(top[0], sum[0], top[1], sum[1], b->slope);
        b->row_top[row] = top[0];
        b->matched[row] = v[row];
        b->losses[row] = 0.5f * ks_one_of_both(top[0], sum[0], v[row], b->slope, b->row_log + row, b->row_missed + row);
    }
    for (int j = 0; j < b->pairs; j++) {
        float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
        if (b->first_row) top[0] = b->column_top[j], sum[0] = b->column_log[j];
        for (int r = 0; r < s->rows; r++)
            if (j != b->first_row + r) ks_run(top[r % 2], sum[r % 2], s->strip[r * s->stride + j], b->slope);
        ks_join(top[0], sum[0], top[1], sum[1], b->slope);
        b->column_top[j] = top[0];
        b->column_log[j] = sum[0];
    }
    return 0;
}
KS_API int ks_rows_both_losses(const ks_strip *, const ks_both_rows *b) {
    for (int i = 0; i < b->pairs; i++)
        b->losses[i] += 0.5f * ks_one_of_both(b->column_top[i], b->column_log[i], b->matched[i], b->slope, b->column_log + i, b->column_missed + i);
    return 0;
}
KS_API int ks_rows_both_weights(const ks_strip *s, const ks_both_rows *b, int entered) {
    int columns = b->candidates.keys + b->candidates.hard;
    for (int r = 0; r < s->rows; r++) {
        std::vector<float> v(s->strip + r * s->stride, s->strip + (r + 1) * s->stride);
        if (!entered) ks_enter_row(b, b->first_row + r, v.data());
        for (int j = 0; j < columns; j++) v[j] = ks_both_weight(*b, b->first_row + r, v[j], j);
        ks_put(s, r, v.data(), columns);
    }
    return 0;
}

KS_API int ks_rows_softmax(const ks_strip *s, const ks_softmax_rows *a) { return ks_rows(s, ks_softmax{*a}); }

KS_API int ks_rows_exact(const ks_strip *s, const ks_exact_rows *a) {
    for (int r = 0; r < s->rows; r++) {
        int64_t row = a->first_row + r;
        if (!a->exact[row]) continue;
        std::vector<double> logit(a->columns);
        for (int j = 0; j < a->columns; j++) {
            double squared = 0;
            for (int k = 0; k < a->dimensions; k++) {
                double gap = (double)a->x[row * a->dimensions + k] - (double)a->y[(int64_t)j * a->dimensions + k];
                squared += gap * gap;
            }
            logit[j] = ks_exact_logit(*a, row, j, squared);
        }
        a->peak[row] = *std::max_element(logit.begin(), logit.end());
        for (int j = 0; j < a->columns; j++) s->strip[r * s->stride + j] = (float)(logit[j] - a->peak[row]);
    }
    return 0;
}

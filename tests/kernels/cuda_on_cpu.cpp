/* The C interface of the CUDA core on the CPU: the same row and box functions, one warp after another, so that they can be
 * tested where there is no GPU. What only a GPU does (sorting, selecting, adding parts) is written out here.
 * With KS_REVERSED in the stream's place, warps run in reverse order: no result may depend on it. */
#include <algorithm>
#include <numeric>
#include <vector>

#include "pair_boxes.cuh"
#include "pair_direct.cuh"

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

KS_API int64_t ks_pair_sum_bytes(int64_t, int64_t, int64_t) { return 0; }
KS_API int ks_pair_sum(const ks_pairs *p) {
    if (!ks_few_pairs(p->side[0].n, p->side[1].n)) ks_sum_by_boxes(p);
    else if (p->kind == KS_SIGMOID) ks_sum_directly<KS_SIGMOID>(p);
    else ks_sum_directly<KS_SOFTPLUS>(p);
    return 0;
}
KS_API const char *ks_error_string(int) { return "an error"; }
KS_API int ks_runs_here() { return 0; }
KS_API int ks_toolkit() { return 13000; }

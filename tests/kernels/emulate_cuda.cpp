/* The row and box functions of the CUDA core on the CPU, one warp after another, so that their arithmetic can be tested
 * where there is no GPU. What only a GPU does (sorting, selecting, adding parts) is written out here. */
#include <algorithm>
#include <numeric>
#include <vector>

#include "pair_boxes.cuh"
#include "pair_direct.cuh"

#define KS_API extern "C"

/* Warps run in the order `reversed` says, to show that no result depends on it. */
template <class Run>
static void ks_warps(int count, int reversed, Run run) {
    for (int i = 0; i < count; i++) run(reversed ? count - 1 - i : i);
}

static std::vector<int> ks_groups(const int64_t *indptr, int groups, int n) {
    std::vector<int> group(n, 0);
    for (int g = 0; indptr && g < groups; g++) std::fill(group.begin() + indptr[g], group.begin() + indptr[g + 1], g);
    return group;
}

/* Totals of the groups, and the slopes, not times any factor; counts the boxes. */
KS_API int ks_pair_sum(int kind, const float *x, const float *u, const int64_t *x_indptr, int n, const float *y, const float *v,
                       const int64_t *y_indptr, int m, int groups, double temperature, int reversed, double *total, float *slope_x,
                       float *slope_y) {
    ks_grid grid;
    ks_fill_grid(&grid, kind, temperature);
    float per_width = grid.per_width;
    int all = n + m;
    std::vector<int> group_x = ks_groups(x_indptr, groups, n), group_y = ks_groups(y_indptr, groups, m), order(all);
    auto number_of = [&](int i) { return i < n ? x[i] : y[i - n]; };
    auto group_of = [&](int i) { return i < n ? group_x[i] : group_y[i - n]; };
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return group_of(a) != group_of(b) ? group_of(a) < group_of(b) : number_of(a) < number_of(b);
    });
    std::vector<float> sorted(all), signed_weight(all);
    std::vector<int> group(all), start;
    for (int i = 0; i < all; i++) {
        int at = order[i];
        sorted[i] = number_of(at);
        group[i] = group_of(at);
        signed_weight[i] = at < n ? (u ? u[at] : 1.0f) : -(v ? v[at - n] : 1.0f);
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
    ks_warps((pieces + boxes + 3) / 4, reversed, [&](int i) { ks_run_moments(&b, per_width, 4 * i); });
    ks_warps(boxes * 16, reversed, [&](int i) {
        double sum = 0;
        for (int p = 0; p < parts; p++) sum += ks_box_part(&b, i / 16, i % 16, p, parts);
        ks_add_pieces(&b, i / 16, i % 16, sum);
    });
    ks_warps(boxes * KS_P, reversed, [&](int i) { ks_near(&b, &grid, i / KS_P, i % KS_P); });
    ks_warps(chunks, reversed, [&](int i) { ks_chunk_sums(&b, i); });
    ks_warps(chunks, reversed, [&](int i) { ks_sweeps(&b, &grid, i, chunks); });

    std::vector<int> first(groups, 0), last(groups, -1);
    std::fill(total, total + groups, 0.0);
    for (int a = 0; a < boxes; a++) {
        if (a == 0 || box_group[a - 1] != box_group[a]) first[box_group[a]] = a;
        last[box_group[a]] = a;
        total[box_group[a]] += value[a];
    }
    float rate = (float)(1 / temperature);
    for (int i = 0; i < n; i++)
        slope_x[i] = -rate * (u ? u[i] : 1.0f) * ks_gather(&b, first[group_x[i]], last[group_x[i]], per_width, x[i], 0);
    for (int i = 0; i < m; i++)
        slope_y[i] = rate * (v ? v[i] : 1.0f) * ks_gather(&b, first[group_y[i]], last[group_y[i]], per_width, y[i], 1);
    return boxes;
}

KS_API void ks_pair_values(int kind, const float *d, int count, float *value, float *slope) {
    for (int i = 0; i < count; i++) value[i] = (kind == KS_SIGMOID ? ks_pair<KS_SIGMOID> : ks_pair<KS_SOFTPLUS>)(d[i], slope + i);
}

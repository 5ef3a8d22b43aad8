/* Kernels of the sums over pairs, and their C interface: by boxes, or directly where pairs are few. */
#include <cub/device/device_select.cuh>
#include <thrust/iterator/counting_iterator.h>

#include "hinges.cuh"
#include "pair_boxes.cuh"
#include "sort_sides.cuh"

struct ks_range_of_boxes {
    const int *first, *last;
    __device__ int64_t begin(int g) const { return first[g]; }
    __device__ int64_t end(int g) const { return (int64_t)last[g] + 1; }
};
struct ks_range_of_rows {
    const int64_t *indptr;
    int n;
    __device__ int64_t begin(int g) const { return indptr ? indptr[g] : 0; }
    __device__ int64_t end(int g) const { return indptr ? indptr[g + 1] : n; }
};

/* ---- by boxes --------------------------------------------------------------------------------------------- */

struct ks_begins {
    const float *sorted;
    const int *group;
    float per_width;
    __device__ bool operator()(int i) const { return ks_box_begins(sorted, group, i, per_width); }
};

__global__ void ks_run_moments_kernel(ks_boxes b, float per_width) {
    int warps = gridDim.x * blockDim.x / 32, warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int runs = ks_pieces(b.total) + *b.count;
    for (int first = 4 * warp; first < runs; first += 4 * warps) ks_run_moments(&b, per_width, first);
}

/* 512 threads: either 32 parts of the 16 moments of one box, or 32 boxes. */
__global__ void __launch_bounds__(512) ks_add_pieces_kernel(ks_boxes b) {
    __shared__ double part[32][16];
    int boxes = *b.count, value = threadIdx.x % 16, group = threadIdx.x / 16;
    if (ks_box_parts(boxes) == 1) {
        for (int64_t a = (int64_t)blockIdx.x * 32 + group; a < boxes; a += 32 * gridDim.x)
            ks_add_pieces(&b, (int)a, value, ks_box_part(&b, (int)a, value, 0, 1));
        return;
    }
    for (int a = blockIdx.x; a < boxes; a += gridDim.x) {
        part[group][value] = ks_box_part(&b, a, value, group, 32);
        __syncthreads();
        if (group == 0) {
            double sum = 0;
            for (int p = 0; p < 32; p++) sum += part[p][value];
            ks_add_pieces(&b, a, value, sum);
        }
        __syncthreads();
    }
}

/* The first and the last box of every group that has one. */
__global__ void ks_group_boxes_kernel(ks_boxes b, int *first, int *last) {
    int threads = gridDim.x * blockDim.x, boxes = *b.count;
    for (int a = blockIdx.x * blockDim.x + threadIdx.x; a < boxes; a += threads) {
        int g = b.box_group[a];
        if (a == 0 || b.box_group[a - 1] != g) first[g] = a;
        if (a == boxes - 1 || b.box_group[a + 1] != g) last[g] = a;
    }
}

__global__ void ks_near_kernel(ks_boxes b, const __grid_constant__ ks_grid grid) {
    __shared__ ks_grid local; /* lanes want different entries at once, which parameters serve one by one */
    for (int i = threadIdx.x; i < (int)(sizeof(ks_grid) / 4); i += blockDim.x) ((float *)&local)[i] = ((const float *)&grid)[i];
    __syncthreads();
    int threads = gridDim.x * blockDim.x, thread = blockIdx.x * blockDim.x + threadIdx.x;
    for (int64_t i = thread; i < (int64_t)*b.count * KS_P; i += threads) ks_near(&b, &local, (int)(i / KS_P), (int)(i % KS_P));
}

__global__ void ks_chunk_sums_kernel(ks_boxes b) {
    int warps = gridDim.x * blockDim.x / 32, warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int size = ks_chunk(*b.count), chunks = (*b.count + size - 1) / size;
    for (int i = warp; i < chunks; i += warps) ks_chunk_sums(&b, i);
}

__global__ void ks_sweep_kernel(ks_boxes b, const __grid_constant__ ks_grid grid) {
    int warps = gridDim.x * blockDim.x / 32, warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int size = ks_chunk(*b.count), chunks = (*b.count + size - 1) / size;
    for (int i = warp; i < chunks; i += warps) ks_sweeps(&b, &grid, i, chunks);
}

/* Slopes of all numbers, in their order. */
__global__ void ks_gather_kernel(ks_boxes b, ks_pairs p, float per_width, float per_temperature, const int *first, const int *last,
                                 const int *bad) {
    int m = p.side[1].n, all = p.side[0].n + m, threads = gridDim.x * blockDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < all; i += threads) {
        int s = i < m, at = s ? i : i - m;
        if (!p.side[s].slope) continue;
        int g = ks_group_in(p, s, at);
        float scale = (s ? 1.0f : -1.0f) * (float)p.factor[g] * per_temperature;
        p.side[s].slope[at] = bad[g] ? NAN
                                     : scale * ks_side_weight(p.side[s], at) *
                                           ks_gather(&b, first[g], last[g], per_width, p.side[s].number[at], s);
    }
}

struct ks_box_space {
    ks_sort_space sort;
    int *start, *count, *first, *last;
    char *cub;
    size_t cub_bytes;
    ks_boxes boxes;
};

static int ks_lay_out_boxes(ks_box_space *l, int all, int groups, ks_space *space) {
    int code = ks_lay_out_sort(&l->sort, all, groups, space);
    if (code) return code;
    l->cub_bytes = 0;
    KS_TRY(cub::DeviceSelect::If(nullptr, l->cub_bytes, thrust::counting_iterator<int>(0), (int *)nullptr, (int *)nullptr, all,
                                 ks_begins{nullptr, nullptr, 0.0f}));
    l->start = space->take<int>(all);
    l->count = space->take<int>(1);
    l->first = space->take<int>(groups);
    l->last = space->take<int>(groups);
    l->cub = space->take<char>(l->cub_bytes);
    ks_boxes *b = &l->boxes;
    b->piece = space->take<float>((size_t)ks_pieces(all) * 16);
    b->moment = space->take<float>((size_t)all * 16); /* every number may have a box of its own */
    b->key = space->take<float>(all);
    b->box_group = space->take<int>(all);
    b->polynomial = space->take<float>((size_t)all * 24);
    b->value = space->take<double>(all);
    b->chunk_sum = space->take<double>(KS_MAX_CHUNKS * 3);
    b->start = l->start;
    b->count = l->count;
    b->total = all;
    return 0;
}

static int ks_sum_by_boxes(const ks_pairs *p) {
    int all = p->side[0].n + p->side[1].n, groups = p->groups, most = ks_multiprocessors() * 8;
    cudaStream_t stream = (cudaStream_t)p->stream;
    ks_space space = {(char *)p->space, 0};
    ks_box_space l;
    ks_grid grid;
    ks_fill_grid(&grid, p->kind, p->temperature);
    float per_width = grid.per_width;
    int code = ks_lay_out_boxes(&l, all, groups, &space);
    if (!code) code = ks_sort_sides<false>(p, ks_limit(per_width), &l.sort);
    if (code) return code;
    KS_TRY(cudaMemsetAsync(l.first, 0, groups * sizeof(int), stream));
    KS_TRY(cudaMemsetAsync(l.last, 0xff, groups * sizeof(int), stream)); /* -1: no box */
    ks_boxes b = l.boxes;
    b.sorted = l.sort.sorted;
    b.group = l.sort.group;
    b.signed_weight = (const float *)l.sort.along[0];
    size_t bytes = l.cub_bytes;
    KS_TRY(cub::DeviceSelect::If(l.cub, bytes, thrust::counting_iterator<int>(0), l.start, l.count, all,
                                 ks_begins{b.sorted, b.group, per_width}, stream));

    int64_t chunks = all < KS_MAX_CHUNKS * 32 ? (all + 31) / 32 : KS_MAX_CHUNKS;
    ks_run_moments_kernel<<<ks_blocks((int64_t)all * 8, 256, most), 256, 0, stream>>>(b, per_width);
    ks_add_pieces_kernel<<<ks_blocks((int64_t)all * 16, 512, most), 512, 0, stream>>>(b);
    ks_group_boxes_kernel<<<ks_blocks(all, 256, most), 256, 0, stream>>>(b, l.first, l.last);
    ks_near_kernel<<<ks_blocks((int64_t)all * KS_P, 128, most), 128, 0, stream>>>(b, grid);
    ks_chunk_sums_kernel<<<ks_blocks(chunks * 32, 64, most), 64, 0, stream>>>(b);
    ks_sweep_kernel<<<ks_blocks(chunks * 32, 64, most), 64, 0, stream>>>(b, grid);
    if (p->needs_value)
        ks_totals_kernel<<<ks_blocks(groups, 1, most), 512, 0, stream>>>(b.value, ks_range_of_boxes{l.first, l.last}, groups, p->factor,
                                                                         l.sort.bad, p->value);
    if (p->side[0].slope || p->side[1].slope)
        ks_gather_kernel<<<ks_blocks(all, 256, most), 256, 0, stream>>>(b, *p, per_width, (float)(1 / p->temperature), l.first,
                                                                             l.last, l.sort.bad);
    return (int)cudaGetLastError();
}

/* ---- directly --------------------------------------------------------------------------------------------- */

#define KS_TILE 128

/* KS_TILE rows of side s against a share of the columns of the other side, those of each row's group. */
template <int KIND, bool VALUE>
__global__ void __launch_bounds__(KS_TILE) ks_direct_kernel(ks_pairs p, int s, int share, double *part_value, double *part_slope) {
    __shared__ float number[KS_TILE], heavy[KS_TILE];
    __shared__ int range[2];
    const ks_side &row = p.side[s], &column = p.side[1 - s];
    int i = blockIdx.x * KS_TILE + threadIdx.x, start = blockIdx.y * share, stop = min(start + share, column.n);
    int low = 0, high = column.n;
    float here = i < row.n ? ks_number_or_nan(row, i) : 0.0f, per_temperature = (float)((s ? -1 : 1) / p.temperature);
    if (row.indptr) {
        int group = ks_group_in(p, s, min(i, row.n - 1));
        low = (int)column.indptr[group];
        high = (int)column.indptr[group + 1];
        if (threadIdx.x == 0) range[0] = low;
        if (threadIdx.x == KS_TILE - 1) range[1] = high;
        __syncthreads();
        start = max(start, range[0]);
        stop = min(stop, range[1]);
    }
    double value = 0, slope = 0;
    for (int first = start; first < stop; first += KS_TILE) {
        int j = first + threadIdx.x, count = min(KS_TILE, stop - first);
        __syncthreads();
        number[threadIdx.x] = j < stop ? ks_number_or_nan(column, j) : 0.0f;
        heavy[threadIdx.x] = j < stop ? ks_side_weight(column, j) : 0.0f;
        __syncthreads();
        float some_value = 0, some_slope = 0;
        int from = max(low - first, 0), to = min(high - first, count);
        for (int k = from; k < to; k++) {
            float slope_here, value_here = ks_pair<KIND>((number[k] - here) * per_temperature, &slope_here);
            if (VALUE) some_value += heavy[k] * value_here;
            some_slope += heavy[k] * slope_here;
        }
        value += some_value;
        slope += some_slope;
    }
    if (i >= row.n) return;
    if (VALUE) part_value[(int64_t)blockIdx.y * row.n + i] = value;
    part_slope[(int64_t)blockIdx.y * row.n + i] = slope;
}

/* Adds the parts of each row: its slope, and its weighted value. */
__global__ void ks_add_parts_kernel(ks_pairs p, int s, int parts, const double *part_value, const double *part_slope, double *row_value) {
    const ks_side &row = p.side[s];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= row.n) return;
    double slope = 0, value = 0, weight = ks_side_weight(row, i);
    for (int part = 0; part < parts; part++) slope += part_slope[(int64_t)part * row.n + i];
    if (row.slope) row.slope[i] = (float)((s ? 1 : -1) * p.factor[ks_group_in(p, s, i)] / p.temperature * weight * slope);
    if (!row_value) return;
    for (int part = 0; part < parts; part++) value += part_value[(int64_t)part * row.n + i];
    row_value[i] = weight * value;
}

static int ks_direct_parts(int64_t rows, int64_t columns) {
    int64_t blocks = (rows + KS_TILE - 1) / KS_TILE, tiles = (columns + KS_TILE - 1) / KS_TILE;
    int64_t parts = ks_multiprocessors() * 4 / blocks + 1;
    return (int)(parts < tiles ? parts : tiles);
}

struct ks_direct_space {
    double *value, *slope[2], *row_value;
    int parts[2];
};

static void ks_lay_out_direct(ks_direct_space *l, int n, int m, ks_space *space) {
    l->parts[0] = ks_direct_parts(n, m);
    l->parts[1] = ks_direct_parts(m, n);
    l->value = space->take<double>((size_t)n * l->parts[0]);
    l->slope[0] = space->take<double>((size_t)n * l->parts[0]);
    l->slope[1] = space->take<double>((size_t)m * l->parts[1]);
    l->row_value = space->take<double>(n);
}

template <int KIND>
static int ks_sum_directly(const ks_pairs *p) {
    cudaStream_t stream = (cudaStream_t)p->stream;
    ks_space space = {(char *)p->space, 0};
    ks_direct_space l;
    ks_lay_out_direct(&l, p->side[0].n, p->side[1].n, &space);
    for (int s = 0; s < 2; s++) {
        int rows = p->side[s].n, columns = p->side[1 - s].n, parts = l.parts[s];
        bool value = s == 0 && p->needs_value;
        if (!value && !p->side[s].slope) continue;
        int share = ((columns + parts - 1) / parts + KS_TILE - 1) / KS_TILE * KS_TILE;
        dim3 blocks((rows + KS_TILE - 1) / KS_TILE, parts);
        if (value) ks_direct_kernel<KIND, true><<<blocks, KS_TILE, 0, stream>>>(*p, s, share, l.value, l.slope[s]);
        else ks_direct_kernel<KIND, false><<<blocks, KS_TILE, 0, stream>>>(*p, s, share, nullptr, l.slope[s]);
        ks_add_parts_kernel<<<(rows + 255) / 256, 256, 0, stream>>>(*p, s, parts, l.value, l.slope[s], value ? l.row_value : nullptr);
    }
    if (p->needs_value)
        ks_totals_kernel<<<ks_blocks(p->groups, 1, ks_multiprocessors() * 8), 512, 0, stream>>>(
            l.row_value, ks_range_of_rows{p->side[0].indptr, p->side[0].n}, p->groups, p->factor, nullptr, p->value);
    return (int)cudaGetLastError();
}

/* ---- interface -------------------------------------------------------------------------------------------- */

/* Bytes of workspace, or minus an error. Neither side is empty. */
KS_API int64_t ks_pair_sum_bytes(int kind, int64_t n, int64_t m, int64_t groups) {
    ks_space space = {nullptr, 0};
    ks_direct_space direct;
    ks_box_space boxes;
    int code = 0;
    if (kind >= KS_HINGE) code = ks_lay_out_hinge(nullptr, (int)(n + m), (int)groups, &space);
    else if (ks_few_pairs(n, m)) ks_lay_out_direct(&direct, (int)n, (int)m, &space);
    else code = ks_lay_out_boxes(&boxes, (int)(n + m), (int)groups, &space);
    return code ? -code : (int64_t)space.at;
}

KS_API int ks_pair_sum(const ks_pairs *p) {
    if (p->kind >= KS_HINGE) return ks_sum_hinges(p);
    if (!ks_few_pairs(p->side[0].n, p->side[1].n)) return ks_sum_by_boxes(p);
    return p->kind == KS_SIGMOID ? ks_sum_directly<KS_SIGMOID>(p) : ks_sum_directly<KS_SOFTPLUS>(p);
}

/* Kernels of the hinges over all pairs. */
#pragma once
#include "hinge.cuh"
#include "sort_sides.cuh"

/* What every chunk passes in both directions; or, with what comes before it, values and slopes. */
static __global__ void __launch_bounds__(128) ks_hinge_chunks_kernel(ks_hinge h, int store, const double *factor) {
    int warps = gridDim.x * blockDim.x / 32, warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int chunks = ks_hinge_chunks(h.total);
    for (int i = warp; i < 2 * chunks; i += warps) {
        int s = i >= chunks, chunk = i - s * chunks;
        ks_hinge_state *state = h.state[s] + chunk;
        ks_hinge_state passed = ks_sweep_chunk(&h, s, chunk, store ? *state : ks_nothing_passed(), store, factor);
        if (!store && threadIdx.x % 32 == 0) *state = passed;
    }
}
static __global__ void ks_hinge_scan_kernel(ks_hinge h) { ks_scan_chunks(h.state[threadIdx.x / 32], ks_hinge_chunks(h.total)); }

/* Slopes of bad groups are NaN. */
static __global__ void ks_spoil_kernel(ks_pairs p, const int *bad) {
    int m = p.side[1].n, all = p.side[0].n + m, threads = gridDim.x * blockDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < all; i += threads) {
        int s = i < m, at = s ? i : i - m;
        if (p.side[s].slope && bad[ks_group_in(p, s, at)]) p.side[s].slope[at] = NAN;
    }
}

struct ks_range_sorted { /* of the sorted numbers, those of a group */
    const int64_t *x, *y;
    int total;
    __device__ int64_t begin(int g) const { return x ? x[g] + y[g] : 0; }
    __device__ int64_t end(int g) const { return x ? x[g + 1] + y[g + 1] : total; }
};

struct ks_hinge_space {
    ks_sort_space sort;
    ks_hinge hinge;
};

static int ks_lay_out_hinge(ks_hinge_space *l, int all, int groups, ks_space *space) {
    ks_hinge_space unused;
    if (!l) l = &unused;
    int code = ks_lay_out_sort(&l->sort, all, groups, space);
    if (code) return code;
    for (int s = 0; s < 2; s++) l->hinge.state[s] = space->take<ks_hinge_state>(ks_hinge_chunks(all));
    l->hinge.value = space->take<double>(all);
    return 0;
}

static int ks_sum_hinges(const ks_pairs *p) {
    int all = p->side[0].n + p->side[1].n, groups = p->groups, most = ks_multiprocessors() * 8;
    cudaStream_t stream = (cudaStream_t)p->stream;
    ks_space space = {(char *)p->space, 0};
    ks_hinge_space l;
    int code = ks_lay_out_hinge(&l, all, groups, &space);
    if (!code) code = ks_sort_sides<true>(p, 3.4e38f, &l.sort);
    if (code) return code;
    ks_hinge h = l.hinge;
    h.sorted = l.sort.sorted;
    h.index = (const int *)l.sort.along[0];
    h.group = l.sort.group;
    h.side[0] = p->side[0];
    h.side[1] = p->side[1];
    h.total = all;
    h.squared = p->kind == KS_SQUARED_HINGE;
    int blocks = ks_blocks((int64_t)ks_hinge_chunks(all) * 64, 128, most * 4);
    ks_hinge_chunks_kernel<<<blocks, 128, 0, stream>>>(h, 0, p->factor);
    ks_hinge_scan_kernel<<<1, 64, 0, stream>>>(h);
    ks_hinge_chunks_kernel<<<blocks, 128, 0, stream>>>(h, 1, p->factor);
    if (p->needs_value)
        ks_totals_kernel<<<ks_blocks(groups, 1, most), 512, 0, stream>>>(h.value, ks_range_sorted{p->side[0].indptr, p->side[1].indptr, all},
                                                                         groups, p->factor, l.sort.bad, p->value);
    ks_spoil_kernel<<<ks_blocks(all, 256, most), 256, 0, stream>>>(*p, l.sort.bad);
    return (int)cudaGetLastError();
}

/* Both sides of a sum over pairs in one array, sorted by group and number, each with 32 bits that go along. */
#pragma once
#include <cub/device/device_radix_sort.cuh>

#include "common.cuh"
#include "pair_direct.cuh"

__device__ __forceinline__ int ks_group_in(const ks_pairs &p, int s, int i) { return ks_group_of(p.side[s].indptr, p.groups, i); }

/* The y, then the x, so that of equal numbers the y come first. Without groups the sort key is the number, with them its
 * bits below the number of the group. What cannot be summed marks its group as bad. What goes along is the place in this
 * order if `places`, else the weight, negative for a y. */
template <bool PLACES>
__global__ void ks_encode_kernel(ks_pairs p, float limit, float *number, uint64_t *key, uint32_t *along, int *bad) {
    int m = p.side[1].n, all = p.side[0].n + m, threads = gridDim.x * blockDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < all; i += threads) {
        int s = i < m, at = s ? i : i - m, group = ks_group_in(p, s, at);
        float value = p.side[s].number[at] + 0.0f, w = ks_side_weight(p.side[s], at); /* -0 becomes 0 */
        if (!ks_fine(value, w, limit)) {
            bad[group] = 1; /* all writers write the same */
            value = w = 0.0f;
        }
        along[i] = PLACES ? (uint32_t)i : __float_as_uint(s ? -w : w);
        if (number) {
            number[i] = value;
            continue;
        }
        uint32_t bits = __float_as_uint(value);
        bits ^= bits >> 31 ? 0xffffffffu : 0x80000000u;
        key[i] = (uint64_t)group << 32 | bits;
    }
}

static __global__ void ks_decode_kernel(const uint64_t *key, int all, float *sorted, int *group) {
    int threads = gridDim.x * blockDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < all; i += threads) {
        uint32_t bits = (uint32_t)key[i];
        sorted[i] = __uint_as_float(bits ^ (bits >> 31 ? 0x80000000u : 0xffffffffu));
        group[i] = (int)(key[i] >> 32);
    }
}

struct ks_sort_space {
    float *number[2], *sorted;
    uint64_t *key[2];
    uint32_t *along[2];
    int *group, *bad;
    char *cub;
    size_t cub_bytes;
};

static int ks_lay_out_sort(ks_sort_space *l, int all, int groups, ks_space *space) {
    bool grouped = groups > 1;
    cub::DoubleBuffer<float> number(nullptr, nullptr);
    cub::DoubleBuffer<uint64_t> key(nullptr, nullptr);
    cub::DoubleBuffer<uint32_t> along(nullptr, nullptr);
    l->cub_bytes = 0;
    if (grouped) KS_TRY(cub::DeviceRadixSort::SortPairs(nullptr, l->cub_bytes, key, along, all));
    else KS_TRY(cub::DeviceRadixSort::SortPairs(nullptr, l->cub_bytes, number, along, all));
    for (int i = 0; i < 2; i++) {
        l->number[i] = grouped ? nullptr : space->take<float>(all);
        l->key[i] = grouped ? space->take<uint64_t>(all) : nullptr;
        l->along[i] = space->take<uint32_t>(all);
    }
    l->sorted = grouped ? space->take<float>(all) : nullptr;
    l->group = grouped ? space->take<int>(all) : nullptr;
    l->bad = space->take<int>(groups);
    l->cub = space->take<char>(l->cub_bytes);
    return 0;
}

/* Afterwards l->sorted, l->along[0] and, if there are groups, l->group are in order. */
template <bool PLACES>
static int ks_sort_sides(const ks_pairs *p, float limit, ks_sort_space *l) {
    int all = p->side[0].n + p->side[1].n, blocks = ks_blocks(all, 256, ks_multiprocessors() * 8);
    cudaStream_t stream = (cudaStream_t)p->stream;
    KS_TRY(cudaMemsetAsync(l->bad, 0, p->groups * sizeof(int), stream));
    cub::DoubleBuffer<float> number(l->number[0], l->number[1]);
    cub::DoubleBuffer<uint64_t> key(l->key[0], l->key[1]);
    cub::DoubleBuffer<uint32_t> along(l->along[0], l->along[1]);
    ks_encode_kernel<PLACES><<<blocks, 256, 0, stream>>>(*p, limit, number.Current(), key.Current(), along.Current(), l->bad);
    size_t bytes = l->cub_bytes;
    if (p->groups > 1) {
        int bits = 32;
        while (bits < 63 && (int64_t)p->groups > (int64_t)1 << (bits - 32)) bits++;
        KS_TRY(cub::DeviceRadixSort::SortPairs(l->cub, bytes, key, along, all, 0, bits, stream));
        ks_decode_kernel<<<blocks, 256, 0, stream>>>(key.Current(), all, l->sorted, l->group);
    } else {
        KS_TRY(cub::DeviceRadixSort::SortPairs(l->cub, bytes, number, along, all, 0, 32, stream));
        l->sorted = number.Current(); /* cub says where the last pass has left them */
    }
    l->along[0] = along.Current();
    return (int)cudaGetLastError();
}

/* Sum of value[i] over the range of every group, a block each, in a fixed order; NaN for a bad group. */
template <class Range>
__global__ void __launch_bounds__(512) ks_totals_kernel(const double *value, Range range, int groups, const double *factor,
                                                        const int *bad, double *total) {
    __shared__ double sums[512];
    for (int g = blockIdx.x; g < groups; g += gridDim.x) {
        double sum = 0;
        for (int64_t i = range.begin(g) + threadIdx.x; i < range.end(g); i += 512) sum += value[i];
        sums[threadIdx.x] = sum;
        __syncthreads();
        for (int step = 256; step; step /= 2) {
            if (threadIdx.x < step) sums[threadIdx.x] += sums[threadIdx.x + step];
            __syncthreads();
        }
        if (threadIdx.x == 0) total[g] = bad && bad[g] ? NAN : factor[g] * sums[0];
        __syncthreads();
    }
}

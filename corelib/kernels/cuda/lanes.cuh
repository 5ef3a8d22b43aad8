/* What every kernel shares: lanes of a warp, their shuffles and sums.
 *
 * The row and box functions compile for the GPU with nvcc and, as the same source, for the CPU with any C++14 compiler,
 * where the tests run them one warp after another. A warp function is a sequence of steps, each of which runs over the
 * lanes: on the GPU that is the thread's own lane, on the CPU all 32. What a lane keeps between steps is a ks_lanes<T>. */
#pragma once
#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define KS_HD __host__ __device__ __forceinline__
#else
#define KS_HD inline
#endif

#ifdef __CUDA_ARCH__
#define KS_LANES 1
#define KS_EACH_LANE(lane) for (int lane = threadIdx.x & 31, ks_once = 1; ks_once; ks_once = 0)
#else
#define KS_LANES 32
#define KS_EACH_LANE(lane) for (int lane = 0; lane < 32; lane++)
#endif

template <class T>
struct ks_lanes {
    T at[KS_LANES];
    KS_HD T &operator[](int lane) { return at[KS_LANES == 1 ? 0 : lane]; }
    KS_HD const T &operator[](int lane) const { return at[KS_LANES == 1 ? 0 : lane]; }
};

/* The value that lane `source` keeps; every lane must ask. */
template <class T>
KS_HD T ks_from(const ks_lanes<T> &value, int source) {
#ifdef __CUDA_ARCH__
    return __shfl_sync(0xffffffffu, value.at[0], source);
#else
    return value.at[source];
#endif
}

/* Sum over the `width` lanes of a group (a power of two), the same in all of them. */
template <class T>
KS_HD void ks_group_sum(ks_lanes<T> &value, int width) {
#ifdef __CUDA_ARCH__
    for (int step = width / 2; step; step /= 2) value.at[0] += __shfl_xor_sync(0xffffffffu, value.at[0], step);
#else
    for (int step = width / 2; step; step /= 2) {
        T other[32];
        for (int lane = 0; lane < 32; lane++) other[lane] = value.at[lane ^ step];
        for (int lane = 0; lane < 32; lane++) value.at[lane] += other[lane];
    }
#endif
}

/* What lanes have written may be read by the others of the warp. */
KS_HD void ks_warp_sync() {
#ifdef __CUDA_ARCH__
    __syncwarp();
#endif
}

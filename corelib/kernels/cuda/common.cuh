/* What the kernels and the C interface share. Memory belongs to the caller, the stream is the caller's, nothing waits for
 * the GPU and nothing is allocated: a whole step can be captured in a CUDA graph. */
#pragma once
#include <cuda_runtime.h>
#include <stdint.h>

#define KS_API extern "C" __attribute__((visibility("default")))
#define KS_TRY(call)                                       \
    do {                                                   \
        cudaError_t ks_error = (call);                     \
        if (ks_error != cudaSuccess) return (int)ks_error; \
    } while (0)

static inline int ks_multiprocessors() {
    int count = 0, device = 0;
    if (cudaGetDevice(&device) || cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device)) return 64;
    return count;
}

/* Blocks of `size` threads for so many threads, but no more than keep the GPU busy: kernels go on in strides. */
static inline int ks_blocks(int64_t threads, int size, int most) {
    int64_t blocks = (threads + size - 1) / size;
    return (int)(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

/* Places in a workspace, multiples of 256 bytes; with base NULL, `at` ends as the size that is needed. */
struct ks_space {
    char *base;
    size_t at;
    template <class T>
    T *take(size_t count) {
        T *here = base ? (T *)(base + at) : nullptr;
        at += (count * sizeof(T) + 255) / 256 * 256;
        return here;
    }
};

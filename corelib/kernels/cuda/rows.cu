/* Kernels over the rows of a strip, and their C interface. */
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "common.cuh"
#include "rows.cuh"

template <int THREADS, int N, class Join>
__device__ __forceinline__ ks_numbers<N> ks_block_reduce(ks_numbers<N> value, ks_numbers<N> *shared, Join join) {
    for (int step = 16; step; step /= 2) {
        ks_numbers<N> other;
        for (int i = 0; i < N; i++) other.v[i] = __shfl_xor_sync(0xffffffffu, value.v[i], step);
        value = ks_joined(value, other, join);
    }
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    value = shared[0];
    for (int w = 1; w < THREADS / 32; w++) value = ks_joined(value, shared[w], join);
    return value;
}

__device__ __forceinline__ void ks_get4(const float *s, float *v) {
    float4 four = *(const float4 *)s;
    v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
}
__device__ __forceinline__ void ks_put4(float *out, int64_t j, const float *g) { *(float4 *)(out + j) = make_float4(g[0], g[1], g[2], g[3]); }
__device__ __forceinline__ void ks_put4(__half *out, int64_t j, const float *g) {
    __half2 two[2] = {__floats2half2_rn(g[0], g[1]), __floats2half2_rn(g[2], g[3])};
    *(uint2 *)(out + j) = *(uint2 *)two;
}
__device__ __forceinline__ void ks_put4(__nv_bfloat16 *out, int64_t j, const float *g) {
    __nv_bfloat162 two[2] = {__floats2bfloat162_rn(g[0], g[1]), __floats2bfloat162_rn(g[2], g[3])};
    *(uint2 *)(out + j) = *(uint2 *)two;
}

/* One block per row; the row stays in registers between the phases: at most 4 THREADS QUADS columns. */
template <class Loss, class Out, int THREADS, int QUADS>
__global__ void __launch_bounds__(THREADS) ks_rows_kernel(float *strip, int64_t stride, const Loss loss) {
    __shared__ ks_numbers<Loss::TOPS> tops[THREADS / 32];
    __shared__ ks_numbers<Loss::SUMS> sums[THREADS / 32];
    float *s = strip + blockIdx.x * stride, v[QUADS][4];
    int m = loss.columns();
    typename Loss::row row = loss.begin(blockIdx.x, s);
    ks_numbers<Loss::TOPS> top = ks_filled<Loss::TOPS>(-INFINITY);
    ks_numbers<Loss::SUMS> sum = ks_filled<Loss::SUMS>(0.0f);
#pragma unroll
    for (int q = 0; q < QUADS; q++) {
        int j = 4 * (q * THREADS + threadIdx.x);
        if (j < m) ks_get4(s + j, v[q]);
    }
#pragma unroll
    for (int q = 0; q < QUADS; q++) {
        int j = 4 * (q * THREADS + threadIdx.x);
        if (j >= m) continue;
        loss.enter(row, v[q], j);
        for (int e = 0; e < 4; e++) loss.look(row, top, v[q][e], j + e);
    }
    top = ks_block_reduce<THREADS>(top, tops, ks_greater());
#pragma unroll
    for (int q = 0; q < QUADS; q++) {
        int j = 4 * (q * THREADS + threadIdx.x);
        if (j >= m) continue;
        for (int e = 0; e < 4; e++) v[q][e] = loss.weigh(row, top, sum, v[q][e], j + e);
    }
    sum = ks_block_reduce<THREADS>(sum, sums, ks_plus());
    typename Loss::factors f = loss.finish(row, top, sum, threadIdx.x == 0);
    Out *out = (Out *)s;
#pragma unroll
    for (int q = 0; q < QUADS; q++) {
        int j = 4 * (q * THREADS + threadIdx.x);
        if (j >= m) continue;
        for (int e = 0; e < 4; e++) v[q][e] = loss.scale(row, f, v[q][e], j + e);
        loss.leave(row, f, v[q], j);
        ks_put4(out, j, v[q]);
    }
}

/* The same for rows of any length: the row is read again in every phase. */
template <class Loss, class Out, int THREADS>
__global__ void __launch_bounds__(THREADS) ks_long_rows_kernel(float *strip, int64_t stride, const Loss loss) {
    __shared__ ks_numbers<Loss::TOPS> tops[THREADS / 32];
    __shared__ ks_numbers<Loss::SUMS> sums[THREADS / 32];
    float *s = strip + blockIdx.x * stride;
    int m = loss.columns();
    typename Loss::row row = loss.begin(blockIdx.x, s);
    ks_numbers<Loss::TOPS> top = ks_filled<Loss::TOPS>(-INFINITY);
    ks_numbers<Loss::SUMS> sum = ks_filled<Loss::SUMS>(0.0f), unused = sum;
#pragma unroll 4
    for (int j = 4 * threadIdx.x; j < m; j += 4 * THREADS) {
        float v[4];
        ks_get4(s + j, v);
        loss.enter(row, v, j);
        for (int e = 0; e < 4; e++) loss.look(row, top, v[e], j + e);
    }
    top = ks_block_reduce<THREADS>(top, tops, ks_greater());
#pragma unroll 4
    for (int j = 4 * threadIdx.x; j < m; j += 4 * THREADS) {
        float v[4];
        ks_get4(s + j, v);
        loss.enter(row, v, j);
        for (int e = 0; e < 4; e++) loss.weigh(row, top, sum, v[e], j + e);
    }
    sum = ks_block_reduce<THREADS>(sum, sums, ks_plus());
    typename Loss::factors f = loss.finish(row, top, sum, threadIdx.x == 0);
    Out *out = (Out *)s;
    for (int first = 0; first < m; first += 4 * THREADS) { /* all threads take the same turns */
        int j = first + 4 * threadIdx.x;
        float v[4];
        if (j < m) ks_get4(s + j, v);
        if (sizeof(Out) < 4) __syncthreads(); /* what is written now lies where others have just read */
        if (j >= m) continue;
        loss.enter(row, v, j);
        for (int e = 0; e < 4; e++) v[e] = loss.scale(row, f, loss.weigh(row, top, unused, v[e], j + e), j + e);
        loss.leave(row, f, v, j);
        ks_put4(out, j, v);
    }
}

template <class Out, class Loss>
static int ks_launch_as(const ks_strip *s, const Loss &loss) {
    int m = loss.columns();
    cudaStream_t stream = (cudaStream_t)s->stream;
#define KS_LAUNCH(THREADS, QUADS) ks_rows_kernel<Loss, Out, THREADS, QUADS><<<s->rows, THREADS, 0, stream>>>(s->strip, s->stride, loss)
    if (m <= 1024) KS_LAUNCH(128, 2);
    else if (m <= 4096) KS_LAUNCH(256, 4);
    else if (m <= 8192) KS_LAUNCH(256, 8);
    else if (m <= 16384) KS_LAUNCH(512, 8);
    else {
        if constexpr (Loss::LEAN) { /* 64 registers a thread are enough */
            if (m <= 32768) {
                KS_LAUNCH(1024, 8);
                return (int)cudaGetLastError();
            }
        }
        ks_long_rows_kernel<Loss, Out, 512><<<s->rows, 512, 0, stream>>>(s->strip, s->stride, loss);
    }
#undef KS_LAUNCH
    return (int)cudaGetLastError();
}
template <class Loss>
static int ks_launch(const ks_strip *s, const Loss &loss) {
    return s->type == KS_FLOAT16    ? ks_launch_as<__half>(s, loss)
           : s->type == KS_BFLOAT16 ? ks_launch_as<__nv_bfloat16>(s, loss)
                                    : ks_launch_as<float>(s, loss);
}

KS_API int ks_rows_info_nce(const ks_strip *s, const ks_info_nce_rows *a) {
    return ks_with_info_nce(*a, [&](const auto &loss) { return ks_launch(s, loss); });
}
KS_API int ks_rows_multi_similarity(const ks_strip *s, const ks_multi_similarity_rows *a) { return ks_launch(s, ks_multi_similarity{*a}); }

/* ---- both directions ---------------------------------------------------- */

/* Every row as a query; what is left out of it is minus infinity from here on. */
__global__ void __launch_bounds__(512) ks_both_rows_kernel(float *strip, int64_t stride, const ks_both_rows b) {
    __shared__ float tops[16], sums[16];
    float *s = strip + blockIdx.x * stride, top = -INFINITY, sum = 0;
    int64_t row = b.first_row + blockIdx.x;
    int m = b.candidates.keys + b.candidates.hard;
    ks_left_out left_out(b.candidates, row, row);
    for (int j = 4 * threadIdx.x; j < m; j += 4 * 512) {
        float v[4];
        ks_get4(s + j, v);
        ks_enter_both(b, left_out, row, v, j);
        ks_put4(s, j, v);
        for (int e = 0; e < 4; e++)
            if (j + e != row) ks_run(top, sum, v[e], b.slope);
    }
    for (int step = 16; step; step /= 2) {
        float other_top = __shfl_xor_sync(0xffffffffu, top, step), other_sum = __shfl_xor_sync(0xffffffffu, sum, step);
        ks_join(top, sum, other_top, other_sum, b.slope);
    }
    if (threadIdx.x % 32 == 0) tops[threadIdx.x / 32] = top, sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < 16; w++) ks_join(top, sum, tops[w], sums[w], b.slope);
        b.row_top[row] = top;
        b.matched[row] = s[row];
        b.losses[row] = 0.5f * ks_one_of_both(top, sum, s[row], b.slope, b.row_log + row, b.row_missed + row);
    }
}

/* Adds the rows of a strip to the running tops and sums of the columns: 128 columns a block, which alone writes them. */
__global__ void __launch_bounds__(512) ks_both_columns_kernel(const float *strip, int64_t stride, int rows, const ks_both_rows b) {
    __shared__ float tops[16][128], sums[16][128];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, j = 128 * blockIdx.x + 4 * lane;
    float top[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY}, sum[4] = {0, 0, 0, 0};
    if (j < b.pairs)
#pragma unroll 4
        for (int r = warp; r < rows; r += 16) {
            float v[4];
            ks_get4(strip + r * stride + j, v);
            for (int e = 0; e < 4; e++)
                if (j + e != b.first_row + r) ks_run(top[e], sum[e], v[e], b.slope);
        }
    for (int e = 0; e < 4; e++) tops[warp][4 * lane + e] = top[e], sums[warp][4 * lane + e] = sum[e];
    __syncthreads();
    int column = 128 * blockIdx.x + threadIdx.x;
    if (threadIdx.x >= 128 || column >= b.pairs) return;
    float t = b.first_row ? b.column_top[column] : -INFINITY, all = b.first_row ? b.column_log[column] : 0.0f;
    for (int w = 0; w < 16; w++) ks_join(t, all, tops[w][threadIdx.x], sums[w][threadIdx.x], b.slope);
    b.column_top[column] = t;
    b.column_log[column] = all;
}

__global__ void ks_both_losses_kernel(const ks_both_rows b) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= b.pairs) return;
    b.losses[i] += 0.5f * ks_one_of_both(b.column_top[i], b.column_log[i], b.matched[i], b.slope, b.column_log + i, b.column_missed + i);
}

template <class Out>
__global__ void __launch_bounds__(512) ks_both_weights_kernel(float *strip, int64_t stride, const ks_both_rows b, int entered) {
    float *s = strip + blockIdx.x * stride;
    int64_t row = b.first_row + blockIdx.x;
    int m = b.candidates.keys + b.candidates.hard;
    ks_left_out left_out(b.candidates, row, row);
    Out *out = (Out *)s;
    for (int first = 0; first < m; first += 4 * 512) {
        int j = first + 4 * threadIdx.x;
        float v[4];
        if (j < m) ks_get4(s + j, v);
        if (sizeof(Out) < 4) __syncthreads();
        if (j >= m) continue;
        if (!entered) ks_enter_both(b, left_out, row, v, j);
        for (int e = 0; e < 4; e++) v[e] = ks_both_weight(b, row, v[e], j + e);
        ks_put4(out, j, v);
    }
}

/* First pass over a strip: its rows, and the columns so far. */
KS_API int ks_rows_both_sums(const ks_strip *s, const ks_both_rows *b) {
    cudaStream_t stream = (cudaStream_t)s->stream;
    ks_both_rows_kernel<<<s->rows, 512, 0, stream>>>(s->strip, s->stride, *b);
    ks_both_columns_kernel<<<(b->pairs + 127) / 128, 512, 0, stream>>>(s->strip, s->stride, s->rows, *b);
    return (int)cudaGetLastError();
}
/* After the first pass over all strips: the columns as queries, and the losses of the pairs. */
KS_API int ks_rows_both_losses(const ks_strip *s, const ks_both_rows *b) {
    ks_both_losses_kernel<<<(b->pairs + 255) / 256, 256, 0, (cudaStream_t)s->stream>>>(*b);
    return (int)cudaGetLastError();
}
/* Second pass; a strip that still holds what the first pass left of it is `entered`. */
KS_API int ks_rows_both_weights(const ks_strip *s, const ks_both_rows *b, int entered) {
    cudaStream_t stream = (cudaStream_t)s->stream;
    if (s->type == KS_FLOAT16) ks_both_weights_kernel<__half><<<s->rows, 512, 0, stream>>>(s->strip, s->stride, *b, entered);
    else if (s->type == KS_BFLOAT16) ks_both_weights_kernel<__nv_bfloat16><<<s->rows, 512, 0, stream>>>(s->strip, s->stride, *b, entered);
    else ks_both_weights_kernel<float><<<s->rows, 512, 0, stream>>>(s->strip, s->stride, *b, entered);
    return (int)cudaGetLastError();
}

KS_API int ks_rows_softmax(const ks_strip *s, const ks_softmax_rows *a) { return ks_launch(s, ks_softmax{*a}); }

/* ---- exact logits ----------------------------------------------------------------------------------------- */

#define KS_EXACT 8 /* rows of a block */
#define KS_DEPTH 32

/* Rows that are exact, KS_EXACT a block: first their largest logit, then all of them less that. */
__global__ void __launch_bounds__(256) ks_exact_kernel(float *strip, int64_t stride, int rows, const ks_exact_rows a) {
    __shared__ float y[KS_DEPTH][257], x[KS_EXACT][KS_DEPTH];
    __shared__ double tops[KS_EXACT][8];
    int first = blockIdx.x * KS_EXACT, count = min(KS_EXACT, rows - first);
    bool any = false;
    for (int r = 0; r < count; r++) any = any || a.exact[a.first_row + first + r];
    if (!any) return;
    double top[KS_EXACT];
    for (int r = 0; r < KS_EXACT; r++) top[r] = -INFINITY;
    for (int pass = 0; pass < 2; pass++) {
        for (int start = 0; start < a.columns; start += 256) {
            int column = start + threadIdx.x;
            double squared[KS_EXACT] = {0};
            for (int k0 = 0; k0 < a.dimensions; k0 += KS_DEPTH) {
                int depth = min(KS_DEPTH, a.dimensions - k0);
                __syncthreads();
                for (int i = threadIdx.x; i < 256 * KS_DEPTH; i += 256) {
                    int c = i / KS_DEPTH, k = i % KS_DEPTH;
                    y[k][c] = k < depth && start + c < a.columns ? a.y[(int64_t)(start + c) * a.dimensions + k0 + k] : 0.0f;
                }
                {
                    int r = threadIdx.x / KS_DEPTH, k = threadIdx.x % KS_DEPTH; /* 256 = KS_EXACT KS_DEPTH */
                    x[r][k] = r < count && k < depth ? a.x[(a.first_row + first + r) * a.dimensions + k0 + k] : 0.0f;
                }
                __syncthreads();
                for (int k = 0; k < depth; k++)
                    for (int r = 0; r < KS_EXACT; r++) {
                        double gap = (double)x[r][k] - (double)y[k][threadIdx.x];
                        squared[r] += gap * gap;
                    }
            }
            if (column >= a.columns) continue;
            for (int r = 0; r < count; r++) {
                double logit = ks_exact_logit(a, a.first_row + first + r, column, squared[r]);
                if (pass == 0) top[r] = fmax(top[r], logit);
                else if (a.exact[a.first_row + first + r]) strip[(first + r) * stride + column] = (float)(logit - top[r]);
            }
        }
        if (pass) return;
        for (int r = 0; r < KS_EXACT; r++) {
            for (int step = 16; step; step /= 2) top[r] = fmax(top[r], __shfl_xor_sync(0xffffffffu, top[r], step));
            if (threadIdx.x % 32 == 0) tops[r][threadIdx.x / 32] = top[r];
        }
        __syncthreads();
        for (int r = 0; r < count; r++) {
            for (int w = 0; w < 8; w++) top[r] = fmax(top[r], tops[r][w]);
            if (threadIdx.x == 0) a.peak[a.first_row + first + r] = top[r];
        }
    }
}

KS_API int ks_rows_exact(const ks_strip *s, const ks_exact_rows *a) {
    ks_exact_kernel<<<(s->rows + KS_EXACT - 1) / KS_EXACT, 256, 0, (cudaStream_t)s->stream>>>(s->strip, s->stride, s->rows, *a);
    return (int)cudaGetLastError();
}

/* Errors and the devices that this build has code for. */
#include "common.cuh"

KS_API const char *ks_error_string(int code) { return cudaGetErrorString((cudaError_t)code); }

__global__ void ks_nothing_kernel() {}

/* 0 if the current device can run this build: one empty kernel is launched. */
KS_API int ks_runs_here() {
    ks_nothing_kernel<<<1, 1>>>();
    return (int)cudaGetLastError();
}

KS_API int ks_toolkit() { return CUDART_VERSION; }

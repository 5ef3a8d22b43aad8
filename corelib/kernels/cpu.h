/* What the compiled core runs on: the x86-64 level that KS_MULTIVERSION chooses, and OpenMP's threads. */
#ifndef KS_CPU_H
#define KS_CPU_H

#include "simd.h"

#ifdef _OPENMP
#include <omp.h>
static int ks_openmp_threads(void) { return omp_get_max_threads(); }
#else
static int ks_openmp_threads(void) { return 0; }
#endif

static const char *ks_instruction_set(void) {
#ifdef KS_HAS_MULTIVERSION
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) return "x86-64-v4 (AVX-512)";
    if (__builtin_cpu_supports("x86-64-v3")) return "x86-64-v3 (AVX2)";
#endif
    return "baseline";
}

#endif

/* What the compiled core runs on: the x86-64 level that KS_MULTIVERSION chooses, and OpenMP's threads. */
#ifndef KS_CPU_H
#define KS_CPU_H

#include "simd.h"
#include "threads.h"

#ifdef _OPENMP
static int ks_openmp_threads(void) { return ks_threads(); }
static int ks_in_forked_child(void) { return ks_is_forked; }
static void ks_set_one_openmp_thread(void) { omp_set_num_threads(1); }
#else
static int ks_openmp_threads(void) { return 0; }
static int ks_in_forked_child(void) { return 0; }
static void ks_set_one_openmp_thread(void) {}
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

/* KS_MULTIVERSION: compile one function for several x86-64 levels and choose at load time.
 *
 * gcc does not clone the bodies that OpenMP outlines, so a parallel loop calls a KS_MULTIVERSION function per
 * chunk; what that function calls in turn must be KS_INLINE to be compiled for the same level. Nor does gcc vectorise
 * `omp simd reduction` inside a clone: keep several accumulators by hand. Not under AddressSanitizer: the choice at load
 * time (an ifunc) would run before the sanitizer is ready. */
#ifndef KS_SIMD_H
#define KS_SIMD_H

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define KS_HAS_MULTIVERSION 1
#define KS_MULTIVERSION __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
/* The same up to 256 bits: for loops that compare and count, where the masks of the 512-bit level cost more than they bring. */
#define KS_MULTIVERSION_256 __attribute__((target_clones("default", "arch=x86-64-v3")))
#else
#define KS_MULTIVERSION
#define KS_MULTIVERSION_256
#endif

#define KS_INLINE static inline __attribute__((always_inline))

#endif

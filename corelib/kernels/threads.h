/* How many threads a kernel may start: OpenMP's number, but one in a process that was forked. Its parent's threads do
 * not exist there, and OpenMP would wait for them for ever. */
#ifndef KS_THREADS_H
#define KS_THREADS_H

#ifdef _OPENMP

#include <omp.h>
#include <pthread.h>

static int ks_is_forked = 0;

static void ks_after_fork(void) { ks_is_forked = 1; }

__attribute__((constructor)) static void ks_watch_forks(void) { pthread_atfork(NULL, NULL, ks_after_fork); }

static int ks_threads(void) { return ks_is_forked ? 1 : omp_get_max_threads(); }

#else

static int ks_threads(void) { return 1; }

#endif

#endif

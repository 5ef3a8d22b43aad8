/* Fused passes over strips of a similarity matrix. A strip is a block of complete rows, so a row's hardest
 * pairs, its log-sum-exp and its gradient weights follow from the row alone: one thread does a row, and the
 * result does not depend on how many threads there are. Only the column sums of symmetric InfoNCE look across
 * rows; there one thread does a block of columns, row after row. */
#ifndef KS_CONTRASTIVE_H
#define KS_CONTRASTIVE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "blocks.h"
#include "simd.h"
#include "threads.h"
#include "vecmath.h"

#define KS_REAL float
#define KS_REAL_EXP ks_expf
#define KS_TYPED(name) name##_f32
#include "contrastive_rows.h"
#undef KS_REAL
#undef KS_REAL_EXP
#undef KS_TYPED

#define KS_REAL double
#define KS_REAL_EXP ks_exp
#define KS_TYPED(name) name##_f64
#include "contrastive_rows.h"
#undef KS_REAL
#undef KS_REAL_EXP
#undef KS_TYPED

#endif

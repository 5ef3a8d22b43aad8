/* The functions of vecmath.h over arrays, for ctypes. */
#include "vecmath.h"

#define EACH(name, real, expression)                                              \
    void name(const real *in, real *out, long count) {                            \
        for (long i = 0; i < count; i++) {                                        \
            real x = in[i], sigmoid;                                              \
            out[i] = expression;                                                  \
            (void)sigmoid;                                                        \
        }                                                                         \
    }

EACH(exp_f64, double, ks_exp(x))
EACH(exp_f32, float, ks_expf(x))
EACH(log1p_f64, double, ks_log1p_unit(x))
EACH(softplus_f64, double, ks_softplus(x))
EACH(sigmoid_f64, double, ks_sigmoid(x))
EACH(both_softplus_f64, double, ks_softplus_sigmoid(x, &sigmoid))
EACH(both_sigmoid_f64, double, (ks_softplus_sigmoid(x, &sigmoid), sigmoid))

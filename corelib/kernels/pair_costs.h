/* What the ways to a sum over pairs cost, in nanoseconds on one core; tools/fit_pair_costs.py measures it. */
#ifndef KS_PAIR_COSTS_H
#define KS_PAIR_COSTS_H

/* Kinds of work of a sum by boxes. */
enum {
    KS_WORK_CALL,
    KS_WORK_MATRIX_4, /* distances between boxes near each other, at order 4 */
    KS_WORK_MATRIX_8, /* and at orders that suit the vectors more and less */
    KS_WORK_MATRIX_12,
    KS_WORK_MATRIX_16,
    KS_WORK_NUMBER,           /* numbers */
    KS_WORK_MOMENT,           /* order, per number */
    KS_WORK_HASH,             /* numbers of sides that do not fit into the dense core */
    KS_WORK_NEIGHBOUR,        /* pairs of boxes near each other */
    KS_WORK_NEIGHBOUR_MATRIX, /* order^2, per pair */
    KS_WORK_BOX_TERM,         /* order x exponentials of a tail, per occupied box */
    KS_WORK_KINDS
};

static const double KS_COST_BY_BOXES[KS_WORK_KINDS] = {477, 582, 915, 3457, 5327, 1.45, 0.128, 202, 1.73, 0.155, 2.07};

#define KS_COST_SORTED_NUMBER 49.9
#define KS_COST_SORTED_PAIR 2.05
#define KS_COST_SOFTPLUS_PAIR 3.04
#define KS_COST_SIGMOID_PAIR 1.97

#endif

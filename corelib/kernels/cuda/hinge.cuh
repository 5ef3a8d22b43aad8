/* Hinges over all pairs, exactly, by scans over the sorted numbers of both sides.
 *
 * A pair costs z or z^2 where z = y - x > 0. Going down the numbers of a group, three sums over the sources that have been
 * passed are carried from place to place, `step` lower each time:
 *     weight = sum w,    first = sum w z  += step weight,    second = sum w z^2  += step (2 first + step weight).
 * Such states can be joined, so that lanes scan them. Every term is non-negative and nothing cancels. The derivatives by
 * the y are the mirror image: y -> -x, x -> -y. Equal numbers stand with the y first, so that no z = 0 is counted. */
#pragma once
#include "interface.h"
#include "lanes.cuh"

#ifndef KS_HINGE_CHUNKS
#define KS_HINGE_CHUNKS 4096
#endif

struct ks_hinge_state {
    double at, weight, first, second;
    int group; /* -1: nothing passed yet */
};

typedef struct {
    const float *sorted;
    const int *index; /* in the y, or m + place in the x */
    const int *group; /* of every sorted number, or NULL */
    ks_side side[2];
    int total, squared;
    ks_hinge_state *state[2]; /* of every chunk, in each direction: what it passes, then what comes before it */
    double *value;            /* of every sorted number: its share of the sum, of an x */
} ks_hinge;

KS_HD ks_hinge_state ks_nothing_passed() { return {0, 0, 0, 0, -1}; }

/* What has been passed at the place of `later`, if `earlier` comes before it. */
KS_HD ks_hinge_state ks_passed(const ks_hinge_state &earlier, ks_hinge_state later) {
    if (later.group < 0) return earlier;
    if (earlier.group != later.group) return later;
    double step = earlier.at - later.at;
    later.second += earlier.second + step * (2 * earlier.first + step * earlier.weight);
    later.first += earlier.first + step * earlier.weight;
    later.weight += earlier.weight;
    return later;
}

KS_HD int ks_hinge_chunk(int total) { return ((total + KS_HINGE_CHUNKS - 1) / KS_HINGE_CHUNKS + 31) / 32 * 32; }
KS_HD int ks_hinge_chunks(int total) { return (total + ks_hinge_chunk(total) - 1) / ks_hinge_chunk(total); }

KS_HD ks_hinge_state ks_state_from(const ks_lanes<ks_hinge_state> &state, int source) {
#ifdef __CUDA_ARCH__
    const ks_hinge_state &own = state.at[0];
    return {__shfl_sync(0xffffffffu, own.at, source), __shfl_sync(0xffffffffu, own.weight, source),
            __shfl_sync(0xffffffffu, own.first, source), __shfl_sync(0xffffffffu, own.second, source),
            __shfl_sync(0xffffffffu, own.group, source)};
#else
    return state.at[source];
#endif
}

/* Every lane's state, joined with those of all lanes below. */
KS_HD void ks_scan_states(ks_lanes<ks_hinge_state> &state) {
    for (int step = 1; step < 32; step *= 2) {
        ks_lanes<ks_hinge_state> below;
        KS_EACH_LANE(lane) below[lane] = ks_state_from(state, lane >= step ? lane - step : lane);
        KS_EACH_LANE(lane) if (lane >= step) state[lane] = ks_passed(below[lane], state[lane]);
    }
}

/* Place k of a sweep: from the top for x as targets (s = 0), from the bottom for y (s = 1). */
KS_HD int ks_swept(const ks_hinge *h, int s, int k) { return s ? k : h->total - 1 - k; }

/* Sweeps a chunk for the targets of side s, after `before`; stores what is wanted of them; returns what has been passed. */
KS_HD ks_hinge_state ks_sweep_chunk(const ks_hinge *h, int s, int chunk, ks_hinge_state before, bool store, const double *factor) {
    int size = ks_hinge_chunk(h->total), stop = (chunk + 1) * size < h->total ? (chunk + 1) * size : h->total;
    int m = h->side[1].n;
    for (int base = chunk * size; base < stop; base += 32) {
        ks_lanes<ks_hinge_state> state;
        ks_lanes<float> weight;
        ks_lanes<int> place;
        KS_EACH_LANE(lane) {
            state[lane] = ks_nothing_passed();
            place[lane] = -1;
            if (base + lane < stop) {
                int i = ks_swept(h, s, base + lane), index = h->index[i], side = index < m, at = side ? index : index - m;
                float w = h->side[side].weight ? h->side[side].weight[at] : 1.0f;
                state[lane] = {(s ? -1.0 : 1.0) * h->sorted[i], side == s ? 0.0 : w, 0, 0, h->group ? h->group[i] : 0};
                weight[lane] = w;
                if (side == s) place[lane] = at;
            }
        }
        ks_scan_states(state);
        KS_EACH_LANE(lane) state[lane] = ks_passed(before, state[lane]);
        KS_EACH_LANE(lane) {
            if (!store || base + lane >= stop) continue;
            const ks_hinge_state &here = state[lane];
            if (s == 0) h->value[ks_swept(h, 0, base + lane)] = place[lane] < 0 ? 0 : weight[lane] * (h->squared ? here.second : here.first);
            if (place[lane] >= 0 && h->side[s].slope)
                h->side[s].slope[place[lane]] =
                    (float)(0.0 - (s ? -1 : 1) * factor[here.group] * weight[lane] * (h->squared ? 2 * here.first : here.weight)); /* never -0 */
        }
        before = ks_state_from(state, 31);
    }
    return before;
}

/* A warp turns what the chunks pass into what comes before each of them. */
KS_HD void ks_scan_chunks(ks_hinge_state *state, int chunks) {
    ks_hinge_state before = ks_nothing_passed();
    for (int base = 0; base < chunks; base += 32) {
        ks_lanes<ks_hinge_state> here;
        KS_EACH_LANE(lane) here[lane] = base + lane < chunks ? state[base + lane] : ks_nothing_passed();
        ks_scan_states(here);
        KS_EACH_LANE(lane) here[lane] = ks_passed(before, here[lane]);
        KS_EACH_LANE(lane) {
            ks_hinge_state below = ks_state_from(here, lane ? lane - 1 : 0);
            if (base + lane < chunks) state[base + lane] = lane ? below : before;
        }
        before = ks_state_from(here, 31);
    }
}

/* How many numbers the kernels handle at a time, and into how many pieces they cut their work. Pieces that are added up
 * depend on sizes alone, never on the number of threads, so that results do not either. */
#ifndef KS_BLOCKS_H
#define KS_BLOCKS_H

enum {
    KS_LANES = 32, /* a loop of this length becomes vector code; gcc unrolls shorter ones first, into scalar code */

    /* sums over pairs of scores */
    KS_BLOCK = 256,    /* scores loaded at a time */
    KS_MAX_PIECES = 8, /* of one side */
    KS_NEAR_PIECES = 32,

    /* strips of similarities */
    KS_COLUMNS = 256,

    /* scores of mixtures */
    KS_GROUP = 6,  /* rows of one product: six accumulators fit into the registers of every level */
    KS_TILE = 256, /* points; their weights for one group stay in the first-level cache */
    KS_ROWS = 96,  /* a multiple of KS_GROUP; shares one reading of the data */

    /* ratings */
    KS_IRT_CHUNKS = 16,
    KS_IRT_BLOCK = 128,
    KS_GLICKO_CHUNKS = 8,
    KS_GLICKO_BLOCK = 64
};

#endif

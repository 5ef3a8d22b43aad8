/* What a kernel returns: KS_OK, what is wrong with its input, or that memory ran out. Of several, the largest counts. */
#ifndef KS_STATUS_H
#define KS_STATUS_H

enum { KS_OK, KS_BAD_SCORE, KS_BAD_RELEVANCE, KS_BAD_JUDGED, KS_ONE_CLASS, KS_NO_MEMORY };

#endif

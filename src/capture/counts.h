/* counts.h: everything the capture room counts: what it read, and each reason for which it left something
 * out.
 *
 * One list, counts.def, serves the report, the metrics and the tests.  Names are fixed text (never from the
 * wire), fit for a Prometheus label; texts are for people.
 */
#ifndef SG_CAPTURE_COUNTS_H
#define SG_CAPTURE_COUNTS_H

#include <stdint.h>

typedef enum {
#define X(NAME, name, text) SG_COUNT_##NAME,
#include "capture/counts.def"
#undef X
    SG_COUNT_NUMBER
} sg_count;

/* "tcp_gaps" and "gaps in TCP streams given up". */
const char *sg_count_name(sg_count count);
const char *sg_count_text(sg_count count);

typedef struct {
    uint64_t count[SG_COUNT_NUMBER];
} sg_counts;

#define SG_COUNT(counts, NAME)        ((counts)->count[SG_COUNT_##NAME]++)
#define SG_COUNT_ADD(counts, NAME, n) ((counts)->count[SG_COUNT_##NAME] += (uint64_t)(n))

#endif

/* growth.h: how the detectors do as runs of a model are added that answer together (ensemble.h). */
#ifndef SG_EXPERIMENT_GROWTH_H
#define SG_EXPERIMENT_GROWTH_H

#include "experiment/comparison.h"

/* A detector on the first `runs` runs of a model. */
typedef struct {
    char model[16];
    int runs;
    sg_combined combined;
    sg_decider detector;
    sg_rate p_d, p_fa; /* over dialogs of the test split */
} sg_growth_row;

typedef struct {
    int rows;
    size_t capacity;
    sg_growth_row *row;
} sg_growth;

/* Takes the figures of the three detectors that need a network.  Release with sg_growth_free. */
sg_status sg_growth_add(sg_growth *growth, const char *model, int runs, sg_combined combined,
                        const sg_detection *detection);
void sg_growth_free(sg_growth *growth);

/* CSV: model, runs, combined, detector, p_d with interval and counts, p_fa likewise (as
 * sg_report_comparison). */
sg_status sg_report_growth(const sg_growth *growth, FILE *out);

#endif

#include "corpus/class_counts.h"

#include "base/memory.h"
#include <stdlib.h>

sg_status sg_class_counts_make(sg_class_counts *counts, const sg_corpus *corpus)
{
    *counts = (sg_class_counts){.classes = corpus->classes};
    for (int s = 0; s < SG_SPLITS; s++) {
        sg_status status = sg_alloc(&counts->count[s], corpus->classes, "dialogs of each class");
        if (status != SG_OK) {
            sg_class_counts_free(counts);
            return status;
        }
    }
    for (int64_t d = 0; d < corpus->dialogs; d++) {
        const int split = corpus->split[d];
        if (counts->count[split][corpus->label[d]]++ == 0)
            counts->unique[split]++;
        counts->dialogs[split]++;
    }
    return SG_OK;
}

void sg_class_counts_free(sg_class_counts *counts)
{
    for (int s = 0; s < SG_SPLITS; s++)
        free(counts->count[s]);
    *counts = (sg_class_counts){0};
}

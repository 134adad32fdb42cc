#include "detect/roc.h"

#include "base/memory.h"
#include <math.h>
#include <stdlib.h>

typedef struct {
    double score;
    int64_t fresh, known;
} entry;

static int compare_entries(const void *a, const void *b)
{
    const double x = ((const entry *)a)->score, y = ((const entry *)b)->score;
    return (x > y) - (x < y);
}

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : NAN;
}

static sg_status gather(entry *entries, int *used, const double *score, const int64_t *new_weight,
                        const int64_t *known_weight, int count)
{
    *used = 0;
    for (int i = 0; i < count; i++) {
        if (new_weight[i] == 0 && known_weight[i] == 0)
            continue;
        if (isnan(score[i]))
            return sg_fail(SG_E_NUMERIC, "ROC: the score of entry %d is not a number", i);
        entries[(*used)++] = (entry){score[i], new_weight[i], known_weight[i]};
    }
    qsort(entries, (size_t)*used, sizeof *entries, compare_entries);
    return SG_OK;
}

/* Entries of equal score make one point: a limit cannot separate them. */
static void trace(sg_roc *roc, const entry *entries, int used)
{
    sg_roc_point at = {-INFINITY, 0, 0, 0, 0};
    double area = 0;
    roc->points[roc->count++] = at;
    for (int i = 0; i < used;) {
        const sg_roc_point before = at;
        for (at.score = entries[i].score; i < used && entries[i].score == at.score; i++) {
            at.detections += entries[i].fresh;
            at.false_alarms += entries[i].known;
        }
        area += 0.5 * (double)(before.detections + at.detections) *
                (double)(at.false_alarms - before.false_alarms);
        roc->points[roc->count++] = at;
    }
    roc->new_dialogs = at.detections;
    roc->known_dialogs = at.false_alarms;
    roc->auc = roc->new_dialogs && roc->known_dialogs
                   ? area / ((double)roc->new_dialogs * (double)roc->known_dialogs)
                   : NAN;
    for (int i = 0; i < roc->count; i++) {
        roc->points[i].p_d = share(roc->points[i].detections, roc->new_dialogs);
        roc->points[i].p_fa = share(roc->points[i].false_alarms, roc->known_dialogs);
    }
}

sg_status sg_roc_make(sg_roc *roc, const double *score, const int64_t *new_weight,
                      const int64_t *known_weight, int count)
{
    *roc = (sg_roc){0};
    entry *entries;
    int used;
    SG_TRY(sg_alloc(&entries, count, "ROC entries"));
    sg_status status = gather(entries, &used, score, new_weight, known_weight, count);
    if (status == SG_OK)
        status = sg_alloc(&roc->points, (size_t)used + 1, "ROC points");
    if (status == SG_OK)
        trace(roc, entries, used);
    free(entries);
    return status;
}

void sg_roc_free(sg_roc *roc)
{
    free(roc->points);
    *roc = (sg_roc){0};
}

double sg_roc_best_limit(const sg_roc *roc)
{
    if (roc->count < 2)
        return NAN;
    int best = 0;
    for (int i = 1; !isnan(roc->auc) && i < roc->count; i++)
        if (roc->points[i].p_d - roc->points[i].p_fa > roc->points[best].p_d - roc->points[best].p_fa)
            best = i;
    if (best == 0)
        return roc->points[1].score;
    if (best == roc->count - 1)
        return nextafter(roc->points[best].score, INFINITY);
    const double below = roc->points[best].score, above = roc->points[best + 1].score;
    const double middle = below + 0.5 * (above - below);
    return middle > below ? middle : above;
}

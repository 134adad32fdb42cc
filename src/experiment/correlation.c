#include "experiment/correlation.h"

#include "base/memory.h"
#include "detect/roc.h"
#include <math.h>
#include <stdlib.h>

/* One sequence by message type: where each type stands, as chains of positions. */
typedef struct {
    int32_t *head;   /* [M + 1] the last position of a type, or -1 */
    int32_t *next;   /* [steps] the one before it */
    int32_t *at_lag; /* [2 steps] coincidences at each lag; all 0 between calls */
    const uint16_t *y;
    int length;
} places;

static void places_free(places *p)
{
    free(p->head);
    free(p->next);
    free(p->at_lag);
    *p = (places){0};
}

static sg_status places_open(places *p, int steps, int message_types)
{
    *p = (places){0};
    SG_TRY(sg_alloc(&p->head, (size_t)message_types + 1, "message types"));
    SG_TRY(sg_alloc(&p->next, steps, "positions"));
    SG_TRY(sg_alloc(&p->at_lag, 2 * (size_t)steps, "lags"));
    for (int i = 0; i <= message_types; i++)
        p->head[i] = -1;
    return SG_OK;
}

static void places_set(places *p, const uint16_t *y, int length)
{
    for (int t = 0; t < p->length; t++)
        p->head[p->y[t]] = -1;
    p->y = y;
    p->length = length;
    for (int t = 0; t < length; t++) {
        p->next[t] = p->head[y[t]];
        p->head[y[t]] = t;
    }
}

/* c(x, y).  Only coincidences are visited. */
static double correlate(const places *p, const uint16_t *x, int length)
{
    int32_t most = 0;
    for (int t = 0; t < length; t++)
        for (int32_t u = p->head[x[t]]; u >= 0; u = p->next[u]) {
            const int32_t count = ++p->at_lag[u - t + length - 1];
            most = count > most ? count : most;
        }
    for (int l = 0; l < length + p->length - 1; l++)
        p->at_lag[l] = 0;
    /* Exactly 1 for equal sequences: the root of a square has no rounding. */
    return most / sqrt((double)length * (double)p->length);
}

double sg_correlation_work(const uint16_t *length, const int64_t *train, int classes)
{
    double all = 0, known = 0;
    for (int j = 0; j < classes; j++) {
        all += length[j];
        known += train[j] > 0 ? length[j] : 0;
    }
    return all * known;
}

/* Adds train class i to the scores of all classes; `mean` holds sums. */
static void add_class(sg_correlation *c, const places *p, int i, const uint16_t *sequence,
                      const uint16_t *length, const int64_t *train, int steps)
{
    for (int j = 0; j < c->classes; j++) {
        const double value = correlate(p, sequence + (size_t)j * (size_t)steps, length[j]);
        const int64_t others = train[i] - (i == j);
        c->largest[j] = fmax(c->largest[j], value);
        c->mean[j] += (double)train[i] * value;
        if (others > 0)
            c->others_largest[j] = fmax(c->others_largest[j], value);
        c->others_mean[j] += (double)others * value;
    }
}

static sg_status choose_limit(const double *score, const int64_t *train, int classes, double *limit)
{
    int64_t *once = NULL, *more = NULL;
    sg_roc roc = {0};
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&once, classes, "leave-one-out weights"));
    SG_TRY_GOTO(status, done, sg_alloc(&more, classes, "leave-one-out weights"));
    for (int j = 0; j < classes; j++)
        if (train[j] > 0)
            *(train[j] == 1 ? &once[j] : &more[j]) = train[j];
    SG_TRY_GOTO(status, done, sg_roc_make(&roc, score, once, more, classes));
    *limit = sg_roc_best_limit(&roc);
done:
    free(once);
    free(more);
    sg_roc_free(&roc);
    return status;
}

static sg_status allocate(sg_correlation *c, int classes)
{
    *c = (sg_correlation){.classes = classes};
    SG_TRY(sg_alloc(&c->largest, classes, "correlations"));
    SG_TRY(sg_alloc(&c->mean, classes, "correlations"));
    SG_TRY(sg_alloc(&c->others_largest, classes, "correlations"));
    return sg_alloc(&c->others_mean, classes, "correlations");
}

sg_status sg_correlation_make(sg_correlation *correlation, const uint16_t *sequence, const uint16_t *length,
                              const int64_t *train, int classes, int steps, int message_types)
{
    sg_correlation *c = correlation;
    int64_t dialogs = 0;
    places p = {0};
    sg_status status;
    SG_TRY_GOTO(status, done, allocate(c, classes));
    for (int j = 0; j < classes; j++)
        dialogs += train[j];
    if (dialogs < 2) {
        status = sg_fail(SG_E_CONFIG, "cross-correlation: %s train dialogs to compare with",
                         dialogs ? "no other" : "no");
        goto done;
    }
    SG_TRY_GOTO(status, done, places_open(&p, steps, message_types));
    for (int i = 0; i < classes; i++)
        if (train[i] > 0) {
            places_set(&p, sequence + (size_t)i * (size_t)steps, length[i]);
            add_class(c, &p, i, sequence, length, train, steps);
        }
    for (int j = 0; j < classes; j++) {
        c->mean[j] /= (double)dialogs;
        c->others_mean[j] = train[j] > 0 ? c->others_mean[j] / (double)(dialogs - 1) : NAN;
        c->others_largest[j] = train[j] > 0 ? c->others_largest[j] : NAN;
    }
    SG_TRY_GOTO(status, done, choose_limit(c->others_largest, train, classes, &c->limit_largest));
    SG_TRY_GOTO(status, done, choose_limit(c->others_mean, train, classes, &c->limit_mean));
done:
    places_free(&p);
    return status;
}

void sg_correlation_free(sg_correlation *correlation)
{
    free(correlation->largest);
    free(correlation->mean);
    free(correlation->others_largest);
    free(correlation->others_mean);
    *correlation = (sg_correlation){0};
}

#include "corpus/split.h"

#include "base/memory.h"
#include "base/philox.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

sg_status sg_split_sizes(int64_t dialogs, const double share[SG_SPLITS], int64_t size[SG_SPLITS])
{
    double sum = 0;
    for (int s = 0; s < SG_SPLITS; s++) {
        if (!(share[s] >= 0 && share[s] <= 1))
            return sg_fail(SG_E_CONFIG, "the share of %s is %g, must be from 0 to 1", sg_split_name(s),
                           share[s]);
        sum += share[s];
    }
    if (fabs(sum - 1) > 1e-6)
        return sg_fail(SG_E_CONFIG, "the shares of train, validation and test sum to %g, not to 1", sum);
    size[SG_SPLIT_TRAIN] = llround(share[SG_SPLIT_TRAIN] * (double)dialogs);
    size[SG_SPLIT_VALIDATION] = llround(share[SG_SPLIT_VALIDATION] * (double)dialogs);
    if (size[SG_SPLIT_VALIDATION] > dialogs - size[SG_SPLIT_TRAIN])
        size[SG_SPLIT_VALIDATION] = dialogs - size[SG_SPLIT_TRAIN];
    size[SG_SPLIT_TEST] = dialogs - size[SG_SPLIT_TRAIN] - size[SG_SPLIT_VALIDATION];
    return SG_OK;
}

static sg_status check_sizes(const sg_corpus *corpus, const int64_t size[SG_SPLITS])
{
    int64_t sum = 0;
    for (int s = 0; s < SG_SPLITS; s++) {
        if (size[s] < 0 || size[s] > corpus->dialogs)
            return sg_fail(SG_E_CONFIG, "%" PRId64 " dialogs for %s; the corpus has %" PRId64, size[s],
                           sg_split_name(s), corpus->dialogs);
        sum += size[s];
    }
    if (sum != corpus->dialogs)
        return sg_fail(SG_E_CONFIG, "train, validation and test sum to %" PRId64 "; the corpus has %" PRId64,
                       sum, corpus->dialogs);
    if (size[SG_SPLIT_TRAIN] == 0)
        return sg_fail(SG_E_CONFIG, "the train split is empty");
    return SG_OK;
}

/* Steps [first, last) of the shuffle.  The stream must be where the previous steps left it. */
static void shuffle_steps(sg_random *random, int32_t *items, int64_t count, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++) {
        int64_t j = i + sg_random_below(random, (uint32_t)(count - i));
        int32_t t = items[i];
        items[i] = items[j];
        items[j] = t;
    }
}

sg_status sg_split_draw(sg_corpus *corpus, const int64_t size[SG_SPLITS], uint64_t seed)
{
    SG_TRY(check_sizes(corpus, size));
    int64_t D = corpus->dialogs, train = size[SG_SPLIT_TRAIN], known = train + size[SG_SPLIT_VALIDATION];
    int32_t *order;
    SG_TRY(sg_alloc(&order, D, "split"));
    for (int64_t d = 0; d < D; d++)
        order[d] = (int32_t)d;
    sg_random random = sg_random_open(seed, SG_RANDOM_SPLIT, 0);
    shuffle_steps(&random, order, D, 0, known);
    for (int64_t i = 0; i < D; i++)
        corpus->split[order[i]] = i < train   ? SG_SPLIT_TRAIN
                                  : i < known ? SG_SPLIT_VALIDATION
                                              : SG_SPLIT_TEST;
    free(order);
    corpus->split_seed = seed;
    return SG_OK;
}

/* ---- looking for a split with given numbers of unseen dialogs ---- */

typedef struct {
    const sg_corpus *corpus;
    const int64_t *size;
    int32_t *labels; /* [D] the labels, in the order of the shuffle */
    bool *seen;      /* [N] whether a class is in train */
    int64_t unseen[2], nearest[2];
    int64_t target[2], distance;
} search;

/* Shuffles labels instead of dialogs: the same split, except for which dialog of a class is meant.  Most
 * seeds are ruled out once the train dialogs are drawn, because these alone fix the total number of unseen
 * dialogs. */
static bool try_seed(search *s, uint64_t seed)
{
    const sg_corpus *corpus = s->corpus;
    int64_t D = corpus->dialogs, train = s->size[SG_SPLIT_TRAIN],
            known = train + s->size[SG_SPLIT_VALIDATION], all = D, validation = 0;
    memcpy(s->labels, corpus->label, (size_t)D * sizeof *s->labels);
    memset(s->seen, 0, (size_t)corpus->classes * sizeof *s->seen);
    sg_random random = sg_random_open(seed, SG_RANDOM_SPLIT, 0);
    shuffle_steps(&random, s->labels, D, 0, train);
    for (int64_t i = 0; i < train; i++) {
        int32_t c = s->labels[i];
        all -= s->seen[c] ? 0 : corpus->class_count[c];
        s->seen[c] = true;
    }
    if (all != s->target[0] + s->target[1] && s->distance <= 2)
        return false;
    shuffle_steps(&random, s->labels, D, train, known);
    for (int64_t i = train; i < known; i++)
        validation += !s->seen[s->labels[i]];
    s->unseen[0] = validation;
    s->unseen[1] = all - validation;
    return s->unseen[0] == s->target[0] && s->unseen[1] == s->target[1];
}

static void keep_nearest(search *s)
{
    int64_t distance = llabs(s->unseen[0] - s->target[0]) + llabs(s->unseen[1] - s->target[1]);
    if (distance >= s->distance)
        return;
    s->distance = distance;
    memcpy(s->nearest, s->unseen, sizeof s->nearest);
}

static sg_status not_found(const search *s, uint64_t seed, int64_t tries_max)
{
    const sg_corpus *corpus = s->corpus;
    double all = sg_split_expected_unseen(corpus->class_count, corpus->classes, s->size);
    double outside = (double)(corpus->dialogs - s->size[SG_SPLIT_TRAIN]);
    return sg_fail(SG_E_CONFIG,
                   "none of the %" PRId64 " split seeds from %" PRIu64 " has %" PRId64
                   " unseen dialogs in validation and %" PRId64 " in test (nearest: %" PRId64 " and %" PRId64
                   "; expected: %.0f and %.0f)",
                   tries_max, seed, s->target[0], s->target[1], s->nearest[0], s->nearest[1],
                   outside > 0 ? all * (double)s->size[SG_SPLIT_VALIDATION] / outside : 0,
                   outside > 0 ? all * (double)s->size[SG_SPLIT_TEST] / outside : 0);
}

sg_status sg_split_search(sg_corpus *corpus, const int64_t size[SG_SPLITS], uint64_t seed,
                          int64_t unseen_validation, int64_t unseen_test, int64_t tries_max, int64_t *tries)
{
    SG_TRY(check_sizes(corpus, size));
    search s = {
        .corpus = corpus, .size = size, .target = {unseen_validation, unseen_test}, .distance = INT64_MAX};
    sg_status status = sg_alloc(&s.labels, corpus->dialogs, "split search");
    if (status == SG_OK)
        status = sg_alloc(&s.seen, corpus->classes, "split search");
    bool found = false;
    for (*tries = 0; status == SG_OK && !found && *tries < tries_max; ++*tries) {
        s.unseen[0] = s.unseen[1] = INT32_MAX;
        found = try_seed(&s, seed + (uint64_t)*tries);
        keep_nearest(&s);
    }
    if (status == SG_OK && !found)
        status = not_found(&s, seed, tries_max);
    free(s.labels);
    free(s.seen);
    return status == SG_OK ? sg_split_draw(corpus, size, seed + (uint64_t)*tries - 1) : status;
}

int64_t sg_split_tries(int64_t dialogs)
{
    const int64_t steps = 2000000000, most = 1000000;
    int64_t tries = steps / (dialogs < 1 ? 1 : dialogs);
    return tries < 1 ? 1 : tries > most ? most : tries;
}

sg_status sg_split_count(const sg_corpus *corpus, int64_t size[SG_SPLITS], int64_t unseen[SG_SPLITS])
{
    bool *seen;
    SG_TRY(sg_alloc(&seen, corpus->classes, "split"));
    memset(size, 0, SG_SPLITS * sizeof *size);
    memset(unseen, 0, SG_SPLITS * sizeof *unseen);
    for (int64_t d = 0; d < corpus->dialogs; d++)
        if (corpus->split[d] == SG_SPLIT_TRAIN)
            seen[corpus->label[d]] = true;
    for (int64_t d = 0; d < corpus->dialogs; d++) {
        size[corpus->split[d]]++;
        unseen[corpus->split[d]] += !seen[corpus->label[d]];
    }
    free(seen);
    return SG_OK;
}

double sg_split_expected_unseen(const int64_t *count, int64_t classes, const int64_t size[SG_SPLITS])
{
    double outside = (double)(size[SG_SPLIT_VALIDATION] + size[SG_SPLIT_TEST]);
    double dialogs = outside + (double)size[SG_SPLIT_TRAIN], sum = 0;
    for (int64_t c = 0; c < classes; c++) {
        /* All of the class's dialogs outside train, drawn without replacement. */
        double p = 1;
        for (int64_t j = 0; j < count[c] && p > 1e-12; j++)
            p *= outside > (double)j ? (outside - (double)j) / (dialogs - (double)j) : 0;
        sum += p * (double)count[c];
    }
    return sum;
}

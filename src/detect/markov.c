#include "detect/markov.h"

#include "base/memory.h"
#include "detect/roc.h"
#include <math.h>
#include <stdlib.h>

/* Type ids are 1..65535, so 0 is free: in a context it means the start, as the next symbol the end.
 */

static int compare_grams(const void *a, const void *b)
{
    const uint64_t x = ((const sg_gram *)a)->key, y = ((const sg_gram *)b)->key;
    return (x > y) - (x < y);
}

/* Sorts by key and adds up the counts of equal ones; returns how many are left. */
static int64_t merge_grams(sg_gram *grams, int64_t count)
{
    qsort(grams, (size_t)count, sizeof *grams, compare_grams);
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        if (kept && grams[kept - 1].key == grams[i].key)
            grams[kept - 1].count += grams[i].count;
        else
            grams[kept++] = grams[i];
    }
    return kept;
}

static int64_t count_of(const sg_gram *grams, int64_t count, uint64_t key)
{
    const sg_gram wanted = {key, 0};
    const sg_gram *found =
        count ? bsearch(&wanted, grams, (size_t)count, sizeof *grams, compare_grams) : NULL;
    return found ? found->count : 0;
}

static uint64_t next_context(const sg_markov *chain, uint64_t context, uint16_t symbol)
{
    const uint64_t mask = (UINT64_C(1) << (16 * chain->order)) - 1;
    return (context << 16 | symbol) & mask;
}

/* Appends the length + 1 n-grams of a sequence, `weight` times each. */
static void put_grams(const sg_markov *chain, const uint16_t *sequence, int length, int64_t weight,
                      sg_gram *grams)
{
    uint64_t context = 0;
    for (int t = 0; t <= length; t++) {
        const uint16_t symbol = t < length ? sequence[t] : 0;
        grams[t] = (sg_gram){context << 16 | symbol, weight};
        context = next_context(chain, context, symbol);
    }
}

/* Contexts are the keys without their last symbol; as the grams are sorted, so are they. */
static void count_contexts(sg_markov *chain)
{
    for (int64_t i = 0; i < chain->grams; i++) {
        const uint64_t key = chain->gram[i].key >> 16;
        if (chain->contexts == 0 || chain->context[chain->contexts - 1].key != key)
            chain->context[chain->contexts++] = (sg_gram){key, 0};
        chain->context[chain->contexts - 1].count += chain->gram[i].count;
    }
}

sg_status sg_markov_fit(sg_markov *chain, int order, double alpha, int message_types, int max_length,
                        const uint16_t *sequence, const uint16_t *length, const int64_t *weight, int classes)
{
    *chain = (sg_markov){order, message_types, alpha, max_length, NULL, NULL, 0, 0};
    if (order < 1 || order > SG_MARKOV_ORDER_MAX || !(alpha > 0))
        return sg_fail(SG_E_CONFIG, "Markov chain: order %d (1..%d) or alpha %g (> 0) is out of range", order,
                       SG_MARKOV_ORDER_MAX, alpha);
    int64_t total = 0;
    for (int j = 0; j < classes; j++)
        total += weight[j] > 0 ? length[j] + 1 : 0;
    if (total == 0)
        return sg_fail(SG_E_CONFIG, "Markov chain: no train dialogs to count");
    SG_TRY(sg_alloc(&chain->gram, total, "n-grams"));
    int64_t used = 0;
    for (int j = 0; j < classes; j++) {
        if (weight[j] <= 0)
            continue;
        put_grams(chain, sequence + (size_t)j * (size_t)max_length, length[j], weight[j], chain->gram + used);
        used += length[j] + 1;
    }
    chain->grams = merge_grams(chain->gram, used);
    sg_status status = sg_alloc(&chain->context, chain->grams, "contexts");
    if (status != SG_OK)
        sg_markov_free(chain);
    else
        count_contexts(chain);
    return status;
}

void sg_markov_free(sg_markov *chain)
{
    free(chain->gram);
    free(chain->context);
    *chain = (sg_markov){0};
}

/* Log of the probability of `symbol` after `context`, by the chain's counts less those of `less` (an own
 * chain of one dialog), which may be NULL. */
static double log_share(const sg_markov *chain, const sg_markov *less, uint64_t context, uint16_t symbol)
{
    const double symbols = (double)chain->message_types + 1.0;
    const uint64_t key = context << 16 | symbol;
    int64_t pair = count_of(chain->gram, chain->grams, key);
    int64_t all = count_of(chain->context, chain->contexts, context);
    if (less) {
        pair -= count_of(less->gram, less->grams, key);
        all -= count_of(less->context, less->contexts, context);
    }
    return log(((double)pair + chain->alpha) / ((double)all + chain->alpha * symbols));
}

static double score(const sg_markov *chain, const sg_markov *less, const uint16_t *sequence, int length)
{
    double total = 0;
    uint64_t context = 0;
    for (int t = 0; t <= length; t++) {
        const uint16_t symbol = t < length ? sequence[t] : 0;
        total += log_share(chain, less, context, symbol);
        context = next_context(chain, context, symbol);
    }
    return total;
}

void sg_markov_beginnings(const sg_markov *chain, const uint16_t *sequence, int length, double *beginning)
{
    double total = 0;
    uint64_t context = 0;
    for (int t = 0; t < length; t++) {
        beginning[t] = total += log_share(chain, NULL, context, sequence[t]);
        context = next_context(chain, context, sequence[t]);
    }
}

int sg_markov_first_unseen(const sg_markov *chain, const uint16_t *sequence, int length)
{
    uint64_t context = 0;
    for (int t = 0; t <= length; t++) {
        const uint16_t symbol = t < length ? sequence[t] : 0;
        if (count_of(chain->gram, chain->grams, context << 16 | symbol) == 0)
            return t + 1;
        context = next_context(chain, context, symbol);
    }
    return 0;
}

double sg_markov_log_likelihood(const sg_markov *chain, const uint16_t *sequence, int length)
{
    return score(chain, NULL, sequence, length);
}

sg_status sg_markov_leave_one_out(const sg_markov *chain, const uint16_t *sequence, int length,
                                  double *result)
{
    const int64_t once = 1;
    const uint16_t own_length = (uint16_t)length;
    sg_markov own;
    SG_TRY(sg_markov_fit(&own, chain->order, chain->alpha, chain->message_types, length, sequence,
                         &own_length, &once, 1));
    *result = score(chain, &own, sequence, length);
    sg_markov_free(&own);
    return SG_OK;
}

sg_status sg_markov_limit(const sg_markov *chain, const uint16_t *sequence, const uint16_t *length,
                          const int64_t *weight, int classes, double *limit)
{
    double *scores = NULL;
    int64_t *once = NULL, *more = NULL;
    sg_roc roc = {0};
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&scores, classes, "leave-one-out scores"));
    SG_TRY_GOTO(status, done, sg_alloc(&once, classes, "leave-one-out weights"));
    SG_TRY_GOTO(status, done, sg_alloc(&more, classes, "leave-one-out weights"));
    for (int j = 0; j < classes; j++) {
        if (weight[j] <= 0)
            continue;
        const uint16_t *own = sequence + (size_t)j * (size_t)chain->max_length;
        SG_TRY_GOTO(status, done, sg_markov_leave_one_out(chain, own, length[j], &scores[j]));
        *(weight[j] == 1 ? &once[j] : &more[j]) = weight[j];
    }
    SG_TRY_GOTO(status, done, sg_roc_make(&roc, scores, once, more, classes));
    if (roc.count < 2)
        status = sg_fail(SG_E_CONFIG, "Markov chain: no train dialogs to set its limit by");
    else
        *limit = sg_roc_best_limit(&roc);
done:
    free(scores);
    free(once);
    free(more);
    sg_roc_free(&roc);
    return status;
}

#include "corpus/statistics.h"

#include "base/memory.h"
#include "base/philox.h"
#include "corpus/split.h"

#include <stdlib.h>
#include <string.h>

enum { BATCHES_MAX = 32 };

void sg_corpus_statistics_free(sg_corpus_statistics *statistics)
{
    free(statistics->type_messages);
    statistics->type_messages = NULL;
}

static sg_status count_user_agents(sg_corpus_statistics *s, const sg_corpus *corpus)
{
    int64_t most = 0;
    for (int64_t d = 0; d < corpus->dialogs; d++)
        most = corpus->user_agent[d] > most ? corpus->user_agent[d] : most;
    uint8_t *seen; /* one bit for each number */
    SG_TRY(sg_alloc(&seen, most / 8 + 1, "user agents"));
    for (int64_t d = 0; d < corpus->dialogs; d++) {
        int32_t agent = corpus->user_agent[d];
        uint8_t bit = (uint8_t)(1 << (agent & 7));
        s->user_agents += !(seen[agent >> 3] & bit);
        seen[agent >> 3] |= bit;
    }
    free(seen);
    return SG_OK;
}

/* ---- lengths, types, multiplicities ---- */

/* The median over dialogs, from the number of dialogs of each length. */
static double median_length(const int64_t *of_length, int longest, int64_t dialogs)
{
    int64_t below = 0, middle[2] = {(dialogs - 1) / 2, dialogs / 2};
    int value[2] = {0, 0};
    for (int length = 0; length <= longest; length++) {
        for (int k = 0; k < 2; k++)
            if (middle[k] >= below && middle[k] < below + of_length[length])
                value[k] = length;
        below += of_length[length];
    }
    return (value[0] + value[1]) / 2.0;
}

static sg_status count_lengths(sg_corpus_statistics *s, const sg_corpus *corpus)
{
    int64_t *of_length;
    SG_TRY(sg_alloc(&of_length, corpus->max_length + 1, "lengths"));
    s->shortest = corpus->max_length;
    for (int c = 0; c < corpus->classes; c++) {
        int length = corpus->class_length[c];
        of_length[length] += corpus->class_count[c];
        s->messages += length * corpus->class_count[c];
        s->shortest = length < s->shortest ? length : s->shortest;
        s->longest = length > s->longest ? length : s->longest;
    }
    s->mean_length = (double)s->messages / (double)corpus->dialogs;
    s->median_length = median_length(of_length, s->longest, corpus->dialogs);
    free(of_length);

    int width = (s->longest - 1) / SG_HISTOGRAM_BINS + 1;
    s->length_bins = (s->longest - 1) / width + 1;
    for (int b = 0; b < s->length_bins; b++)
        s->length[b] = (sg_histogram_bin){.from = b * width + 1, .to = (b + 1) * width};
    for (int c = 0; c < corpus->classes; c++) {
        sg_histogram_bin *bin = &s->length[(corpus->class_length[c] - 1) / width];
        bin->classes++;
        bin->dialogs += corpus->class_count[c];
    }
    return SG_OK;
}

static void count_multiplicities(sg_corpus_statistics *s, const sg_corpus *corpus)
{
    for (int c = 0; c < corpus->classes; c++) {
        int64_t n = corpus->class_count[c];
        int b = n == 1 ? 0 : 64 - __builtin_clzll((unsigned long long)n - 1);
        s->once += n == 1;
        s->multiplicity[b].classes++;
        s->multiplicity[b].dialogs += n;
        s->multiplicity_bins = b + 1 > s->multiplicity_bins ? b + 1 : s->multiplicity_bins;
    }
    for (int b = 0; b < s->multiplicity_bins; b++) {
        s->multiplicity[b].from = b ? ((int64_t)1 << (b - 1)) + 1 : 1;
        s->multiplicity[b].to = (int64_t)1 << b;
    }
}

static sg_status count_types(sg_corpus_statistics *s, const sg_corpus *corpus)
{
    SG_TRY(sg_alloc(&s->type_messages, corpus->message_types, "message types"));
    for (int c = 0; c < corpus->classes; c++) {
        const uint16_t *tokens = corpus->class_sequence + (size_t)c * (size_t)corpus->max_length;
        for (int t = 0; t < corpus->class_length[c]; t++)
            s->type_messages[tokens[t] - 1] += corpus->class_count[c];
    }
    for (int m = 0; m < corpus->message_types; m++)
        s->types_used += s->type_messages[m] > 0;
    return SG_OK;
}

/* ---- the split ---- */

static sg_status count_splits(sg_corpus_statistics *s, const sg_corpus *corpus)
{
    int64_t size[SG_SPLITS], unseen[SG_SPLITS];
    SG_TRY(sg_split_count(corpus, size, unseen));
    uint8_t *in; /* one bit for each split the class is in */
    SG_TRY(sg_alloc(&in, corpus->classes, "classes"));
    for (int64_t d = 0; d < corpus->dialogs; d++)
        in[corpus->label[d]] |= (uint8_t)(1 << corpus->split[d]);
    for (int k = 0; k < SG_SPLITS; k++) {
        s->split[k] = (sg_split_statistics){.dialogs = size[k], .unseen = unseen[k]};
        for (int c = 0; c < corpus->classes; c++)
            s->split[k].classes += in[c] >> k & 1;
    }
    free(in);
    return SG_OK;
}

/* ---- batches ---- */

static int compare_sequences(const void *a, const void *b, void *user)
{
    const sg_corpus *corpus = user;
    size_t L = (size_t)corpus->max_length;
    const uint16_t *x = corpus->class_sequence + (size_t) * (const int32_t *)a * L,
                   *y = corpus->class_sequence + (size_t) * (const int32_t *)b * L;
    for (size_t t = 0; t < L; t++)
        if (x[t] != y[t])
            return x[t] < y[t] ? -1 : 1;
    return 0;
}

static int common_prefix(const sg_corpus *corpus, int32_t a, int32_t b)
{
    size_t L = (size_t)corpus->max_length;
    const uint16_t *x = corpus->class_sequence + (size_t)a * L, *y = corpus->class_sequence + (size_t)b * L;
    int t = 0;
    while (t < corpus->max_length && x[t] == y[t])
        t++;
    return t;
}

/* Sorted by sequence, a class adds to the trie whatever it does not share with the previous one. */
static void measure_batch(const sg_corpus *corpus, int32_t *labels, int64_t rows, sg_batch_statistics *sum)
{
    qsort_r(labels, (size_t)rows, sizeof *labels, compare_sequences, (void *)corpus);
    for (int64_t i = 0; i < rows; i++) {
        if (i > 0 && labels[i] == labels[i - 1])
            continue;
        sum->unique++;
        sum->nodes += corpus->max_length - (i > 0 ? common_prefix(corpus, labels[i - 1], labels[i]) : 0);
    }
}

static sg_status measure_batches(sg_corpus_statistics *s, const sg_corpus *corpus, int64_t batch)
{
    int64_t *rows, train;
    SG_TRY(sg_corpus_rows(corpus, SG_SPLIT_TRAIN, &rows, &train));
    sg_batch_statistics *b = &s->batch;
    b->rows = batch < train ? batch : train;
    b->row_steps = b->rows * corpus->max_length;
    int64_t batches = b->rows ? train / b->rows : 0;
    batches = batches < BATCHES_MAX ? batches : BATCHES_MAX;
    int32_t *labels;
    sg_status status = sg_alloc(&labels, b->rows, "a batch");
    sg_random random = sg_random_open(1, SG_RANDOM_BENCH, 0);
    for (int64_t k = 0; status == SG_OK && k < batches * b->rows; k++) {
        int64_t j = k + sg_random_below(&random, (uint32_t)(train - k)), t = rows[j];
        rows[j] = rows[k];
        labels[k % b->rows] = corpus->label[t];
        if ((k + 1) % b->rows == 0)
            measure_batch(corpus, labels, b->rows, b);
    }
    free(labels);
    free(rows);
    if (batches > 0) {
        b->unique /= (double)batches;
        b->nodes /= (double)batches;
        b->factor = (double)b->row_steps / b->nodes;
    }
    return status;
}

sg_status sg_corpus_statistics_make(sg_corpus_statistics *s, const sg_corpus *corpus, int64_t batch)
{
    memset(s, 0, sizeof *s);
    sg_status status = count_user_agents(s, corpus);
    if (status == SG_OK)
        status = count_lengths(s, corpus);
    count_multiplicities(s, corpus);
    if (status == SG_OK)
        status = count_types(s, corpus);
    if (status == SG_OK)
        status = count_splits(s, corpus);
    if (status == SG_OK)
        status = measure_batches(s, corpus, batch);
    if (status != SG_OK)
        sg_corpus_statistics_free(s);
    return status;
}

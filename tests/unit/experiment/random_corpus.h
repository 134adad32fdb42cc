/* random_corpus.h: a corpus of random unique classes in memory, with outputs made up for it. */
#ifndef SG_RANDOM_CORPUS_H
#define SG_RANDOM_CORPUS_H

#include "base/philox.h"
#include "corpus/corpus.h"
#include "engine/engine.h"
#include "testing.h"

enum { RANDOM_CLASSES = 120, RANDOM_DIALOGS = 900, RANDOM_LENGTH = 8, RANDOM_TYPES = 3 };

typedef struct {
    sg_corpus corpus;
    uint16_t sequence[RANDOM_CLASSES * RANDOM_LENGTH], length[RANDOM_CLASSES];
    int64_t count[RANDOM_CLASSES];
    int32_t label[RANDOM_DIALOGS], argmax[RANDOM_CLASSES];
    uint8_t split[RANDOM_DIALOGS];
    float p_max[RANDOM_CLASSES];
    double skewness[RANDOM_CLASSES], kurtosis[RANDOM_CLASSES];
    char *alphabet[RANDOM_TYPES];
    sg_outputs outputs;
} random_corpus;

static inline bool random_class_is_new(const random_corpus *c, int j)
{
    for (int i = 0; i < j; i++)
        if (memcmp(c->sequence + i * RANDOM_LENGTH, c->sequence + j * RANDOM_LENGTH,
                   RANDOM_LENGTH * sizeof *c->sequence) == 0)
            return false;
    return true;
}

/* Low classes have many dialogs; the moments of those without train dialogs tend to be lower. */
static inline void make_random_corpus(random_corpus *c, uint32_t trial)
{
    sg_random random = sg_random_open(11, SG_RANDOM_BENCH, trial);
    int64_t train[RANDOM_CLASSES] = {0};
    *c = (random_corpus){.alphabet = {(char *)"INVITE", (char *)"200", (char *)"BYE"}};
    for (int j = 0; j < RANDOM_CLASSES;) {
        memset(c->sequence + j * RANDOM_LENGTH, 0, RANDOM_LENGTH * sizeof *c->sequence);
        c->length[j] = (uint16_t)(1 + sg_random_below(&random, RANDOM_LENGTH));
        for (int t = 0; t < c->length[j]; t++)
            c->sequence[j * RANDOM_LENGTH + t] = (uint16_t)(1 + sg_random_below(&random, RANDOM_TYPES));
        j += random_class_is_new(c, j);
    }
    for (int d = 0; d < RANDOM_DIALOGS; d++) {
        const uint32_t most = 1 + sg_random_below(&random, RANDOM_CLASSES);
        c->label[d] = d < RANDOM_CLASSES ? d : (int32_t)sg_random_below(&random, most);
        c->split[d] = (uint8_t)sg_random_below(&random, SG_SPLITS);
        c->count[c->label[d]]++;
        train[c->label[d]] += c->split[d] == SG_SPLIT_TRAIN;
    }
    for (int j = 0; j < RANDOM_CLASSES; j++) {
        const double low = train[j] ? 0.01 : 0.3;
        c->skewness[j] = 1 - low * sg_random_double(&random);
        c->kurtosis[j] = 1 - low * sg_random_double(&random);
        c->p_max[j] = (float)(1 - low * sg_random_double(&random));
    }
    c->corpus = (sg_corpus){.message_types = RANDOM_TYPES,
                            .max_length = RANDOM_LENGTH,
                            .classes = RANDOM_CLASSES,
                            .dialogs = RANDOM_DIALOGS,
                            .alphabet = c->alphabet,
                            .label = c->label,
                            .class_sequence = c->sequence,
                            .class_length = c->length,
                            .class_count = c->count,
                            .split = c->split};
    c->outputs = (sg_outputs){RANDOM_CLASSES, c->argmax, c->p_max, c->skewness, c->kurtosis, NULL};
}

/* Dialogs of class j in a split, counted one by one. */
static inline int64_t random_count(const random_corpus *c, int j, int split)
{
    int64_t count = 0;
    for (int d = 0; d < RANDOM_DIALOGS; d++)
        count += c->label[d] == j && c->split[d] == split;
    return count;
}

/* Whether a train dialog begins with the first k messages of class j. */
static inline bool random_is_beginning(const random_corpus *c, int j, int k)
{
    for (int d = 0; d < RANDOM_DIALOGS; d++) {
        const int i = c->label[d];
        if (c->split[d] == SG_SPLIT_TRAIN && c->length[i] >= k &&
            memcmp(c->sequence + i * RANDOM_LENGTH, c->sequence + j * RANDOM_LENGTH,
                   (size_t)k * sizeof *c->sequence) == 0)
            return true;
    }
    return false;
}

/* Message number t of class j with markers: 0 at the start and after the end. */
static inline uint16_t random_symbol(const random_corpus *c, int j, int t)
{
    return t < 0 || t >= c->length[j] ? 0 : c->sequence[j * RANDOM_LENGTH + t];
}

/* Whether a train dialog has the n symbols of class j that end at position t (length: the end marker). */
static inline bool random_has_ngram(const random_corpus *c, int j, int t, int n)
{
    for (int d = 0; d < RANDOM_DIALOGS; d++) {
        const int i = c->label[d];
        for (int u = 0; c->split[d] == SG_SPLIT_TRAIN && u <= c->length[i]; u++) {
            int same = 0;
            while (same < n && random_symbol(c, i, u - same) == random_symbol(c, j, t - same) &&
                   (u - same < 0) == (t - same < 0))
                same++;
            if (same == n)
                return true;
        }
    }
    return false;
}

#endif

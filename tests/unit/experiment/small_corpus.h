/* small_corpus.h: a corpus of six classes in memory, and outputs made up for it. */
#ifndef SG_SMALL_CORPUS_H
#define SG_SMALL_CORPUS_H

#include "corpus/corpus.h"
#include "engine/engine.h"
#include "testing.h"

enum { SMALL_CLASSES = 6, SMALL_LENGTH = 4, SMALL_TYPES = 3, SMALL_DIALOGS = 20 };

/* Dialogs of each class in train, validation and test.  Classes 3, 4 and 5 are not in train. */
static const int small_count[SMALL_CLASSES][SG_SPLITS] = {{4, 1, 3}, {2, 1, 1}, {1, 0, 1},
                                                          {0, 1, 2}, {0, 0, 1}, {0, 2, 0}};

typedef struct {
    sg_corpus corpus;
    uint16_t sequence[SMALL_CLASSES * SMALL_LENGTH], length[SMALL_CLASSES];
    int64_t count[SMALL_CLASSES];
    int32_t label[SMALL_DIALOGS], user_agent[SMALL_DIALOGS];
    double start_time[SMALL_DIALOGS];
    uint8_t split[SMALL_DIALOGS];
    char *alphabet[SMALL_TYPES];

    sg_outputs outputs;
    int32_t argmax[SMALL_CLASSES];
    float p_max[SMALL_CLASSES];
    double skewness[SMALL_CLASSES], kurtosis[SMALL_CLASSES];
} small_corpus;

static inline void make_small_corpus(small_corpus *s)
{
    static const uint16_t sequence[SMALL_CLASSES * SMALL_LENGTH] = {1, 2, 3, 0, 1, 2, 2, 3, 1, 3, 0, 0,
                                                                    3, 3, 3, 3, 2, 0, 0, 0, 1, 1, 0, 0};
    static const uint16_t length[SMALL_CLASSES] = {3, 4, 2, 4, 1, 2};
    static const double moment[SMALL_CLASSES] = {1.0, 0.9999, 0.9998, 0.4, 0.99995, 0.3};
    *s = (small_corpus){.alphabet = {(char *)"INVITE", (char *)"200", (char *)"a \"b\", c"}};
    memcpy(s->sequence, sequence, sizeof sequence);
    memcpy(s->length, length, sizeof length);
    int64_t d = 0;
    for (int j = 0; j < SMALL_CLASSES; j++) {
        for (int k = 0; k < SG_SPLITS; k++)
            for (int i = 0; i < small_count[j][k]; i++, d++) {
                s->label[d] = j;
                s->split[d] = (uint8_t)k;
                s->count[j]++;
            }
        s->argmax[j] = j == 3 ? 0 : j == 4 ? 1 : j;
        s->p_max[j] = (float)moment[j];
        s->skewness[j] = moment[j];
        s->kurtosis[j] = moment[j] * moment[j];
    }
    assert_int_equal(d, SMALL_DIALOGS);
    s->corpus = (sg_corpus){.message_types = SMALL_TYPES,
                            .max_length = SMALL_LENGTH,
                            .classes = SMALL_CLASSES,
                            .dialogs = SMALL_DIALOGS,
                            .alphabet = s->alphabet,
                            .label = s->label,
                            .user_agent = s->user_agent,
                            .start_time = s->start_time,
                            .class_sequence = s->sequence,
                            .class_length = s->length,
                            .class_count = s->count,
                            .split = s->split};
    s->outputs = (sg_outputs){SMALL_CLASSES, s->argmax, s->p_max, s->skewness, s->kurtosis, NULL};
}

#endif

/* corpus_case.h: a corpus of three classes and seven dialogs, and a folder to write it into. */
#ifndef SG_CORPUS_CASE_H
#define SG_CORPUS_CASE_H

#include "base/files.h"
#include "base/memory.h"
#include "corpus/corpus.h"
#include "testing.h"

enum { CASE_TYPES = 4, CASE_LENGTH = 5, CASE_CLASSES = 3, CASE_DIALOGS = 7 };

static char case_folder[128], case_path[SG_PATH_MAX];

static inline int enter_case(void **state)
{
    (void)state;
    make_test_folder(case_folder);
    return sg_path_join(case_path, case_folder, "corpus.h5");
}

static inline int leave_case(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", case_folder);
    return system(command);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_case, leave_case)

static inline void *copy_of(const void *data, size_t bytes)
{
    void *p;
    assert_ok(sg_alloc_bytes(&p, bytes, 1, "test"));
    memcpy(p, data, bytes);
    return p;
}

#define COPY(array) copy_of((array), sizeof(array))

/* Classes: OPTIONS 200; INVITE 200 ACK; OPTIONS OPTIONS OPTIONS OPTIONS 200. */
static inline void make_case(sg_corpus *corpus, bool call_ids)
{
    static const char *const names[CASE_TYPES] = {"INVITE", "ACK", "OPTIONS", "200"};
    static const uint16_t sequence[CASE_CLASSES][CASE_LENGTH] = {
        {3, 4, 0, 0, 0}, {1, 4, 2, 0, 0}, {3, 3, 3, 3, 4}};
    static const uint16_t length[CASE_CLASSES] = {2, 3, 5};
    static const int64_t count[CASE_CLASSES] = {4, 2, 1};
    static const int32_t label[CASE_DIALOGS] = {0, 1, 0, 2, 1, 0, 0};
    static const int32_t user_agent[CASE_DIALOGS] = {0, 1, 2, 0, 1, 2, 9};
    static const double start_time[CASE_DIALOGS] = {0, 1.5, -3, 1e9, 4, 5, 6};
    static const uint8_t split[CASE_DIALOGS] = {0, 0, 0, 1, 1, 2, 2};
    *corpus = (sg_corpus){.message_types = CASE_TYPES,
                          .max_length = CASE_LENGTH,
                          .classes = CASE_CLASSES,
                          .dialogs = CASE_DIALOGS,
                          .source = "by hand",
                          .split_seed = 42};
    assert_ok(sg_alloc(&corpus->alphabet, CASE_TYPES, "test"));
    for (int m = 0; m < CASE_TYPES; m++)
        corpus->alphabet[m] = strdup(names[m]);
    corpus->label = COPY(label);
    corpus->user_agent = COPY(user_agent);
    corpus->start_time = COPY(start_time);
    corpus->class_sequence = COPY(sequence);
    corpus->class_length = COPY(length);
    corpus->class_count = COPY(count);
    corpus->split = COPY(split);
    if (call_ids) {
        assert_ok(sg_alloc(&corpus->call_id, CASE_DIALOGS, "test"));
        for (int d = 0; d < CASE_DIALOGS; d++) {
            char text[32];
            snprintf(text, sizeof text, "call-%d@example", d);
            corpus->call_id[d] = strdup(text);
        }
    }
    sg_corpus_digest(corpus);
}

static inline void assert_same_corpus(const sg_corpus *a, const sg_corpus *b)
{
    size_t D = (size_t)a->dialogs, N = (size_t)a->classes;
    assert_int_equal(a->message_types, b->message_types);
    assert_int_equal(a->max_length, b->max_length);
    assert_int_equal(a->classes, b->classes);
    assert_int_equal(a->dialogs, b->dialogs);
    assert_string_equal(a->source, b->source);
    for (int m = 0; m < a->message_types; m++)
        assert_string_equal(a->alphabet[m], b->alphabet[m]);
    assert_memory_equal(a->label, b->label, D * sizeof *a->label);
    assert_memory_equal(a->user_agent, b->user_agent, D * sizeof *a->user_agent);
    assert_memory_equal(a->start_time, b->start_time, D * sizeof *a->start_time);
    assert_memory_equal(a->split, b->split, D);
    assert_memory_equal(a->class_sequence, b->class_sequence,
                        N * (size_t)a->max_length * sizeof *a->class_sequence);
    assert_memory_equal(a->class_length, b->class_length, N * sizeof *a->class_length);
    assert_memory_equal(a->class_count, b->class_count, N * sizeof *a->class_count);
    assert_int_equal(a->split_seed, b->split_seed);
    assert_string_equal(a->digest, b->digest);
    assert_int_equal(a->call_id == NULL, b->call_id == NULL);
    for (size_t d = 0; a->call_id && d < D; d++)
        assert_string_equal(a->call_id[d], b->call_id[d]);
}

#endif

/* network_case.h: a tiny network made by hand, and memory that can be made to run out where it works. */
#ifndef SG_NETWORK_CASE_H
#define SG_NETWORK_CASE_H

#include "base/memory.h"
#include "detect/detector.h"
#include "testing.h"
#include <stdatomic.h>

enum { INVITE = 1, ACK, BYE, OPTIONS, TRYING, RINGING, OK, BUSY, TYPES = BUSY, LONGEST = 7 };

static const char *const type_names[TYPES] = {"INVITE", "ACK", "BYE", "OPTIONS", "100", "180", "200", "486"};

/* What the model is trained on; each so often. */
enum { KNOWN = 4, KNOWN_TIMES = 5 };
static const uint16_t known_sequence[KNOWN][LONGEST] = {
    {INVITE, TRYING, RINGING, OK, ACK, BYE, OK}, {INVITE, TRYING, BUSY, ACK}, {OPTIONS, OK}, {OPTIONS}};
static const uint16_t known_length[KNOWN] = {7, 4, 2, 1};

static inline void make_classes(sg_model *m)
{
    size_t longest = (size_t)m->spec.max_length;
    m->class_sequence = calloc(KNOWN * longest, sizeof *m->class_sequence);
    m->class_length = calloc(KNOWN, sizeof *m->class_length);
    m->class_train = calloc(KNOWN, sizeof *m->class_train);
    for (int c = 0; c < KNOWN; c++) {
        m->class_length[c] = known_length[c] < longest ? known_length[c] : (uint16_t)longest;
        memcpy(m->class_sequence + (size_t)c * longest, known_sequence[c],
               m->class_length[c] * sizeof *m->class_sequence);
        m->class_train[c] = c == 3 ? 0 : KNOWN_TIMES; /* the last is of another split */
    }
}

/* Random weights; limits of both moments for dialogs that go on and for those that are over. */
static inline void make_model(sg_model *m, int longest, double going_on, double over)
{
    sg_init_options init = {.seed = 3, .forget_bias = 1};
    *m = (sg_model){.spec = {.message_types = TYPES,
                             .max_length = longest,
                             .units = 6,
                             .classes = KNOWN,
                             .layers = 1,
                             .padding = SG_PADDING_POST},
                    .type_rule = "paper/1",
                    .has_thresholds = true,
                    .lambda_skewness = over,
                    .lambda_kurtosis = over};
    m->alphabet = calloc(TYPES, sizeof *m->alphabet);
    for (int t = 0; t < TYPES; t++)
        m->alphabet[t] = strdup(type_names[t]);
    make_classes(m);
    m->prefix_limit = calloc((size_t)longest, sizeof *m->prefix_limit);
    for (int k = 0; k < longest; k++)
        m->prefix_limit[k] = (sg_prefix_limit){going_on, going_on};
    assert_ok(sg_params_alloc(&m->params, &m->spec));
    assert_ok(sg_params_init(&m->params, &m->spec, &init));
    for (size_t i = 0; i < m->params.layout.count; i++)
        m->params.data[i] *= 3; /* outputs that differ */
}

static inline sg_status open_detector(sg_detector **detector, sg_model *model)
{
    const sg_detector_options options = {
        .engine = {.device = SG_DEVICE_CPU, .precision = SG_PRECISION_FP32, .threads = 1}};
    return sg_detector_open_model(detector, model, &options);
}

/* ---- memory ---- */

/* These stand in for base/memory.c: a program that has them does not take that from the library. */
static atomic_bool memory_is_short; /* where sequences are scored */

sg_status sg_alloc_bytes(void **out, size_t count, size_t size, const char *what)
{
    *out = NULL;
    if (memory_is_short && strcmp(what, "sequences to score") == 0)
        return sg_fail(SG_E_MEMORY, "%s: out of memory", what);
    size_t bytes = (count * size + 63) / 64 * 64;
    *out = aligned_alloc(64, bytes ? bytes : 64);
    assert_non_null(*out);
    memset(*out, 0, bytes);
    return SG_OK;
}

sg_status sg_grow_bytes(void **array, size_t *capacity, size_t need, size_t size, const char *what)
{
    (void)what;
    if (need <= *capacity && *array)
        return SG_OK;
    *capacity = need < 8 ? 16 : 2 * need;
    *array = realloc(*array, *capacity * size);
    assert_non_null(*array);
    return SG_OK;
}

#endif

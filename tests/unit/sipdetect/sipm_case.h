/* sipm_case.h: random models, and the .sipm files that they make. */
#ifndef SIPM_CASE_H
#define SIPM_CASE_H

#include "base/philox.h"
#include "detect/outputs.h"
#include "detect/prefix_limits.h"
#include "export/sipm_image.h"
#include "sipdetect/sipm_format.h"
#include "sipgpu/sipdetect.h"
#include "testing.h"

#define assert_sd(call)                                                            \
    do {                                                                           \
        sipdetect_status assert_status_ = (call);                                  \
        if (assert_status_ != SIPDETECT_OK)                                        \
            fail_msg("%s: %d, %s", #call, (int)assert_status_, sipdetect_error()); \
    } while (0)

/* The call fails with `wanted` and an error text that holds `part`. */
#define assert_sd_fails(wanted, part, call)                                               \
    do {                                                                                  \
        assert_int_equal((call), (wanted));                                               \
        if (!strstr(sipdetect_error(), (part)))                                           \
            fail_msg("%s: error text '%s' lacks '%s'", #call, sipdetect_error(), (part)); \
    } while (0)

enum { CASE_TYPES = 6, CASE_LONGEST = 11, CASE_USED = 9, CASE_CLASSES = 70 };

static const char *const case_names[CASE_TYPES] = {"INVITE", "ACK",       "BYE",
                                                   "200",    "4xx-other", "OTHER-method"};

typedef struct {
    sg_model model;
    sg_engine *engine; /* holds the model's weights */
    sg_prefixes *prefixes;
    sg_outputs scores; /* of the prefixes */
    void *image;
    size_t bytes;
} sipm_case;

static inline bool case_is_new(const sg_model *m, int c)
{
    const int steps = m->spec.max_length;
    for (int other = 0; other < c; other++)
        if (memcmp(m->class_sequence + other * steps, m->class_sequence + c * steps,
                   (size_t)steps * sizeof(uint16_t)) == 0)
            return false;
    return true;
}

/* Random classes, about a fifth of them not in the train split, and random weights, large enough for answers
 * that differ. */
static inline void case_make_model(sg_model *m, const sg_spec *spec, uint64_t seed)
{
    sg_random random = sg_random_open(seed, SG_RANDOM_BENCH, 0);
    const sg_init_options init = {.seed = seed, .forget_bias = 1};
    const int steps = spec->max_length;
    *m = (sg_model){.spec = *spec, .seed = seed, .epoch = 3, .type_rule = "paper/1"};
    snprintf(m->tool, sizeof m->tool, "test\n1");
    m->alphabet = calloc(CASE_TYPES, sizeof *m->alphabet);
    for (int i = 0; i < CASE_TYPES; i++)
        m->alphabet[i] = strdup(case_names[i]);
    m->class_sequence = calloc((size_t)spec->classes * (size_t)steps, sizeof *m->class_sequence);
    m->class_length = calloc((size_t)spec->classes, sizeof *m->class_length);
    m->class_train = calloc((size_t)spec->classes, sizeof *m->class_train);
    for (int c = 0; c < spec->classes;) {
        uint16_t *row = m->class_sequence + c * steps;
        memset(row, 0, (size_t)steps * sizeof *row);
        m->class_length[c] = (uint16_t)(1 + sg_random_below(&random, CASE_USED));
        for (int t = 0; t < m->class_length[c]; t++)
            row[t] = (uint16_t)(1 + sg_random_below(&random, t < 3 ? 3 : CASE_TYPES));
        m->class_train[c] = c % 5 == 4 ? 0 : 1 + (int64_t)sg_random_below(&random, 400);
        c += case_is_new(m, c);
    }
    assert_ok(sg_params_alloc(&m->params, &m->spec));
    assert_ok(sg_params_init(&m->params, &m->spec, &init));
    for (size_t i = 0; i < m->params.layout.count; i++)
        m->params.data[i] *= 3;
}

static inline sg_engine *case_engine(const sg_model *m)
{
    const sg_engine_options options = {.device = SG_DEVICE_CPU, .precision = SG_PRECISION_FP32, .threads = 1};
    sg_engine *engine;
    assert_ok(sg_engine_open(&engine, &m->spec, &options));
    assert_ok(sg_engine_load(engine, &m->params));
    return engine;
}

static inline void case_open(sipm_case *c, sg_weights weights, const sg_spec *spec, uint64_t seed)
{
    *c = (sipm_case){0};
    sg_model *m = &c->model;
    case_make_model(m, spec, seed);
    c->engine = case_engine(m);
    assert_ok(sg_prefix_limits_fit(m, c->engine));
    assert_ok(sg_prefixes_open(&c->prefixes, m->class_sequence, m->class_length, m->class_train,
                               m->spec.classes, m->spec.max_length));
    assert_ok(sg_outputs_run_prefixes(c->engine, &m->spec, c->prefixes, NULL, &c->scores));
    /* Limits amid the scores, so that there are answers of both kinds. */
    const int middle = c->scores.count / 2;
    m->has_thresholds = m->has_kmeans = true;
    m->lambda_skewness = c->scores.skewness[middle];
    m->lambda_kurtosis = c->scores.kurtosis[middle];
    for (int k = 0; k < m->spec.max_length; k++)
        m->prefix_limit[k] = (sg_prefix_limit){c->scores.skewness[k], c->scores.kurtosis[k]};
    const double centroid[2][2] = {{0.2, 0.1}, {0.8, 0.7}};
    memcpy(m->centroid, centroid, sizeof centroid);
    assert_ok(sg_sipm_image(m, c->prefixes, &c->scores, weights, &c->image, &c->bytes));
}

static inline sg_spec case_spec(int layers, sg_padding padding)
{
    return (sg_spec){.message_types = CASE_TYPES,
                     .max_length = CASE_LONGEST,
                     .units = 21,
                     .classes = CASE_CLASSES,
                     .layers = layers,
                     .padding = padding};
}

static inline void case_close(sipm_case *c)
{
    free(c->image);
    sg_outputs_free(&c->scores);
    sg_prefixes_close(c->prefixes);
    sg_engine_close(c->engine);
    sg_model_free(&c->model);
}

/* What the engine says of one sequence. */
static inline sd_node_score case_score(const sipm_case *c, const uint16_t *types, int length)
{
    uint16_t sequence[CASE_LONGEST] = {0}, lengths[1] = {(uint16_t)length};
    sg_sequences set;
    sg_outputs out;
    memcpy(sequence, types, (size_t)length * sizeof *types);
    assert_ok(sg_sequences_make(&set, &c->model.spec, sequence, lengths, 1));
    assert_ok(sg_outputs_alloc(&out, 1, c->model.spec.classes, false));
    assert_ok(sg_engine_infer_all(c->engine, &set, &out));
    const sd_node_score score = {out.skewness[0], out.kurtosis[0], out.p_max[0], out.argmax[0]};
    sg_outputs_free(&out);
    sg_sequences_free(&set);
    return score;
}

/* A random walk that often keeps to the train dialogs: one of their beginnings, then anything. */
static inline int case_walk(const sipm_case *c, sg_random *random, uint16_t types[CASE_LONGEST])
{
    const sg_model *m = &c->model;
    const int from = (int)sg_random_below(random, (uint32_t)m->spec.classes);
    const int length = 1 + (int)sg_random_below(random, CASE_LONGEST);
    int kept = (int)sg_random_below(random, m->class_length[from] + 1u);
    kept = kept < length ? kept : length;
    memcpy(types, m->class_sequence + from * m->spec.max_length, (size_t)kept * sizeof *types);
    for (int t = kept; t < length; t++)
        types[t] = (uint16_t)(1 + sg_random_below(random, CASE_TYPES));
    return sg_random_below(random, 3) == 0 && kept > 0 ? kept : length;
}

/* Makes the checksum right again after a change. */
static inline void case_sign(void *image, size_t bytes)
{
    sd_header *header = image;
    header->checksum = sd_checksum(image, bytes);
}

/* Where a section lies in an image; `bytes` may be NULL. */
static inline void *case_section(const void *image, int id, size_t *bytes)
{
    const sd_header *header = image;
    const sd_entry *table = (const sd_entry *)(header + 1);
    for (uint32_t i = 0; i < header->sections; i++)
        if (table[i].id == (uint32_t)id) {
            if (bytes)
                *bytes = table[i].bytes;
            return (char *)(uintptr_t)image + table[i].offset;
        }
    return NULL;
}

#endif

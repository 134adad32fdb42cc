/* A checkpoint whose contents are anything (h5_files.h), read as a model or as a checkpoint.  What is
 * accepted holds together, and is the same after it was written again. */
#include "h5_files.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const groups[] = {"/params", "/optimizer/m", "/optimizer/v"};
static const char *const others[] = {"/",
                                     "/alphabet",
                                     "/classes",
                                     "/classes/sequence",
                                     "/classes/length",
                                     "/classes/train_count",
                                     "/thresholds",
                                     "/prefix_thresholds",
                                     "/kmeans",
                                     "/kmeans/centroids",
                                     "/training",
                                     "/optimizer"};
enum { OTHERS = sizeof others / sizeof *others, OBJECTS_MAX = OTHERS + 3 * SG_TENSORS_MAX };

static char names[3 * SG_TENSORS_MAX][96];
static const char *objects[OBJECTS_MAX];
static size_t object_count;
static fuzz_file file, copy;

static void list_objects(const sg_layout *layout)
{
    memcpy(objects, others, sizeof others);
    object_count = OTHERS;
    for (int g = 0; g < 3; g++)
        for (int k = 0; k < layout->tensors; k++) {
            char *name = names[g * SG_TENSORS_MAX + k];
            snprintf(name, sizeof names[0], "%s/%s", groups[g], layout->tensor[k].name);
            objects[object_count++] = name;
        }
}

static void make_good_file(void)
{
    static const sg_spec spec = {4, 4, 2, 3, 2, 0.5, SG_PADDING_POST};
    static const sg_init_options init = {.seed = 1, .forget_bias = 1};
    sg_corpus corpus;
    sg_model model;
    sg_optimizer_state state;
    fuzz_small_corpus(&corpus);
    fuzz_expect(sg_model_make(&model, &spec, &corpus) == SG_OK);
    fuzz_expect(sg_params_init(&model.params, &spec, &init) == SG_OK);
    model.prefix_limit = calloc((size_t)spec.max_length, sizeof *model.prefix_limit);
    model.has_thresholds = model.has_kmeans = true;
    model.config = strdup("[model]\nunits = 2\n");
    fuzz_expect(sg_params_alloc(&state.m, &spec) == SG_OK && sg_params_alloc(&state.v, &spec) == SG_OK);
    fuzz_expect(sg_model_write(&model, &state, file.path) == SG_OK);
    list_objects(&model.params.layout);
    sg_optimizer_state_free(&state);
    sg_model_free(&model);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fuzz_file_open(&file);
    fuzz_file_open(&copy);
    make_good_file();
    fuzz_file_keep(&file);
    return 0;
}

static void check(const sg_model *m)
{
    const sg_spec *s = &m->spec;
    for (int c = 0; c < s->classes; c++) {
        const uint16_t *row = m->class_sequence + (size_t)c * (size_t)s->max_length;
        fuzz_expect(m->class_length[c] >= 1 && m->class_length[c] <= s->max_length && m->class_train[c] >= 0);
        for (int t = 0; t < s->max_length; t++)
            fuzz_expect(row[t] <= s->message_types && (row[t] != 0) == (t < m->class_length[c]));
    }
    fuzz_expect(sg_spec_check(s) == SG_OK && sg_params_check_finite(&m->params) == SG_OK);
    fuzz_expect(strlen(m->corpus_digest) < sizeof m->corpus_digest && strlen(m->tool) < sizeof m->tool);
}

static void check_again(const sg_model *model)
{
    sg_model again;
    fuzz_expect(sg_model_write(model, NULL, copy.path) == SG_OK);
    fuzz_expect(sg_model_read(&again, NULL, copy.path) == SG_OK);
    fuzz_expect(memcmp(&model->spec, &again.spec, sizeof again.spec) == 0);
    fuzz_expect(memcmp(model->params.data, again.params.data,
                       again.params.layout.count * sizeof *again.params.data) == 0);
    fuzz_expect(strcmp(model->config, again.config) == 0);
    sg_model_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sg_model model;
    sg_optimizer_state state = {0};
    bool whole = fuzz_one_in(2, data, size);
    fuzz_file_edit(&file, objects, object_count, data, size);
    if (sg_model_read(&model, whole ? &state : NULL, file.path) != SG_OK) {
        fuzz_expect(sg_error_text()[0] != '\0');
        return 0;
    }
    check(&model);
    if (fuzz_one_in(16, data, size))
        check_again(&model);
    sg_optimizer_state_free(&state);
    sg_model_free(&model);
    return 0;
}

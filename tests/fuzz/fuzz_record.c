/* The record of a run whose contents are anything (h5_files.h).  What is accepted holds together, and is the
 * same after it was written again. */
#include "engine/backend.h"
#include "experiment/record.h"
#include "h5_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const objects[] = {"/",
                                      "/alphabet",
                                      "/classes/sequence",
                                      "/classes/length",
                                      "/classes/train_count",
                                      "/prefix_thresholds",
                                      "/training",
                                      "/answers",
                                      "/answers/argmax",
                                      "/answers/p_max",
                                      "/answers/skewness",
                                      "/answers/kurtosis",
                                      "/answers/first",
                                      "/answers/class",
                                      "/answers/probability",
                                      "/beginnings",
                                      "/beginnings/skewness",
                                      "/beginnings/kurtosis",
                                      "/history"};
enum { OBJECTS = sizeof objects / sizeof *objects, CLASSES = 3 };

/* Outputs are read and written; nothing here computes them. */
const sg_backend sg_cpu_backend = {.open = NULL};

static fuzz_file file, copy;

static void make_good_file(void)
{
    static const sg_spec spec = {4, 4, 2, CLASSES, 1, 0, SG_PADDING_POST};
    static int32_t argmax[CLASSES] = {0, 1, 1};
    static float p_max[CLASSES] = {0.9f, 0.5f, 1},
                 probabilities[CLASSES * CLASSES] = {0.9f, 0.1f, 0, 0.3f, 0.5f, 0.2f, 0, 1, 0};
    static double skewness[CLASSES] = {0.9, 0.2, 1}, kurtosis[CLASSES] = {0.8, 0.1, 1};
    sg_corpus corpus;
    sg_record record = {.history = (char *)"epoch,loss\n1,2\n", .origin = (char *)"{}"};
    fuzz_small_corpus(&corpus);
    fuzz_expect(sg_model_make(&record.model, &spec, &corpus) == SG_OK);
    record.model.prefix_limit = calloc((size_t)spec.max_length, sizeof *record.model.prefix_limit);
    record.model.config = strdup("[model]\nunits = 2\n");
    record.outputs = (sg_outputs){CLASSES, argmax, p_max, skewness, kurtosis, probabilities};
    record.beginnings = (sg_outputs){.count = CLASSES, .skewness = skewness, .kurtosis = kurtosis};
    fuzz_expect(sg_record_write(&record, file.path) == SG_OK);
    sg_model_free(&record.model);
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

static void check(const sg_record *r)
{
    const sg_outputs *o = &r->outputs;
    fuzz_expect(sg_spec_check(&r->model.spec) == SG_OK && o->count == r->model.spec.classes);
    for (int j = 0; j < o->count; j++) {
        fuzz_expect(o->argmax[j] >= 0 && o->argmax[j] < o->count && o->p_max[j] >= 0 && o->p_max[j] <= 1);
        fuzz_expect(isfinite(o->skewness[j]) && isfinite(o->kurtosis[j]));
        for (int n = 0; o->probabilities && n < o->count; n++) {
            const float p = o->probabilities[(size_t)j * (size_t)o->count + (size_t)n];
            fuzz_expect(p >= 0 && p <= 1);
        }
    }
    for (int i = 0; i < r->beginnings.count; i++)
        fuzz_expect(isfinite(r->beginnings.skewness[i]) && isfinite(r->beginnings.kurtosis[i]));
    fuzz_expect(r->history && r->origin);
}

/* A configuration that is none cannot be written again. */
static void check_again(sg_record *record)
{
    sg_record again;
    sg_record_trim(&record->outputs, record->model.spec.classes);
    if (sg_record_write(record, copy.path) != SG_OK)
        return;
    fuzz_expect(sg_record_read(&again, copy.path) == SG_OK);
    const size_t n = (size_t)record->outputs.count;
    fuzz_expect(memcmp(record->outputs.argmax, again.outputs.argmax, n * sizeof(int32_t)) == 0);
    fuzz_expect(memcmp(record->outputs.skewness, again.outputs.skewness, n * sizeof(double)) == 0);
    fuzz_expect(!record->outputs.probabilities ||
                memcmp(record->outputs.probabilities, again.outputs.probabilities, n * n * sizeof(float)) ==
                    0);
    fuzz_expect(again.beginnings.count == record->beginnings.count);
    sg_record_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sg_record record;
    fuzz_file_edit(&file, objects, OBJECTS, data, size);
    if (sg_record_read(&record, file.path) != SG_OK) {
        fuzz_expect(sg_error_text()[0] != '\0');
    } else {
        check(&record);
        if (fuzz_one_in(16, data, size))
            check_again(&record);
    }
    sg_record_free(&record);
    return 0;
}

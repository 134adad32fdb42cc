/* export_case.h: a small model with everything in it, and a folder to write to. */
#ifndef SG_EXPORT_CASE_H
#define SG_EXPORT_CASE_H

#include "base/files.h"
#include "corpus/synth.h"
#include "model/model.h"
#include "testing.h"
#include <dirent.h>
#include <unistd.h>

typedef struct {
    sg_corpus corpus;
    sg_model model;
    char folder[128], path[192];
} export_case;

/* All fields away from their defaults, numbers that need all their digits, limits at every length. */
static inline void export_case_fill(sg_model *model)
{
    model->config = strdup("[train]\nepochs = 3\n");
    model->seed = UINT64_MAX - 1;
    model->epoch = 7;
    model->update = 77;
    model->has_thresholds = model->has_kmeans = true;
    model->lambda_skewness = 0.1 + 0.2;
    model->lambda_kurtosis = 0.788941610101116;
    model->centroid[0][0] = 1e-17;
    model->centroid[1][1] = 1.0 / 3;
    strcpy(model->type_rule, "cseq/1");
    model->collapsed = true;
    strcpy(model->tool, "sipgpu test");
    strcpy(model->precision, "fp32");
    strcpy(model->device, "cpu");
    model->prefix_limit = calloc((size_t)model->spec.max_length, sizeof *model->prefix_limit);
    for (int k = 0; k < model->spec.max_length; k++)
        model->prefix_limit[k] = (sg_prefix_limit){1.0 / (k + 3), -0.1 * k};
}

static inline void export_case_open(export_case *c, int layers, double dropout, sg_padding padding)
{
    sg_synth_options synth;
    sg_synth_report report;
    const sg_init_options init = {.seed = 3, .forget_bias = 1};
    *c = (export_case){0};
    assert_ok(sg_synth_preset_options(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_resolve(&synth, SG_SYNTH_SMALL));
    assert_ok(sg_synth_corpus(&c->corpus, &synth, 1, &report));
    const sg_spec spec = {.message_types = c->corpus.message_types,
                          .max_length = c->corpus.max_length,
                          .units = 5,
                          .classes = c->corpus.classes,
                          .layers = layers,
                          .dropout = dropout,
                          .padding = padding};
    assert_ok(sg_model_make(&c->model, &spec, &c->corpus));
    assert_ok(sg_params_init(&c->model.params, &spec, &init));
    /* Biases start at 0 and 1; here no two weights are alike. */
    for (int k = 0; k < c->model.params.layout.tensors; k++)
        for (size_t i = 0; i < c->model.params.layout.tensor[k].count; i++)
            sg_params_at(&c->model.params, k)[i] += 1e-3f * (float)(i % 997) + 1e-2f * (float)k;
    export_case_fill(&c->model);
    make_test_folder(c->folder);
}

static inline void export_case_name(export_case *c, const char *name)
{
    snprintf(c->path, sizeof c->path, "%.120s/%.60s", c->folder, name);
}

/* How many files the folder holds. */
static inline int export_case_files(const export_case *c)
{
    int count = 0;
    DIR *folder = opendir(c->folder);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static inline void export_case_close(export_case *c)
{
    DIR *folder = opendir(c->folder);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') {
            export_case_name(c, entry->d_name);
            unlink(c->path);
        }
    closedir(folder);
    assert_int_equal(rmdir(c->folder), 0);
    sg_model_free(&c->model);
    sg_corpus_free(&c->corpus);
}

#endif

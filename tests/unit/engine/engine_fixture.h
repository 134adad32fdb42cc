/* engine_fixture.h: a small random network with a batch, for tests of an engine.
 *
 * The engine is the one that the variable SIPGPU_TEST_DEVICE names as --device does; the CPU's by default.
 */
#ifndef SG_ENGINE_FIXTURE_H
#define SG_ENGINE_FIXTURE_H

#include "engine/engine.h"
#include "model/random_set.h"

static inline void test_device(sg_engine_options *options)
{
    const char *name = getenv("SIPGPU_TEST_DEVICE");
    assert_ok(sg_device_parse(name ? name : "cpu", &options->device, &options->device_index));
}

static inline bool test_device_is_cpu(void)
{
    sg_engine_options options = {0};
    test_device(&options);
    return options.device == SG_DEVICE_CPU;
}

enum { ROWS = 77, CLASSES = 40 };

typedef struct {
    random_set r;
    int32_t rows[ROWS], labels[ROWS];
    sg_params params;
} fixture;

static inline void fixture_make(fixture *f, int layers, sg_padding padding, double dropout)
{
    sg_spec spec = {.message_types = 4,
                    .max_length = 11,
                    .units = 23,
                    .classes = CLASSES,
                    .layers = layers,
                    .dropout = dropout,
                    .padding = padding};
    sg_init_options init = {.seed = 5, .forget_bias = 1};
    random_set_make(&f->r, &spec, CLASSES, 11);
    sg_random random = sg_random_open(2, SG_RANDOM_BENCH, 0);
    for (int b = 0; b < ROWS; b++)
        f->rows[b] = f->labels[b] = (int32_t)sg_random_below(&random, CLASSES);
    assert_ok(sg_params_alloc(&f->params, &spec));
    assert_ok(sg_params_init(&f->params, &spec, &init));
    /* Larger weights than usual: gradients that matter in every tensor. */
    for (size_t i = 0; i < f->params.layout.count; i++)
        f->params.data[i] *= 2;
}

static inline void fixture_free(fixture *f)
{
    sg_params_free(&f->params);
    random_set_free(&f->r);
}

static inline sg_engine *open_engine(const fixture *f, int threads, sg_precision precision)
{
    sg_engine *engine;
    sg_engine_options options = {.threads = threads, .precision = precision};
    test_device(&options);
    assert_ok(sg_engine_open(&engine, &f->r.spec, &options));
    assert_ok(sg_engine_load(engine, &f->params));
    return engine;
}

static inline double run_batch(const fixture *f, sg_engine *engine, sg_batching batching,
                               sg_params *gradients)
{
    sg_plan plan = {0};
    sg_step_result result;
    assert_ok(sg_plan_build(&plan, &f->r.set, f->rows, f->labels, ROWS, batching, f->r.spec.dropout > 0));
    sg_batch batch = {.plan = &plan, .dropout_seed = 4, .update = 6};
    assert_ok(sg_engine_gradients(engine, &batch, &result));
    if (gradients)
        assert_ok(sg_engine_store_gradients(engine, gradients));
    sg_plan_free(&plan);
    return result.loss;
}

#endif

/* Properties of an engine that need no outside reference. */
#include "engine/engine_fixture.h"

static void assert_close(const sg_params *a, const sg_params *b, double tolerance)
{
    for (int k = 0; k < a->layout.tensors; k++) {
        const sg_tensor *t = &a->layout.tensor[k];
        double difference = 0, size = 0;
        for (size_t i = t->offset; i < t->offset + t->count; i++) {
            difference += pow((double)a->data[i] - (double)b->data[i], 2);
            size += pow((double)b->data[i], 2);
        }
        assert_true(size > 0);
        if (!(difference <= tolerance * tolerance * size))
            fail_msg("%s: relative error %.3g", t->name, sqrt(difference / size));
    }
}

typedef struct {
    int layers;
    sg_padding padding;
    double dropout;
} kind;

static kind kinds[] = {{1, SG_PADDING_POST, 0},   {2, SG_PADDING_POST, 0},  {1, SG_PADDING_MASK, 0},
                       {2, SG_PADDING_MASK, 0},   {1, SG_PADDING_PRE, 0},   {2, SG_PADDING_PRE, 0.5},
                       {1, SG_PADDING_POST, 0.5}, {2, SG_PADDING_MASK, 0.3}};

/* However a batch is run, its loss and gradients are the same. */
static void test_batchings_agree(void **state)
{
    const kind *k = *state;
    fixture f;
    sg_params gradient[3];
    double loss[3];
    fixture_make(&f, k->layers, k->padding, k->dropout);
    sg_engine *engine = open_engine(&f, 0, SG_PRECISION_FP32);
    for (int b = SG_BATCHING_TRIE; b <= SG_BATCHING_DENSE; b++) {
        assert_ok(sg_params_alloc(&gradient[b], &f.r.spec));
        loss[b] = run_batch(&f, engine, (sg_batching)b, &gradient[b]);
    }
    for (int b = SG_BATCHING_TRIE; b < SG_BATCHING_DENSE; b++) {
        assert_true(fabs(loss[b] - loss[SG_BATCHING_DENSE]) < 1e-6 * loss[SG_BATCHING_DENSE]);
        assert_close(&gradient[b], &gradient[SG_BATCHING_DENSE], test_device_is_cpu() ? 2e-6 : 1e-5);
    }
    for (int b = SG_BATCHING_TRIE; b <= SG_BATCHING_DENSE; b++)
        sg_params_free(&gradient[b]);
    sg_engine_close(engine);
    fixture_free(&f);
}

/* Along random directions the loss changes as the gradient says. */
static void test_finite_differences(void **state)
{
    const kind *k = *state;
    const float step = 4e-3f;
    fixture f;
    sg_params gradient;
    fixture_make(&f, k->layers, k->padding, k->dropout);
    sg_engine *engine = open_engine(&f, 0, SG_PRECISION_FP32);
    assert_ok(sg_params_alloc(&gradient, &f.r.spec));
    run_batch(&f, engine, SG_BATCHING_TRIE, &gradient);
    float *start = malloc(f.params.layout.count * sizeof *start);
    memcpy(start, f.params.data, f.params.layout.count * sizeof *start);
    for (int tensor = 0; tensor < gradient.layout.tensors; tensor++) {
        const sg_tensor *t = &gradient.layout.tensor[tensor];
        double loss[2], slope = 0;
        for (int side = 0; side < 2; side++) {
            slope = 0;
            for (size_t i = t->offset; i < t->offset + t->count; i++) {
                float direction = sg_random_at(9, SG_RANDOM_BENCH, 2, i) & 1 ? 1.0f : -1.0f;
                f.params.data[i] = start[i] + (side ? step : -step) * direction / sqrtf((float)t->count);
                slope += (double)gradient.data[i] * (double)direction / sqrt((double)t->count);
            }
            assert_ok(sg_engine_load(engine, &f.params));
            loss[side] = run_batch(&f, engine, SG_BATCHING_TRIE, NULL);
        }
        memcpy(f.params.data, start, f.params.layout.count * sizeof *start);
        double measured = (loss[1] - loss[0]) / (2 * (double)step);
        if (!(fabs(measured - slope) < 2e-3 * (fabs(slope) + 0.02)))
            fail_msg("%s: the loss changes by %.6g, the gradient says %.6g", t->name, measured, slope);
    }
    free(start);
    sg_params_free(&gradient);
    sg_engine_close(engine);
    fixture_free(&f);
}

/* The same bits at any number of threads; on a GPU, from engine to engine. */
static void test_thread_count(void **state)
{
    const kind *k = *state;
    fixture f;
    sg_params gradient[3];
    double loss[3];
    const int threads[3] = {1, 2, 3};
    fixture_make(&f, k->layers, k->padding, k->dropout);
    for (int i = 0; i < 3; i++) {
        sg_engine *engine = open_engine(&f, threads[i], SG_PRECISION_FP32);
        sg_adam adam = {.learning_rate = 1e-3,
                        .beta1 = 0.9,
                        .beta2 = 0.999,
                        .epsilon = 1e-7,
                        .clip_norm = 0.1,
                        .update = 1};
        assert_ok(sg_params_alloc(&gradient[i], &f.r.spec));
        loss[i] = run_batch(&f, engine, SG_BATCHING_TRIE, NULL);
        assert_ok(sg_engine_apply(engine, &adam, NULL));
        loss[i] += run_batch(&f, engine, SG_BATCHING_TRIE, &gradient[i]);
        sg_engine_close(engine);
    }
    for (int i = 1; i < 3; i++) {
        assert_true(loss[i] == loss[0]);
        assert_memory_equal(gradient[i].data, gradient[0].data, gradient[0].layout.count * sizeof(float));
    }
    for (int i = 0; i < 3; i++)
        sg_params_free(&gradient[i]);
    fixture_free(&f);
}

/* infer and gradients see the same network: the loss is -log p of the labels. */
static void test_infer_agrees_with_loss(void **state)
{
    const kind *k = *state;
    if (k->dropout > 0)
        return;
    fixture f;
    sg_outputs outputs;
    fixture_make(&f, k->layers, k->padding, 0);
    sg_engine *engine = open_engine(&f, 0, SG_PRECISION_FP32);
    assert_ok(sg_outputs_alloc(&outputs, CLASSES, CLASSES, true));
    assert_ok(sg_engine_infer_all(engine, &f.r.set, &outputs));
    double loss = 0;
    for (int b = 0; b < ROWS; b++)
        loss -= log((double)outputs.probabilities[f.rows[b] * CLASSES + f.labels[b]]);
    assert_true(fabs(loss / ROWS - run_batch(&f, engine, SG_BATCHING_TRIE, NULL)) < 1e-5);
    sg_outputs_free(&outputs);
    sg_engine_close(engine);
    fixture_free(&f);
}

/* A dialog's outputs with padding `mask` are those of a network whose longest dialog it is. */
static void test_mask_ignores_length(void **state)
{
    (void)state;
    fixture f;
    fixture_make(&f, 2, SG_PADDING_MASK, 0);
    sg_engine *engine = open_engine(&f, 0, SG_PRECISION_FP32);
    sg_outputs all, one;
    assert_ok(sg_outputs_alloc(&all, CLASSES, CLASSES, true));
    assert_ok(sg_outputs_alloc(&one, 1, CLASSES, true));
    assert_ok(sg_engine_infer_all(engine, &f.r.set, &all));
    for (int s = 0; s < CLASSES; s++) {
        sg_spec shorter = f.r.spec;
        sg_sequences set;
        shorter.max_length = f.r.length[s];
        shorter.padding = SG_PADDING_POST;
        assert_ok(
            sg_sequences_make(&set, &shorter, f.r.sequence + s * f.r.spec.max_length, &f.r.length[s], 1));
        assert_ok(sg_engine_infer_all(engine, &set, &one));
        for (int n = 0; n < CLASSES; n++)
            assert_true(fabsf(one.probabilities[n] - all.probabilities[s * CLASSES + n]) < 1e-6f);
        sg_sequences_free(&set);
    }
    sg_outputs_free(&all);
    sg_outputs_free(&one);
    sg_engine_close(engine);
    fixture_free(&f);
}

static void test_clip_norm(void **state)
{
    (void)state;
    fixture f;
    sg_params gradient;
    double norm, sum = 0;
    sg_adam adam = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7, .update = 1};
    fixture_make(&f, 1, SG_PADDING_POST, 0);
    sg_engine *engine = open_engine(&f, 0, SG_PRECISION_FP32);
    assert_fails(SG_E_INTERNAL, "no gradients", sg_engine_apply(engine, &adam, &norm));
    assert_ok(sg_params_alloc(&gradient, &f.r.spec));
    run_batch(&f, engine, SG_BATCHING_TRIE, &gradient);
    for (size_t i = 0; i < gradient.layout.count; i++)
        sum += pow((double)gradient.data[i], 2);
    adam.clip_norm = sqrt(sum) / 8;
    assert_ok(sg_engine_apply(engine, &adam, &norm));
    assert_true(fabs(norm - sqrt(sum)) < 1e-9 * norm);
    sg_params m, v;
    assert_ok(sg_params_alloc(&m, &f.r.spec));
    assert_ok(sg_params_alloc(&v, &f.r.spec));
    assert_ok(sg_engine_store_optimizer(engine, &m, &v));
    for (size_t i = 0; i < m.layout.count; i++)
        assert_true(fabsf(m.data[i] - 0.1f * gradient.data[i] / 8) <= 1e-6f * fabsf(m.data[i]) + 1e-12f);
    sg_params_free(&m);
    sg_params_free(&v);
    sg_params_free(&gradient);
    sg_engine_close(engine);
    fixture_free(&f);
}

static void test_not_finite(void **state)
{
    (void)state;
    fixture f;
    sg_plan plan = {0};
    sg_step_result result;
    fixture_make(&f, 1, SG_PADDING_POST, 0);
    sg_params_at(&f.params, f.params.layout.recurrent[0])[7] = NAN;
    sg_engine *engine = open_engine(&f, 0, SG_PRECISION_FP32);
    assert_ok(sg_plan_build(&plan, &f.r.set, f.rows, f.labels, ROWS, SG_BATCHING_TRIE, false));
    sg_batch batch = {.plan = &plan, .update = 1};
    assert_fails(SG_E_NUMERIC, "not finite", sg_engine_gradients(engine, &batch, &result));
    sg_plan_free(&plan);
    sg_engine_close(engine);
    fixture_free(&f);
}

static void test_devices(void **state)
{
    (void)state;
    sg_device device;
    int index;
    assert_ok(sg_device_parse("cuda:3", &device, &index));
    assert_true(device == SG_DEVICE_CUDA && index == 3);
    assert_ok(sg_device_parse("auto", &device, &index));
    static const char *const wrong[] = {"", "gpu", "cpu:1", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CPU"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(SG_E_USAGE, "unknown device", sg_device_parse(wrong[i], &device, &index));
    sg_spec spec = {.message_types = 1, .max_length = 1, .units = 1, .classes = 2, .layers = 1};
    sg_engine_options options = {.device = SG_DEVICE_CPU};
    sg_engine *engine;
    assert_fails(SG_E_CONFIG, "classes", sg_engine_open(&engine, &spec, &options));
}

#define EACH_KIND(test)                                                                                 \
    {#test " 1 post", test, NULL, NULL, &kinds[0]}, {#test " 2 post", test, NULL, NULL, &kinds[1]},     \
        {#test " 1 mask", test, NULL, NULL, &kinds[2]}, {#test " 2 mask", test, NULL, NULL, &kinds[3]}, \
        {#test " 1 pre", test, NULL, NULL, &kinds[4]},                                                  \
        {#test " 2 pre dropout", test, NULL, NULL, &kinds[5]},                                          \
        {#test " 1 post dropout", test, NULL, NULL, &kinds[6]},                                         \
    {                                                                                                   \
#test " 2 mask dropout", test, NULL, NULL, &kinds[7]                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {EACH_KIND(test_batchings_agree),
                                       EACH_KIND(test_finite_differences),
                                       EACH_KIND(test_thread_count),
                                       EACH_KIND(test_infer_agrees_with_loss),
                                       cmocka_unit_test(test_mask_ignores_length),
                                       cmocka_unit_test(test_clip_norm),
                                       cmocka_unit_test(test_not_finite),
                                       cmocka_unit_test(test_devices)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

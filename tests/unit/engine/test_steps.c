/* Steps in flight, and engines side by side. */
#include "engine/engine_fixture.h"

#include <pthread.h>

enum { STEPS = 6 };

static sg_adam adam_of(int update)
{
    return (sg_adam){.learning_rate = 1e-3,
                     .beta1 = 0.9,
                     .beta2 = 0.999,
                     .epsilon = 1e-7,
                     .clip_norm = 0.5,
                     .update = update};
}

/* The batch of an update: fewer rows each time. */
static void build_plan(const fixture *f, sg_plan *plan, int update)
{
    assert_ok(sg_plan_build(plan, &f->r.set, f->rows + update, f->labels + update, ROWS - 2 * update,
                            SG_BATCHING_TRIE, f->r.spec.dropout > 0));
}

/* Trains with at most `in_flight` steps under way (0: gradients, then apply); losses and norms, then weights.
 */
static void train(const fixture *f, int in_flight, double loss[STEPS], double norm[STEPS], sg_params *weights)
{
    sg_engine *engine = open_engine(f, 1, SG_PRECISION_FP32);
    sg_plan plan = {0};
    sg_step_result result;
    int ended = 0;
    for (int s = 0; s < STEPS; s++) {
        sg_adam adam = adam_of(s + 1);
        build_plan(f, &plan, s);
        sg_batch batch = {.plan = &plan, .dropout_seed = 4, .update = (uint32_t)s + 1};
        if (in_flight == 0) {
            assert_ok(sg_engine_gradients(engine, &batch, &result));
            assert_ok(sg_engine_apply(engine, &adam, &norm[s]));
            loss[s] = result.loss;
            continue;
        }
        assert_ok(sg_engine_begin_step(engine, &batch, &adam));
        while (sg_engine_steps_begun(engine) >= (s + 1 < STEPS ? in_flight : 1)) {
            assert_ok(sg_engine_end_step(engine, &result, &norm[ended]));
            loss[ended++] = result.loss;
        }
    }
    assert_int_equal(sg_engine_steps_begun(engine), 0);
    assert_ok(sg_params_alloc(weights, &f->r.spec));
    assert_ok(sg_engine_store(engine, weights));
    sg_plan_free(&plan);
    sg_engine_close(engine);
}

static void test_in_flight(void **state)
{
    (void)state;
    for (int layers = 1; layers <= 2; layers++) {
        fixture f;
        double loss[3][STEPS], norm[3][STEPS];
        sg_params weights[3];
        fixture_make(&f, layers, SG_PADDING_POST, layers == 2 ? 0.5 : 0);
        for (int k = 0; k < 3; k++) {
            train(&f, k, loss[k], norm[k], &weights[k]);
            assert_memory_equal(loss[k], loss[0], sizeof loss[0]);
            assert_memory_equal(norm[k], norm[0], sizeof norm[0]);
            assert_memory_equal(weights[k].data, weights[0].data, weights[0].layout.count * sizeof(float));
        }
        assert_true(loss[0][STEPS - 1] < loss[0][0]);
        for (int k = 0; k < 3; k++)
            sg_params_free(&weights[k]);
        fixture_free(&f);
    }
}

static void test_misuse(void **state)
{
    (void)state;
    fixture f;
    sg_plan plan = {0};
    sg_step_result result;
    fixture_make(&f, 1, SG_PADDING_POST, 0);
    sg_engine *engine = open_engine(&f, 1, SG_PRECISION_FP32);
    assert_fails(SG_E_INTERNAL, "no step", sg_engine_end_step(engine, &result, NULL));
    build_plan(&f, &plan, 0);
    sg_batch batch = {.plan = &plan, .update = 1};
    sg_adam adam = adam_of(1);
    for (int i = 0; i < SG_STEPS_IN_FLIGHT; i++)
        assert_ok(sg_engine_begin_step(engine, &batch, &adam));
    assert_fails(SG_E_INTERNAL, "in flight", sg_engine_begin_step(engine, &batch, &adam));
    sg_plan_free(&plan);
    sg_engine_close(engine); /* with steps under way */
    fixture_free(&f);
}

/* A step that is not finite, and the one begun after it, change nothing; the engine goes on from there. */
static void test_failed_step(void **state)
{
    (void)state;
    fixture f;
    sg_plan plan = {0};
    sg_step_result result;
    sg_params after;
    fixture_make(&f, 1, SG_PADDING_POST, 0);
    sg_engine *engine = open_engine(&f, 1, SG_PRECISION_FP32);
    build_plan(&f, &plan, 0);
    sg_batch batch = {.plan = &plan, .update = 1};
    sg_adam adam = adam_of(1);
    sg_params_at(&f.params, f.params.layout.dense_bias)[3] = NAN;
    assert_ok(sg_engine_load(engine, &f.params));
    for (int i = 0; i < 2; i++)
        assert_ok(sg_engine_begin_step(engine, &batch, &adam));
    assert_fails(SG_E_NUMERIC, "not finite", sg_engine_end_step(engine, &result, NULL));
    assert_int_equal(sg_engine_steps_begun(engine), 0);
    assert_ok(sg_params_alloc(&after, &f.r.spec));
    assert_ok(sg_engine_store(engine, &after));
    assert_memory_equal(after.data, f.params.data, f.params.layout.count * sizeof(float));

    sg_params_at(&f.params, f.params.layout.dense_bias)[3] = 0;
    assert_ok(sg_engine_load(engine, &f.params));
    assert_ok(sg_engine_begin_step(engine, &batch, &adam));
    assert_ok(sg_engine_end_step(engine, &result, NULL));
    assert_true(isfinite(result.loss));
    sg_params_free(&after);
    sg_plan_free(&plan);
    sg_engine_close(engine);
    fixture_free(&f);
}

typedef struct {
    const fixture *f;
    double loss[STEPS], norm[STEPS];
    sg_params weights;
} lane;

static void *run_lane(void *context)
{
    lane *l = context;
    train(l->f, 2, l->loss, l->norm, &l->weights);
    return NULL;
}

/* Several engines in threads of their own compute what each computes alone. */
static void test_side_by_side(void **state)
{
    (void)state;
    enum { LANES = 4 };
    fixture f[LANES];
    lane l[LANES];
    pthread_t thread[LANES];
    for (int i = 0; i < LANES; i++) {
        fixture_make(&f[i], 1 + i % 2, SG_PADDING_POST, i >= 2 ? 0.5 : 0);
        l[i] = (lane){.f = &f[i]};
    }
    for (int i = 0; i < LANES; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_lane, &l[i]), 0);
    for (int i = 0; i < LANES; i++) {
        lane alone = {.f = &f[i]};
        pthread_join(thread[i], NULL);
        run_lane(&alone);
        assert_memory_equal(alone.loss, l[i].loss, sizeof alone.loss);
        assert_memory_equal(alone.weights.data, l[i].weights.data,
                            alone.weights.layout.count * sizeof(float));
        sg_params_free(&alone.weights);
        sg_params_free(&l[i].weights);
    }
    for (int i = 0; i < LANES; i++)
        fixture_free(&f[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_in_flight), cmocka_unit_test(test_misuse),
                                       cmocka_unit_test(test_failed_step),
                                       cmocka_unit_test(test_side_by_side)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

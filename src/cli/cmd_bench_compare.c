/* cmd_bench_compare.c: `sipgpu bench compare`: two engines take the same training steps; how far apart are
 * they? */
#include "base/json.h"
#include "base/memory.h"
#include "cli/bench.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const sg_option table[] = {
    SG_BENCH_NETWORK_OPTIONS,
    SG_INT(SG_BENCH_AT(steps), "20", 1, 1000000, "steps to take"),
    SG_TEXT(SG_BENCH_AT(with), "DEVICE", "the engine to compare with", .fallback = "cpu"),
    SG_ENUM(SG_BENCH_AT(with_precision), "fp32", SG_PRECISION_CHOICES, "what its products are computed in"),
    SG_ENUM(SG_BENCH_AT(graphs), "off", "off|on",
            "cuda: launch each step of the first engine as one CUDA graph"),
    SG_BENCH_DEVICE_OPTIONS,
};

static const char about[] =
    "Trains the same network on the same batches with two engines, and shows the losses of each\n"
    "step side by side and how far apart the weights are at the end.  An engine compared with\n"
    "itself must give the same bits, as graphs or not.";

typedef struct {
    sg_bench_options with; /* those of the second engine, which never launches graphs */
    sg_bench_trainer trainer[2];
    sg_params weights[2];
    double *loss;              /* [steps][2] */
    double loss_difference;    /* the largest, relative to the second engine's */
    double weights_difference; /* |a - b| / |b|, Euclidean, over all weights */
    bool identical;            /* all losses and all weights, bit for bit */
} comparison;

static void compare_weights(comparison *c)
{
    const sg_params *a = &c->weights[0], *b = &c->weights[1];
    double difference = 0, size = 0;
    for (size_t i = 0; i < a->layout.count; i++) {
        double d = (double)a->data[i] - (double)b->data[i];
        difference += d * d;
        size += (double)b->data[i] * (double)b->data[i];
    }
    c->weights_difference = size > 0 ? sqrt(difference / size) : sqrt(difference);
    c->identical = c->identical && memcmp(a->data, b->data, a->layout.count * sizeof *a->data) == 0;
}

static sg_status take_steps(const sg_bench_options *o, comparison *c)
{
    SG_TRY(sg_alloc(&c->loss, 2 * o->steps, "losses"));
    c->identical = true;
    for (int64_t s = 0; s < o->steps; s++) {
        double *loss = c->loss + 2 * s;
        for (int k = 0; k < 2; k++) {
            sg_step_result result;
            SG_TRY(sg_bench_trainer_step(&c->trainer[k], &result));
            loss[k] = result.loss;
        }
        c->loss_difference = fmax(c->loss_difference, fabs(loss[0] - loss[1]) / fabs(loss[1]));
        c->identical = c->identical && loss[0] == loss[1];
    }
    for (int k = 0; k < 2; k++) {
        SG_TRY(sg_params_alloc(&c->weights[k], &c->trainer[k].data->spec));
        SG_TRY(sg_engine_store(c->trainer[k].engine, &c->weights[k]));
    }
    compare_weights(c);
    return SG_OK;
}

static sg_status print_json(const char *name, const sg_bench_options *o, const comparison *c)
{
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "command", name);
    cJSON_AddStringToObject(r, "engine", sg_engine_description(c->trainer[0].engine));
    cJSON_AddStringToObject(r, "with", sg_engine_description(c->trainer[1].engine));
    cJSON_AddNumberToObject(r, "steps", (double)o->steps);
    sg_bench_add_versions(r, c->trainer[0].engine);
    cJSON *list = cJSON_AddArrayToObject(r, "loss");
    for (int64_t s = 0; s < o->steps; s++)
        cJSON_AddItemToArray(list, cJSON_CreateDoubleArray(c->loss + 2 * s, 2));
    cJSON_AddNumberToObject(r, "loss_difference", c->loss_difference);
    cJSON_AddNumberToObject(r, "weights_difference", c->weights_difference);
    cJSON_AddBoolToObject(r, "identical", c->identical);
    return sg_json_print(r, stdout);
}

static void print_table(const sg_bench_options *o, const comparison *c)
{
    printf("engine    %s\nwith      %s\n\nstep          loss          with  difference\n",
           sg_engine_description(c->trainer[0].engine), sg_engine_description(c->trainer[1].engine));
    for (int64_t s = 0; s < o->steps; s++) {
        const double *loss = c->loss + 2 * s;
        printf("%4lld  %12.8f  %12.8f  %10.2e\n", (long long)s + 1, loss[0], loss[1],
               fabs(loss[0] - loss[1]) / fabs(loss[1]));
    }
    printf("\nlosses    at most %.2e apart\nweights   %.2e apart%s\n", c->loss_difference,
           c->weights_difference, c->identical ? ": the same bits" : "");
}

static sg_status compare(const char *name, const sg_bench_options *o, const sg_bench_data *data,
                         comparison *c)
{
    SG_TRY(sg_bench_trainer_open(o, data, o->device, o->precision, (uint64_t)o->seed, &c->trainer[0]));
    c->with = *o;
    c->with.graphs = 0;
    SG_TRY(
        sg_bench_trainer_open(&c->with, data, o->with, o->with_precision, (uint64_t)o->seed, &c->trainer[1]));
    SG_TRY(take_steps(o, c));
    if (o->json)
        return print_json(name, o, c);
    print_table(o, c);
    return SG_OK;
}

static sg_status run(const sg_call *call)
{
    const sg_bench_options *options = call->options;
    sg_bench_data data;
    comparison c = {0};
    sg_status status = sg_bench_data_open(options, &data);
    if (status == SG_OK)
        status = compare(call->name, options, &data, &c);
    for (int k = 0; k < 2; k++) {
        sg_params_free(&c.weights[k]);
        sg_bench_trainer_close(&c.trainer[k]);
    }
    free(c.loss);
    sg_bench_data_close(&data);
    return status;
}

SG_COMMAND(bench_compare, "bench compare", "the same training steps on two engines, side by side", about,
           table, sg_bench_options, run);

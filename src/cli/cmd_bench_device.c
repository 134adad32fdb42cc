/* cmd_bench_device.c: `sipgpu bench device`: what a device can do at the most, for shares. */
#include "base/json.h"
#include "cli/bench.h"

static const sg_option table[] = {
    SG_INT(SG_BENCH_AT(size), "8192", 16, 65536,
           "the product is of square matrices of this size; so is the copy"),
    SG_INT(SG_BENCH_AT(rows), "18782", 1, 100000000, "rows of probabilities for the moments"),
    SG_INT(SG_BENCH_AT(classes), "1492", 3, 10000000, "probabilities in a row"),
    SG_INT(SG_BENCH_AT(repeats), "10", 1, 1000,
           "measurements, of some milliseconds each on a GPU, of which the median is shown"),
    SG_BENCH_DEVICE_OPTIONS,
};

static const char about[] =
    "Measures the ceilings of a device: copy bandwidth (bytes read plus bytes written), one large\n"
    "product in the chosen precision, and the moments of many rows of probabilities.";

static sg_status print(const char *name, const sg_bench_options *o, const sg_engine *engine,
                       const sg_ceilings *c)
{
    if (!o->json) {
        printf("engine    %s\ncopy      %8.1f GB/s\nproduct   %8.1f GFLOP/s, %lld x %lld x %lld\n"
               "moments   %8.1f GB/s, %lld x %lld probabilities: %.0f%% of the copy\n",
               sg_engine_description(engine), c->copy_gbs, c->gemm_gflops, (long long)o->size,
               (long long)o->size, (long long)o->size, c->moments_gbs, (long long)o->rows,
               (long long)o->classes, 100 * c->moments_gbs / c->copy_gbs);
        return SG_OK;
    }
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "command", name);
    cJSON_AddStringToObject(r, "engine", sg_engine_description(engine));
    cJSON_AddStringToObject(r, "precision", sg_engine_precision_name(engine));
    cJSON_AddNumberToObject(r, "size", (double)o->size);
    cJSON_AddNumberToObject(r, "rows", (double)o->rows);
    cJSON_AddNumberToObject(r, "classes", (double)o->classes);
    cJSON_AddNumberToObject(r, "copy_gbs", c->copy_gbs);
    cJSON_AddNumberToObject(r, "gemm_gflops", c->gemm_gflops);
    cJSON_AddNumberToObject(r, "moments_gbs", c->moments_gbs);
    sg_bench_add_versions(r, engine);
    return sg_json_print(r, stdout);
}

static sg_status run(const sg_call *call)
{
    const sg_bench_options *o = call->options;
    const sg_spec tiny = {.message_types = 1, .max_length = 1, .units = 1, .classes = 3, .layers = 1};
    const sg_ceilings_shape shape = {o->size, (int)o->rows, (int)o->classes, (int)o->repeats};
    sg_engine_options options = {
        .precision = (sg_precision)o->precision, .threads = (int)o->threads, .announce = true};
    sg_engine *engine;
    sg_ceilings ceilings;
    SG_TRY(sg_device_parse(o->device, &options.device, &options.device_index));
    SG_TRY(sg_engine_open(&engine, &tiny, &options));
    sg_status status = sg_engine_ceilings(engine, &shape, &ceilings);
    if (status == SG_OK)
        status = print(call->name, o, engine, &ceilings);
    sg_engine_close(engine);
    return status;
}

SG_COMMAND(bench_device, "bench device", "what a device can do at the most", about, table, sg_bench_options,
           run);

/* cmd_version.c: `sipgpu version` and `sipgpu devices`. */
#include "base/log.h"
#include "cli/cli.h"
#include "detect/report_json.h"
#include "engine/cpu/gemm.h"
#include "engine/engine.h"
#include "train/run.h"
#include <hdf5.h>
#include <stdlib.h>

typedef struct {
    sg_common_options common;
    bool json;
} plain_options;

static const sg_option plain_table[] = {
    {NULL, "json", SG_OPT_FLAG, offsetof(plain_options, json), NULL, 0, 0, NULL, NULL,
     "print one JSON object instead of a table", 0},
    SG_COMMON_OPTIONS(plain_options),
};

static sg_status parse(const char *name, const char *about, plain_options *options, int argc, char **argv,
                       bool *done)
{
    sg_text_list words = {0};
    sg_status status = sg_command_parse(name, plain_table, about, options, argc, argv, &words, 0, done);
    free(words.items);
    return status;
}

sg_status sg_run_version(const char *name, int argc, char **argv)
{
    plain_options options = {0};
    bool done;
    SG_TRY(parse(name, "Shows the versions of the program and of what it runs on.", &options, argc, argv,
                 &done));
    if (done)
        return SG_OK;
    unsigned major, minor, patch;
    char library[64];
    H5get_libversion(&major, &minor, &patch);
    sg_gemm_describe(library, sizeof library);
    if (!options.json) {
        printf("%s\n  HDF5 %u.%u.%u\n  %s\n  compiler %s\n", sg_tool_name(), major, minor, patch, library,
               __VERSION__);
        return SG_OK;
    }
    char hdf5[32];
    snprintf(hdf5, sizeof hdf5, "%u.%u.%u", major, minor, patch);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "tool", sg_tool_name());
    cJSON_AddStringToObject(object, "hdf5", hdf5);
    cJSON_AddStringToObject(object, "onednn", library);
    cJSON_AddStringToObject(object, "compiler", __VERSION__);
    return sg_json_print(object, stdout);
}

/* Opens a tiny network on the device; *text says what it is, or why it cannot be used. */
static bool try_device(sg_device device, char *text, size_t size)
{
    sg_spec spec = {.message_types = 1, .max_length = 1, .units = 1, .classes = 3, .layers = 1};
    sg_engine_options options = {.device = device};
    sg_engine *engine;
    if (sg_engine_open(&engine, &spec, &options) != SG_OK) {
        snprintf(text, size, "%s", sg_error_text());
        return false;
    }
    snprintf(text, size, "%s", sg_engine_description(engine));
    sg_engine_close(engine);
    return true;
}

sg_status sg_run_devices(const char *name, int argc, char **argv)
{
    static const struct {
        sg_device device;
        const char *name;
    } all[] = {{SG_DEVICE_CPU, "cpu"}, {SG_DEVICE_CUDA, "cuda"}, {SG_DEVICE_CUDNN, "cudnn"}};
    plain_options options = {0};
    bool done;
    SG_TRY(parse(name, "Lists the engines and, for what cannot be used, why.", &options, argc, argv, &done));
    if (done)
        return SG_OK;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[256];
        bool usable = try_device(all[i].device, text, sizeof text);
        if (!options.json)
            printf("%-6s %s  %s\n", all[i].name, usable ? "usable" : "no    ", text);
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "device", all[i].name);
        cJSON_AddBoolToObject(item, "usable", usable);
        cJSON_AddStringToObject(item, "description", text);
        cJSON_AddItemToArray(list, item);
    }
    if (options.json)
        return sg_json_print(list, stdout);
    cJSON_Delete(list);
    return SG_OK;
}

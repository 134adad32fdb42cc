/* cmd_version.c: `sipgpu version` and `sipgpu devices`. */
#include "base/json.h"
#include "cli/cli.h"
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
    SG_FLAG(SG_KEY(plain_options, json), "print one JSON object instead of a table"),
    SG_COMMON_OPTIONS(plain_options),
};

static sg_status run_version(const sg_call *call)
{
    const plain_options *options = call->options;
    unsigned major, minor, patch;
    char library[64];
    H5get_libversion(&major, &minor, &patch);
    sg_gemm_describe(false, library, sizeof library);
    if (!options->json) {
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

static sg_status show_device(const char *name, bool usable, const char *text, void *context)
{
    cJSON *list = context;
    if (!list) {
        printf("%-8s %-10s %s\n", name, usable ? "usable" : "not usable", text);
        return SG_OK;
    }
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "device", name);
    cJSON_AddBoolToObject(item, "usable", usable);
    cJSON_AddStringToObject(item, "description", text);
    cJSON_AddItemToArray(list, item);
    return SG_OK;
}

static sg_status run_devices(const sg_call *call)
{
    const plain_options *options = call->options;
    cJSON *list = options->json ? cJSON_CreateArray() : NULL;
    sg_status status = sg_devices_visit(show_device, list);
    if (status == SG_OK && list)
        return sg_json_print(list, stdout);
    cJSON_Delete(list);
    return status;
}

SG_COMMAND(version, "version", "versions of the program and its libraries",
           "Shows the versions of the program and of what it runs on.", plain_table, plain_options,
           run_version);

SG_COMMAND(devices, "devices", "what this machine can compute on",
           "Lists the engines and the devices they can use; for what cannot be used, why.  `--device auto`\n"
           "takes the first CUDA device, or else the CPU.",
           plain_table, plain_options, run_devices);

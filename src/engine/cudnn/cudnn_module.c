/* cudnn_module.c: what sipgpu_cudnn.so exports. */
#include "engine/cudnn/cudnn_engine.h"

#include <stdio.h>
#include <string.h>

void sg_cudnn_add_version(char *text, size_t size)
{
    size_t version = cudnnGetVersion(), used = strlen(text);
    if (used < size)
        snprintf(text + used, size - used, ", cuDNN %zu.%zu.%zu", SG_CUDNN_VERSION_PARTS(version));
}

static sg_status describe(int index, char *text, size_t size)
{
    SG_TRY(sg_gpu_describe(index, text, size));
    sg_cudnn_add_version(text, size);
    size_t used = strlen(text);
    if (cudnnGetVersion() < SG_CUDNN_BF16_VERSION)
        snprintf(text + used, size - used, ", too old for bf16 (" SG_CUDNN_BF16_TEXT ")");
    return SG_OK;
}

/* The one symbol that the program looks up (backend.h). */
extern const sg_module sipgpu_module;

__attribute__((visibility("default"))) const sg_module sipgpu_module = {
    .abi = SG_MODULE_ABI,
    .name = "cudnn",
    .error_text = sg_error_text,
    .count = sg_gpu_count,
    .describe = describe,
    .backend = &sg_cudnn_backend,
};

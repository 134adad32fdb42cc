/* cudnn_error.c: what a failed cuDNN call is reported as. */
#include "engine/cudnn/cudnn_state.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* cuDNN's own account of its last error in this thread, on one line, "" if it says no more than `name`. */
static void last_error(char *text, size_t size, const char *name)
{
    text[0] = '\0';
    cudnnGetLastErrorString(text, size);
    text[size - 1] = '\0';
    for (char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
    if (strcmp(text, name) == 0)
        text[0] = '\0';
}

sg_status sg_cudnn_failed(int error, const char *what, const char *file, int line)
{
    const char *name = cudnnGetErrorString((cudnnStatus_t)error);
    /* Cleared as well: the next kernel would report it as its own. */
    cudaError_t reason = cudaGetLastError();
    bool memory = reason == cudaErrorMemoryAllocation ||
                  error == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ||
                  error == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    char more[512];
    last_error(more, sizeof more, name);
    if (!more[0] && reason != cudaSuccess)
        snprintf(more, sizeof more, "%s", cudaGetErrorString(reason));
    return sg_fail_at(file, line, memory ? SG_E_MEMORY : SG_E_DEVICE, "%s: cuDNN: %s%s%s", what, name,
                      more[0] ? ": " : "", more);
}

sg_status sg_cudnn_ran(sg_cudnn *cudnn, cudnnStatus_t status, const char *what)
{
    if (status == CUDNN_STATUS_SUCCESS)
        return SG_OK;
    int category = CUDNN_STATUS_CATEGORY((int)status);
    cudnn->refused = category == CUDNN_STATUS_NOT_SUPPORTED || category == CUDNN_STATUS_BAD_PARAM;
    return sg_cudnn_failed((int)status, what, __FILE__, __LINE__);
}
